//! Quality of service: policies, their rules, and what kinds of rules there are.

mod policy;
mod rule;
mod rule_type;

use http::Method;
use model::{Kind, QosPolicyId, Result};

use crate::json;
use crate::route::{Handler::Look, Handler::Plain, Lines};

/// The routes of one kind of rule, below a policy and without it.
macro_rules! rule_routes {
    ($kind:literal, $alias:literal) => {
        rule_routes!(
            concat!("/v2.0/qos/policies/{id}/", $kind),
            concat!("/v2.0/qos/policies/{id}/", $kind, "/{rule}"),
            concat!("/v2.0/qos/", $alias, "/{rule}")
        )
    };
    ($all:expr, $one:expr, $alias:expr) => {
        &[
            (Method::GET, $all, Look(rule::list)),
            (Method::POST, $all, Plain(rule::create)),
            (Method::GET, $one, Look(rule::show)),
            (Method::PUT, $one, Plain(rule::update)),
            (Method::DELETE, $one, Plain(rule::delete)),
            (Method::GET, $alias, Look(rule::show)),
            (Method::PUT, $alias, Plain(rule::update)),
            (Method::DELETE, $alias, Plain(rule::delete)),
        ]
    };
}

pub(crate) const LIMIT_ROUTES: Lines =
    rule_routes!("bandwidth_limit_rules", "alias-bandwidth-limit-rules");
pub(crate) const MARK_ROUTES: Lines =
    rule_routes!("dscp_marking_rules", "alias-dscp-marking-rules");

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "/v2.0/qos/policies", Look(policy::list)),
    (Method::POST, "/v2.0/qos/policies", Plain(policy::create)),
    (Method::GET, "/v2.0/qos/policies/{id}", Look(policy::show)),
    (
        Method::PUT,
        "/v2.0/qos/policies/{id}",
        Plain(policy::update),
    ),
    (
        Method::DELETE,
        "/v2.0/qos/policies/{id}",
        Plain(policy::delete),
    ),
    // Kinds that there are not are refused in words.
    (
        Method::POST,
        "/v2.0/qos/policies/{id}/minimum_bandwidth_rules",
        Plain(rule::refuse),
    ),
    (
        Method::POST,
        "/v2.0/qos/policies/{id}/minimum_packet_rate_rules",
        Plain(rule::refuse),
    ),
    (
        Method::POST,
        "/v2.0/qos/policies/{id}/packet_rate_limit_rules",
        Plain(rule::refuse),
    ),
    (Method::GET, "/v2.0/qos/rule-types", Look(rule_type::list)),
    (
        Method::GET,
        "/v2.0/qos/rule-types/{type}",
        Look(rule_type::show),
    ),
];

/// The policy that a network or port names, or `null`.
pub(super) fn named(id: Option<String>) -> Result<Option<QosPolicyId>> {
    id.map(|id| json::named(Kind::QosPolicy, &id)).transpose()
}
