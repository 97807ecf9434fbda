//! Quotas: a project's limits as the network API names them.

use cloud::{Below, Quota, Resource, Service};
use model::{Error, ProjectId, Result};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::json::{parse_value, truth};
use crate::reply::Reply;

/// `GET /v2.0/quotas`: of the projects that have limits of their own.
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let all = ctx
        .cloud
        .projects_with_quotas(&ctx.caller, Service::Network)?;
    let view = |(project, quotas): &(ProjectId, Vec<Quota>)| {
        let mut view = limits(quotas);
        view.insert("tenant_id".into(), json!(project));
        view.insert("project_id".into(), json!(project));
        Value::Object(view)
    };
    let all: Vec<Value> = all.iter().map(view).collect();
    Ok(Reply::ok(&json!({"quotas": all})))
}

/// `GET /v2.0/quotas/tenant` and `/project`: whose quotas a caller has.
pub(super) fn whose(ctx: &Context) -> Result<Reply> {
    let project = ctx.caller.project()?;
    let word = ctx.path.rsplit('/').next().unwrap_or_default();
    let mut body = Map::new();
    body.insert(
        word.to_owned(),
        json!({"tenant_id": project, "project_id": project}),
    );
    Ok(Reply::ok(&Value::Object(body)))
}

/// `GET /v2.0/quotas/{project}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"quota": limits(&quotas(ctx)?)})))
}

/// `GET /v2.0/quotas/{project}/default`
pub(super) fn default(ctx: &Context) -> Result<Reply> {
    quotas(ctx)?;
    let each = ctx.cloud.default_quotas(Service::Network)?.into_iter();
    let view: Map<String, Value> = each
        .map(|(resource, most)| (resource.name().to_owned(), json!(most)))
        .collect();
    Ok(Reply::ok(&json!({"quota": view})))
}

/// `GET /v2.0/quotas/{project}/details.json`
pub(super) fn details(ctx: &Context) -> Result<Reply> {
    let view = |q: &Quota| {
        let view = json!({"limit": q.limit, "used": q.used, "reserved": 0});
        (q.resource.name().to_owned(), view)
    };
    let view: Map<String, Value> = quotas(ctx)?.iter().map(view).collect();
    Ok(Reply::ok(&json!({"quota": view})))
}

/// `PUT /v2.0/quotas/{project}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let (limits, below) = wanted(ctx)?;
    ctx.cloud
        .set_quotas(&ctx.caller, &project(ctx), &limits, below)?;
    show(ctx)
}

/// `DELETE /v2.0/quotas/{project}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .reset_quotas(&ctx.caller, &project(ctx), Service::Network)?;
    Ok(Reply::no_content())
}

fn project(ctx: &Context) -> ProjectId {
    ProjectId(ctx.param("project").to_owned())
}

fn quotas(ctx: &Context) -> Result<Vec<Quota>> {
    ctx.cloud
        .quotas(&ctx.caller, &project(ctx), Service::Network)
}

fn limits(quotas: &[Quota]) -> Map<String, Value> {
    let each = quotas.iter();
    each.map(|q| (q.resource.name().to_owned(), json!(q.limit)))
        .collect()
}

/// The limits in a body, and whether they may be below what is used: they may, unless the client
/// asks for a check.
fn wanted(ctx: &Context) -> Result<(Vec<(Resource, i64)>, Below)> {
    let mut body: Map<String, Value> = ctx.json()?;
    let inner = body.remove("quota");
    let inner = inner.ok_or_else(|| Error::invalid("quota is missing from the request body"))?;
    if let Some(other) = body.keys().next() {
        return Err(Error::invalid(format!(
            "Unrecognized attribute(s) '{other}': the body must hold quota"
        )));
    }
    let fields: Map<String, Value> = parse_value("quota", inner)?;
    let (mut limits, mut below) = (Vec::new(), Below::Allow);
    for (name, value) in fields {
        match name.as_str() {
            "check_limit" | "force" => {
                let given = truth(value).map_err(|e| Error::invalid(format!("{name}: {e}")))?;
                if given == Some(name == "check_limit") {
                    below = Below::Refuse;
                }
            }
            "tenant_id" | "project_id" => {}
            _ => limits.push((resource(&name)?, whole(&name, &value)?)),
        }
    }
    Ok((limits, below))
}

fn resource(name: &str) -> Result<Resource> {
    let found = Resource::of(Service::Network).find(|r| r.name() == name);
    found.ok_or_else(|| Error::invalid(format!("Unrecognized attribute(s) '{name}'")))
}

/// Clients send numbers as text, too.
fn whole(name: &str, value: &Value) -> Result<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        Error::invalid(format!(
            "Invalid input for {name}. Reason: {value} is not a whole number."
        ))
    })
}
