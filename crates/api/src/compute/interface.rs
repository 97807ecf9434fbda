//! A server's interfaces: its ports, as the compute API shows them.

use cloud::{PortView, ServerNetwork};
use http::StatusCode;
use model::{Error, Kind, PortId, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::id;
use crate::context::Context;
use crate::json::{ip, parse};
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "interfaceAttachment")]
    wanted: Wanted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    port_id: Option<String>,
    net_id: Option<String>,
    fixed_ips: Option<Vec<FixedIp>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixedIp {
    ip_address: String,
}

/// `GET /v2.1/servers/{id}/os-interface`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let ports = ctx.cloud.interfaces(&ctx.caller, &id(ctx)?)?;
    let entries: Vec<Value> = ports.iter().map(view).collect();
    Ok(Reply::ok(&json!({"interfaceAttachments": entries})))
}

/// `GET /v2.1/servers/{id}/os-interface/{port}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let ports = ctx.cloud.interfaces(&ctx.caller, &id(ctx)?)?;
    let port: PortId = ctx.id("port", Kind::Port)?;
    let found = ports.iter().find(|p| p.port.id == port);
    let found = found.ok_or_else(|| Error::not_found(Kind::Port, port))?;
    Ok(Reply::ok(&json!({"interfaceAttachment": view(found)})))
}

/// `POST /v2.1/servers/{id}/os-interface`
pub(super) fn attach(ctx: &Context) -> Result<Reply> {
    let wish = wish(ctx.json::<Body>()?.wanted)?;
    let port = ctx
        .cloud
        .attach_interface(&ctx.caller, &id(ctx)?, wish.as_ref())?;
    Ok(Reply::ok(&json!({"interfaceAttachment": view(&port)})))
}

/// `DELETE /v2.1/servers/{id}/os-interface/{port}`
pub(super) fn detach(ctx: &Context) -> Result<Reply> {
    let port: PortId = ctx.id("port", Kind::Port)?;
    ctx.cloud.detach_interface(&ctx.caller, &id(ctx)?, &port)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

fn wish(wanted: Wanted) -> Result<Option<ServerNetwork>> {
    let fixed = wanted.fixed_ips.unwrap_or_default();
    let address = match fixed.as_slice() {
        [] => None,
        [one] => Some(ip("fixed_ips/ip_address", &one.ip_address)?),
        _ => {
            return Err(Error::invalid(
                "fixed_ips holds more than one address: give a port made before instead",
            ));
        }
    };
    match (wanted.port_id, wanted.net_id, address) {
        (Some(_), Some(_), _) => Err(Error::invalid("Must not input both port_id and net_id")),
        (_, None, Some(_)) => Err(Error::invalid(
            "Must input net_id when request for fixed_ips",
        )),
        (Some(port), None, None) => Ok(Some(ServerNetwork::Port(parse("port_id", &port)?))),
        (None, Some(network), address) => {
            let id = parse("net_id", &network)?;
            Ok(Some(ServerNetwork::Network(id, address)))
        }
        (None, None, None) => Ok(None),
    }
}

fn view(view: &PortView) -> Value {
    let port = &view.port;
    let each = view.addresses.iter();
    let ips: Vec<Value> = each
        .map(|a| json!({"subnet_id": a.subnet_id, "ip_address": a.address.to_string()}))
        .collect();
    json!({
        "port_id": port.id, "net_id": port.network_id, "mac_addr": port.mac.to_string(),
        "port_state": port.status, "fixed_ips": ips,
    })
}
