//! Quota sets: a project's limits as the compute API names them.

use cloud::{Below, Quota, Resource, Service};
use http::StatusCode;
use model::{Error, Kind, ProjectId, Result};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::json::{parse_value, truth};
use crate::reply::Reply;

/// Limits of the network API under the names that this API has for them.
const NETWORK: [(&str, Resource); 3] = [
    ("floating_ips", Resource::FloatingIp),
    ("security_groups", Resource::SecurityGroup),
    ("security_group_rules", Resource::SecurityGroupRule),
];

/// `GET /v2.1/os-quota-sets/{project}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let quotas = quotas(ctx)?;
    let each = quotas.iter().map(|(name, q)| (*name, json!(q.limit)));
    Ok(set(Some(ctx.param("project")), each))
}

/// `GET /v2.1/os-quota-sets/{project}/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    let quotas = quotas(ctx)?;
    let each = quotas.iter().map(|(name, q)| {
        let view = json!({"limit": q.limit, "in_use": q.used, "reserved": 0});
        (*name, view)
    });
    Ok(set(Some(ctx.param("project")), each))
}

/// `GET /v2.1/os-quota-sets/{project}/defaults`
pub(super) fn defaults(ctx: &Context) -> Result<Reply> {
    quotas(ctx)?;
    default_set(ctx, "quota_set", Some(ctx.param("project")))
}

/// `PUT /v2.1/os-quota-sets/{project}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    not_of_a_user(ctx)?;
    let (limits, force) = wanted(ctx, "quota_set")?;
    let below = match force {
        true => Below::Allow,
        false => Below::Refuse,
    };
    let done = ctx
        .cloud
        .set_quotas(&ctx.caller, &project(ctx), &limits, below);
    // What neutron calls a conflict is a bad request to nova.
    done.map_err(|e| match e {
        Error::Conflict(why) => Error::Invalid(why),
        e => e,
    })?;
    let quotas = quotas(ctx)?;
    Ok(set(
        None,
        quotas.iter().map(|(name, q)| (*name, json!(q.limit))),
    ))
}

/// `DELETE /v2.1/os-quota-sets/{project}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    not_of_a_user(ctx)?;
    ctx.cloud
        .reset_quotas(&ctx.caller, &project(ctx), Service::Compute)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// `GET /v2.1/os-quota-class-sets/{class}`
pub(super) fn show_class(ctx: &Context) -> Result<Reply> {
    the_class(ctx)?;
    default_set(ctx, "quota_class_set", Some(ctx.param("class")))
}

/// `PUT /v2.1/os-quota-class-sets/{class}`
pub(super) fn update_class(ctx: &Context) -> Result<Reply> {
    the_class(ctx)?;
    let (limits, _) = wanted(ctx, "quota_class_set")?;
    ctx.cloud.set_default_quotas(&ctx.caller, &limits)?;
    default_set(ctx, "quota_class_set", None)
}

/// Nova has other classes too, without any effect.
fn the_class(ctx: &Context) -> Result<()> {
    match (ctx.param("class"), ctx.caller.is_admin()) {
        ("default", true) => Ok(()),
        ("default", false) => ctx.caller.require_admin(),
        (other, _) => Err(Error::not_found(Kind::Quota, other)),
    }
}

fn not_of_a_user(ctx: &Context) -> Result<()> {
    match ctx.query("user_id") {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            "limits of single users are not available in this cloud: leave user_id out",
        )),
    }
}

fn project(ctx: &Context) -> ProjectId {
    ProjectId(ctx.param("project").to_owned())
}

fn quotas(ctx: &Context) -> Result<Vec<(&'static str, Quota)>> {
    not_of_a_user(ctx)?;
    let id = project(ctx);
    let of_compute = ctx.cloud.quotas(&ctx.caller, &id, Service::Compute)?;
    let of_network = ctx.cloud.quotas(&ctx.caller, &id, Service::Network)?;
    Ok(named(
        of_compute.into_iter().map(|q| (q.resource, q)),
        of_network.into_iter().map(|q| (q.resource, q)),
    ))
}

fn default_set(ctx: &Context, key: &str, id: Option<&str>) -> Result<Reply> {
    let limits = named(
        ctx.cloud.default_quotas(Service::Compute)?.into_iter(),
        ctx.cloud.default_quotas(Service::Network)?.into_iter(),
    );
    let each = limits.into_iter().map(|(name, most)| (name, json!(most)));
    Ok(set_under(key, id, each))
}

fn named<T>(
    compute: impl Iterator<Item = (Resource, T)>,
    network: impl Iterator<Item = (Resource, T)>,
) -> Vec<(&'static str, T)> {
    let network = network.filter_map(|(resource, value)| {
        let known = NETWORK.iter().find(|(_, r)| *r == resource);
        known.map(|(name, _)| (*name, value))
    });
    let compute = compute.map(|(resource, value)| (resource.name(), value));
    compute.chain(network).collect()
}

fn set(id: Option<&str>, each: impl Iterator<Item = (&'static str, Value)>) -> Reply {
    set_under("quota_set", id, each)
}

fn set_under(
    key: &str,
    id: Option<&str>,
    each: impl Iterator<Item = (&'static str, Value)>,
) -> Reply {
    let mut view: Map<String, Value> = each.map(|(name, v)| (name.to_owned(), v)).collect();
    if let Some(id) = id {
        view.insert("id".to_owned(), json!(id));
    }
    let mut body = Map::new();
    body.insert(key.to_owned(), Value::Object(view));
    Reply::ok(&Value::Object(body))
}

/// The limits in a body, and whether they are to hold even below what is used.
fn wanted(ctx: &Context, key: &str) -> Result<(Vec<(Resource, i64)>, bool)> {
    let mut body: Map<String, Value> = ctx.json()?;
    let inner = body.remove(key);
    let inner = inner.ok_or_else(|| Error::invalid(format!("{key} is missing from the body")))?;
    if let Some(other) = body.keys().next() {
        return Err(Error::invalid(format!(
            "Additional properties are not allowed ('{other}' was unexpected)"
        )));
    }
    let fields: Map<String, Value> = parse_value(key, inner)?;
    let (mut limits, mut force) = (Vec::new(), false);
    for (name, value) in fields {
        match name.as_str() {
            "force" => {
                let given = truth(value).map_err(|e| Error::invalid(format!("force: {e}")))?;
                force = given == Some(true);
            }
            "tenant_id" | "project_id" | "id" => {}
            _ => limits.push((resource(&name)?, whole(&name, &value)?)),
        }
    }
    Ok((limits, force))
}

fn resource(name: &str) -> Result<Resource> {
    let network = NETWORK.iter().find(|(known, _)| *known == name);
    let compute = Resource::of(Service::Compute).find(|r| r.name() == name);
    let found = network.map(|(_, resource)| *resource).or(compute);
    found.ok_or_else(|| {
        Error::invalid(format!(
            "Additional properties are not allowed ('{name}' was unexpected)"
        ))
    })
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
            "Invalid input for field/attribute {name}: {value} is not a whole number"
        ))
    })
}
