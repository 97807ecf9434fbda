//! Roles.

use model::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, href};
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Body {
    role: Fields,
}

#[derive(Deserialize)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    domain_id: Option<String>,
}

/// `GET /v3/roles`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[("name", "name"), ("id", "id")])?;
    let roles = ctx.cloud.list_roles(&ctx.caller, &page)?;
    let entries = roles.iter().map(|r| view(ctx, r)).collect();
    Ok(Reply::ok(&collection(ctx, "roles", entries)))
}

/// `GET /v3/roles/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let role = ctx.cloud.get_role(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"role": view(ctx, &role)})))
}

/// `POST /v3/roles`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.role;
    if fields.domain_id.is_some() {
        return Err(Error::invalid(
            "roles of one domain are not available: leave domain_id out",
        ));
    }
    let name = fields
        .name
        .ok_or_else(|| Error::invalid("role/name is missing"))?;
    let role =
        ctx.cloud
            .create_role(&ctx.caller, &name, &fields.description.unwrap_or_default())?;
    Ok(Reply::created(&json!({"role": view(ctx, &role)})))
}

/// `PATCH /v3/roles/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.role;
    let role = ctx.cloud.update_role(
        &ctx.caller,
        ctx.param("id"),
        fields.name,
        fields.description,
    )?;
    Ok(Reply::ok(&json!({"role": view(ctx, &role)})))
}

/// `DELETE /v3/roles/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_role(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::no_content())
}

pub(super) fn view(ctx: &Context, role: &row::Role) -> Value {
    json!({
        "id": role.id, "name": role.name, "description": role.description, "domain_id": null,
        "options": {}, "links": {"self": href(ctx, &format!("roles/{}", role.id))},
    })
}
