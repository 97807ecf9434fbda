//! Hosts, as the compute API shows them: availability zones, hypervisors, services.

use cloud::ZONE;
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
    let entries: Vec<Value> = (1..)
        .zip(&nodes)
        .map(|(place, (node, up))| short(place, node, *up))
        .collect();
    Ok(Reply::ok(&json!({"hypervisors": entries})))
}

/// `GET /v2.1/os-hypervisors/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    ctx.caller.require_admin()?;
    let nodes = ctx.cloud.nodes()?;
    let mut entries = Vec::new();
    for (place, (node, up)) in (1..).zip(&nodes) {
        entries.push(long(ctx, place, node, *up)?);
    }
    Ok(Reply::ok(&json!({"hypervisors": entries})))
}

/// `GET /v2.1/os-hypervisors/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let (place, node, up) = found(ctx)?;
    Ok(Reply::ok(
        &json!({"hypervisor": long(ctx, place, &node, up)?}),
    ))
}

/// `GET /v2.1/os-hypervisors/{id}/uptime`
pub(super) fn uptime(ctx: &Context) -> Result<Reply> {
    let (_, node, _) = found(ctx)?;
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
    let view = |(place, (node, up)): (u32, &(row::Node, bool))| {
        let mut view = json!({
            "id": place, "binary": "nova-compute", "host": node.name, "zone": "nova",
            "status": "enabled", "state": if *up { "up" } else { "down" },
            "updated_at": time::bare_micros(node.seen_ms), "disabled_reason": null,
        });
        if ctx.since(11) {
            view["forced_down"] = json!(false);
        }
        view
    };
    let entries: Vec<Value> = (1..).zip(&nodes).map(view).collect();
    Ok(Reply::ok(&json!({"services": entries})))
}

/// The node a path names, by its place among the nodes.
fn found(ctx: &Context) -> Result<(u32, row::Node, bool)> {
    let id = ctx.param("id");
    let missing = || Error::not_found(Kind::Node, id);
    if !ctx.caller.is_admin() {
        return Err(missing());
    }
    let all = (1..).zip(ctx.cloud.nodes()?);
    let mut all = all.map(|(place, (node, up))| (place, node, up));
    all.find(|(place, _, _)| place.to_string() == id)
        .ok_or_else(missing)
}

fn short(place: u32, node: &row::Node, up: bool) -> Value {
    json!({
        "id": place, "hypervisor_hostname": node.name,
        "state": if up { "up" } else { "down" }, "status": "enabled",
    })
}

fn long(ctx: &Context, place: u32, node: &row::Node, up: bool) -> Result<Value> {
    let facts = &node.facts.0;
    let placed = ctx.cloud.servers_on(node.id)?;
    let count = |f: fn(&row::ServerFlavor) -> u32| {
        placed
            .iter()
            .map(|s| u64::from(f(&s.flavor.0)))
            .sum::<u64>()
    };
    let (vcpus, ram, disk) = (
        count(|f| f.vcpus),
        count(|f| f.ram_mib),
        count(|f| f.disk_gib),
    );
    let mut view = short(place, node, up);
    let more = json!({
        "hypervisor_type": hypervisor_type(facts), "hypervisor_version": version_number(&facts.qemu_version),
        "host_ip": "", "cpu_info": "",
        "vcpus": facts.vcpus, "vcpus_used": vcpus,
        "memory_mb": facts.ram_mib, "memory_mb_used": ram, "free_ram_mb": facts.ram_mib as i64 - ram as i64,
        "local_gb": facts.disk_gib, "local_gb_used": disk, "free_disk_gb": facts.disk_gib as i64 - disk as i64,
        "disk_available_least": null, "current_workload": 0, "running_vms": placed.len(),
        "service": {"id": place, "host": node.name, "disabled_reason": null},
    });
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    Ok(view)
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
