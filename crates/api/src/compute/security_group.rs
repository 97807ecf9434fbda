//! Security groups and networks as the compute API showed them before clients asked the network API
//! for them: a view of the same things.

use std::collections::BTreeMap;

use cloud::{NewRule, NewSecurityGroup, Page, SecurityGroupUpdate, SecurityGroupView};
use http::StatusCode;
use model::{Error, Kind, Result, RuleId, SecurityGroupId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use crate::context::Context;
use crate::json::number;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    security_group: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    security_group_rule: RuleFields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    parent_group_id: String,
    ip_protocol: Option<String>,
    #[serde(default, deserialize_with = "number")]
    from_port: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    to_port: Option<i64>,
    cidr: Option<String>,
    group_id: Option<String>,
}

/// Names and projects of groups, for the rules that name them.
type Names = BTreeMap<SecurityGroupId, (String, String)>;

/// `GET /v2.1/os-security-groups`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[("name", "name")])?;
    let found = ctx.cloud.list_security_groups(&ctx.caller, &page)?;
    Ok(Reply::ok(&json!({"security_groups": views(ctx, &found)?})))
}

/// `GET /v2.1/os-security-groups/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let found = ctx.cloud.get_security_group(&ctx.caller, &group_id(ctx)?)?;
    answer(ctx, found)
}

/// `POST /v2.1/os-security-groups`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.security_group;
    let new = NewSecurityGroup {
        name: wanted.name,
        description: wanted.description.unwrap_or_default(),
        project: None,
        stateful: None,
    };
    let made = ctx.cloud.create_security_group(&ctx.caller, &new);
    answer(ctx, made.map_err(bad)?)
}

/// `PUT /v2.1/os-security-groups/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let id = group_id(ctx)?;
    let wanted = ctx.json::<Body>()?.security_group;
    let update = SecurityGroupUpdate {
        name: Some(wanted.name),
        description: wanted.description,
        stateful: None,
    };
    let changed = ctx.cloud.update_security_group(&ctx.caller, &id, &update);
    answer(ctx, changed.map_err(bad)?)
}

/// `DELETE /v2.1/os-security-groups/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = group_id(ctx)?;
    let gone = ctx.cloud.delete_security_group(&ctx.caller, &id);
    gone.map_err(bad)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// `POST /v2.1/os-security-group-rules`: what may come in.
pub(super) fn create_rule(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<RuleBody>()?.security_group_rule;
    let remote_group = wanted.group_id.as_deref().map(uuid).transpose()?;
    let cidr = match (wanted.cidr, remote_group) {
        (None, None) => Some("0.0.0.0/0".to_owned()),
        (cidr, _) => cidr,
    };
    let ipv6 = cidr.as_deref().is_some_and(|cidr| cidr.contains(':'));
    let new = NewRule {
        group: uuid(&wanted.parent_group_id)?,
        description: String::new(),
        direction: "ingress".into(),
        ethertype: if ipv6 { "IPv6" } else { "IPv4" }.into(),
        protocol: wanted.ip_protocol,
        // -1 stands for all.
        port_range_min: wanted.from_port.filter(|port| *port != -1),
        port_range_max: wanted.to_port.filter(|port| *port != -1),
        remote_ip_prefix: cidr,
        remote_group,
        remote_address_group: None,
    };
    let rule = ctx.cloud.create_rule(&ctx.caller, &new).map_err(bad)?;
    let names = names(ctx, &[], std::slice::from_ref(&rule))?;
    let view = rule_view(&rule, &names);
    Ok(Reply::ok(&json!({"security_group_rule": view})))
}

/// `DELETE /v2.1/os-security-group-rules/{id}`
pub(super) fn delete_rule(ctx: &Context) -> Result<Reply> {
    let id: RuleId = uuid(ctx.param("id"))?;
    ctx.cloud.delete_rule(&ctx.caller, &id)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// Groups as a list of this API has them.
pub(super) fn views(ctx: &Context, found: &[SecurityGroupView]) -> Result<Vec<Value>> {
    let rules: Vec<row::Rule> = found.iter().flat_map(|f| f.rules.clone()).collect();
    let names = names(ctx, found, &rules)?;
    let view = |found: &SecurityGroupView| {
        let ingress = found.rules.iter().filter(|r| r.direction == "ingress");
        let rules: Vec<Value> = ingress.map(|rule| rule_view(rule, &names)).collect();
        let group = &found.group;
        json!({
            "id": group.id, "name": group.name, "description": group.description,
            "tenant_id": group.project_id, "rules": rules,
        })
    };
    Ok(found.iter().map(view).collect())
}

fn answer(ctx: &Context, found: SecurityGroupView) -> Result<Reply> {
    let view = views(ctx, &[found])?.pop();
    Ok(Reply::ok(&json!({"security_group": view})))
}

/// The groups that rules name: of those at hand, and where that is not enough, looked up.
fn names(ctx: &Context, at_hand: &[SecurityGroupView], rules: &[row::Rule]) -> Result<Names> {
    let entry = |view: &SecurityGroupView| {
        let group = &view.group;
        (group.id, (group.name.clone(), group.project_id.to_string()))
    };
    let mut names: Names = at_hand.iter().map(entry).collect();
    let remote = rules.iter().filter_map(|rule| rule.remote_group_id);
    let missing: Vec<String> = remote
        .filter(|id| !names.contains_key(id))
        .map(|id| id.to_string())
        .collect();
    if !missing.is_empty() {
        let page = Page {
            filters: vec![("id".into(), missing)],
            ..Page::default()
        };
        let found = ctx.cloud.list_security_groups(&ctx.caller, &page)?;
        names.extend(found.iter().map(entry));
    }
    Ok(names)
}

/// A rule as the compute API knew them. All ports are those from 1 to 65535, and all else is -1.
fn rule_view(rule: &row::Rule, names: &Names) -> Value {
    let ports = match (rule.protocol.as_deref(), rule.port_range_min) {
        (Some("tcp" | "udp"), None) => (json!(1), json!(65_535)),
        (Some(_), None) => (json!(-1), json!(-1)),
        (_, min) => (json!(min), json!(rule.port_range_max)),
    };
    let everywhere = match rule.ethertype.as_str() {
        "IPv6" => "::/0",
        _ => "0.0.0.0/0",
    };
    let named = rule.remote_group_id.is_some() || rule.remote_address_group_id.is_some();
    let range = match named {
        true => json!({}),
        false => json!({"cidr": rule.remote_ip_prefix.as_deref().unwrap_or(everywhere)}),
    };
    let group = rule.remote_group_id.and_then(|id| names.get(&id));
    json!({
        "id": rule.id, "parent_group_id": rule.security_group_id, "ip_protocol": rule.protocol,
        "from_port": ports.0, "to_port": ports.1, "ip_range": range,
        "group": group.map_or(json!({}), |(name, project)| json!({"name": name, "tenant_id": project})),
    })
}

fn group_id(ctx: &Context) -> Result<SecurityGroupId> {
    uuid(ctx.param("id"))
}

/// # Errors
/// `Invalid` for what is no id: nova looks before it asks for the thing.
fn uuid<Id: std::str::FromStr>(text: &str) -> Result<Id> {
    text.parse()
        .map_err(|_| Error::invalid(format!("Security group id '{text}' should be a uuid")))
}

/// What nova calls a bad request, where the network API sees a conflict.
fn bad(error: Error) -> Error {
    match error {
        Error::Conflict(why) => Error::Invalid(why),
        other => other,
    }
}

/// `GET /v2.1/os-tenant-networks`
pub(super) fn tenant_networks(ctx: &Context) -> Result<Reply> {
    let networks = networks(ctx)?.into_iter().map(|n| tenant_view(&n));
    Ok(Reply::ok(
        &json!({"networks": networks.collect::<Vec<_>>()}),
    ))
}

/// `GET /v2.1/os-tenant-networks/{id}`
pub(super) fn tenant_network(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"network": tenant_view(&network(ctx)?)})))
}

/// `GET /v2.1/os-networks`
pub(super) fn all_networks(ctx: &Context) -> Result<Reply> {
    let networks = networks(ctx)?.into_iter().map(|n| network_view(&n));
    Ok(Reply::ok(
        &json!({"networks": networks.collect::<Vec<_>>()}),
    ))
}

/// `GET /v2.1/os-networks/{id}`
pub(super) fn one_network(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"network": network_view(&network(ctx)?)})))
}

fn networks(ctx: &Context) -> Result<Vec<row::Network>> {
    let networks = ctx.cloud.list_networks(&ctx.caller, &Page::default())?;
    Ok(networks.into_iter().map(|view| view.network).collect())
}

fn network(ctx: &Context) -> Result<row::Network> {
    let id = ctx.id("id", Kind::Network)?;
    Ok(ctx.cloud.get_network(&ctx.caller, &id)?.network)
}

/// A network of this API had one prefix; one of the network API has subnets instead.
fn tenant_view(network: &row::Network) -> Value {
    json!({"id": network.id, "label": network.name, "cidr": null})
}

fn network_view(network: &row::Network) -> Value {
    json!({
        "id": network.id, "label": network.name, "cidr": null, "netmask": null, "gateway": null,
        "broadcast": null, "dns1": null, "dns2": null, "cidr_v6": null, "gateway_v6": null,
        "netmask_v6": null,
    })
}
