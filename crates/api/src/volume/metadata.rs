//! A volume's metadata, as a whole and one by one.

use http::StatusCode;
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::json;
use store::row;

use super::volumes::id;
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    metadata: row::Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetaBody {
    meta: row::Metadata,
}

/// `GET /v3/volumes/{id}/metadata`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let view = ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(&json!({"metadata": view.volume.metadata.0})))
}

/// `POST /v3/volumes/{id}/metadata`
pub(super) fn add(ctx: &Context) -> Result<Reply> {
    let more = ctx.json::<Body>()?.metadata;
    change(ctx, |metadata| {
        metadata.extend(more.clone());
        Ok(())
    })
}

/// `PUT /v3/volumes/{id}/metadata`
pub(super) fn replace(ctx: &Context) -> Result<Reply> {
    let new = ctx.json::<Body>()?.metadata;
    change(ctx, |metadata| {
        metadata.clone_from(&new);
        Ok(())
    })
}

/// `GET /v3/volumes/{id}/metadata/{key}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let view = ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    let key = ctx.param("key");
    let value = view.volume.metadata.0.get(key);
    let value = value.ok_or_else(|| no_such(key))?;
    Ok(Reply::ok(&json!({"meta": {key: value}})))
}

/// `PUT /v3/volumes/{id}/metadata/{key}`
pub(super) fn set(ctx: &Context) -> Result<Reply> {
    let meta = ctx.json::<MetaBody>()?.meta;
    let key = ctx.param("key");
    ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    if meta.len() != 1 || !meta.contains_key(key) {
        return Err(Error::invalid(format!(
            "meta must hold just the key that the path names: {key}"
        )));
    }
    change(ctx, |metadata| {
        metadata.extend(meta.clone());
        Ok(())
    })?;
    Ok(Reply::ok(&json!({"meta": meta})))
}

/// `DELETE /v3/volumes/{id}/metadata/{key}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let key = ctx.param("key");
    change(ctx, |metadata| {
        let removed = metadata.remove(key);
        removed.map(drop).ok_or_else(|| no_such(key))
    })?;
    Ok(Reply::empty(StatusCode::OK))
}

fn change(
    ctx: &Context,
    mut change: impl FnMut(&mut row::Metadata) -> Result<()>,
) -> Result<Reply> {
    let view = ctx.cloud.update_volume(&ctx.caller, &id(ctx)?, |volume| {
        change(&mut volume.metadata.0)
    })?;
    Ok(Reply::ok(&json!({"metadata": view.volume.metadata.0})))
}

fn no_such(key: &str) -> Error {
    Error::not_found(Kind::Path, key)
}
