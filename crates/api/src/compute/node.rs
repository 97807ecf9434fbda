//! Hosts, as the compute API shows them: availability zones, hypervisors, services.

use cloud::{Given, ZONE};
use model::{Error, Kind, NodeFacts, Result};
use serde_json::{Map, Value, json};
use store::row;

use crate::context::Context;
use crate::reply::Reply;
use crate::time;

/// `GET /v2.1/os-availability-zone/detail`: its hosts too, and how they are.
pub(super) fn zone_details(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let available = nodes.iter().any(|(_, up)| *up);
    let host = |(node, up): &(row::Node, bool)| {
        let service = json!({
            "active": true, "available": up, "updated_at": time::bare_micros(node.seen_ms),
        });
        (node.name.clone(), json!({"nova-compute": service}))
    };
    let hosts: Map<String, Value> = nodes.iter().map(host).collect();
    Ok(Reply::ok(&json!({"availabilityZoneInfo": [
        {"zoneName": ZONE, "zoneState": {"available": available}, "hosts": hosts},
    ]})))
}

/// `GET /v2.1/os-availability-zone`
pub(super) fn zones(ctx: &Context) -> Result<Reply> {
    let nodes = ctx.cloud.nodes()?;
    let available = nodes.iter().any(|(_, up)| *up);
    Ok(Reply::ok(&json!({"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": available}, "hosts": null},
    ]})))
}

/// `GET /v2.1/os-hypervisors`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let entries: Vec<Value> = nodes.iter().map(|(node, up)| short(node, *up)).collect();
    Ok(Reply::ok(&json!({"hypervisors": entries})))
}

/// `GET /v2.1/os-hypervisors/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let given = ctx.cloud.given()?;
    let of = |node: &row::Node| given.get(&node.id).copied().unwrap_or_default();
    let each = nodes.iter();
    let entries: Vec<Value> = each.map(|(node, up)| long(node, *up, of(node))).collect();
    Ok(Reply::ok(&json!({"hypervisors": entries})))
}

/// `GET /v2.1/os-hypervisors/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let (node, up) = found(ctx)?;
    let given = ctx.cloud.given()?;
    let given = given.get(&node.id).copied().unwrap_or_default();
    let view = long(&node, up, given);
    Ok(Reply::ok(&json!({"hypervisor": view})))
}

/// `GET /v2.1/os-hypervisors/{id}/uptime`
pub(super) fn uptime(ctx: &Context) -> Result<Reply> {
    let (node, _) = found(ctx)?;
    Err(Error::NotImplemented(format!(
        "Node {} does not tell this cloud its uptime.",
        node.name
    )))
}

/// `GET /v2.1/os-aggregates`: hosts are not grouped here, and clients ask before they show one.
pub(super) fn aggregates(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    Ok(Reply::ok(&json!({"aggregates": []})))
}

/// `GET /v2.1/os-services`
pub(super) fn services(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let view = |(node, up): &(row::Node, bool)| {
        let mut view = json!({
            "id": node.number, "binary": "nova-compute", "host": node.name, "zone": "nova",
            "status": "enabled", "state": if *up { "up" } else { "down" },
            "updated_at": time::bare_micros(node.seen_ms), "disabled_reason": null,
        });
        if ctx.since(11) {
            view["forced_down"] = json!(false);
        }
        view
    };
    let entries: Vec<Value> = nodes.iter().map(view).collect();
    Ok(Reply::ok(&json!({"services": entries})))
}

/// `DELETE /v2.1/os-services/{id}`: of a node that will not come back.
pub(super) fn forget(ctx: &Context) -> Result<Reply> {
    let (node, _) = found(ctx)?;
    ctx.cloud.forget_node(&ctx.caller, node.id)?;
    Ok(Reply::no_content())
}

/// The node a path names by its number, and whether it is connected.
fn found(ctx: &Context) -> Result<(row::Node, bool)> {
    let id = ctx.param("id");
    let missing = || Error::not_found(Kind::Node, id);
    if !ctx.caller.is_admin() {
        return Err(missing());
    }
    let mut all = ctx.cloud.nodes()?.into_iter();
    all.find(|(node, _)| node.number.to_string() == id)
        .ok_or_else(missing)
}

fn short(node: &row::Node, up: bool) -> Value {
    json!({
        "id": node.number, "hypervisor_hostname": node.name,
        "state": if up { "up" } else { "down" }, "status": "enabled",
    })
}

fn long(node: &row::Node, up: bool, given: Given) -> Value {
    let facts = &node.facts.0;
    let left = |has: u64, given: u64| has as i64 - given as i64;
    let mut view = short(node, up);
    let more = json!({
        "hypervisor_type": hypervisor_type(facts), "hypervisor_version": version_number(&facts.qemu_version),
        "host_ip": "", "cpu_info": "",
        "vcpus": facts.vcpus, "vcpus_used": given.vcpus,
        "memory_mb": facts.ram_mib, "memory_mb_used": given.ram_mib,
        "free_ram_mb": left(facts.ram_mib, given.ram_mib),
        "local_gb": facts.disk_gib, "local_gb_used": given.disk_gib,
        "free_disk_gb": left(facts.disk_gib, given.disk_gib),
        "disk_available_least": null, "current_workload": 0, "running_vms": given.servers,
        "service": {"id": node.number, "host": node.name, "disabled_reason": null},
    });
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    view
}

fn hypervisor_type(facts: &NodeFacts) -> &'static str {
    match facts.accelerator.as_str() {
        "fake" => "fake",
        _ => "QEMU",
    }
}

/// 7.2.22 as 7002022, the way libvirt counts.
fn version_number(text: &str) -> u64 {
    text.split('.')
        .map(|part| part.parse::<u64>().unwrap_or(0))
        .chain([0, 0, 0])
        .take(3)
        .fold(0, |n, part| n * 1000 + part)
}
