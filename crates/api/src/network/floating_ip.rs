//! Floating IPs.

use cloud::{FloatingIpTarget, FloatingIpUpdate, FloatingIpView, NewFloatingIp};
use model::{Error, Kind, PortId, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{collection, port_forwarding, single};
use crate::context::Context;
use crate::json::{address_column, ip, named, nullable, parse};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("description", "description"),
    ("floating_network_id", "network_id"),
    ("floating_ip_address", "address"),
    ("fixed_ip_address", "fixed_address"),
    ("port_id", "port_id"),
    ("router_id", "router_id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("status", "status"),
    ("created_at", "created_ms"),
    ("dns_name", "dns_name"),
    ("dns_domain", "dns_domain"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    floatingip: Create,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    floating_network_id: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    description: Option<String>,
    subnet_id: Option<String>,
    floating_ip_address: Option<String>,
    port_id: Option<String>,
    fixed_ip_address: Option<String>,
    tags: Option<Vec<String>>,
    dns_name: Option<String>,
    dns_domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    floatingip: Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    description: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    port_id: Option<Option<String>>,
    fixed_ip_address: Option<String>,
}

/// `GET /v2.0/floatingips`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let mut page = ctx.page(NAMES)?;
    for (name, values) in &mut page.filters {
        if name == "address" || name == "fixed_address" {
            // What is no address is none that a row holds.
            let parsed = values.iter().filter_map(|text| model::parse_ip(text));
            *values = parsed.map(address_column).collect();
        }
    }
    let found = ctx.cloud.list_floating_ips(&ctx.caller, &page)?;
    let entries = found.iter().map(view).collect();
    collection(ctx, "floatingips", page.limit, entries)
}

/// `GET /v2.0/floatingips/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let found = ctx
        .cloud
        .get_floating_ip(&ctx.caller, &ctx.id("id", Kind::FloatingIp)?)?;
    Ok(Reply::ok(&single(ctx, "floatingip", view(&found))))
}

/// `POST /v2.0/floatingips`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<CreateBody>()?.floatingip;
    let network = wanted
        .floating_network_id
        .ok_or_else(|| Error::invalid("floating_network_id is missing: the external network"))?;
    let subnet = wanted.subnet_id.as_deref();
    let address = wanted.floating_ip_address.as_deref();
    let new = NewFloatingIp {
        network: named(Kind::Network, &network)?,
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        description: wanted.description.unwrap_or_default(),
        subnet: subnet.map(|id| parse("subnet_id", id)).transpose()?,
        address: address
            .map(|text| ip("floating_ip_address", text))
            .transpose()?,
        target: target(wanted.port_id, wanted.fixed_ip_address.as_deref())?,
        tags: wanted.tags.unwrap_or_default(),
        dns_name: wanted.dns_name.unwrap_or_default().to_ascii_lowercase(),
        dns_domain: wanted.dns_domain.unwrap_or_default().to_ascii_lowercase(),
    };
    let made = ctx.cloud.create_floating_ip(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "floatingip", view(&made))))
}

/// `PUT /v2.0/floatingips/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<UpdateBody>()?.floatingip;
    let fixed = wanted.fixed_ip_address.as_deref();
    let update = FloatingIpUpdate {
        description: wanted.description,
        target: match wanted.port_id {
            Some(port) => Some(target(port, fixed)?),
            None => target(None, fixed)?.map(Some),
        },
    };
    let changed =
        ctx.cloud
            .update_floating_ip(&ctx.caller, &ctx.id("id", Kind::FloatingIp)?, &update)?;
    Ok(Reply::ok(&single(ctx, "floatingip", view(&changed))))
}

/// `DELETE /v2.0/floatingips/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_floating_ip(&ctx.caller, &ctx.id("id", Kind::FloatingIp)?)?;
    Ok(Reply::no_content())
}

/// The port and the address there that a floating IP is to stand for.
fn target(port: Option<String>, fixed: Option<&str>) -> Result<Option<FloatingIpTarget>> {
    // An empty text is how some clients free it.
    let Some(port) = port.filter(|p| !p.is_empty()) else {
        return match fixed {
            None => Ok(None),
            Some(_) => Err(Error::invalid(
                "Bad floatingip request: fixed_ip_address cannot be specified without a port_id.",
            )),
        };
    };
    let id: PortId = named(Kind::Port, &port)?;
    Ok(Some(FloatingIpTarget {
        port: id,
        address: fixed.map(|text| ip("fixed_ip_address", text)).transpose()?,
    }))
}

pub(crate) fn view(view: &FloatingIpView) -> Value {
    let floating = &view.floating_ip;
    let details = view.port.as_ref().map(|port| {
        json!({
            "name": port.name, "network_id": port.network_id, "mac_address": port.mac.to_string(),
            "admin_state_up": port.enabled, "status": port.status,
            "device_id": port.device_id, "device_owner": port.device_owner,
        })
    });
    json!({
        "id": floating.id, "description": floating.description, "status": floating.status,
        "project_id": floating.project_id, "tenant_id": floating.project_id,
        "floating_network_id": floating.network_id,
        "floating_ip_address": floating.address.to_string(),
        "fixed_ip_address": floating.fixed_address.map(|a| a.to_string()),
        "port_id": floating.port_id, "router_id": floating.router_id, "port_details": details,
        "port_forwardings": view.forwardings.iter().map(port_forwarding::view).collect::<Vec<_>>(),
        "dns_name": floating.dns_name, "dns_domain": floating.dns_domain,
        "tags": floating.tags.0, "revision_number": floating.revision,
        "created_at": time::seconds(floating.created_ms), "updated_at": time::seconds(floating.updated_ms),
    })
}
