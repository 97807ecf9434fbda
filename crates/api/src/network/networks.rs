//! Networks.

use cloud::{NetworkUpdate, NetworkView, NewNetwork};
use model::{Caller, Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{collection, made, qos, single, wanted};
use crate::context::Context;
use crate::json::{nullable, number, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("admin_state_up", "enabled"),
    ("shared", "shared"),
    ("router:external", "external"),
    ("is_default", "is_default"),
    ("mtu", "mtu"),
    ("provider:network_type", "network_type"),
    ("provider:physical_network", "physical_network"),
    ("provider:segmentation_id", "segmentation_id"),
    ("port_security_enabled", "port_security"),
    ("created_at", "created_ms"),
    ("dns_domain", "dns_domain"),
    ("qos_policy_id", "qos_policy_id"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    network: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    admin_state_up: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
    #[serde(rename = "router:external", default, deserialize_with = "truth")]
    external: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    is_default: Option<bool>,
    #[serde(default, deserialize_with = "number")]
    mtu: Option<u32>,
    #[serde(rename = "provider:network_type")]
    network_type: Option<String>,
    #[serde(rename = "provider:physical_network")]
    physical_network: Option<String>,
    #[serde(
        rename = "provider:segmentation_id",
        default,
        deserialize_with = "number"
    )]
    segmentation_id: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    port_security_enabled: Option<bool>,
    tags: Option<Vec<String>>,
    dns_domain: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    qos_policy_id: Option<Option<String>>,
    /// There is one zone, so every hint is followed.
    #[serde(rename = "availability_zone_hints")]
    _zones: Option<Vec<String>>,
}

/// `GET /v2.0/networks`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let networks = ctx.cloud.list_networks(&ctx.caller, &page)?;
    let entries = networks.iter().map(|n| view(&ctx.caller, n)).collect();
    collection(ctx, "networks", page.limit, entries)
}

/// `GET /v2.0/networks/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::Network)?;
    let network = ctx.cloud.get_network(&ctx.caller, &id)?;
    Ok(Reply::ok(&single(
        ctx,
        "network",
        view(&ctx.caller, &network),
    )))
}

/// `POST /v2.0/networks`, one or several.
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let (wanted, several) = wanted(ctx, "network", "networks")?;
    let new = wanted.into_iter().map(check).collect::<Result<Vec<_>>>()?;
    let networks = ctx.cloud.create_networks(&ctx.caller, &new)?;
    let views = networks.iter().map(|n| view(&ctx.caller, n)).collect();
    Ok(made(ctx, "network", "networks", several, views))
}

/// `PUT /v2.0/networks/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.network;
    let provider = wanted.network_type.is_some() || wanted.physical_network.is_some();
    if provider || wanted.segmentation_id.is_some() {
        return Err(Error::invalid(
            "provider attributes of a network cannot change: make another",
        ));
    }
    let update = NetworkUpdate {
        name: wanted.name,
        description: wanted.description,
        enabled: wanted.admin_state_up,
        shared: wanted.shared,
        external: wanted.external,
        is_default: wanted.is_default,
        mtu: wanted.mtu,
        port_security: wanted.port_security_enabled,
        dns_domain: wanted.dns_domain.map(|d| d.to_ascii_lowercase()),
        qos_policy: wanted.qos_policy_id.map(qos::named).transpose()?,
    };
    let id = ctx.id("id", Kind::Network)?;
    let network = ctx.cloud.update_network(&ctx.caller, &id, &update)?;
    Ok(Reply::ok(&single(
        ctx,
        "network",
        view(&ctx.caller, &network),
    )))
}

/// `DELETE /v2.0/networks/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_network(&ctx.caller, &ctx.id("id", Kind::Network)?)?;
    Ok(Reply::no_content())
}

fn check(wanted: Fields) -> Result<NewNetwork> {
    Ok(NewNetwork {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        enabled: wanted.admin_state_up,
        shared: wanted.shared.unwrap_or(false),
        external: wanted.external.unwrap_or(false),
        is_default: wanted.is_default.unwrap_or(false),
        mtu: wanted.mtu,
        network_type: wanted.network_type,
        physical_network: wanted.physical_network,
        segmentation_id: wanted.segmentation_id,
        port_security: wanted.port_security_enabled,
        tags: wanted.tags.unwrap_or_default(),
        dns_domain: wanted.dns_domain.unwrap_or_default().to_ascii_lowercase(),
        qos_policy: qos::named(wanted.qos_policy_id.flatten())?,
    })
}

pub(crate) fn view(caller: &Caller, view: &NetworkView) -> Value {
    let NetworkView {
        network,
        subnets,
        shared,
        scopes,
    } = view;
    let mut view = json!({
        "id": network.id, "name": network.name, "description": network.description,
        "project_id": network.project_id, "tenant_id": network.project_id,
        "admin_state_up": network.enabled, "status": if network.enabled { "ACTIVE" } else { "DOWN" },
        "shared": shared, "router:external": network.external, "mtu": network.mtu,
        "port_security_enabled": network.port_security, "subnets": subnets, "tags": network.tags.0,
        "ipv4_address_scope": scopes.v4, "ipv6_address_scope": scopes.v6,
        "availability_zone_hints": [], "availability_zones": ["nova"],
        "qos_policy_id": network.qos_policy_id,
        "dns_domain": network.dns_domain, "revision_number": network.revision,
        "created_at": time::seconds(network.created_ms), "updated_at": time::seconds(network.updated_ms),
    });
    if network.external {
        view["is_default"] = json!(network.is_default);
    }
    if caller.is_admin() {
        view["provider:network_type"] = json!(network.network_type);
        view["provider:physical_network"] = json!(network.physical_network);
        view["provider:segmentation_id"] = json!(network.segmentation_id);
    }
    view
}
