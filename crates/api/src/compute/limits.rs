//! What a project may use. There are no quotas yet: -1 says so in the API's own way.

use model::Result;
use serde_json::{Value, json};

use crate::context::Context;
use crate::reply::Reply;

/// `GET /v2.1/extensions`: everything is part of the API itself since 2.1.
pub(super) fn extensions(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"extensions": []})))
}

/// `GET /v2.1/limits`
pub(super) fn limits(ctx: &Context) -> Result<Reply> {
    let used = ctx.cloud.servers_of(&ctx.caller)?;
    let sum = |f: fn(&store::row::ServerFlavor) -> u32| {
        used.iter().map(|s| u64::from(f(&s.flavor.0))).sum::<u64>()
    };
    let absolute: Value = json!({
        "maxTotalInstances": -1, "maxTotalCores": -1, "maxTotalRAMSize": -1,
        "maxTotalKeypairs": -1, "maxServerMeta": 128, "maxImageMeta": 128,
        "maxPersonality": 0, "maxPersonalitySize": 0,
        "maxServerGroups": -1, "maxServerGroupMembers": -1, "maxTotalFloatingIps": -1,
        "maxSecurityGroups": -1, "maxSecurityGroupRules": -1,
        "totalInstancesUsed": used.len(), "totalCoresUsed": sum(|f| f.vcpus),
        "totalRAMUsed": sum(|f| f.ram_mib), "totalSecurityGroupsUsed": 0,
        "totalFloatingIpsUsed": 0, "totalServerGroupsUsed": 0,
    });
    Ok(Reply::ok(
        &json!({"limits": {"absolute": absolute, "rate": []}}),
    ))
}
