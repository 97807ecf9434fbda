//! What a project may use, and what it uses.

use cloud::Resource;
use model::{ProjectId, Result};
use serde_json::{Map, Value, json};

use super::quota::SERVICES;
use crate::context::Context;
use crate::reply::Reply;

/// The names of limits here, and of what is used of them.
const NAMES: [(Resource, &str, Option<&str>); 13] = [
    (
        Resource::Instances,
        "maxTotalInstances",
        Some("totalInstancesUsed"),
    ),
    (Resource::Cores, "maxTotalCores", Some("totalCoresUsed")),
    (Resource::Ram, "maxTotalRAMSize", Some("totalRAMUsed")),
    (Resource::KeyPairs, "maxTotalKeypairs", None),
    (Resource::MetadataItems, "maxServerMeta", None),
    (Resource::MetadataItems, "maxImageMeta", None),
    (Resource::InjectedFiles, "maxPersonality", None),
    (
        Resource::InjectedFileContentBytes,
        "maxPersonalitySize",
        None,
    ),
    (
        Resource::ServerGroups,
        "maxServerGroups",
        Some("totalServerGroupsUsed"),
    ),
    (Resource::ServerGroupMembers, "maxServerGroupMembers", None),
    (
        Resource::FloatingIp,
        "maxTotalFloatingIps",
        Some("totalFloatingIpsUsed"),
    ),
    (
        Resource::SecurityGroup,
        "maxSecurityGroups",
        Some("totalSecurityGroupsUsed"),
    ),
    (Resource::SecurityGroupRule, "maxSecurityGroupRules", None),
];

/// `GET /v2.1/extensions`: everything is part of the API itself since 2.1.
pub(super) fn extensions(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"extensions": []})))
}

/// `GET /v2.1/limits`
pub(super) fn limits(ctx: &Context) -> Result<Reply> {
    let project = match ctx.query("tenant_id") {
        Some(other) => {
            let project = ProjectId(other.to_owned());
            if !ctx.caller.sees(&project) {
                ctx.caller.require_admin()?;
            }
            project
        }
        None => ctx.caller.project()?.clone(),
    };
    let quotas = ctx.cloud.quotas(&ctx.caller, &project, SERVICES)?;
    let mut absolute = Map::new();
    for (resource, most, used) in NAMES {
        let Some(quota) = quotas.iter().find(|q| q.resource == resource) else {
            continue;
        };
        absolute.insert(most.to_owned(), json!(quota.limit));
        if let Some(used) = used {
            absolute.insert(used.to_owned(), json!(quota.used));
        }
    }
    let absolute = Value::Object(absolute);
    Ok(Reply::ok(
        &json!({"limits": {"absolute": absolute, "rate": []}}),
    ))
}
