//! What the metadata APIs of servers and volumes have in common.

use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::json;
use store::row::Metadata;

use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneBody {
    meta: Metadata,
}

/// The metadata in a body.
pub(crate) fn given(ctx: &Context) -> Result<Metadata> {
    Ok(ctx.json::<Body>()?.metadata)
}

/// The one item in a body. `there` says whether the thing is, which comes first.
///
/// # Errors
/// `Invalid` unless it is just the one that the path names.
pub(crate) fn given_one(ctx: &Context, there: impl FnOnce() -> Result<()>) -> Result<Metadata> {
    let meta = ctx.json::<OneBody>()?.meta;
    let key = ctx.param("key");
    there()?;
    match meta.len() == 1 && meta.contains_key(key) {
        true => Ok(meta),
        false => Err(Error::invalid(format!(
            "Request body and URI mismatch: meta must hold {key} alone"
        ))),
    }
}

/// An answer with all of it.
pub(crate) fn all(metadata: &Metadata) -> Reply {
    Reply::ok(&json!({"metadata": metadata}))
}

/// An answer with the item that the path names.
///
/// # Errors
/// `NotFound` when there is none.
pub(crate) fn one(ctx: &Context, metadata: &Metadata) -> Result<Reply> {
    let key = ctx.param("key");
    let value = metadata.get(key);
    let value = value.ok_or_else(|| Error::not_found(Kind::Path, key))?;
    Ok(Reply::ok(&json!({"meta": {key: value}})))
}
