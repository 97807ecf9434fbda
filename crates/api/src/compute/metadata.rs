//! A server's metadata.

use std::collections::BTreeMap;

use cloud::Others;
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::server::id;
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    metadata: row::Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneBody {
    meta: row::Metadata,
}

/// `GET /v2.1/servers/{id}/metadata`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let server = ctx.cloud.get_server(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(&json!({"metadata": server.server.metadata.0})))
}

/// `POST /v2.1/servers/{id}/metadata`: these too.
pub(super) fn add(ctx: &Context) -> Result<Reply> {
    write(ctx, Others::Keep)
}

/// `PUT /v2.1/servers/{id}/metadata`: these instead.
pub(super) fn replace(ctx: &Context) -> Result<Reply> {
    write(ctx, Others::Remove)
}

/// `GET /v2.1/servers/{id}/metadata/{key}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let server = ctx.cloud.get_server(&ctx.caller, &id(ctx)?)?;
    let key = ctx.param("key");
    let value = server.server.metadata.0.get(key);
    let value = value.ok_or_else(|| Error::not_found(Kind::Path, key))?;
    Ok(one(key, value))
}

/// `PUT /v2.1/servers/{id}/metadata/{key}`
pub(super) fn set(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<OneBody>()?.meta;
    let key = ctx.param("key");
    let (Some(value), 1) = (wanted.get(key), wanted.len()) else {
        // Whether the server is there comes first.
        ctx.cloud.get_server(&ctx.caller, &id(ctx)?)?;
        return Err(Error::invalid(format!(
            "Request body and URI mismatch: meta must hold {key} alone"
        )));
    };
    ctx.cloud
        .set_server_metadata(&ctx.caller, &id(ctx)?, &wanted, Others::Keep)?;
    Ok(one(key, value))
}

/// `DELETE /v2.1/servers/{id}/metadata/{key}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_server_metadata(&ctx.caller, &id(ctx)?, ctx.param("key"))?;
    Ok(Reply::no_content())
}

fn write(ctx: &Context, others: Others) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.metadata;
    let all = ctx
        .cloud
        .set_server_metadata(&ctx.caller, &id(ctx)?, &wanted, others)?;
    Ok(Reply::ok(&json!({"metadata": all})))
}

fn one(key: &str, value: &str) -> Reply {
    let meta: BTreeMap<&str, Value> = BTreeMap::from([(key, json!(value))]);
    Reply::ok(&json!({"meta": meta}))
}
