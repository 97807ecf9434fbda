//! QoS policies.

use cloud::{NewQosPolicy, QosPolicyUpdate, QosPolicyView};
use model::{Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rule;
use crate::context::Context;
use crate::json::truth;
use crate::network::{collection, single};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("is_default", "is_default"),
    ("created_at", "created_ms"),
    ("shared", "shared"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    policy: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    is_default: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    is_default: Option<bool>,
}

/// `GET /v2.0/qos/policies`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let policies = ctx.cloud.list_qos_policies(&ctx.caller, &page)?;
    let entries = policies.iter().map(view).collect();
    collection(ctx, "policies", page.limit, entries)
}

/// `GET /v2.0/qos/policies/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::QosPolicy)?;
    let policy = ctx.cloud.get_qos_policy(&ctx.caller, &id)?;
    Ok(Reply::ok(&single(ctx, "policy", view(&policy))))
}

/// `POST /v2.0/qos/policies`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.policy;
    let new = NewQosPolicy {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        shared: wanted.shared.unwrap_or(false),
        is_default: wanted.is_default.unwrap_or(false),
    };
    let policy = ctx.cloud.create_qos_policy(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "policy", view(&policy))))
}

/// `PUT /v2.0/qos/policies/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.policy;
    let update = QosPolicyUpdate {
        name: wanted.name,
        description: wanted.description,
        shared: wanted.shared,
        is_default: wanted.is_default,
    };
    let id = ctx.id("id", Kind::QosPolicy)?;
    let policy = ctx.cloud.update_qos_policy(&ctx.caller, &id, &update)?;
    Ok(Reply::ok(&single(ctx, "policy", view(&policy))))
}

/// `DELETE /v2.0/qos/policies/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::QosPolicy)?;
    ctx.cloud.delete_qos_policy(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

fn view(view: &QosPolicyView) -> Value {
    let policy = &view.policy;
    let rules: Vec<Value> = view.rules.iter().map(rule::in_policy).collect();
    json!({
        "id": policy.id, "name": policy.name, "description": policy.description,
        "project_id": policy.project_id, "tenant_id": policy.project_id,
        "shared": view.shared, "is_default": policy.is_default, "rules": rules, "tags": policy.tags.0,
        "revision_number": policy.revision,
        "created_at": time::seconds(policy.created_ms), "updated_at": time::seconds(policy.updated_ms),
    })
}
