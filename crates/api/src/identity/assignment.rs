//! Role assignments.

use cloud::{AssignmentView, Target};
use model::Result;
use serde_json::{Value, json};

use super::{collection, href, role};
use crate::context::Context;
use crate::reply::Reply;

/// `PUT .../users/{user}/roles/{role}`
pub(super) fn assign(ctx: &Context) -> Result<Reply> {
    let (user, role, target) = named(ctx);
    ctx.cloud.assign(&ctx.caller, &role, &user, &target)?;
    Ok(Reply::no_content())
}

/// `DELETE .../users/{user}/roles/{role}`
pub(super) fn unassign(ctx: &Context) -> Result<Reply> {
    let (user, role, target) = named(ctx);
    ctx.cloud.unassign(&ctx.caller, &role, &user, &target)?;
    Ok(Reply::no_content())
}

/// `HEAD .../users/{user}/roles/{role}`
pub(super) fn check(ctx: &Context) -> Result<Reply> {
    let (user, role, target) = named(ctx);
    ctx.cloud.assigned(&ctx.caller, &role, &user, &target)?;
    Ok(Reply::no_content())
}

/// `GET .../users/{user}/roles`
pub(super) fn roles(ctx: &Context) -> Result<Reply> {
    let (user, _, target) = named(ctx);
    let roles = ctx.cloud.roles_on(&ctx.caller, &user, &target)?;
    let entries = roles.iter().map(|r| role::view(ctx, r)).collect();
    Ok(Reply::ok(&collection(ctx, "roles", entries)))
}

/// `GET /v3/role_assignments`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let target = match (
        ctx.query("scope.project.id"),
        ctx.query("scope.domain.id"),
        ctx.query("scope.system"),
    ) {
        (Some(id), _, _) => Some(Target::Project(id.into())),
        (_, Some(id), _) => Some(Target::Domain(id.into())),
        (_, _, Some(_)) => Some(Target::System),
        _ => None,
    };
    let found = ctx.cloud.list_assignments(
        &ctx.caller,
        ctx.query("user.id"),
        ctx.query("role.id"),
        target.as_ref(),
    )?;
    let names = ctx
        .query("include_names")
        .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"));
    let entries = found.iter().map(|a| view(ctx, a, names)).collect();
    Ok(Reply::ok(&collection(ctx, "role_assignments", entries)))
}

/// The user, role and target that a path names.
fn named(ctx: &Context) -> (model::UserId, model::RoleId, Target) {
    let target = match ctx.params.iter().any(|(n, _)| n == "target") {
        false => Target::System,
        true if ctx.is_below("domains") => Target::Domain(ctx.param("target").into()),
        true => Target::Project(ctx.param("target").into()),
    };
    (ctx.param("user").into(), ctx.param("role").into(), target)
}

fn view(ctx: &Context, a: &AssignmentView, names: bool) -> Value {
    let domain = &a.user.domain_id;
    let thing = |id: &str, name: &str, domain: Option<&str>| match (names, domain) {
        (true, Some(domain)) => {
            json!({"id": id, "name": name, "domain": {"id": domain, "name": domain_name(ctx, domain)}})
        }
        (true, None) => json!({"id": id, "name": name}),
        (false, _) => json!({"id": id}),
    };
    let (kind, id) = match &a.target {
        Target::Project(id) => ("projects", id.as_str()),
        Target::Domain(id) => ("domains", id.as_str()),
        Target::System => ("system", ""),
    };
    let name = a.target_name.as_deref().unwrap_or_default();
    let scope = match &a.target {
        Target::Project(id) => {
            json!({"project": thing(id.as_str(), name, a.target_domain.as_ref().map(|d| d.as_str()))})
        }
        Target::Domain(id) => json!({"domain": thing(id.as_str(), name, None)}),
        Target::System => json!({"system": {"all": true}}),
    };
    let path = [
        kind,
        id,
        "users",
        a.user.id.as_str(),
        "roles",
        a.role.id.as_str(),
    ];
    let path: Vec<&str> = path.into_iter().filter(|p| !p.is_empty()).collect();
    json!({
        "role": thing(a.role.id.as_str(), &a.role.name, None),
        "user": thing(a.user.id.as_str(), &a.user.name, Some(domain.as_str())),
        "scope": scope,
        "links": {"assignment": href(ctx, &path.join("/"))},
    })
}

fn domain_name(ctx: &Context, id: &str) -> String {
    let found = ctx
        .cloud
        .store()
        .read(|tx| tx.get::<store::row::Domain>(&id));
    found.map(|d| d.name).unwrap_or_default()
}
