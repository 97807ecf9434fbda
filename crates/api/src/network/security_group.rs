//! Security groups and their rules.

use cloud::{
    NewRule, NewSecurityGroup, RULE_REVISION, SecurityGroupUpdate, SecurityGroupView, normal_prefix,
};
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::json::{named, number, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("stateful", "stateful"),
    ("shared", "shared"),
    ("created_at", "created_ms"),
];

const RULE_NAMES: Names = &[
    ("id", "id"),
    ("security_group_id", "security_group_id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("description", "description"),
    ("direction", "direction"),
    ("ethertype", "ethertype"),
    ("protocol", "protocol"),
    ("port_range_min", "port_range_min"),
    ("port_range_max", "port_range_max"),
    ("remote_ip_prefix", "remote_ip_prefix"),
    ("remote_group_id", "remote_group_id"),
    ("remote_address_group_id", "remote_address_group_id"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    security_group: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    stateful: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    security_group_rule: RuleFields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    security_group_id: Option<String>,
    description: Option<String>,
    direction: Option<String>,
    ethertype: Option<String>,
    protocol: Option<Value>,
    #[serde(default, deserialize_with = "number")]
    port_range_min: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    port_range_max: Option<i64>,
    remote_ip_prefix: Option<String>,
    remote_group_id: Option<String>,
    remote_address_group_id: Option<String>,
    #[serde(rename = "tenant_id")]
    _tenant: Option<String>,
    #[serde(rename = "project_id")]
    _project: Option<String>,
}

/// `GET /v2.0/security-groups`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let groups = ctx.cloud.list_security_groups(&ctx.caller, &page)?;
    collection(
        ctx,
        "security_groups",
        page.limit,
        groups.iter().map(view).collect(),
    )
}

/// `GET /v2.0/security-groups/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let group = ctx
        .cloud
        .get_security_group(&ctx.caller, &ctx.id("id", Kind::SecurityGroup)?)?;
    Ok(Reply::ok(&single(ctx, "security_group", view(&group))))
}

/// `POST /v2.0/security-groups`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.security_group;
    let new = NewSecurityGroup {
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        stateful: wanted.stateful,
    };
    let group = ctx.cloud.create_security_group(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "security_group", view(&group))))
}

/// `PUT /v2.0/security-groups/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.security_group;
    let update = SecurityGroupUpdate {
        name: wanted.name,
        description: wanted.description,
        stateful: wanted.stateful,
    };
    let group = ctx.cloud.update_security_group(
        &ctx.caller,
        &ctx.id("id", Kind::SecurityGroup)?,
        &update,
    )?;
    Ok(Reply::ok(&single(ctx, "security_group", view(&group))))
}

/// `DELETE /v2.0/security-groups/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_security_group(&ctx.caller, &ctx.id("id", Kind::SecurityGroup)?)?;
    Ok(Reply::no_content())
}

/// `GET /v2.0/security-group-rules`
pub(super) fn list_rules(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(RULE_NAMES)?;
    let rules = ctx.cloud.list_rules(&ctx.caller, &page)?;
    collection(
        ctx,
        "security_group_rules",
        page.limit,
        rules.iter().map(rule_view).collect(),
    )
}

/// `GET /v2.0/security-group-rules/{id}`
pub(super) fn show_rule(ctx: &Context) -> Result<Reply> {
    let rule = ctx
        .cloud
        .get_rule(&ctx.caller, &ctx.id("id", Kind::SecurityGroupRule)?)?;
    Ok(Reply::ok(&single(
        ctx,
        "security_group_rule",
        rule_view(&rule),
    )))
}

/// `POST /v2.0/security-group-rules`
pub(super) fn create_rule(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<RuleBody>()?.security_group_rule;
    let group = wanted
        .security_group_id
        .ok_or_else(|| Error::invalid("security_group_id is missing"))?;
    let protocol = match wanted.protocol {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    };
    let ethertype = wanted.ethertype.unwrap_or_else(|| {
        // What is IPv6 is plain to see; the API's default is the other.
        let v6 = wanted
            .remote_ip_prefix
            .as_deref()
            .is_some_and(|p| p.contains(':'))
            || protocol
                .as_deref()
                .is_some_and(|p| matches!(p, "icmpv6" | "ipv6-icmp" | "58"));
        if v6 { "IPv6".into() } else { "IPv4".into() }
    });
    let new = NewRule {
        group: named(Kind::SecurityGroup, &group)?,
        description: wanted.description.unwrap_or_default(),
        direction: wanted
            .direction
            .ok_or_else(|| Error::invalid("direction is missing: ingress or egress"))?,
        ethertype,
        protocol,
        port_range_min: wanted.port_range_min,
        port_range_max: wanted.port_range_max,
        remote_ip_prefix: wanted.remote_ip_prefix,
        remote_group: wanted
            .remote_group_id
            .as_deref()
            .map(|id| named(Kind::SecurityGroup, id))
            .transpose()?,
        remote_address_group: wanted
            .remote_address_group_id
            .as_deref()
            .map(|id| named(Kind::AddressGroup, id))
            .transpose()?,
    };
    let rule = ctx.cloud.create_rule(&ctx.caller, &new)?;
    Ok(Reply::created(&single(
        ctx,
        "security_group_rule",
        rule_view(&rule),
    )))
}

/// `DELETE /v2.0/security-group-rules/{id}`
pub(super) fn delete_rule(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_rule(&ctx.caller, &ctx.id("id", Kind::SecurityGroupRule)?)?;
    Ok(Reply::no_content())
}

pub(crate) fn view(view: &SecurityGroupView) -> Value {
    let group = &view.group;
    json!({
        "id": group.id, "name": group.name, "description": group.description,
        "project_id": group.project_id, "tenant_id": group.project_id,
        "stateful": group.stateful, "shared": view.shared, "tags": group.tags.0,
        "security_group_rules": view.rules.iter().map(rule_view).collect::<Vec<_>>(),
        "revision_number": group.revision,
        "created_at": time::seconds(group.created_ms), "updated_at": time::seconds(group.updated_ms),
    })
}

pub(crate) fn rule_view(rule: &row::Rule) -> Value {
    json!({
        "id": rule.id, "security_group_id": rule.security_group_id,
        "project_id": rule.project_id, "tenant_id": rule.project_id, "description": rule.description,
        "direction": rule.direction, "ethertype": rule.ethertype, "protocol": rule.protocol,
        "port_range_min": rule.port_range_min, "port_range_max": rule.port_range_max,
        "remote_ip_prefix": rule.remote_ip_prefix, "remote_group_id": rule.remote_group_id,
        "remote_address_group_id": rule.remote_address_group_id,
        "normalized_cidr": rule.remote_ip_prefix.as_deref().map(normal_prefix),
        "belongs_to_default_sg": false, "tags": [], "revision_number": RULE_REVISION,
        "created_at": time::seconds(rule.created_ms), "updated_at": time::seconds(rule.created_ms),
    })
}
