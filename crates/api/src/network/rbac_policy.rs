//! RBAC policies.

use cloud::NewRbacPolicy;
use model::{Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("id", "id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("object_type", "object_type"),
    ("object_id", "object_id"),
    ("target_tenant", "target"),
    ("action", "action"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    rbac_policy: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    object_type: String,
    object_id: String,
    target_tenant: String,
    action: String,
    tenant_id: Option<String>,
    project_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    target_tenant: Option<String>,
}

/// `GET /v2.0/rbac-policies`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let policies = ctx.cloud.list_rbac_policies(&ctx.caller, &page)?;
    let entries = policies.iter().map(view).collect();
    collection(ctx, "rbac_policies", page.limit, entries)
}

/// `GET /v2.0/rbac-policies/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::RbacPolicy)?;
    let policy = ctx.cloud.get_rbac_policy(&ctx.caller, &id)?;
    Ok(Reply::ok(&single(ctx, "rbac_policy", view(&policy))))
}

/// `POST /v2.0/rbac-policies`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.rbac_policy;
    let new = NewRbacPolicy {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        object_type: wanted.object_type,
        object_id: wanted.object_id,
        action: wanted.action,
        target: wanted.target_tenant,
    };
    let policy = ctx.cloud.create_rbac_policy(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "rbac_policy", view(&policy))))
}

/// `PUT /v2.0/rbac-policies/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.rbac_policy;
    let id = ctx.id("id", Kind::RbacPolicy)?;
    let target = wanted.target_tenant.as_deref();
    let policy = ctx.cloud.update_rbac_policy(&ctx.caller, &id, target)?;
    Ok(Reply::ok(&single(ctx, "rbac_policy", view(&policy))))
}

/// `DELETE /v2.0/rbac-policies/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::RbacPolicy)?;
    ctx.cloud.delete_rbac_policy(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

fn view(policy: &row::RbacPolicy) -> Value {
    json!({
        "id": policy.id, "project_id": policy.project_id, "tenant_id": policy.project_id,
        "object_type": policy.object_type, "object_id": policy.object_id,
        "target_tenant": policy.target, "action": policy.action,
    })
}
