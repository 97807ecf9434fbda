//! A server's tags, from microversion 2.26.

use cloud::ServerTagChange;
use http::StatusCode;
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::json;

use super::server::id;
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    tags: Vec<String>,
}

/// `GET /v2.1/servers/{id}/tags`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let tags = ctx.cloud.server_tags(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(&json!({"tags": tags})))
}

/// `PUT /v2.1/servers/{id}/tags`: these instead.
pub(super) fn replace(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.tags;
    let (tags, _) = change(ctx, ServerTagChange::Replace(wanted))?;
    Ok(Reply::ok(&json!({"tags": tags})))
}

/// `DELETE /v2.1/servers/{id}/tags`
pub(super) fn clear(ctx: &Context) -> Result<Reply> {
    change(ctx, ServerTagChange::Replace(Vec::new()))?;
    Ok(Reply::no_content())
}

/// `GET /v2.1/servers/{id}/tags/{tag}`: whether it has this one.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let tags = ctx.cloud.server_tags(&ctx.caller, &id(ctx)?)?;
    let tag = ctx.param("tag");
    match tags.iter().any(|t| t == tag) {
        true => Ok(Reply::no_content()),
        false => Err(Error::not_found(Kind::Path, tag)),
    }
}

/// `PUT /v2.1/servers/{id}/tags/{tag}`
pub(super) fn add(ctx: &Context) -> Result<Reply> {
    let tag = ctx.param("tag").to_owned();
    let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
    match change(ctx, ServerTagChange::Add(tag))? {
        (_, true) => Ok(Reply::empty(StatusCode::CREATED).with("location", &path)),
        (_, false) => Ok(Reply::no_content()),
    }
}

/// `DELETE /v2.1/servers/{id}/tags/{tag}`
pub(super) fn remove(ctx: &Context) -> Result<Reply> {
    change(ctx, ServerTagChange::Remove(ctx.param("tag").to_owned()))?;
    Ok(Reply::no_content())
}

fn change(ctx: &Context, change: ServerTagChange) -> Result<(Vec<String>, bool)> {
    ctx.cloud
        .change_server_tags(&ctx.caller, &id(ctx)?, &change)
}
