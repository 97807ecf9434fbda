//! What the quota APIs of compute, networks and volumes have in common.

use cloud::{Quota, Resource};
use model::{Error, Kind, ProjectId, Result};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::json::parse_value;
use crate::reply::Reply;

/// The project that a path names.
pub(crate) fn project(ctx: &Context) -> ProjectId {
    ProjectId(ctx.param("project").to_owned())
}

/// Limits under the names of their resources.
pub(crate) fn limits(
    limits: impl IntoIterator<Item = (Resource, i64)>,
) -> impl Iterator<Item = (&'static str, Value)> {
    let limits = limits.into_iter();
    limits.map(|(resource, most)| (resource.name(), json!(most)))
}

/// A limit with what is used of it; `used` is the service's word for that.
pub(crate) fn usage(quota: &Quota, used: &str) -> Value {
    json!({"limit": quota.limit, used: quota.used, "reserved": 0})
}

/// An answer that holds a set of limits, and whose they are where the service says so.
pub(crate) fn set(
    key: &str,
    id: Option<&str>,
    each: impl IntoIterator<Item = (&'static str, Value)>,
) -> Reply {
    let each = each.into_iter();
    let mut view: Map<String, Value> = each.map(|(name, v)| (name.to_owned(), v)).collect();
    if let Some(id) = id {
        view.insert("id".to_owned(), json!(id));
    }
    Reply::ok(&json!({key: view}))
}

/// The one class that has an effect, and only for administrators: nova and cinder have others.
pub(crate) fn the_class(ctx: &Context) -> Result<()> {
    match (ctx.param("class"), ctx.caller.is_admin()) {
        ("default", true) => Ok(()),
        ("default", false) => ctx.caller.require_admin(),
        (other, _) => Err(Error::not_found(Kind::Quota, other)),
    }
}

/// The fields of a body that holds one thing.
///
/// # Errors
/// `Invalid` when it holds something else.
pub(crate) fn fields(ctx: &Context, key: &str) -> Result<Map<String, Value>> {
    let mut body: Map<String, Value> = ctx.json()?;
    let inner = body.remove(key);
    let inner = inner.ok_or_else(|| Error::invalid(format!("{key} is missing from the body")))?;
    match body.keys().next() {
        Some(other) => Err(unexpected(other)),
        None => parse_value(key, inner),
    }
}

/// A field that is none.
pub(crate) fn unexpected(name: &str) -> Error {
    Error::invalid(format!(
        "Additional properties are not allowed ('{name}' was unexpected)"
    ))
}

/// Fields that say whose limits these are, which the path has said.
pub(crate) fn names_project(field: &str) -> bool {
    matches!(field, "tenant_id" | "project_id" | "id")
}

/// A limit. Clients send numbers as text, too.
pub(crate) fn whole(name: &str, value: &Value) -> Result<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        Error::invalid(format!(
            "Invalid input for field/attribute {name}: {value} is not a whole number"
        ))
    })
}
