//! Port forwardings of floating IPs.

use cloud::{ForwardingUpdate, NewForwarding, Ports};
use model::{Error, FloatingIpId, Kind, PortForwardingId, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::json::{ip, named, number};
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("id", "id"),
    ("internal_port_id", "port_id"),
    ("protocol", "protocol"),
    ("external_port", "external_first"),
    ("description", "description"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    port_forwarding: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    internal_port_id: Option<String>,
    internal_ip_address: Option<String>,
    #[serde(default, deserialize_with = "number")]
    internal_port: Option<u16>,
    internal_port_range: Option<String>,
    #[serde(default, deserialize_with = "number")]
    external_port: Option<u16>,
    external_port_range: Option<String>,
    protocol: Option<String>,
    description: Option<String>,
    #[serde(rename = "tenant_id")]
    _tenant: Option<String>,
    #[serde(rename = "project_id")]
    _project: Option<String>,
}

impl Fields {
    fn external(&self) -> Result<Option<Ports>> {
        ports("external", self.external_port, &self.external_port_range)
    }

    fn internal(&self) -> Result<Option<Ports>> {
        ports("internal", self.internal_port, &self.internal_port_range)
    }
}

/// `GET /v2.0/floatingips/{id}/port_forwardings`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let mut page = ctx.page(NAMES)?;
    if let Some(single) = page.filters.iter().find(|(n, _)| n == "external_first") {
        // A range is no single port.
        let last = ("external_last".to_owned(), single.1.clone());
        page.filters.push(last);
    }
    if let Some(text) = ctx.query("external_port_range") {
        let (first, last) = range("external", text)?;
        for (column, port) in [("external_first", first), ("external_last", last)] {
            page.filters.push((column.into(), vec![port.to_string()]));
        }
    }
    let of = floating_ip(ctx)?;
    let found = ctx.cloud.list_forwardings(&ctx.caller, &of, &page)?;
    let entries = found.iter().map(view).collect();
    collection(ctx, "port_forwardings", page.limit, entries)
}

/// `GET /v2.0/floatingips/{id}/port_forwardings/{forwarding}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let found = ctx
        .cloud
        .get_forwarding(&ctx.caller, &floating_ip(ctx)?, &forwarding(ctx)?)?;
    Ok(Reply::ok(&single(ctx, "port_forwarding", view(&found))))
}

/// `POST /v2.0/floatingips/{id}/port_forwardings`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.port_forwarding;
    let missing = |what: &str| Error::invalid(format!("{what} is missing"));
    let (external, internal) = (wanted.external()?, wanted.internal()?);
    let port = wanted.internal_port_id.as_deref();
    let port = port.ok_or_else(|| missing("internal_port_id"))?;
    let new = NewForwarding {
        port: named(Kind::Port, port)?,
        address: address(wanted.internal_ip_address.as_deref())?,
        external: external.ok_or_else(|| missing("external_port"))?,
        internal: internal.ok_or_else(|| missing("internal_port"))?,
        protocol: wanted.protocol.ok_or_else(|| missing("protocol"))?,
        description: wanted.description.unwrap_or_default(),
    };
    let of = floating_ip(ctx)?;
    let made = ctx.cloud.create_forwarding(&ctx.caller, &of, &new)?;
    Ok(Reply::created(&single(ctx, "port_forwarding", view(&made))))
}

/// `PUT /v2.0/floatingips/{id}/port_forwardings/{forwarding}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.port_forwarding;
    let port = wanted.internal_port_id.as_deref();
    let update = ForwardingUpdate {
        port: port.map(|id| named(Kind::Port, id)).transpose()?,
        address: address(wanted.internal_ip_address.as_deref())?,
        external: wanted.external()?,
        internal: wanted.internal()?,
        protocol: wanted.protocol,
        description: wanted.description,
    };
    let (of, id) = (floating_ip(ctx)?, forwarding(ctx)?);
    let changed = ctx
        .cloud
        .update_forwarding(&ctx.caller, &of, &id, &update)?;
    Ok(Reply::ok(&single(ctx, "port_forwarding", view(&changed))))
}

/// `DELETE /v2.0/floatingips/{id}/port_forwardings/{forwarding}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_forwarding(&ctx.caller, &floating_ip(ctx)?, &forwarding(ctx)?)?;
    Ok(Reply::no_content())
}

/// A forwarding, also as its floating IP shows it.
pub(super) fn view(forwarding: &row::PortForwarding) -> Value {
    let one = |first: u16, last: u16| (first == last).then_some(first);
    let f = forwarding;
    json!({
        "id": f.id, "protocol": f.protocol, "description": f.description,
        "internal_port_id": f.port_id, "internal_ip_address": f.address.to_string(),
        "internal_port": one(f.internal_first, f.internal_last),
        "internal_port_range": format!("{}:{}", f.internal_first, f.internal_last),
        "external_port": one(f.external_first, f.external_last),
        "external_port_range": format!("{}:{}", f.external_first, f.external_last),
    })
}

fn floating_ip(ctx: &Context) -> Result<FloatingIpId> {
    ctx.id("id", Kind::FloatingIp)
}

fn forwarding(ctx: &Context) -> Result<PortForwardingId> {
    ctx.id("forwarding", Kind::PortForwarding)
}

fn address(text: Option<&str>) -> Result<Option<std::net::IpAddr>> {
    text.map(|text| ip("internal_ip_address", text)).transpose()
}

/// A port or a range of them, whichever was given.
fn ports(side: &str, port: Option<u16>, text: &Option<String>) -> Result<Option<Ports>> {
    match (port, text) {
        (Some(_), Some(_)) => Err(Error::invalid(format!(
            "Only one of {side}_port and {side}_port_range may be provided."
        ))),
        (Some(port), None) => Ok(Some((port, port))),
        (None, Some(text)) => range(side, text).map(Some),
        (None, None) => Ok(None),
    }
}

/// `FIRST:LAST`, or one port.
fn range(side: &str, text: &str) -> Result<Ports> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => Ok((first, last)),
        _ => Err(Error::invalid(format!(
            "Invalid input for {side}_port_range. Reason: '{text}' is not FIRST:LAST."
        ))),
    }
}
