//! What surrounds volumes: zones, services, limits, and what this cloud does not have.

use model::{Error, Kind, Result};
use serde_json::{Value, json};
use store::row;

use crate::context::Context;
use crate::reply::Reply;
use crate::time;

/// `GET /v3/snapshots` and its `/detail`: none can be made.
pub(super) fn no_snapshots(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"snapshots": []})))
}

/// `GET /v3/snapshots/{id}`
pub(super) fn no_snapshot(ctx: &Context) -> Result<Reply> {
    Err(Error::not_found(Kind::Snapshot, ctx.param("id")))
}

/// `POST /v3/snapshots`
pub(super) fn snapshot(_: &Context) -> Result<Reply> {
    Err(Error::invalid(
        "Snapshots of volumes are not available in this cloud yet.",
    ))
}

/// `GET /v3/backups` and its `/detail`: none can be made.
pub(super) fn no_backups(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"backups": []})))
}

/// `POST /v3/backups`
pub(super) fn backup(_: &Context) -> Result<Reply> {
    Err(Error::invalid(
        "Backups of volumes are not available in this cloud yet.",
    ))
}

/// `GET /v3/extensions`
pub(super) fn extensions(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"extensions": []})))
}

/// `GET /v3/os-availability-zone`
pub(super) fn zones(ctx: &Context) -> Result<Reply> {
    let nodes = ctx.cloud.nodes()?;
    let available = nodes.iter().any(|(node, up)| *up && keeps_volumes(node));
    Ok(Reply::ok(&json!({"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": available}},
    ]})))
}

/// `GET /v3/os-services`
pub(super) fn services(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let keepers = nodes.iter().filter(|(node, _)| keeps_volumes(node));
    let view = |(node, up): &(row::Node, bool)| {
        json!({
            "binary": "cinder-volume", "host": format!("{}@hextet", node.name), "zone": "nova",
            "status": "enabled", "state": if *up { "up" } else { "down" },
            "updated_at": time::bare_micros(node.seen_ms), "disabled_reason": null,
            "frozen": false, "replication_status": "disabled", "active_backend_id": null,
        })
    };
    let wanted = |service: &Value| {
        let like = |name: &str| ctx.query(name).is_none_or(|q| service[name] == q);
        like("host") && like("binary")
    };
    let services: Vec<Value> = keepers.map(view).filter(wanted).collect();
    Ok(Reply::ok(&json!({"services": services})))
}

fn keeps_volumes(node: &row::Node) -> bool {
    !node.facts.0.portals.is_empty()
}
