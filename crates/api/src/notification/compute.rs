//! Nova's notifications, in the unversioned format.

use cloud::{told, vm_state};
use model::Result;
use serde_json::{Value, json};
use store::{Touched, Tx, row};

use super::{Event, Kind, Service};
use crate::time;

const INSTANCE: &[&str] = &[
    "tenant_id",
    "user_id",
    "instance_id",
    "display_name",
    "reservation_id",
    "hostname",
    "instance_type",
    "instance_type_id",
    "instance_flavor_id",
    "architecture",
    "memory_mb",
    "disk_gb",
    "vcpus",
    "root_gb",
    "ephemeral_gb",
    "host",
    "node",
    "availability_zone",
    "cell_name",
    "created_at",
    "terminated_at",
    "deleted_at",
    "launched_at",
    "image_ref_url",
    "os_type",
    "kernel_id",
    "ramdisk_id",
    "state",
    "state_description",
    "progress",
    "access_ip_v4",
    "access_ip_v6",
    "image_meta",
    "metadata",
];
const UPDATE: &[&str] = &[
    "old_state",
    "old_task_state",
    "new_task_state",
    "old_display_name",
];

pub(super) const SERVICE: Service = Service {
    exchange: "nova",
    publisher: "compute",
    common: INSTANCE,
    events: &[
        kind(
            "compute.instance.create.start",
            "a server is asked for",
            &[],
        ),
        kind(
            "compute.instance.create.end",
            "it runs",
            &["fixed_ips", "message"],
        ),
        kind(
            "compute.instance.create.error",
            "it will not run",
            &["message", "code"],
        ),
        kind(
            "compute.instance.update",
            "its state, or what is said of it, changed",
            UPDATE,
        ),
        kind("compute.instance.power_off.start", "it is to stop", &[]),
        kind("compute.instance.power_off.end", "it has stopped", &[]),
        kind("compute.instance.power_on.start", "it is to start", &[]),
        kind("compute.instance.power_on.end", "it runs again", &[]),
        kind("compute.instance.reboot.start", "it is to reboot", &[]),
        kind("compute.instance.reboot.end", "it has", &[]),
        kind(
            "compute.instance.volume.attach",
            "it has a volume",
            &["volume_id"],
        ),
        kind(
            "compute.instance.volume.detach",
            "it has a volume no longer",
            &["volume_id"],
        ),
        kind("compute.instance.delete.start", "it is to go", &[]),
        kind("compute.instance.delete.end", "it went", &[]),
    ],
};

const fn kind(
    event_type: &'static str,
    when: &'static str,
    payload: &'static [&'static str],
) -> Kind {
    Kind {
        event_type,
        when,
        payload,
    }
}

pub(super) fn events(tx: &Tx<'_>, row: &Touched, url: &str) -> Result<Vec<Event>> {
    if let Some((old, new)) = row.row::<row::Attachment>() {
        return of_attachment(tx, old, new, url);
    }
    let Some((old, new)) = row.row::<row::Server>() else {
        return Ok(Vec::new());
    };
    let Some(server) = new.or(old) else {
        return Ok(Vec::new());
    };
    let event = |event_type: &'static str| {
        let gone = new.is_none() && event_type == "compute.instance.delete.end";
        let mut event = about(tx, event_type, server, gone, url)?;
        match (event_type, old) {
            ("compute.instance.create.end", _) => {
                event.payload["fixed_ips"] = fixed_ips(tx, server)?;
                event.payload["message"] = json!("Success");
            }
            ("compute.instance.create.error", _) => {
                event.payload["message"] = json!(told::server(tx, &server.id)?.fault);
                event.payload["code"] = json!(500);
            }
            ("compute.instance.update", Some(old)) => changed(&mut event.payload, old, server),
            _ => {}
        }
        Ok(event)
    };
    told_of(old, new).into_iter().map(event).collect()
}

fn of_attachment(
    tx: &Tx<'_>,
    old: Option<&row::Attachment>,
    new: Option<&row::Attachment>,
    url: &str,
) -> Result<Vec<Event>> {
    let joined = |a: Option<&row::Attachment>| a.is_some_and(|a| a.joined);
    let event_type = match (joined(old), joined(new)) {
        (false, true) => "compute.instance.volume.attach",
        (true, false) => "compute.instance.volume.detach",
        _ => return Ok(Vec::new()),
    };
    let Some(attachment) = new.or(old) else {
        return Ok(Vec::new());
    };
    let id = store::Value::Text(attachment.server_id.to_string());
    // One that went has said so.
    let Some(server) = tx.find::<row::Server>(id)? else {
        return Ok(Vec::new());
    };
    let mut event = about(tx, event_type, &server, false, url)?;
    event.payload["volume_id"] = json!(attachment.volume_id);
    Ok(vec![event])
}

/// What is told of a change to a server.
fn told_of(old: Option<&row::Server>, new: Option<&row::Server>) -> Vec<&'static str> {
    let (old, new) = match (old, new) {
        (None, Some(new)) if new.status == "ERROR" => {
            return vec![
                "compute.instance.create.start",
                "compute.instance.create.error",
            ];
        }
        (None, Some(_)) => return vec!["compute.instance.create.start"],
        (Some(old), None) if old.deleting => return vec!["compute.instance.delete.end"],
        (Some(_), None) => {
            return vec![
                "compute.instance.delete.start",
                "compute.instance.delete.end",
            ];
        }
        (None, None) => return Vec::new(),
        (Some(old), Some(new)) => (old, new),
    };
    let turns = |from: &str, to: &str| old.status == from && new.status == to;
    let begins = |task: &str| !has(old, task) && has(new, task);
    let ends = |task: &str, status: &str| has(old, task) && !has(new, task) && new.status == status;
    let all = [
        (said(old) != said(new), "compute.instance.update"),
        (
            turns("BUILD", "ACTIVE") || turns("BUILD", "SHUTOFF"),
            "compute.instance.create.end",
        ),
        (turns("BUILD", "ERROR"), "compute.instance.create.error"),
        (begins("powering-off"), "compute.instance.power_off.start"),
        (
            ends("powering-off", "SHUTOFF"),
            "compute.instance.power_off.end",
        ),
        (begins("powering-on"), "compute.instance.power_on.start"),
        (
            ends("powering-on", "ACTIVE"),
            "compute.instance.power_on.end",
        ),
        (
            new.reboot_epoch > old.reboot_epoch,
            "compute.instance.reboot.start",
        ),
        (
            turns("REBOOT", "ACTIVE") || turns("HARD_REBOOT", "ACTIVE"),
            "compute.instance.reboot.end",
        ),
        (
            !old.deleting && new.deleting,
            "compute.instance.delete.start",
        ),
    ];
    let so = all.into_iter().filter(|(so, _)| *so);
    so.map(|(_, event_type)| event_type).collect()
}

fn has(server: &row::Server, task: &str) -> bool {
    server.task_state.as_deref() == Some(task)
}

/// What `compute.instance.update` tells changes of.
fn said(server: &row::Server) -> Value {
    json!([
        server.status,
        server.task_state,
        server.name,
        server.description,
        server.metadata.0,
        server.access_v4,
        server.access_v6,
        server.locked,
        server.tags,
        server.node_id,
    ])
}

fn changed(payload: &mut Value, old: &row::Server, new: &row::Server) {
    payload["old_state"] = json!(vm_state(&old.status));
    payload["old_task_state"] = json!(old.task_state);
    payload["new_task_state"] = json!(new.task_state);
    payload["old_display_name"] = json!(old.name);
}

fn about(
    tx: &Tx<'_>,
    event_type: &'static str,
    server: &row::Server,
    gone: bool,
    url: &str,
) -> Result<Event> {
    let node = server.node_id.map(|id| tx.node(id)).transpose()?.flatten();
    let host = node.map(|node| node.name);
    let mut event = Event::new(event_type, payload(server, host.as_deref(), gone, url));
    event.host = host;
    Ok(event)
}

fn payload(server: &row::Server, host: Option<&str>, gone: bool, url: &str) -> Value {
    let flavor = &server.flavor.0;
    let boot = &server.boot.0;
    let launched = server.seen.0.as_ref().and_then(|seen| seen.launched_ms);
    let launched = launched.map(time::bare_micros).unwrap_or_default();
    let ended = match gone {
        true => time::bare_micros(cloud::now_ms()),
        false => String::new(),
    };
    let image = server.image_id.map(|id| id.to_string()).unwrap_or_default();
    let created = time::seconds(server.created_ms)
        .replace('T', " ")
        .replace('Z', "+00:00");
    json!({
        "tenant_id": server.project_id, "user_id": server.user_id, "instance_id": server.id,
        "display_name": server.name, "reservation_id": server.reservation_id,
        "hostname": cloud::hostname(&server.name, &server.id), "instance_type": flavor.name,
        "instance_type_id": flavor.id, "instance_flavor_id": flavor.id, "architecture": null,
        "memory_mb": flavor.ram_mib, "disk_gb": flavor.disk_gib, "vcpus": flavor.vcpus, "root_gb": flavor.disk_gib,
        "ephemeral_gb": 0, "host": host, "node": host, "availability_zone": server.availability_zone, "cell_name": "",
        "created_at": created, "terminated_at": ended, "deleted_at": ended, "launched_at": launched,
        "image_ref_url": format!("{url}/image/images/{image}"), "os_type": null,
        "kernel_id": boot.kernel.as_ref().map(|k| k.id), "ramdisk_id": boot.ramdisk.as_ref().map(|r| r.id),
        "state": if gone { "deleted" } else { vm_state(&server.status) },
        "state_description": server.task_state.as_deref().unwrap_or_default(), "progress": "",
        "access_ip_v4": server.access_v4.map(|a| a.to_string()), "access_ip_v6": server.access_v6.map(|a| a.to_string()),
        "image_meta": {"base_image_ref": image}, "metadata": server.metadata.0,
    })
}

fn fixed_ips(tx: &Tx<'_>, server: &row::Server) -> Result<Value> {
    let addresses = told::server(tx, &server.id)?.addresses.into_iter();
    let fixed = addresses.filter(|a| !a.floating).map(|a| {
        json!({
            "address": a.address.to_string(), "type": "fixed", "version": if a.address.is_ipv4() { 4 } else { 6 },
            "floating_ips": [], "meta": {}, "label": a.network, "vif_mac": a.mac.to_string(),
        })
    });
    Ok(fixed.collect())
}
