//! What a client may say of a server to be made, become a domain value.

use std::net::IpAddr;

use cloud::{Hints, NewServer, ServerNetwork};
use model::{Error, Result, ServerId, UserData};
use serde::Deserialize;
use serde_json::Value;
use store::row;

use super::block_device::{BlockDevice, disks};
use crate::context::Context;
use crate::json::{ip, nullable, number, parse, truth};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    pub(super) server: Create,
    #[serde(rename = "os:scheduler_hints", alias = "OS-SCH-HNT:scheduler_hints")]
    pub(super) hints: Option<HintsJson>,
}

/// Hints that this cloud has no use for are taken, as others are on a nova without their filter.
#[derive(Default, Deserialize)]
pub(super) struct HintsJson {
    group: Option<String>,
    same_host: Option<OneOrMany>,
    different_host: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What the compute API takes at 2.1. Fields for things that are not there yet are known, so that
/// the answer can say so, rather than that they do not exist.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    /// From 2.19.
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(rename = "imageRef")]
    image: Option<String>,
    #[serde(rename = "flavorRef")]
    flavor: Value,
    networks: Option<Vec<NetworkJson>>,
    security_groups: Option<Vec<GroupJson>>,
    key_name: Option<String>,
    user_data: Option<String>,
    metadata: Option<row::Metadata>,
    availability_zone: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    config_drive: Option<bool>,
    #[serde(default, deserialize_with = "number")]
    min_count: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    max_count: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    pub(super) return_reservation_id: Option<bool>,
    block_device_mapping_v2: Option<Vec<BlockDevice>>,
    block_device_mapping: Option<Vec<Value>>,
    personality: Option<Vec<Value>>,
    #[serde(rename = "adminPass")]
    admin_password: Option<String>,
    #[serde(rename = "accessIPv4")]
    access_v4: Option<String>,
    #[serde(rename = "accessIPv6")]
    access_v6: Option<String>,
    #[serde(rename = "OS-DCF:diskConfig")]
    _disk_config: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkJson {
    uuid: Option<String>,
    port: Option<String>,
    fixed_ip: Option<String>,
    tag: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupJson {
    name: String,
}

/// The wish, once every field is known to be one this cloud can fulfil.
///
/// # Errors
/// `Invalid`, naming the field.
pub(super) fn check(ctx: &Context, wanted: Create, hints: HintsJson) -> Result<NewServer> {
    if wanted.description.is_some() && !ctx.since(19) {
        return Err(unexpected("description"));
    }
    let not_yet = |what: &str| {
        Error::invalid(format!(
            "{what} is not available in this cloud yet: leave it out"
        ))
    };
    if wanted.personality.is_some_and(|p| !p.is_empty()) {
        return Err(not_yet("personality"));
    }
    if wanted.block_device_mapping.is_some_and(|b| !b.is_empty()) {
        return Err(not_yet("block_device_mapping"));
    }
    let _ = wanted.admin_password;
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let image = wanted.image.filter(|i| !i.is_empty()).map(|text| {
        last(&text)
            .parse()
            .map_err(|_| Error::invalid("Invalid imageRef provided."))
    });
    let entries = wanted.block_device_mapping_v2.unwrap_or_default();
    let (image, disks) = match (image.transpose()?, entries.is_empty()) {
        (None, true) => return Err(Error::invalid("Invalid imageRef provided.")),
        (image, _) => disks(image, entries)?,
    };
    let flavor = match wanted.flavor {
        Value::String(text) => last(&text),
        Value::Number(number) => number.to_string(),
        _ => {
            return Err(Error::invalid(
                "Invalid input for field/attribute flavorRef: it must be a string",
            ));
        }
    };
    let (least, most) = (wanted.min_count.unwrap_or(1), wanted.max_count);
    let (access_v4, access_v6) = access(wanted.access_v4.as_deref(), wanted.access_v6.as_deref())?;
    Ok(NewServer {
        access_v4,
        access_v6,
        // Before 2.19 a server is described by its name.
        description: match ctx.since(19) {
            true => wanted.description.flatten(),
            false => Some(wanted.name.clone()),
        },
        name: wanted.name,
        image,
        disks,
        flavor,
        // Before microversion 2.37 an empty list says no more than none.
        networks: wanted
            .networks
            .filter(|networks| !networks.is_empty())
            .map(|n| n.into_iter().map(network).collect::<Result<_>>())
            .transpose()?,
        security_groups: wanted
            .security_groups
            .unwrap_or_default()
            .into_iter()
            .map(|g| g.name)
            .collect(),
        key_name: wanted.key_name,
        user_data: wanted.user_data.map(user_data).transpose()?,
        config_drive: wanted.config_drive.unwrap_or(false),
        metadata: wanted.metadata.unwrap_or_default(),
        availability_zone: wanted.availability_zone.filter(|z| !z.is_empty()),
        hints: placement(hints)?,
        least,
        most: most.unwrap_or(least),
    })
}

/// `accessIPv4` and `accessIPv6`; an empty text is no address.
///
/// # Errors
/// `Invalid` for what is no address of that version.
pub(super) fn access(
    v4: Option<&str>,
    v6: Option<&str>,
) -> Result<(Option<IpAddr>, Option<IpAddr>)> {
    let one = |field: &str, text: Option<&str>, v4: bool| -> Result<Option<IpAddr>> {
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            return Ok(None);
        };
        match ip(field, text)? {
            address if address.is_ipv4() == v4 => Ok(Some(address)),
            address => Err(Error::invalid(format!(
                "Invalid input for {field}. Reason: {address} is of the other version."
            ))),
        }
    };
    Ok((one("accessIPv4", v4, true)?, one("accessIPv6", v6, false)?))
}

/// A field that the client's microversion does not have.
pub(super) fn unexpected(field: &str) -> Error {
    Error::invalid(format!(
        "Additional properties are not allowed ('{field}' was unexpected)"
    ))
}

fn placement(hints: HintsJson) -> Result<Hints> {
    let servers = |name: &str, given: Option<OneOrMany>| -> Result<Vec<ServerId>> {
        let texts = match given {
            None => Vec::new(),
            Some(OneOrMany::One(text)) => vec![text],
            Some(OneOrMany::Many(texts)) => texts,
        };
        let field = format!("os:scheduler_hints/{name}");
        texts.iter().map(|text| parse(&field, text)).collect()
    };
    let group = hints.group.as_deref();
    Ok(Hints {
        group: group
            .map(|text| parse("os:scheduler_hints/group", text))
            .transpose()?,
        same_host: servers("same_host", hints.same_host)?,
        different_host: servers("different_host", hints.different_host)?,
    })
}

fn user_data(text: String) -> Result<UserData> {
    UserData::try_from(text).map_err(|why| Error::invalid(format!("user_data: {why}")))
}

fn network(wish: NetworkJson) -> Result<ServerNetwork> {
    if wish.tag.is_some_and(|t| !t.is_null()) {
        return Err(Error::invalid(
            "networks/tag needs microversion 2.32, which this cloud does not offer",
        ));
    }
    match (wish.port, wish.uuid) {
        (Some(port), _) => Ok(ServerNetwork::Port(parse("networks/port", &port)?)),
        (None, Some(uuid)) => {
            let address = wish
                .fixed_ip
                .as_deref()
                .map(|text| ip("networks/fixed_ip", text))
                .transpose()?;
            Ok(ServerNetwork::Network(
                parse("networks/uuid", &uuid)?,
                address,
            ))
        }
        (None, None) => Err(Error::invalid("each of networks needs a uuid or a port")),
    }
}
