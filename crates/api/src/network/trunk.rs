//! Trunks.

use cloud::{NewSubport, NewTrunk, TrunkUpdate, TrunkView};
use model::{Error, Kind, PortId, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{collection, single};
use crate::context::Context;
use crate::json::{named, number, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("port_id", "port_id"),
    ("admin_state_up", "enabled"),
    ("created_at", "created_ms"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    trunk: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    admin_state_up: Option<bool>,
    port_id: String,
    sub_ports: Option<Vec<SubportJson>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    admin_state_up: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subports {
    sub_ports: Vec<SubportJson>,
}

/// A port, and the VLAN that it is; who takes it out need not say which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubportJson {
    port_id: String,
    segmentation_type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    segmentation_id: Option<u32>,
}

/// `GET /v2.0/trunks`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let trunks = ctx.cloud.list_trunks(&ctx.caller, &page)?;
    let entries = trunks.iter().map(view).collect();
    collection(ctx, "trunks", page.limit, entries)
}

/// `GET /v2.0/trunks/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::Trunk)?;
    answer(ctx, &ctx.cloud.get_trunk(&ctx.caller, &id)?)
}

/// `POST /v2.0/trunks`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.trunk;
    let new = NewTrunk {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        enabled: wanted.admin_state_up.unwrap_or(true),
        port: named(Kind::Port, &wanted.port_id)?,
        subports: new_subports(&wanted.sub_ports.unwrap_or_default())?,
    };
    let trunk = ctx.cloud.create_trunk(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "trunk", view(&trunk))))
}

/// `PUT /v2.0/trunks/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.trunk;
    let update = TrunkUpdate {
        name: wanted.name,
        description: wanted.description,
        enabled: wanted.admin_state_up,
    };
    let id = ctx.id("id", Kind::Trunk)?;
    answer(ctx, &ctx.cloud.update_trunk(&ctx.caller, &id, &update)?)
}

/// `DELETE /v2.0/trunks/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::Trunk)?;
    ctx.cloud.delete_trunk(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

/// `GET /v2.0/trunks/{id}/get_subports`
pub(super) fn subports(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::Trunk)?;
    let trunk = ctx.cloud.get_trunk(&ctx.caller, &id)?;
    Ok(Reply::ok(&json!({"sub_ports": view(&trunk)["sub_ports"]})))
}

/// `PUT /v2.0/trunks/{id}/add_subports`
pub(super) fn add_subports(ctx: &Context) -> Result<Reply> {
    let new = new_subports(&ctx.json::<Subports>()?.sub_ports)?;
    let id = ctx.id("id", Kind::Trunk)?;
    let trunk = ctx.cloud.add_subports(&ctx.caller, &id, &new)?;
    Ok(Reply::ok(&view(&trunk)))
}

/// `PUT /v2.0/trunks/{id}/remove_subports`
pub(super) fn remove_subports(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Subports>()?.sub_ports;
    let ports: Vec<PortId> = wanted
        .iter()
        .map(|subport| named(Kind::Port, &subport.port_id))
        .collect::<Result<_>>()?;
    let id = ctx.id("id", Kind::Trunk)?;
    let trunk = ctx.cloud.remove_subports(&ctx.caller, &id, &ports)?;
    Ok(Reply::ok(&view(&trunk)))
}

fn new_subports(wanted: &[SubportJson]) -> Result<Vec<NewSubport>> {
    let one = |subport: &SubportJson| {
        let kind = subport.segmentation_type.as_deref();
        let vlan = match (kind, subport.segmentation_id) {
            (Some("vlan"), Some(vlan)) => Some(vlan),
            (Some("inherit"), None) => None,
            (Some("vlan"), None) => {
                return Err(Error::invalid(
                    "sub_ports: segmentation_id is missing: 1 to 4094, beside segmentation_type vlan",
                ));
            }
            _ => {
                return Err(Error::invalid(
                    "sub_ports: segmentation_type must be vlan, with a segmentation_id, or inherit, without",
                ));
            }
        };
        Ok(NewSubport {
            port: named(Kind::Port, &subport.port_id)?,
            vlan,
        })
    };
    wanted.iter().map(one).collect()
}

fn answer(ctx: &Context, trunk: &TrunkView) -> Result<Reply> {
    Ok(Reply::ok(&single(ctx, "trunk", view(trunk))))
}

/// A subport as trunks and their ports show it.
pub(super) fn subport(port: PortId, vlan: u32) -> Value {
    json!({"port_id": port, "segmentation_type": "vlan", "segmentation_id": vlan})
}

fn view(view: &TrunkView) -> Value {
    let trunk = &view.trunk;
    let subports = view.subports.iter();
    let subports: Vec<Value> = subports
        .map(|(port, vlan)| subport(*port, (*vlan).into()))
        .collect();
    json!({
        "id": trunk.id, "name": trunk.name, "description": trunk.description,
        "project_id": trunk.project_id, "tenant_id": trunk.project_id,
        "port_id": trunk.port_id, "admin_state_up": trunk.enabled, "status": view.status,
        "sub_ports": subports, "tags": trunk.tags.0, "revision_number": trunk.revision,
        "created_at": time::seconds(trunk.created_ms), "updated_at": time::seconds(trunk.updated_ms),
    })
}
