//! Auto-allocated topologies: a network with a way out, for the asking.

use model::{Error, ProjectId, Result};
use serde_json::json;

use crate::context::Context;
use crate::reply::Reply;

/// `GET /v2.0/auto-allocated-topology/{project}`: makes it when it is not there. `?fields=dry-run` only tells whether it
/// could.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let project = project(ctx)?;
    let id = match ctx.query("fields") {
        None => {
            let topology = ctx.cloud.get_auto_topology(&ctx.caller, &project)?;
            topology.network_id.to_string()
        }
        Some("dry-run") => {
            ctx.cloud.check_auto_topology(&ctx.caller, &project)?;
            "dry-run=pass".to_owned()
        }
        Some(_) => return Err(Error::invalid("Unrecognized field")),
    };
    Ok(Reply::ok(&json!({"auto_allocated_topology": {
        "id": id, "project_id": project, "tenant_id": project,
    }})))
}

/// `DELETE /v2.0/auto-allocated-topology/{project}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_auto_topology(&ctx.caller, &project(ctx)?)?;
    Ok(Reply::no_content())
}

/// The project in the path. Clients that name none write `None` or `null`: the caller's own.
fn project(ctx: &Context) -> Result<ProjectId> {
    match ctx.param("project") {
        "None" | "null" => ctx.caller.project().cloned(),
        id => Ok(id.into()),
    }
}
