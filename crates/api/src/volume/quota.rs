//! Quota sets and limits: a project's, as the volume API names them.

use cloud::{Below, Quota, Resource, Service};
use http::StatusCode;
use model::{Error, Result};
use serde_json::{Value, json};

use crate::context::Context;
use crate::quota::{self, project, set, the_class};
use crate::reply::Reply;

const VOLUME: &[Service] = &[Service::Volume];

/// Names that the API has for what cannot be made here, or has no limit, with what is said of each.
const FIXED: [(&str, i64); 5] = [
    ("snapshots", 0),
    ("backups", 0),
    ("backup_gigabytes", 0),
    ("groups", 0),
    ("per_volume_gigabytes", cloud::UNLIMITED),
];

/// `GET /v3/os-quota-sets/{project}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let quotas = quotas(ctx)?;
    let usage = ctx.query("usage").map(str::to_ascii_lowercase);
    let whole = matches!(usage.as_deref(), Some("true" | "1"));
    let view = |limit: i64, used: u64| match whole {
        true => json!({"limit": limit, "in_use": used, "reserved": 0}),
        false => json!(limit),
    };
    let fixed = FIXED.map(|(name, limit)| (name, view(limit, 0)));
    let each = quotas
        .iter()
        .map(|q| (q.resource.name(), view(q.limit, q.used)));
    let id = Some(ctx.param("project"));
    Ok(set("quota_set", id, fixed.into_iter().chain(each)))
}

/// `GET /v3/os-quota-sets/{project}/defaults`
pub(super) fn defaults(ctx: &Context) -> Result<Reply> {
    quotas(ctx)?;
    default_set(ctx, "quota_set", Some(ctx.param("project")))
}

/// `PUT /v3/os-quota-sets/{project}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let limits = wanted(ctx, "quota_set")?;
    ctx.cloud
        .set_quotas(&ctx.caller, &project(ctx), &limits, Below::Allow)?;
    let each = quotas(ctx)?.into_iter().map(|q| (q.resource, q.limit));
    let each = fixed().chain(quota::limits(each));
    Ok(set("quota_set", None, each))
}

/// `DELETE /v3/os-quota-sets/{project}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .reset_quotas(&ctx.caller, &project(ctx), Service::Volume)?;
    Ok(Reply::empty(StatusCode::OK))
}

/// `GET /v3/os-quota-class-sets/{class}`
pub(super) fn show_class(ctx: &Context) -> Result<Reply> {
    the_class(ctx)?;
    default_set(ctx, "quota_class_set", Some(ctx.param("class")))
}

/// `PUT /v3/os-quota-class-sets/{class}`
pub(super) fn update_class(ctx: &Context) -> Result<Reply> {
    the_class(ctx)?;
    let limits = wanted(ctx, "quota_class_set")?;
    ctx.cloud.set_default_quotas(&ctx.caller, &limits)?;
    default_set(ctx, "quota_class_set", None)
}

/// `GET /v3/limits`
pub(super) fn limits(ctx: &Context) -> Result<Reply> {
    let project = ctx.caller.project()?;
    let quotas = ctx.cloud.quotas(&ctx.caller, project, VOLUME)?;
    let mut absolute = json!({
        "maxTotalSnapshots": 0, "maxTotalBackups": 0, "maxTotalBackupGigabytes": 0,
        "totalSnapshotsUsed": 0, "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0,
    });
    for quota in quotas {
        let (most, used) = match quota.resource {
            Resource::Volumes => ("maxTotalVolumes", "totalVolumesUsed"),
            Resource::Gigabytes => ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
            _ => continue,
        };
        absolute[most] = json!(quota.limit);
        absolute[used] = json!(quota.used);
    }
    Ok(Reply::ok(
        &json!({"limits": {"rate": [], "absolute": absolute}}),
    ))
}

fn quotas(ctx: &Context) -> Result<Vec<Quota>> {
    ctx.cloud.quotas(&ctx.caller, &project(ctx), VOLUME)
}

fn fixed() -> impl Iterator<Item = (&'static str, Value)> {
    FIXED.iter().map(|(name, limit)| (*name, json!(limit)))
}

fn default_set(ctx: &Context, key: &str, id: Option<&str>) -> Result<Reply> {
    let defaults = ctx.cloud.default_quotas(VOLUME)?;
    Ok(set(key, id, fixed().chain(quota::limits(defaults))))
}

/// The limits in a body.
fn wanted(ctx: &Context, key: &str) -> Result<Vec<(Resource, i64)>> {
    let known = |name: &str| Resource::of(Service::Volume).find(|r| r.name() == name);
    let mut limits = Vec::new();
    for (name, value) in quota::fields(ctx, key)? {
        match (name.as_str(), known(&name)) {
            (name, _) if quota::names_project(name) => {}
            (_, Some(resource)) => limits.push((resource, quota::whole(&name, &value)?)),
            // Saying what is so anyway is no wish.
            (name, None) if FIXED.iter().any(|f| f.0 == name && value == json!(f.1)) => {}
            (name, None) => {
                return Err(Error::invalid(format!(
                    "Bad key(s) in quota set: {name}: this cloud has limits of volumes and gigabytes"
                )));
            }
        }
    }
    Ok(limits)
}
