//! How many addresses networks have, and how many of them are held.

use std::collections::BTreeMap;

use cloud::{IpAvailability, IpVersion, SubnetIpAvailability};
use model::{Kind, Result};
use serde::Serialize;
use serde_json::Value;

use super::{fields, links};
use crate::context::Context;
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("network_id", "id"),
    ("network_name", "name"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
];

/// An object whose numbers may be larger than a [`Value`] holds.
type Object = BTreeMap<&'static str, Field>;

#[derive(Serialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Number(u128),
    Objects(Vec<Object>),
    Value(Value),
}

/// `GET /v2.0/network-ip-availabilities`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let version = match ctx.query("ip_version") {
        None => Some(None),
        Some("4") => Some(Some(IpVersion::V4)),
        Some("6") => Some(Some(IpVersion::V6)),
        Some(_) => None,
    };
    let found = match version {
        Some(version) => ctx
            .cloud
            .list_ip_availabilities(&ctx.caller, &page, version)?,
        None => Vec::new(),
    };
    let mut body = BTreeMap::new();
    let last = found.last().map(|one| one.network.id.to_string());
    if let Some(links) = links(ctx, page.limit, found.len(), last.as_deref()) {
        body.insert("network_ip_availabilities_links", Field::Value(links));
    }
    let entries = found.into_iter().map(|one| view(ctx, one)).collect();
    body.insert("network_ip_availabilities", Field::Objects(entries));
    Ok(Reply::ok(&body))
}

/// `GET /v2.0/network-ip-availabilities/{id}`, the id being the network's.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::Network)?;
    let found = ctx.cloud.get_ip_availability(&ctx.caller, &id)?;
    let body = BTreeMap::from([("network_ip_availability", view(ctx, found))]);
    Ok(Reply::ok(&body))
}

fn view(ctx: &Context, of: IpAvailability) -> Object {
    let IpAvailability { network, subnets } = of;
    let project = network.project_id.to_string();
    let total = subnets.iter().map(|s| s.total);
    let used = subnets.iter().map(|s| u128::from(s.used));
    let mut view = BTreeMap::from([
        ("network_id", Field::Text(network.id.to_string())),
        ("network_name", Field::Text(network.name)),
        ("project_id", Field::Text(project.clone())),
        ("tenant_id", Field::Text(project)),
        (
            "total_ips",
            Field::Number(total.fold(0, u128::saturating_add)),
        ),
        ("used_ips", Field::Number(used.sum())),
        (
            "subnet_ip_availability",
            Field::Objects(subnets.into_iter().map(subnet).collect()),
        ),
    ]);
    let asked = fields(ctx);
    view.retain(|name, _| asked.is_empty() || asked.contains(name));
    view
}

fn subnet(of: SubnetIpAvailability) -> Object {
    let SubnetIpAvailability {
        subnet,
        total,
        used,
    } = of;
    let version = if subnet.prefix.is_ipv4() { 4 } else { 6 };
    let cidr = format!("{}/{}", subnet.prefix, subnet.prefix_length);
    BTreeMap::from([
        ("subnet_id", Field::Text(subnet.id.to_string())),
        ("subnet_name", Field::Text(subnet.name)),
        ("ip_version", Field::Number(version)),
        ("cidr", Field::Text(cidr)),
        ("total_ips", Field::Number(total)),
        ("used_ips", Field::Number(used.into())),
    ])
}
