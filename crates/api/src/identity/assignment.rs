//! Role assignments.

use cloud::Target;
use model::{DomainId, Result};
use serde_json::{Value, json};
use store::OfAssignment;

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

fn view(ctx: &Context, a: &OfAssignment, names: bool) -> Value {
    let thing = |id: &str, name: &str, domain: Option<&(DomainId, String)>| match (names, domain) {
        (true, Some((domain, domain_name))) => {
            json!({"id": id, "name": name, "domain": {"id": domain, "name": domain_name}})
        }
        (true, None) => json!({"id": id, "name": name}),
        (false, _) => json!({"id": id}),
    };
    let (kind, id) = (a.target.0.as_str(), a.target.1.as_str());
    let target = a.target_name.as_deref().unwrap_or_default();
    let ((role, role_name), (user, user_name)) = (&a.role, &a.user);
    let below = format!("users/{user}/roles/{role}");
    let (scope, path) = match kind {
        "system" => (json!({"all": true}), format!("system/{below}")),
        kind => (
            thing(id, target, a.target_domain.as_ref()),
            format!("{kind}s/{id}/{below}"),
        ),
    };
    json!({
        "role": thing(role.as_str(), role_name, None),
        "user": thing(user.as_str(), user_name, Some(&a.user_domain)),
        "scope": {kind: scope},
        "links": {"assignment": href(ctx, &path)},
    })
}
