//! What kinds of rules this cloud's nodes can keep, and with which values.

use cloud::{DSCP_MARKS, QosRuleKind};
use model::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::context::Context;
use crate::network::{collection, single};
use crate::reply::Reply;

const KINDS: [QosRuleKind; 2] = [QosRuleKind::BandwidthLimit, QosRuleKind::DscpMarking];

/// `GET /v2.0/qos/rule-types`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let entries = KINDS.iter().map(|kind| json!({"type": kind.as_str()}));
    collection(ctx, "rule_types", None, entries.collect())
}

/// `GET /v2.0/qos/rule-types/{type}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let name = ctx.param("type");
    let kind = KINDS.iter().find(|kind| kind.as_str() == name);
    let kind = kind.ok_or_else(|| Error::not_found(Kind::QosRuleType, name))?;
    let driver = json!({"name": "hextet", "supported_parameters": parameters(*kind)});
    let view = json!({"type": kind.as_str(), "drivers": [driver]});
    Ok(Reply::ok(&single(ctx, "rule_type", view)))
}

fn parameters(kind: QosRuleKind) -> Value {
    let range = |name: &str| {
        json!({
            "parameter_name": name, "parameter_type": "range",
            "parameter_values": {"start": 0, "end": i32::MAX},
        })
    };
    let choices = |name: &str, values: Value| {
        json!({
            "parameter_name": name, "parameter_type": "choices", "parameter_values": values,
        })
    };
    match kind {
        QosRuleKind::BandwidthLimit => json!([
            range("max_kbps"),
            range("max_burst_kbps"),
            choices("direction", json!(["ingress", "egress"])),
        ]),
        QosRuleKind::DscpMarking => json!([choices("dscp_mark", json!(DSCP_MARKS))]),
    }
}
