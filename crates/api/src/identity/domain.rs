//! Domains.

use model::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, href};
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Body {
    domain: Fields,
}

#[derive(Deserialize)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
}

/// `GET /v3/domains`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[("name", "name"), ("enabled", "enabled"), ("id", "id")])?;
    let domains = ctx.cloud.list_domains(&ctx.caller, &page)?;
    let entries = domains.iter().map(|d| view(ctx, d)).collect();
    Ok(Reply::ok(&collection(ctx, "domains", entries)))
}

/// `GET /v3/domains/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let domain = ctx.cloud.get_domain(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"domain": view(ctx, &domain)})))
}

/// `POST /v3/domains`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.domain;
    let name = fields
        .name
        .ok_or_else(|| model::Error::invalid("domain/name is missing"))?;
    let description = fields.description.unwrap_or_default();
    let domain = ctx.cloud.create_domain(
        &ctx.caller,
        &name,
        &description,
        fields.enabled.unwrap_or(true),
    )?;
    Ok(Reply::created(&json!({"domain": view(ctx, &domain)})))
}

/// `PATCH /v3/domains/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.domain;
    let domain = ctx.cloud.update_domain(
        &ctx.caller,
        ctx.param("id"),
        fields.name,
        fields.description,
        fields.enabled,
    )?;
    Ok(Reply::ok(&json!({"domain": view(ctx, &domain)})))
}

/// `DELETE /v3/domains/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_domain(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::no_content())
}

pub(super) fn view(ctx: &Context, domain: &row::Domain) -> Value {
    json!({
        "id": domain.id, "name": domain.name, "description": domain.description,
        "enabled": domain.enabled, "tags": [], "options": {},
        "links": {"self": href(ctx, &format!("domains/{}", domain.id))},
    })
}
