//! The catalog: which services this cloud has, and where. It follows from the cloud's one URL, so
//! it is read, never written.

use model::{Error, Kind, Result};
use serde_json::{Value, json};

use super::{collection, href};
use crate::context::Context;
use crate::reply::Reply;

/// Id, type, name, and where below the cloud's URL. Ids are fixed: each cloud has each service once.
const SERVICES: [(&str, &str, &str, &str); 6] = [
    (
        "00000000000000000000000000000001",
        "identity",
        "keystone",
        "/identity/v3",
    ),
    (
        "00000000000000000000000000000002",
        "image",
        "glance",
        "/image",
    ),
    (
        "00000000000000000000000000000003",
        "compute",
        "nova",
        "/compute/v2.1",
    ),
    (
        "00000000000000000000000000000004",
        "network",
        "neutron",
        "/network",
    ),
    // The same under the two types that clients look for.
    (
        "00000000000000000000000000000005",
        "block-storage",
        "cinder",
        "/volume/v3",
    ),
    (
        "00000000000000000000000000000006",
        "volumev3",
        "cinderv3",
        "/volume/v3",
    ),
];

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

/// The catalog as a token carries it.
pub(super) fn catalog(ctx: &Context) -> Value {
    let settings = ctx.cloud.settings();
    let entries = SERVICES.iter().map(|(id, kind, name, path)| {
        let endpoints: Vec<Value> = INTERFACES
            .iter()
            .map(|interface| {
                json!({
                    "id": endpoint_id(id, interface), "interface": interface,
                    "region": settings.region, "region_id": settings.region,
                    "url": format!("{}{path}", settings.url),
                })
            })
            .collect();
        json!({"id": id, "type": kind, "name": name, "endpoints": endpoints})
    });
    Value::Array(entries.collect())
}

/// `GET /v3/auth/catalog`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(
        &json!({"catalog": catalog(ctx), "links": {"self": href(ctx, "auth/catalog")}}),
    ))
}

/// `GET /v3/services`
pub(super) fn services(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let wanted = |e: &Value| {
        ["type", "name"]
            .iter()
            .all(|k| ctx.query(k).is_none_or(|q| e[*k] == q))
    };
    let entries = all_services(ctx).into_iter().filter(wanted).collect();
    Ok(Reply::ok(&collection(ctx, "services", entries)))
}

/// `GET /v3/services/{id}`
pub(super) fn service(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let found = all_services(ctx)
        .into_iter()
        .find(|s| s["id"] == ctx.param("id"));
    let found = found.ok_or_else(|| Error::not_found(Kind::Path, ctx.param("id")))?;
    Ok(Reply::ok(&json!({"service": found})))
}

/// `GET /v3/endpoints`
pub(super) fn endpoints(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let wanted = |e: &Value| {
        ["service_id", "interface", "region_id"]
            .iter()
            .all(|k| ctx.query(k).is_none_or(|q| e[*k] == q))
    };
    let entries = all_endpoints(ctx).into_iter().filter(wanted).collect();
    Ok(Reply::ok(&collection(ctx, "endpoints", entries)))
}

/// `GET /v3/endpoints/{id}`
pub(super) fn endpoint(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let found = all_endpoints(ctx)
        .into_iter()
        .find(|e| e["id"] == ctx.param("id"));
    let found = found.ok_or_else(|| Error::not_found(Kind::Path, ctx.param("id")))?;
    Ok(Reply::ok(&json!({"endpoint": found})))
}

/// `GET /v3/regions`
pub(super) fn regions(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&collection(
        ctx,
        "regions",
        vec![region_view(ctx)],
    )))
}

/// `GET /v3/regions/{id}`
pub(super) fn region(ctx: &Context) -> Result<Reply> {
    match ctx.param("id") == ctx.cloud.settings().region {
        true => Ok(Reply::ok(&json!({"region": region_view(ctx)}))),
        false => Err(Error::not_found(Kind::Path, ctx.param("id"))),
    }
}

fn region_view(ctx: &Context) -> Value {
    let id = &ctx.cloud.settings().region;
    json!({"id": id, "description": "", "parent_region_id": null, "links": {"self": href(ctx, &format!("regions/{id}"))}})
}

fn all_services(ctx: &Context) -> Vec<Value> {
    let view = |(id, kind, name, _): &(&str, &str, &str, &str)| {
        let links = json!({"self": href(ctx, &format!("services/{id}"))});
        json!({"id": id, "type": kind, "name": name, "description": "", "enabled": true, "links": links})
    };
    SERVICES.iter().map(view).collect()
}

fn all_endpoints(ctx: &Context) -> Vec<Value> {
    let settings = ctx.cloud.settings();
    let each = SERVICES
        .iter()
        .flat_map(|service| INTERFACES.iter().map(move |interface| (service, interface)));
    each.map(|((service, _, _, path), interface)| {
        let id = endpoint_id(service, interface);
        json!({
            "id": id, "service_id": service, "interface": interface, "enabled": true,
            "region": settings.region, "region_id": settings.region,
            "url": format!("{}{path}", settings.url),
            "links": {"self": href(ctx, &format!("endpoints/{id}"))},
        })
    })
    .collect()
}

/// The service's id, its first digit telling the interface.
fn endpoint_id(service: &str, interface: &str) -> String {
    let place = INTERFACES.iter().position(|i| *i == interface).unwrap_or(0) + 1;
    format!("{place}{}", &service[1..])
}
