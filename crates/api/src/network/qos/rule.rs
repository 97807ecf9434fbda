//! Rules of QoS policies, named by their policy or, as aliases, alone.

use cloud::{NewQosRule, QosRuleKind, QosRuleUpdate};
use model::{Error, Kind, QosPolicyId, QosRuleId, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use store::row;

use crate::context::Context;
use crate::json::{number, parse_value};
use crate::network::{collection, single};
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("id", "id"),
    ("direction", "direction"),
    ("max_kbps", "max_kbps"),
    ("max_burst_kbps", "max_burst_kbps"),
    ("dscp_mark", "dscp_mark"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    direction: Option<String>,
    #[serde(default, deserialize_with = "number")]
    max_kbps: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    max_burst_kbps: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    #[serde(default, deserialize_with = "number")]
    dscp_mark: Option<u32>,
}

/// `GET /v2.0/qos/policies/{id}/bandwidth_limit_rules`, and so of the other kind.
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let (kind, name) = kind(ctx);
    let of = ctx.id("id", Kind::QosPolicy)?;
    let rules = ctx.cloud.list_qos_rules(&ctx.caller, kind, &of, &page)?;
    let entries = rules.iter().map(view).collect();
    collection(ctx, &format!("{name}s"), page.limit, entries)
}

/// `GET /v2.0/qos/policies/{id}/bandwidth_limit_rules/{rule}`,
/// `GET /v2.0/qos/alias-bandwidth-limit-rules/{rule}`, and so of the other kind.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let ((kind, name), (of, id)) = (kind(ctx), ids(ctx)?);
    let rule = ctx
        .cloud
        .get_qos_rule(&ctx.caller, kind, of.as_ref(), &id)?;
    Ok(Reply::ok(&single(ctx, &name, view(&rule))))
}

/// `POST /v2.0/qos/policies/{id}/bandwidth_limit_rules`, and so of the other kind.
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let (kind, name) = kind(ctx);
    let missing = |what: &str| Error::invalid(format!("{what} is missing"));
    let new = match kind {
        QosRuleKind::BandwidthLimit => {
            let wanted: Limit = wanted(ctx, &name)?;
            NewQosRule::BandwidthLimit {
                direction: wanted.direction.unwrap_or_else(|| "egress".to_owned()),
                max_kbps: wanted.max_kbps.ok_or_else(|| missing("max_kbps"))?,
                max_burst_kbps: wanted.max_burst_kbps.unwrap_or_default(),
            }
        }
        QosRuleKind::DscpMarking => {
            let wanted: Mark = wanted(ctx, &name)?;
            NewQosRule::DscpMarking {
                dscp_mark: wanted.dscp_mark.ok_or_else(|| missing("dscp_mark"))?,
            }
        }
    };
    ctx.caller.require_admin()?;
    let of = ctx.id("id", Kind::QosPolicy)?;
    let rule = ctx.cloud.create_qos_rule(&ctx.caller, &of, &new)?;
    Ok(Reply::created(&single(ctx, &name, view(&rule))))
}

/// `PUT` where [`show`] is.
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let ((kind, name), (of, id)) = (kind(ctx), ids(ctx)?);
    let update = match kind {
        QosRuleKind::BandwidthLimit => {
            let wanted: Limit = wanted(ctx, &name)?;
            QosRuleUpdate {
                direction: wanted.direction,
                max_kbps: wanted.max_kbps,
                max_burst_kbps: wanted.max_burst_kbps,
                dscp_mark: None,
            }
        }
        QosRuleKind::DscpMarking => QosRuleUpdate {
            dscp_mark: wanted::<Mark>(ctx, &name)?.dscp_mark,
            ..QosRuleUpdate::default()
        },
    };
    let of = of.as_ref();
    let rule = ctx
        .cloud
        .update_qos_rule(&ctx.caller, kind, of, &id, &update)?;
    Ok(Reply::ok(&single(ctx, &name, view(&rule))))
}

/// `DELETE` where [`show`] is.
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let ((kind, _), (of, id)) = (kind(ctx), ids(ctx)?);
    ctx.cloud
        .delete_qos_rule(&ctx.caller, kind, of.as_ref(), &id)?;
    Ok(Reply::no_content())
}

/// `POST` of a kind that this cloud does not have.
pub(super) fn refuse(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let of = ctx.id("id", Kind::QosPolicy)?;
    let kind = ctx.path.rsplit('/').next().unwrap_or_default();
    let kind = kind.trim_end_matches("_rules");
    ctx.cloud.refuse_qos_rule(&ctx.caller, &of, kind)?;
    Ok(Reply::no_content())
}

/// A rule as its policy shows it.
pub(super) fn in_policy(rule: &row::QosRule) -> Value {
    let mut view = view(rule);
    view["type"] = json!(rule.kind);
    view["qos_policy_id"] = json!(rule.qos_policy_id);
    view
}

fn view(rule: &row::QosRule) -> Value {
    match rule.dscp_mark {
        Some(mark) => json!({"id": rule.id, "dscp_mark": mark}),
        None => json!({
            "id": rule.id, "direction": rule.direction,
            "max_kbps": rule.max_kbps, "max_burst_kbps": rule.max_burst_kbps,
        }),
    }
}

/// The kind of rule that a path is about, and what one is called in a body.
fn kind(ctx: &Context) -> (QosRuleKind, String) {
    let limits = ["bandwidth_limit_rules", "alias-bandwidth-limit-rules"];
    let kind = match limits.iter().any(|segment| ctx.is_below(segment)) {
        true => QosRuleKind::BandwidthLimit,
        false => QosRuleKind::DscpMarking,
    };
    let alias = ctx.params.iter().all(|(name, _)| name != "id");
    let prefix = if alias { "alias_" } else { "" };
    (kind, format!("{prefix}{}_rule", kind.as_str()))
}

/// The policy in the path, if there is one, and the rule.
fn ids(ctx: &Context) -> Result<(Option<QosPolicyId>, QosRuleId)> {
    let named = ctx.params.iter().any(|(name, _)| name == "id");
    let of = named.then(|| ctx.id("id", Kind::QosPolicy)).transpose()?;
    Ok((of, ctx.id("rule", Kind::QosRule)?))
}

/// What a body asks for under its only name.
fn wanted<T: DeserializeOwned>(ctx: &Context, name: &str) -> Result<T> {
    let mut body: Map<String, Value> = ctx.json()?;
    if let Some(other) = body.keys().find(|key| *key != name) {
        return Err(Error::invalid(format!(
            "Unrecognized attribute(s) '{other}': the body must hold {name}"
        )));
    }
    match body.remove(name) {
        Some(value @ Value::Object(_)) => parse_value(name, value),
        _ => Err(Error::invalid(format!(
            "{name} is missing from the request body, or no object"
        ))),
    }
}
