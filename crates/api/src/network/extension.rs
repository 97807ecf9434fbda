//! Extensions: what of the network API's options this cloud has.

use model::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::context::Context;
use crate::reply::Reply;

/// Alias and name. Only what works is listed.
const EXTENSIONS: &[(&str, &str)] = &[
    ("router", "Neutron L3 Router"),
    (
        "ext-gw-mode",
        "Neutron L3 Configurable external gateway mode",
    ),
    ("fip-port-details", "Floating IP Port Details Extension"),
    ("floating-ip-port-forwarding", "Floating IP Port Forwarding"),
    (
        "floating-ip-port-forwarding-description",
        "Floating IP Port Forwarding Description",
    ),
    (
        "floating-ip-port-forwarding-detail",
        "Floating IP Port Forwarding Detail",
    ),
    (
        "floating-ip-port-forwarding-port-ranges",
        "Floating IP Port Forwarding support port ranges",
    ),
    (
        "expose-port-forwarding-in-fip",
        "Expose Port Forwarding in FIP",
    ),
    (
        "standard-attr-tag",
        "Tag support for resources with standard attribute",
    ),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-revisions", "Resource revision numbers"),
    (
        "revision-if-match",
        "If-Match constraints based on revision_number",
    ),
    ("standard-attr-timestamp", "Resource timestamps"),
    ("external-net", "Neutron external network"),
    ("provider", "Provider Network"),
    ("security-group", "security-group"),
    ("stateful-security-group", "Stateful security group"),
    ("address-group", "Address group"),
    (
        "security-groups-remote-address-group",
        "Remote address group id field for security group rules",
    ),
    (
        "auto-allocated-topology",
        "Auto Allocated Topology Services",
    ),
    ("address-scope", "Address scope"),
    ("rbac-policies", "RBAC Policies"),
    ("rbac-address-scope", "Add address_scope type to RBAC"),
    (
        "rbac-security-groups",
        "Add security_group type to network RBAC",
    ),
    ("rbac-subnetpool", "Add subnetpool type to RBAC"),
    ("rbac-address-group", "Add address_group type to RBAC"),
    (
        "security-groups-shared-filtering",
        "Security group filtering on the shared field",
    ),
    ("port-security", "Port Security"),
    ("trunk", "Trunk Extension"),
    ("trunk-details", "Trunk port details"),
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("extra_dhcp_opt", "Neutron Extra DHCP options"),
    (
        "hextet-router-advertisements",
        "Lifetimes, intervals and PREF64 of Router Advertisements",
    ),
    (
        "hextet-delegated-prefixes",
        "Prefixes that are delegated to ports",
    ),
    (
        "hextet-nd-proxy",
        "Routers that answer for IPv6 addresses behind them",
    ),
    (
        "hextet-port-observed",
        "What guests on ports are heard to use and ask",
    ),
    ("net-mtu", "Network MTU"),
    ("net-mtu-writable", "Network MTU (writable)"),
    ("extraroute", "Neutron Extra Route"),
    ("extraroute-atomic", "Atomically add/remove extra routes"),
    ("binding", "Port Binding"),
    ("subnet_allocation", "Subnet Allocation"),
    ("default-subnetpools", "Default Subnetpools"),
    ("ip-substring-filtering", "IP address substring filtering"),
    (
        "subnet-external-network",
        "Subnet belongs to an external network",
    ),
    ("pagination", "Pagination support"),
    ("sorting", "Sorting support"),
    ("project-id", "project_id field enabled"),
    ("network-ip-availability", "Network IP Availability"),
    ("quotas", "Quota management support"),
    ("quota_details", "Quota details management support"),
    ("quota-check-limit", "Quota engine limit check"),
    ("qos", "Quality of Service"),
    ("qos-default", "QoS default policy"),
    (
        "qos-bw-limit-direction",
        "Direction for QoS bandwidth limit rule",
    ),
    ("qos-rule-type-details", "Details of QoS rule types"),
    ("qos-rules-alias", "Quality of Service rules alias API"),
    (
        "qos-port-network-policy",
        "QoS Port Network Policy Extension",
    ),
    ("dns-integration", "DNS Integration"),
    ("dns-domain-ports", "dns_domain for ports"),
];

/// `GET /v2.0/extensions`
pub(super) fn list(_: &Context) -> Result<Reply> {
    let entries: Vec<Value> = EXTENSIONS.iter().map(view).collect();
    Ok(Reply::ok(&json!({"extensions": entries})))
}

/// `GET /v2.0/extensions/{alias}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let alias = ctx.param("alias");
    let found = EXTENSIONS.iter().find(|(a, _)| *a == alias);
    let found = found.ok_or_else(|| Error::not_found(Kind::Path, alias))?;
    Ok(Reply::ok(&json!({"extension": view(found)})))
}

/// `GET /v2.0/availability_zones`
pub(super) fn zones(_: &Context) -> Result<Reply> {
    let zone = |resource: &str| json!({"name": "nova", "resource": resource, "state": "available"});
    Ok(Reply::ok(
        &json!({"availability_zones": [zone("network"), zone("router")]}),
    ))
}

fn view((alias, name): &(&str, &str)) -> Value {
    json!({"alias": alias, "name": name, "description": name, "updated": "2026-01-01T00:00:00-00:00", "links": []})
}
