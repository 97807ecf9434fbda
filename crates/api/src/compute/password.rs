//! The password that a server's guest made for its user.

use model::Result;
use serde_json::json;

use super::server::id;
use crate::context::Context;
use crate::reply::Reply;

/// `GET /v2.1/servers/{id}/os-server-password`: empty when there is none.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let password = ctx.cloud.server_password(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(
        &json!({"password": password.unwrap_or_default()}),
    ))
}

/// `DELETE /v2.1/servers/{id}/os-server-password`
pub(super) fn clear(ctx: &Context) -> Result<Reply> {
    ctx.cloud.clear_server_password(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::no_content())
}
