//! Servers.

use std::net::{IpAddr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloud::{NewServer, ServerNetwork, ServerView, vm_state};
use model::{Error, Kind, Power, PowerSeen, Result, ServerId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use crate::context::Context;
use crate::json::{nullable, number, parse, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const FILTERS: Names = &[
    ("name", "name"),
    ("status", "status"),
    ("image", "image_id"),
    ("uuid", "id"),
    ("user_id", "user_id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("key_name", "key_name"),
    ("availability_zone", "availability_zone"),
    ("task_state", "task_state"),
    ("created_at", "created_ms"),
    ("updated_at", "updated_ms"),
    ("display_name", "name"),
    ("host", "node_id"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    server: Create,
    #[serde(rename = "os:scheduler_hints", alias = "OS-SCH-HNT:scheduler_hints")]
    _hints: Option<Value>,
}

/// What the compute API takes at 2.1. Fields for things that are not there yet are known, so that
/// the answer can say so, rather than that they do not exist.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
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
    return_reservation_id: Option<bool>,
    block_device_mapping_v2: Option<Vec<BlockDevice>>,
    block_device_mapping: Option<Vec<Value>>,
    personality: Option<Vec<Value>>,
    #[serde(rename = "adminPass")]
    admin_password: Option<String>,
    #[serde(rename = "accessIPv4")]
    _access_v4: Option<String>,
    #[serde(rename = "accessIPv6")]
    _access_v6: Option<String>,
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

#[derive(Deserialize)]
struct BlockDevice {
    source_type: Option<String>,
    destination_type: Option<String>,
    uuid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    server: Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(rename = "accessIPv4")]
    _access_v4: Option<String>,
    #[serde(rename = "accessIPv6")]
    _access_v6: Option<String>,
    #[serde(rename = "OS-DCF:diskConfig")]
    _disk_config: Option<String>,
}

/// `GET /v2.1/servers`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    listed(ctx, |ctx, s| {
        let id = &s.server.id;
        json!({"id": id, "name": s.server.name, "links": links(ctx, "servers", &id.to_string())})
    })
}

/// `GET /v2.1/servers/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    listed(ctx, view)
}

/// `GET /v2.1/servers/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::ok(&json!({"server": view(ctx, &server)})))
}

/// `POST /v2.1/servers`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<CreateBody>()?.server;
    let reservation = wanted.return_reservation_id == Some(true);
    let new = check(wanted)?;
    let made = ctx.cloud.create_servers(&ctx.caller, &new)?;
    let first = made
        .first()
        .ok_or_else(|| Error::invalid("min_count must be at least 1"))?;
    if reservation {
        let id = format!("r-{}", first.id.short());
        return Ok(Reply::accepted(&json!({"reservation_id": id})));
    }
    let id = first.id.to_string();
    let groups: Vec<Value> = match new.security_groups.is_empty() {
        true => vec![json!({"name": "default"})],
        false => new
            .security_groups
            .iter()
            .map(|g| json!({"name": g}))
            .collect(),
    };
    let body = json!({"server": {
        "id": id, "links": links(ctx, "servers", &id), "security_groups": groups,
        "OS-DCF:diskConfig": "MANUAL",
    }});
    let location = format!("{}/compute/v2.1/servers/{id}", ctx.cloud.settings().url);
    Ok(Reply::accepted(&body).with("location", &location))
}

/// `PUT /v2.1/servers/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<UpdateBody>()?.server;
    let server = ctx.cloud.update_server(
        &ctx.caller,
        &ctx.id("id", Kind::Server)?,
        wanted.name,
        wanted.description,
    )?;
    Ok(Reply::ok(&json!({"server": view(ctx, &server)})))
}

/// `DELETE /v2.1/servers/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::no_content())
}

/// `GET /v2.1/servers/{id}/ips`
pub(super) fn addresses(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    let mut plain: Map<String, Value> = Map::new();
    for (name, network, address) in held(&server) {
        let _ = network;
        let entry = plain.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!({"version": 6, "addr": address.to_string()}));
        }
    }
    Ok(Reply::ok(&json!({"addresses": plain})))
}

/// `GET /v2.1/servers/{id}/metadata`
pub(super) fn metadata(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::ok(&json!({"metadata": server.server.metadata.0})))
}

/// `GET /v2.1/servers/{id}/os-interface`
pub(super) fn interfaces(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    let entry = |port: &cloud::PortView| {
        let ips: Vec<Value> = port
            .addresses
            .iter()
            .map(|a| json!({"subnet_id": a.subnet_id, "ip_address": a.address.to_string()}))
            .collect();
        json!({
            "port_id": port.port.id, "net_id": port.port.network_id, "mac_addr": port.port.mac.to_string(),
            "port_state": port.port.status, "fixed_ips": ips,
        })
    };
    let entries: Vec<Value> = server.ports.iter().map(|(p, _)| entry(p)).collect();
    Ok(Reply::ok(&json!({"interfaceAttachments": entries})))
}

/// `GET /v2.1/servers/{id}/os-security-groups`
pub(super) fn security_groups(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    let mut groups = Vec::new();
    for (port, _) in &server.ports {
        for id in &port.security_groups {
            let group = ctx.cloud.get_security_group(&ctx.caller, id)?.group;
            let entry = json!({
                "id": group.id, "name": group.name, "description": group.description,
                "tenant_id": group.project_id, "rules": [],
            });
            if !groups.contains(&entry) {
                groups.push(entry);
            }
        }
    }
    Ok(Reply::ok(&json!({"security_groups": groups})))
}

/// `self` and `bookmark` of a compute resource.
pub(super) fn links(ctx: &Context, kind: &str, id: &str) -> Value {
    let url = &ctx.cloud.settings().url;
    json!([
        {"rel": "self", "href": format!("{url}/compute/v2.1/{kind}/{id}")},
        {"rel": "bookmark", "href": format!("{url}/compute/{kind}/{id}")},
    ])
}

fn listed(ctx: &Context, view: fn(&Context, &ServerView) -> Value) -> Result<Reply> {
    let all = ctx
        .query("all_tenants")
        .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"));
    let mut page = ctx.page(FILTERS)?;
    if let Some(values) = page.take("status") {
        page.filters.push((
            "status".into(),
            values.iter().map(|v| v.to_ascii_uppercase()).collect(),
        ));
    }
    if ctx
        .query("deleted")
        .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true"))
    {
        // Deleted servers leave no record, so none matches.
        return Ok(Reply::ok(&json!({"servers": []})));
    }
    let servers = ctx.cloud.list_servers(&ctx.caller, &page, all)?;
    let mut body = Map::new();
    if let (Some(limit), Some(last)) = (page.limit, servers.last())
        && servers.len() as u64 >= limit
    {
        let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
        let next = ctx.next_page(&path, &last.server.id.to_string());
        body.insert(
            "servers_links".into(),
            json!([{"rel": "next", "href": next}]),
        );
    }
    body.insert(
        "servers".into(),
        servers.iter().map(|s| view(ctx, s)).collect(),
    );
    Ok(Reply::ok(&Value::Object(body)))
}

fn check(wanted: Create) -> Result<NewServer> {
    let not_yet = |what: &str| {
        Error::invalid(format!(
            "{what} is not available in this cloud yet: leave it out"
        ))
    };
    if wanted.config_drive == Some(true) {
        return Err(not_yet("config_drive"));
    }
    if wanted.personality.is_some_and(|p| !p.is_empty()) {
        return Err(not_yet("personality"));
    }
    if wanted.block_device_mapping.is_some_and(|b| !b.is_empty()) {
        return Err(not_yet("block_device_mapping"));
    }
    let _ = wanted.admin_password;
    let image = match (
        wanted.image.filter(|i| !i.is_empty()),
        wanted
            .block_device_mapping_v2
            .unwrap_or_default()
            .as_slice(),
    ) {
        (Some(image), []) => image,
        (
            image,
            [
                BlockDevice {
                    source_type: Some(source),
                    destination_type,
                    uuid: Some(uuid),
                },
            ],
        ) if source == "image" && destination_type.as_deref() == Some("local") => {
            image.unwrap_or_else(|| uuid.clone())
        }
        (None, []) => return Err(Error::invalid("Invalid imageRef provided.")),
        _ => return Err(not_yet("booting from a volume")),
    };
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
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
    if least == 0 || most.is_some_and(|most| most < least) {
        return Err(Error::invalid(
            "min_count must be at least 1 and at most max_count",
        ));
    }
    Ok(NewServer {
        name: wanted.name,
        description: None,
        image: last(&image)
            .parse()
            .map_err(|_| Error::invalid("Invalid imageRef provided."))?,
        flavor,
        networks: wanted
            .networks
            .map(|n| n.into_iter().map(network).collect::<Result<_>>())
            .transpose()?,
        security_groups: wanted
            .security_groups
            .unwrap_or_default()
            .into_iter()
            .map(|g| g.name)
            .collect(),
        key_name: wanted.key_name,
        user_data: wanted.user_data.map(|d| user_data(&d)).transpose()?,
        metadata: wanted.metadata.unwrap_or_default(),
        availability_zone: wanted.availability_zone.filter(|z| !z.is_empty()),
        count: most.unwrap_or(least),
    })
}

fn user_data(text: &str) -> Result<Vec<u8>> {
    let joined: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD
        .decode(joined)
        .map_err(|_| Error::invalid("user_data must be base64"))
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
            let address = wish.fixed_ip.as_deref().map(address).transpose()?;
            Ok(ServerNetwork::Network(
                parse("networks/uuid", &uuid)?,
                address,
            ))
        }
        (None, None) => Err(Error::invalid("each of networks needs a uuid or a port")),
    }
}

fn address(text: &str) -> Result<Ipv6Addr> {
    match model::parse_ip(text) {
        Some(IpAddr::V6(address)) => Ok(address),
        _ => Err(Error::invalid(format!(
            "networks/fixed_ip '{text}' is not an IPv6 address"
        ))),
    }
}

/// Network name, port and address of each address a server holds.
fn held(server: &ServerView) -> Vec<(String, &cloud::PortView, Ipv6Addr)> {
    let each = server.ports.iter();
    each.flat_map(|(port, name)| {
        port.addresses
            .iter()
            .map(move |a| (name.clone(), port, a.address))
    })
    .collect()
}

fn view(ctx: &Context, view: &ServerView) -> Value {
    let server = &view.server;
    let id = server.id.to_string();
    let seen = server.seen.0.as_ref();
    let mut body = json!({
        "id": id, "name": server.name, "status": server.status,
        "tenant_id": server.project_id, "user_id": server.user_id,
        "created": time::seconds(server.created_ms), "updated": time::seconds(server.updated_ms),
        "hostId": host_id(server), "accessIPv4": "", "accessIPv6": "",
        "flavor": {"id": server.flavor.0.id, "links": bookmark(ctx, "flavors", &server.flavor.0.id)},
        "image": image(ctx, server), "links": links(ctx, "servers", &id),
        "metadata": server.metadata.0, "key_name": server.key_name, "config_drive": "",
        "addresses": address_view(view),
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": server.availability_zone,
        "OS-EXT-STS:vm_state": vm_state(&server.status),
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": power_state(server),
        "OS-SRV-USG:launched_at": seen.and_then(|s| s.launched_ms).map(time::bare_micros),
        "OS-SRV-USG:terminated_at": null,
        "os-extended-volumes:volumes_attached": [],
    });
    let groups: Vec<Value> = view
        .security_groups
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    if !groups.is_empty() {
        body["security_groups"] = Value::Array(groups);
    }
    if matches!(
        server.status.as_str(),
        "ACTIVE" | "BUILD" | "REBOOT" | "HARD_REBOOT"
    ) {
        body["progress"] = json!(if server.status == "ACTIVE" { 100 } else { 0 });
    }
    if server.status == "ERROR" {
        body["fault"] = fault(server);
    }
    if ctx.caller.is_admin() {
        body["OS-EXT-SRV-ATTR:host"] = json!(view.node_name);
        body["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(view.node_name);
        body["OS-EXT-SRV-ATTR:instance_name"] = json!(format!("instance-{}", server.id.short()));
    }
    body
}

fn address_view(view: &ServerView) -> Value {
    let mut networks: Map<String, Value> = Map::new();
    for (name, port, address) in held(view) {
        let entry = json!({
            "version": 6, "addr": address.to_string(),
            "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": port.port.mac.to_string(),
        });
        if let Some(list) = networks
            .entry(name)
            .or_insert_with(|| json!([]))
            .as_array_mut()
        {
            list.push(entry);
        }
    }
    Value::Object(networks)
}

fn bookmark(ctx: &Context, kind: &str, id: &str) -> Value {
    json!([{"rel": "bookmark", "href": format!("{}/compute/{kind}/{id}", ctx.cloud.settings().url)}])
}

fn image(ctx: &Context, server: &row::Server) -> Value {
    match server.image_id {
        Some(id) => json!({"id": id, "links": bookmark(ctx, "images", &id.to_string())}),
        None => json!(""),
    }
}

/// The same for a project's servers on one node, and telling neither.
fn host_id(server: &row::Server) -> String {
    match server.node_id {
        Some(node) => cloud::host_id(&server.project_id, node),
        None => String::new(),
    }
}

/// The compute API's numbers: 0 no state, 1 running, 4 shut down.
fn power_state(server: &row::Server) -> u8 {
    match (server.seen.0.as_ref().map(|s| s.power), server.power.0) {
        (Some(PowerSeen::Running), _) => 1,
        (Some(PowerSeen::Stopped), _) => 4,
        (Some(PowerSeen::Preparing) | None, Power::Running | Power::Stopped) => 0,
    }
}

fn fault(server: &row::Server) -> Value {
    let why = server
        .fault
        .clone()
        .or_else(|| server.seen.0.as_ref().and_then(|s| s.failure.clone()));
    json!({
        "code": 500, "created": time::seconds(server.updated_ms),
        "message": why.unwrap_or_else(|| "no reason was given".into()),
    })
}

/// A server's id in a path.
pub(super) fn id(ctx: &Context) -> Result<ServerId> {
    ctx.id("id", Kind::Server)
}
