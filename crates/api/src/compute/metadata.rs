//! A server's metadata.

use cloud::Others;
use model::Result;

use super::server::id;
use crate::context::Context;
use crate::metadata;
use crate::reply::Reply;

/// `GET /v2.1/servers/{id}/metadata`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let server = ctx.cloud.get_server(&ctx.caller, &id(ctx)?)?;
    Ok(metadata::all(&server.server.metadata.0))
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
    metadata::one(ctx, &server.server.metadata.0)
}

/// `PUT /v2.1/servers/{id}/metadata/{key}`
pub(super) fn set(ctx: &Context) -> Result<Reply> {
    let there = || ctx.cloud.get_server(&ctx.caller, &id(ctx)?).map(drop);
    let wanted = metadata::given_one(ctx, there)?;
    ctx.cloud
        .set_server_metadata(&ctx.caller, &id(ctx)?, &wanted, Others::Keep)?;
    metadata::one(ctx, &wanted)
}

/// `DELETE /v2.1/servers/{id}/metadata/{key}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_server_metadata(&ctx.caller, &id(ctx)?, ctx.param("key"))?;
    Ok(Reply::no_content())
}

fn write(ctx: &Context, others: Others) -> Result<Reply> {
    let wanted = metadata::given(ctx)?;
    let all = ctx
        .cloud
        .set_server_metadata(&ctx.caller, &id(ctx)?, &wanted, others)?;
    Ok(metadata::all(&all))
}
