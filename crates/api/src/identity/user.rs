//! Users.

use cloud::{NewUser, UserUpdate};
use model::{Error, Result, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, href, project};
use crate::context::Context;
use crate::json::nullable;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Body {
    user: Fields,
}

#[derive(Deserialize)]
struct Fields {
    name: Option<String>,
    domain_id: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    email: Option<Option<String>>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    default_project_id: Option<Option<String>>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct PasswordBody {
    user: PasswordFields,
}

#[derive(Deserialize)]
struct PasswordFields {
    original_password: String,
    password: String,
}

/// `GET /v3/users`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[
        ("name", "name"),
        ("enabled", "enabled"),
        ("id", "id"),
        ("domain_id", "domain_id"),
    ])?;
    let users = ctx.cloud.list_users(&ctx.caller, &page)?;
    let entries = users.iter().map(|u| view(ctx, u)).collect();
    Ok(Reply::ok(&collection(ctx, "users", entries)))
}

/// `GET /v3/users/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let user = ctx.cloud.get_user(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"user": view(ctx, &user)})))
}

/// `POST /v3/users`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.user;
    let new = NewUser {
        name: fields
            .name
            .ok_or_else(|| Error::invalid("user/name is missing"))?,
        domain: fields.domain_id.map(Into::into),
        description: fields.description.unwrap_or_default(),
        email: fields.email.flatten(),
        enabled: fields.enabled.unwrap_or(true),
        default_project: fields.default_project_id.flatten().map(Into::into),
        password: fields.password,
    };
    let user = ctx.cloud.create_user(&ctx.caller, &new)?;
    Ok(Reply::created(&json!({"user": view(ctx, &user)})))
}

/// `PATCH /v3/users/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.user;
    let update = UserUpdate {
        name: fields.name,
        description: fields.description,
        email: fields.email,
        enabled: fields.enabled,
        default_project: fields.default_project_id.map(|id| id.map(Into::into)),
        password: fields.password,
    };
    let user = ctx
        .cloud
        .update_user(&ctx.caller, ctx.param("id"), &update)?;
    Ok(Reply::ok(&json!({"user": view(ctx, &user)})))
}

/// `DELETE /v3/users/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_user(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::no_content())
}

/// `POST /v3/users/{id}/password`: open, because the old password is the proof.
pub(super) fn password(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<PasswordBody>()?.user;
    ctx.cloud
        .change_password(ctx.param("id"), &fields.original_password, &fields.password)?;
    Ok(Reply::no_content())
}

/// `GET /v3/users/{id}/projects`
pub(super) fn projects(ctx: &Context) -> Result<Reply> {
    let user = ctx.cloud.get_user(&ctx.caller, ctx.param("id"))?;
    let projects = ctx.cloud.projects_of(&ctx.caller, &UserId(user.id.0))?;
    let entries = projects.iter().map(|p| project::view(ctx, p)).collect();
    Ok(Reply::ok(&collection(ctx, "projects", entries)))
}

fn view(ctx: &Context, user: &row::User) -> Value {
    let mut view = json!({
        "id": user.id, "name": user.name, "domain_id": user.domain_id,
        "description": user.description, "enabled": user.enabled,
        "default_project_id": user.default_project_id, "password_expires_at": null, "options": {},
        "links": {"self": href(ctx, &format!("users/{}", user.id))},
    });
    if let Some(email) = &user.email {
        view["email"] = json!(email);
    }
    view
}
