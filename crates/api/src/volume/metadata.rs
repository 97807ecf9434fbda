//! A volume's metadata, as a whole and one by one.

use http::StatusCode;
use model::{Error, Kind, Result};
use store::row;

use super::volumes::id;
use crate::context::Context;
use crate::metadata;
use crate::reply::Reply;

/// `GET /v3/volumes/{id}/metadata`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let view = ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    Ok(metadata::all(&view.volume.metadata.0))
}

/// `POST /v3/volumes/{id}/metadata`
pub(super) fn add(ctx: &Context) -> Result<Reply> {
    let more = metadata::given(ctx)?;
    change(ctx, |metadata| {
        metadata.extend(more.clone());
        Ok(())
    })
}

/// `PUT /v3/volumes/{id}/metadata`
pub(super) fn replace(ctx: &Context) -> Result<Reply> {
    let new = metadata::given(ctx)?;
    change(ctx, |metadata| {
        metadata.clone_from(&new);
        Ok(())
    })
}

/// `GET /v3/volumes/{id}/metadata/{key}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let view = ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    metadata::one(ctx, &view.volume.metadata.0)
}

/// `PUT /v3/volumes/{id}/metadata/{key}`
pub(super) fn set(ctx: &Context) -> Result<Reply> {
    let there = || ctx.cloud.get_volume(&ctx.caller, &id(ctx)?).map(drop);
    let meta = metadata::given_one(ctx, there)?;
    change(ctx, |metadata| {
        metadata.extend(meta.clone());
        Ok(())
    })?;
    metadata::one(ctx, &meta)
}

/// `DELETE /v3/volumes/{id}/metadata/{key}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let key = ctx.param("key");
    change(ctx, |metadata| {
        let removed = metadata.remove(key);
        let missing = || Error::not_found(Kind::Path, key);
        removed.map(drop).ok_or_else(missing)
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
    Ok(metadata::all(&view.volume.metadata.0))
}
