//! Routers.

use cloud::{ExtraRoutes, GatewayInfo, InterfaceBy, NewRouter, RouterUpdate, RouterView};
use model::{Error, Kind, Result, RouterId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::port::{FixedIpJson, fixed_ips};
use super::subnet::{HostRoute, route_view, routes};
use super::{collection, single};
use crate::context::Context;
use crate::json::{named, nullable, parse, truth};
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
    ("created_at", "created_ms"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    router: Fields,
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
    #[serde(default, deserialize_with = "nullable")]
    external_gateway_info: Option<Option<GatewayJson>>,
    /// `null` is none.
    #[serde(default, deserialize_with = "nullable")]
    routes: Option<Option<Vec<HostRoute>>>,
    #[serde(default, deserialize_with = "truth")]
    nd_proxy: Option<bool>,
    tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "truth")]
    ha: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    distributed: Option<bool>,
    #[serde(rename = "availability_zone_hints")]
    _zones: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayJson {
    network_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    enable_snat: Option<bool>,
    external_fixed_ips: Option<Vec<FixedIpJson>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceBody {
    subnet_id: Option<String>,
    port_id: Option<String>,
}

/// What no project may choose, and this cloud does not have.
///
/// # Errors
/// `Forbidden` to all but administrators, as Neutron's policy has it; `Invalid` to these.
fn check_kind(ctx: &Context, wanted: &Fields) -> Result<()> {
    let asked = [("ha", wanted.ha), ("distributed", wanted.distributed)];
    match asked.iter().find(|(_, value)| *value == Some(true)) {
        Some((what, _)) if !ctx.caller.is_admin() => Err(Error::Forbidden(format!(
            "only an administrator can ask for {what} routers"
        ))),
        Some((what, _)) => Err(Error::invalid(format!(
            "{what} routers are not available in this cloud"
        ))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesBody {
    router: RoutesJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesJson {
    routes: Vec<HostRoute>,
}

/// `GET /v2.0/routers`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let routers = ctx.cloud.list_routers(&ctx.caller, &page)?;
    collection(
        ctx,
        "routers",
        page.limit,
        routers.iter().map(view).collect(),
    )
}

/// `GET /v2.0/routers/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let router = ctx
        .cloud
        .get_router(&ctx.caller, &ctx.id("id", Kind::Router)?)?;
    Ok(Reply::ok(&single(ctx, "router", view(&router))))
}

/// `POST /v2.0/routers`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.router;
    check_kind(ctx, &wanted)?;
    let new = NewRouter {
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        enabled: wanted.admin_state_up,
        gateway: wanted
            .external_gateway_info
            .flatten()
            .map(gateway)
            .transpose()?
            .flatten(),
        nd_proxy: wanted.nd_proxy.unwrap_or(false),
        tags: wanted.tags.unwrap_or_default(),
    };
    let router = ctx.cloud.create_router(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "router", view(&router))))
}

/// `PUT /v2.0/routers/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.router;
    check_kind(ctx, &wanted)?;
    let gateway = match wanted.external_gateway_info {
        None => None,
        Some(None) => Some(None),
        Some(Some(info)) => Some(gateway(info)?),
    };
    let update = RouterUpdate {
        name: wanted.name,
        description: wanted.description,
        enabled: wanted.admin_state_up,
        gateway,
        routes: wanted
            .routes
            .map(|all| routes(all.unwrap_or_default()))
            .transpose()?,
        nd_proxy: wanted.nd_proxy,
    };
    let router = ctx
        .cloud
        .update_router(&ctx.caller, &ctx.id("id", Kind::Router)?, &update)?;
    Ok(Reply::ok(&single(ctx, "router", view(&router))))
}

/// `DELETE /v2.0/routers/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_router(&ctx.caller, &ctx.id("id", Kind::Router)?)?;
    Ok(Reply::no_content())
}

/// `PUT /v2.0/routers/{id}/add_router_interface`
pub(super) fn add_interface(ctx: &Context) -> Result<Reply> {
    let id: RouterId = ctx.id("id", Kind::Router)?;
    let body: InterfaceBody = ctx.json()?;
    let by = match (body.subnet_id, body.port_id) {
        (Some(subnet), None) => InterfaceBy::Subnet(named(Kind::Subnet, &subnet)?),
        (None, Some(port)) => InterfaceBy::Port(named(Kind::Port, &port)?),
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "Bad router request: Cannot specify both subnet-id and port-id.",
            ));
        }
        (None, None) => {
            return Err(Error::invalid(
                "Bad router request: Either subnet_id or port_id must be specified.",
            ));
        }
    };
    let (port, addresses) = ctx.cloud.add_interface(&ctx.caller, &id, by)?;
    let subnets: Vec<String> = addresses.iter().map(|a| a.subnet_id.to_string()).collect();
    let asked = match by {
        InterfaceBy::Subnet(subnet) => Some(subnet.to_string()),
        InterfaceBy::Port(_) => subnets.first().cloned(),
    };
    Ok(Reply::ok(&json!({
        "id": id, "tenant_id": port.project_id, "project_id": port.project_id, "port_id": port.id,
        "network_id": port.network_id, "subnet_id": asked, "subnet_ids": subnets,
    })))
}

/// `PUT /v2.0/routers/{id}/remove_router_interface`
pub(super) fn remove_interface(ctx: &Context) -> Result<Reply> {
    let id: RouterId = ctx.id("id", Kind::Router)?;
    let body: InterfaceBody = ctx.json()?;
    let subnet = body
        .subnet_id
        .as_deref()
        .map(|s| parse("subnet_id", s))
        .transpose()?;
    let port = body
        .port_id
        .as_deref()
        .map(|p| parse("port_id", p))
        .transpose()?;
    let (port, subnets) = ctx.cloud.remove_interface(&ctx.caller, &id, subnet, port)?;
    Ok(Reply::ok(&json!({
        "id": id, "tenant_id": port.project_id, "project_id": port.project_id, "port_id": port.id,
        "network_id": port.network_id, "subnet_id": subnets.first(), "subnet_ids": subnets,
    })))
}

/// `PUT /v2.0/routers/{id}/add_extraroutes`
pub(super) fn add_routes(ctx: &Context) -> Result<Reply> {
    let more = ctx.json::<RoutesBody>()?.router.routes;
    change_routes(ctx, &ExtraRoutes::Add(routes(more)?))
}

/// `PUT /v2.0/routers/{id}/remove_extraroutes`
pub(super) fn remove_routes(ctx: &Context) -> Result<Reply> {
    let less = ctx.json::<RoutesBody>()?.router.routes;
    change_routes(ctx, &ExtraRoutes::Remove(routes(less)?))
}

fn change_routes(ctx: &Context, change: &ExtraRoutes) -> Result<Reply> {
    let id: RouterId = ctx.id("id", Kind::Router)?;
    let router = ctx.cloud.change_extra_routes(&ctx.caller, &id, change)?;
    Ok(Reply::ok(&single(ctx, "router", view(&router))))
}

/// An object without a network is how clients take a gateway away.
fn gateway(info: GatewayJson) -> Result<Option<GatewayInfo>> {
    let Some(network) = info.network_id else {
        return Ok(None);
    };
    Ok(Some(GatewayInfo {
        network: named(Kind::Network, &network)?,
        fixed_ips: info.external_fixed_ips.map(fixed_ips).transpose()?,
        snat: info.enable_snat,
    }))
}

pub(crate) fn view(view: &RouterView) -> Value {
    let router = &view.router;
    let gateway = router.external_network_id.map(|network| {
        let ips: Vec<Value> = view
            .gateway
            .iter()
            .map(|a| json!({"subnet_id": a.subnet_id, "ip_address": a.address.to_string()}))
            .collect();
        json!({"network_id": network, "external_fixed_ips": ips, "enable_snat": router.snat})
    });
    json!({
        "id": router.id, "name": router.name, "description": router.description,
        "project_id": router.project_id, "tenant_id": router.project_id,
        "admin_state_up": router.enabled, "status": if router.enabled { "ACTIVE" } else { "DOWN" },
        "external_gateway_info": gateway, "routes": router.routes.0.iter().map(route_view).collect::<Vec<_>>(),
        "nd_proxy": router.nd_proxy, "ha": false, "distributed": false, "flavor_id": null,
        "availability_zone_hints": [], "availability_zones": ["nova"], "tags": router.tags.0,
        "revision_number": router.revision,
        "created_at": time::seconds(router.created_ms), "updated_at": time::seconds(router.updated_ms),
    })
}
