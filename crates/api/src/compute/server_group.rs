//! Server groups.

use cloud::{Policy, ServerGroupView};
use model::{Error, Kind, Result, ServerGroupId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    server_group: Wanted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    policies: Vec<String>,
}

/// `GET /v2.1/os-server-groups`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let all = ctx
        .query("all_projects")
        .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"));
    let page = ctx.page(&[])?;
    // These are paged by place, unlike all else.
    let offset = match ctx.query("offset") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Error::invalid(format!("offset must be a whole number, not '{text}'")))?,
    };
    let groups = ctx
        .cloud
        .list_server_groups(&ctx.caller, &page, offset, all)?;
    let views: Vec<Value> = groups.iter().map(|g| view(ctx, g)).collect();
    Ok(Reply::ok(&json!({"server_groups": views})))
}

/// `GET /v2.1/os-server-groups/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let group = ctx.cloud.get_server_group(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(&json!({"server_group": view(ctx, &group)})))
}

/// `POST /v2.1/os-server-groups`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.server_group;
    let policy = match wanted.policies.as_slice() {
        [one] => {
            let soft = one.starts_with("soft-") && !ctx.since(15);
            Policy::named(one).filter(|_| !soft).ok_or_else(|| {
                Error::invalid(format!(
                    "Invalid input for field/attribute policies: '{one}' is none of affinity and anti-affinity, nor, from microversion 2.15, of soft-affinity and soft-anti-affinity"
                ))
            })?
        }
        _ => {
            return Err(Error::invalid(
                "Invalid input for field/attribute policies: a server group has one policy",
            ));
        }
    };
    let group = ctx
        .cloud
        .create_server_group(&ctx.caller, &wanted.name, policy)?;
    Ok(Reply::ok(&json!({"server_group": view(ctx, &group)})))
}

/// `DELETE /v2.1/os-server-groups/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_server_group(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::no_content())
}

fn id(ctx: &Context) -> Result<ServerGroupId> {
    ctx.id("id", Kind::ServerGroup)
}

fn view(ctx: &Context, view: &ServerGroupView) -> Value {
    let group = &view.group;
    let mut body = json!({
        "id": group.id, "name": group.name, "policies": [group.policy],
        "members": view.members, "metadata": {},
    });
    if ctx.since(13) {
        body["project_id"] = json!(group.project_id);
        body["user_id"] = json!(group.user_id);
    }
    body
}
