//! The network API, version 2.0.

mod address_group;
mod address_scope;
mod agent;
mod auto_topology;
mod extension;
pub(crate) mod floating_ip;
mod ip_availability;
pub(crate) mod networks;
pub(crate) mod port;
mod port_forwarding;
pub(crate) mod qos;
mod quota;
mod rbac_policy;
pub(crate) mod revision;
pub(crate) mod router;
pub(crate) mod security_group;
pub(crate) mod subnet;
mod subnet_pool;
mod tag;
mod trunk;

use http::Method;
use model::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::json::{self, only};
use crate::reply::Reply;
use crate::route::{Handler::Look, Handler::Open, Handler::Plain, Lines};
use crate::version;

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "", Open(version::network_list)),
    (Method::GET, "/v2.0", Open(version::network)),
    (Method::GET, "/v2.0/extensions", Look(extension::list)),
    (
        Method::GET,
        "/v2.0/extensions/{alias}",
        Look(extension::show),
    ),
    (
        Method::GET,
        "/v2.0/availability_zones",
        Look(extension::zones),
    ),
    (Method::GET, "/v2.0/networks", Look(networks::list)),
    (Method::POST, "/v2.0/networks", Plain(networks::create)),
    (Method::GET, "/v2.0/networks/{id}", Look(networks::show)),
    (Method::PUT, "/v2.0/networks/{id}", Plain(networks::update)),
    (
        Method::DELETE,
        "/v2.0/networks/{id}",
        Plain(networks::delete),
    ),
    (Method::GET, "/v2.0/subnets", Look(subnet::list)),
    (Method::POST, "/v2.0/subnets", Plain(subnet::create)),
    (Method::GET, "/v2.0/subnets/{id}", Look(subnet::show)),
    (Method::PUT, "/v2.0/subnets/{id}", Plain(subnet::update)),
    (Method::DELETE, "/v2.0/subnets/{id}", Plain(subnet::delete)),
    (Method::GET, "/v2.0/ports", Look(port::list)),
    (Method::POST, "/v2.0/ports", Plain(port::create)),
    (Method::GET, "/v2.0/ports/{id}", Look(port::show)),
    (Method::PUT, "/v2.0/ports/{id}", Plain(port::update)),
    (Method::DELETE, "/v2.0/ports/{id}", Plain(port::delete)),
];

pub(crate) const MORE_ROUTES: Lines = &[
    (
        Method::GET,
        "/v2.0/address-scopes",
        Look(address_scope::list),
    ),
    (
        Method::POST,
        "/v2.0/address-scopes",
        Plain(address_scope::create),
    ),
    (
        Method::GET,
        "/v2.0/address-scopes/{id}",
        Look(address_scope::show),
    ),
    (
        Method::PUT,
        "/v2.0/address-scopes/{id}",
        Plain(address_scope::update),
    ),
    (
        Method::DELETE,
        "/v2.0/address-scopes/{id}",
        Plain(address_scope::delete),
    ),
    // When a node was last heard changes without a commit.
    (Method::GET, "/v2.0/agents", Plain(agent::list)),
    (Method::GET, "/v2.0/agents/{id}", Plain(agent::show)),
    // Asking for it makes it.
    (
        Method::GET,
        "/v2.0/auto-allocated-topology/{project}",
        Plain(auto_topology::show),
    ),
    (
        Method::DELETE,
        "/v2.0/auto-allocated-topology/{project}",
        Plain(auto_topology::delete),
    ),
    (Method::GET, "/v2.0/rbac-policies", Look(rbac_policy::list)),
    (
        Method::POST,
        "/v2.0/rbac-policies",
        Plain(rbac_policy::create),
    ),
    (
        Method::GET,
        "/v2.0/rbac-policies/{id}",
        Look(rbac_policy::show),
    ),
    (
        Method::PUT,
        "/v2.0/rbac-policies/{id}",
        Plain(rbac_policy::update),
    ),
    (
        Method::DELETE,
        "/v2.0/rbac-policies/{id}",
        Plain(rbac_policy::delete),
    ),
    (Method::GET, "/v2.0/trunks", Look(trunk::list)),
    (Method::POST, "/v2.0/trunks", Plain(trunk::create)),
    (Method::GET, "/v2.0/trunks/{id}", Look(trunk::show)),
    (Method::PUT, "/v2.0/trunks/{id}", Plain(trunk::update)),
    (Method::DELETE, "/v2.0/trunks/{id}", Plain(trunk::delete)),
    (
        Method::GET,
        "/v2.0/trunks/{id}/get_subports",
        Look(trunk::subports),
    ),
    (
        Method::PUT,
        "/v2.0/trunks/{id}/add_subports",
        Plain(trunk::add_subports),
    ),
    (
        Method::PUT,
        "/v2.0/trunks/{id}/remove_subports",
        Plain(trunk::remove_subports),
    ),
    (
        Method::GET,
        "/v2.0/network-ip-availabilities",
        Look(ip_availability::list),
    ),
    (
        Method::GET,
        "/v2.0/network-ip-availabilities/{id}",
        Look(ip_availability::show),
    ),
    (Method::GET, "/v2.0/quotas", Look(quota::list)),
    (Method::GET, "/v2.0/quotas/tenant", Look(quota::whose)),
    (Method::GET, "/v2.0/quotas/project", Look(quota::whose)),
    (Method::GET, "/v2.0/quotas/{project}", Look(quota::show)),
    (Method::PUT, "/v2.0/quotas/{project}", Plain(quota::update)),
    (
        Method::DELETE,
        "/v2.0/quotas/{project}",
        Plain(quota::delete),
    ),
    (
        Method::GET,
        "/v2.0/quotas/{project}/default",
        Look(quota::default),
    ),
    (
        Method::GET,
        "/v2.0/quotas/{project}/details.json",
        Look(quota::details),
    ),
    (
        Method::GET,
        "/v2.0/quotas/{project}/details",
        Look(quota::details),
    ),
    (Method::GET, "/v2.0/routers", Look(router::list)),
    (Method::POST, "/v2.0/routers", Plain(router::create)),
    (Method::GET, "/v2.0/routers/{id}", Look(router::show)),
    (Method::PUT, "/v2.0/routers/{id}", Plain(router::update)),
    (Method::DELETE, "/v2.0/routers/{id}", Plain(router::delete)),
    (
        Method::PUT,
        "/v2.0/routers/{id}/add_router_interface",
        Plain(router::add_interface),
    ),
    (
        Method::PUT,
        "/v2.0/routers/{id}/remove_router_interface",
        Plain(router::remove_interface),
    ),
    (Method::GET, "/v2.0/subnetpools", Look(subnet_pool::list)),
    (
        Method::POST,
        "/v2.0/subnetpools",
        Plain(subnet_pool::create),
    ),
    (
        Method::GET,
        "/v2.0/subnetpools/{id}",
        Look(subnet_pool::show),
    ),
    (
        Method::PUT,
        "/v2.0/subnetpools/{id}",
        Plain(subnet_pool::update),
    ),
    (
        Method::DELETE,
        "/v2.0/subnetpools/{id}",
        Plain(subnet_pool::delete),
    ),
    (
        Method::PUT,
        "/v2.0/routers/{id}/add_extraroutes",
        Plain(router::add_routes),
    ),
    (
        Method::PUT,
        "/v2.0/routers/{id}/remove_extraroutes",
        Plain(router::remove_routes),
    ),
    (Method::GET, "/v2.0/floatingips", Look(floating_ip::list)),
    (
        Method::POST,
        "/v2.0/floatingips",
        Plain(floating_ip::create),
    ),
    (
        Method::GET,
        "/v2.0/floatingips/{id}",
        Look(floating_ip::show),
    ),
    (
        Method::PUT,
        "/v2.0/floatingips/{id}",
        Plain(floating_ip::update),
    ),
    (
        Method::DELETE,
        "/v2.0/floatingips/{id}",
        Plain(floating_ip::delete),
    ),
    (
        Method::GET,
        "/v2.0/security-groups",
        Look(security_group::list),
    ),
    (
        Method::POST,
        "/v2.0/security-groups",
        Plain(security_group::create),
    ),
    (
        Method::GET,
        "/v2.0/security-groups/{id}",
        Look(security_group::show),
    ),
    (
        Method::PUT,
        "/v2.0/security-groups/{id}",
        Plain(security_group::update),
    ),
    (
        Method::DELETE,
        "/v2.0/security-groups/{id}",
        Plain(security_group::delete),
    ),
    (
        Method::GET,
        "/v2.0/security-group-rules",
        Look(security_group::list_rules),
    ),
    (
        Method::POST,
        "/v2.0/security-group-rules",
        Plain(security_group::create_rule),
    ),
    (
        Method::GET,
        "/v2.0/security-group-rules/{id}",
        Look(security_group::show_rule),
    ),
    (
        Method::DELETE,
        "/v2.0/security-group-rules/{id}",
        Plain(security_group::delete_rule),
    ),
    (
        Method::GET,
        "/v2.0/floatingips/{id}/port_forwardings",
        Look(port_forwarding::list),
    ),
    (
        Method::POST,
        "/v2.0/floatingips/{id}/port_forwardings",
        Plain(port_forwarding::create),
    ),
    (
        Method::GET,
        "/v2.0/floatingips/{id}/port_forwardings/{forwarding}",
        Look(port_forwarding::show),
    ),
    (
        Method::PUT,
        "/v2.0/floatingips/{id}/port_forwardings/{forwarding}",
        Plain(port_forwarding::update),
    ),
    (
        Method::DELETE,
        "/v2.0/floatingips/{id}/port_forwardings/{forwarding}",
        Plain(port_forwarding::delete),
    ),
    (
        Method::GET,
        "/v2.0/address-groups",
        Look(address_group::list),
    ),
    (
        Method::POST,
        "/v2.0/address-groups",
        Plain(address_group::create),
    ),
    (
        Method::GET,
        "/v2.0/address-groups/{id}",
        Look(address_group::show),
    ),
    (
        Method::PUT,
        "/v2.0/address-groups/{id}",
        Plain(address_group::update),
    ),
    (
        Method::DELETE,
        "/v2.0/address-groups/{id}",
        Plain(address_group::delete),
    ),
    (
        Method::PUT,
        "/v2.0/address-groups/{id}/add_addresses",
        Plain(address_group::add_addresses),
    ),
    (
        Method::PUT,
        "/v2.0/address-groups/{id}/remove_addresses",
        Plain(address_group::remove_addresses),
    ),
];

pub(crate) const TAG_ROUTES: Lines = tag::tag_routes!("networks" "subnets" "ports" "routers" "security-groups" "floatingips" "subnetpools" "trunks" "policies");

/// A collection as the network API writes it, with a link to the next page when this one is full.
fn collection(ctx: &Context, name: &str, limit: Option<u64>, entries: Vec<Value>) -> Result<Reply> {
    let mut body = Map::new();
    let last = entries.last().and_then(|e| e["id"].as_str());
    if let Some(links) = links(ctx, limit, entries.len(), last) {
        body.insert(format!("{name}_links"), links);
    }
    let fields = fields(ctx);
    body.insert(
        name.to_owned(),
        entries.into_iter().map(|e| only(e, &fields)).collect(),
    );
    Ok(Reply::ok(&Value::Object(body)))
}

/// The link to the page behind one of `count` entries, when that is full.
fn links(ctx: &Context, limit: Option<u64>, count: usize, last: Option<&str>) -> Option<Value> {
    let last = last.filter(|_| limit.is_some_and(|limit| count as u64 >= limit))?;
    let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
    Some(json!([{"rel": "next", "href": ctx.next_page(&path, last)}]))
}

/// What a request that makes one thing or several asks for, and whether it is several.
///
/// # Errors
/// `Invalid`, naming the field.
fn wanted<T: DeserializeOwned>(ctx: &Context, one: &str, many: &str) -> Result<(Vec<T>, bool)> {
    let body: Map<String, Value> = ctx.json()?;
    let several = body.contains_key(many);
    let name = if several { many } else { one };
    if let Some(other) = body.keys().find(|key| *key != name) {
        return Err(Error::invalid(format!(
            "Unrecognized attribute(s) '{other}': the body must hold {one} or {many}"
        )));
    }
    let missing = || Error::invalid(format!("{one} is missing from the request body"));
    let value = body.get(name).cloned().ok_or_else(missing)?;
    match several {
        true => json::parse_value(name, value).map(|things| (things, true)),
        false => json::parse_value(name, value).map(|thing| (vec![thing], false)),
    }
}

/// 201 with what was made: the one, or all.
fn made(ctx: &Context, one: &str, many: &str, several: bool, views: Vec<Value>) -> Reply {
    let mut views = views;
    match several {
        true => {
            let mut body = Map::new();
            body.insert(many.to_owned(), Value::Array(views));
            Reply::created(&Value::Object(body))
        }
        false => Reply::created(&single(ctx, one, views.pop().unwrap_or_default())),
    }
}

/// One thing under its name, with the fields the client asked for.
fn single(ctx: &Context, name: &str, entry: Value) -> Value {
    let mut body = Map::new();
    body.insert(name.to_owned(), only(entry, &fields(ctx)));
    Value::Object(body)
}

fn fields(ctx: &Context) -> Vec<&str> {
    ctx.query
        .iter()
        .filter(|(n, _)| n == "fields")
        .map(|(_, v)| v.as_str())
        .collect()
}
