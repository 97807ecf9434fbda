//! Quotas: a project's limits as the network API names them.

use cloud::{Below, Limits, Quota, Resource, Service};
use model::{Error, ProjectId, Result};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::json::truth;
use crate::quota::{self, project, set};
use crate::reply::Reply;

const NETWORK: &[Service] = &[Service::Network];

/// `GET /v2.0/quotas`: of the projects that have limits of their own.
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let all = ctx
        .cloud
        .projects_with_quotas(&ctx.caller, Service::Network)?;
    let view = |(project, limits): (ProjectId, Limits)| {
        let own = [
            ("tenant_id", json!(project)),
            ("project_id", json!(project)),
        ];
        let each = quota::limits(limits).chain(own);
        let view: Map<String, Value> = each.map(|(name, v)| (name.to_owned(), v)).collect();
        Value::Object(view)
    };
    let all: Vec<Value> = all.into_iter().map(view).collect();
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
    let each = quotas(ctx)?.into_iter().map(|q| (q.resource, q.limit));
    Ok(set("quota", None, quota::limits(each)))
}

/// `GET /v2.0/quotas/{project}/default`
pub(super) fn default(ctx: &Context) -> Result<Reply> {
    quotas(ctx)?;
    let each = ctx.cloud.default_quotas(NETWORK)?;
    Ok(set("quota", None, quota::limits(each)))
}

/// `GET /v2.0/quotas/{project}/details.json`
pub(super) fn details(ctx: &Context) -> Result<Reply> {
    let quotas = quotas(ctx)?.into_iter();
    let each = quotas.map(|q| (q.resource.name(), quota::usage(&q, "used")));
    Ok(set("quota", None, each))
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

fn quotas(ctx: &Context) -> Result<Vec<Quota>> {
    ctx.cloud.quotas(&ctx.caller, &project(ctx), NETWORK)
}

/// The limits in a body, and whether they may be below what is used: they may, unless the client
/// asks for a check.
fn wanted(ctx: &Context) -> Result<(Vec<(Resource, i64)>, Below)> {
    let (mut limits, mut below) = (Vec::new(), Below::Allow);
    for (name, value) in quota::fields(ctx, "quota")? {
        match name.as_str() {
            "check_limit" | "force" => {
                let given = truth(value).map_err(|e| Error::invalid(format!("{name}: {e}")))?;
                if given == Some(name == "check_limit") {
                    below = Below::Refuse;
                }
            }
            name if quota::names_project(name) => {}
            _ => limits.push((resource(&name)?, quota::whole(&name, &value)?)),
        }
    }
    Ok((limits, below))
}

fn resource(name: &str) -> Result<Resource> {
    let found = Resource::of(Service::Network).find(|r| r.name() == name);
    found.ok_or_else(|| Error::invalid(format!("Unrecognized attribute(s) '{name}'")))
}
