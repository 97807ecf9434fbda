//! Quota sets: a project's limits as the compute API names them.

use cloud::{Below, Quota, Resource, Service};
use http::StatusCode;
use model::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::context::Context;
use crate::json::truth;
use crate::quota::{fields, names_project, project, set, the_class, unexpected, usage, whole};
use crate::reply::Reply;

/// Whose limits this API shows.
pub(super) const SERVICES: &[Service] = &[Service::Compute, Service::Network];

/// Limits of the network API under the names that this API has for them.
const NETWORK: [(&str, Resource); 3] = [
    ("floating_ips", Resource::FloatingIp),
    ("security_groups", Resource::SecurityGroup),
    ("security_group_rules", Resource::SecurityGroupRule),
];

/// `GET /v2.1/os-quota-sets/{project}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = Some(ctx.param("project"));
    Ok(set("quota_set", id, named(limits_of(ctx)?)))
}

/// `GET /v2.1/os-quota-sets/{project}/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    let quotas = quotas(ctx)?.into_iter();
    let each = named(quotas.map(|q| (q.resource, usage(&q, "in_use"))));
    Ok(set("quota_set", Some(ctx.param("project")), each))
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
        e => no_project(ctx, e),
    })?;
    Ok(set("quota_set", None, named(limits_of(ctx)?)))
}

/// `DELETE /v2.1/os-quota-sets/{project}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    not_of_a_user(ctx)?;
    ctx.cloud
        .reset_quotas(&ctx.caller, &project(ctx), Service::Compute)
        .map_err(|e| no_project(ctx, e))?;
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

fn not_of_a_user(ctx: &Context) -> Result<()> {
    match ctx.query("user_id") {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            "limits of single users are not available in this cloud: leave user_id out",
        )),
    }
}

fn quotas(ctx: &Context) -> Result<Vec<Quota>> {
    not_of_a_user(ctx)?;
    let found = ctx.cloud.quotas(&ctx.caller, &project(ctx), SERVICES);
    found.map_err(|e| no_project(ctx, e))
}

/// Nova asks keystone whether the project is there, and calls the request bad when it is not.
fn no_project(ctx: &Context, error: Error) -> Error {
    match error {
        Error::NotFound {
            kind: Kind::Project,
            id,
        } if ctx.caller.is_admin() => {
            Error::invalid(format!("Project ID {id} is not a valid project."))
        }
        e => e,
    }
}

fn limits_of(ctx: &Context) -> Result<impl Iterator<Item = (Resource, Value)>> {
    let quotas = quotas(ctx)?.into_iter();
    Ok(quotas.map(|q| (q.resource, json!(q.limit))))
}

fn default_set(ctx: &Context, key: &str, id: Option<&str>) -> Result<Reply> {
    let limits = ctx.cloud.default_quotas(SERVICES)?.into_iter();
    let each = named(limits.map(|(resource, most)| (resource, json!(most))));
    Ok(set(key, id, each))
}

/// What this API shows of each resource it has a name for.
fn named(
    each: impl Iterator<Item = (Resource, Value)>,
) -> impl Iterator<Item = (&'static str, Value)> {
    let own = |resource: Resource| {
        let compute = Resource::of(Service::Compute).any(|r| r == resource);
        compute.then(|| resource.name())
    };
    let here = move |resource| {
        let network = NETWORK.iter().find(|(_, r)| *r == resource);
        network.map(|(name, _)| *name).or(own(resource))
    };
    each.filter_map(move |(resource, value)| here(resource).map(|name| (name, value)))
}

/// The limits in a body, and whether they are to hold even below what is used.
fn wanted(ctx: &Context, key: &str) -> Result<(Vec<(Resource, i64)>, bool)> {
    let (mut limits, mut force) = (Vec::new(), false);
    for (name, value) in fields(ctx, key)? {
        match name.as_str() {
            "force" => {
                let given = truth(value).map_err(|e| Error::invalid(format!("force: {e}")))?;
                force = given == Some(true);
            }
            name if names_project(name) => {}
            _ => limits.push((resource(&name)?, whole(&name, &value)?)),
        }
    }
    Ok((limits, force))
}

fn resource(name: &str) -> Result<Resource> {
    let network = NETWORK.iter().find(|(known, _)| *known == name);
    let compute = Resource::of(Service::Compute).find(|r| r.name() == name);
    let found = network.map(|(_, resource)| *resource).or(compute);
    found.ok_or_else(|| unexpected(name))
}
