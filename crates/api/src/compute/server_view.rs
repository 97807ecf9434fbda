//! Servers as the compute API shows them.

use std::net::IpAddr;

use cloud::{ServerView, vm_state};
use model::{ImageFile, Power, PowerSeen};
use serde_json::{Map, Value, json};
use store::row;

use crate::context::Context;
use crate::time;

/// `self` and `bookmark` of a compute resource.
pub(super) fn links(ctx: &Context, kind: &str, id: &str) -> Value {
    let url = &ctx.cloud.settings().url;
    json!([
        {"rel": "self", "href": format!("{url}/compute/v2.1/{kind}/{id}")},
        {"rel": "bookmark", "href": format!("{url}/compute/{kind}/{id}")},
    ])
}

/// Addresses under the names of their networks, with all that is known of each, or bare.
pub(super) fn by_network(server: &ServerView, bare: bool) -> Value {
    let mut networks: Map<String, Value> = Map::new();
    for held in &server.addresses {
        let version = if held.address.is_ipv4() { 4 } else { 6 };
        let mut entry = json!({"version": version, "addr": held.address.to_string()});
        if !bare {
            entry["OS-EXT-IPS:type"] = json!(if held.floating { "floating" } else { "fixed" });
            entry["OS-EXT-IPS-MAC:mac_addr"] = json!(held.mac.to_string());
        }
        let list = networks
            .entry(held.network.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(entry);
        }
    }
    Value::Object(networks)
}

/// A server in full.
pub(super) fn view(ctx: &Context, view: &ServerView) -> Value {
    let server = &view.server;
    let id = server.id.to_string();
    let seen = server.seen.0.as_ref();
    let volumes: Vec<Value> = view
        .volumes
        .iter()
        .map(|(id, goes_too)| match ctx.since(3) {
            true => json!({"id": id, "delete_on_termination": goes_too}),
            false => json!({"id": id}),
        })
        .collect();
    let mut body = json!({
        "id": id, "name": server.name, "status": server.status,
        "tenant_id": server.project_id, "user_id": server.user_id,
        "created": time::seconds(server.created_ms), "updated": time::seconds(server.updated_ms),
        "hostId": host_id(server), "accessIPv4": address_or_none(server.access_v4), "accessIPv6": address_or_none(server.access_v6),
        "flavor": {"id": server.flavor_id, "links": bookmark(ctx, "flavors", server.flavor_id.as_str())},
        "image": image(ctx, server), "links": links(ctx, "servers", &id),
        "metadata": server.metadata.0, "key_name": server.key_name, "config_drive": if server.config_drive { "True" } else { "" },
        "addresses": by_network(view, false),
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": server.availability_zone,
        "OS-EXT-STS:vm_state": vm_state(&server.status),
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": power_state(server),
        "OS-SRV-USG:launched_at": seen.and_then(|s| s.launched_ms).map(time::bare_micros),
        "OS-SRV-USG:terminated_at": null,
        "os-extended-volumes:volumes_attached": volumes,
    });
    let groups: Vec<Value> = view
        .security_groups
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    if !groups.is_empty() {
        body["security_groups"] = Value::Array(groups);
    }
    if matches!(
        server.status.as_str(),
        "ACTIVE" | "BUILD" | "REBOOT" | "HARD_REBOOT"
    ) {
        body["progress"] = json!(if server.status == "ACTIVE" { 100 } else { 0 });
    }
    if server.status == "ERROR" {
        body["fault"] = fault(view);
    }
    if ctx.caller.is_admin() {
        body["OS-EXT-SRV-ATTR:host"] = json!(view.node_name);
        body["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(view.node_name);
        body["OS-EXT-SRV-ATTR:instance_name"] = json!(format!("instance-{}", server.id.short()));
    }
    later(ctx, view, &mut body);
    body
}

/// Whether a request is shown what servers are started with.
pub(super) fn shows_start(ctx: &Context) -> bool {
    ctx.since(3) && ctx.caller.is_admin()
}

/// What each microversion after 2.1 added to a server.
fn later(ctx: &Context, view: &ServerView, body: &mut Value) {
    let server = &view.server;
    let admin = ctx.caller.is_admin();
    if let Some(start) = view.start.as_ref().filter(|_| shows_start(ctx)) {
        let boot = &start.boot;
        let image = |file: &Option<ImageFile>| {
            let id = file.as_ref().map(|file| file.id.to_string());
            json!(id.unwrap_or_default())
        };
        for (name, value) in [
            ("hostname", json!(cloud::hostname(&server.name, &server.id))),
            ("reservation_id", json!(server.reservation_id)),
            ("launch_index", json!(server.launch_index)),
            ("kernel_id", image(&boot.kernel)),
            ("ramdisk_id", image(&boot.ramdisk)),
            ("root_device_name", json!("/dev/vda")),
            ("user_data", json!(start.user_data)),
        ] {
            body[format!("OS-EXT-SRV-ATTR:{name}")] = value;
        }
    }
    if ctx.since(9) {
        body["locked"] = json!(server.locked);
    }
    if ctx.since(16) && admin {
        let up = server.node_id.map(|node| ctx.cloud.is_connected(node));
        body["host_status"] = json!(match up {
            Some(true) => "UP",
            Some(false) => "UNKNOWN",
            None => "",
        });
    }
    if ctx.since(19) {
        body["description"] = json!(server.description);
    }
    if ctx.since(26) {
        body["tags"] = json!(cloud::split_tags(&server.tags));
    }
}

fn address_or_none(address: Option<IpAddr>) -> String {
    address.map(|a| a.to_string()).unwrap_or_default()
}

fn bookmark(ctx: &Context, kind: &str, id: &str) -> Value {
    json!([{"rel": "bookmark", "href": format!("{}/compute/{kind}/{id}", ctx.cloud.settings().url)}])
}

fn image(ctx: &Context, server: &row::ShownServer) -> Value {
    match server.image_id {
        Some(id) => json!({"id": id, "links": bookmark(ctx, "images", &id.to_string())}),
        None => json!(""),
    }
}

/// The same for a project's servers on one node, and telling neither.
fn host_id(server: &row::ShownServer) -> String {
    match server.node_id {
        Some(node) => cloud::host_id(&server.project_id, node),
        None => String::new(),
    }
}

/// The compute API's numbers: 0 no state, 1 running, 4 shut down.
fn power_state(server: &row::ShownServer) -> u8 {
    match (server.seen.0.as_ref().map(|s| s.power), server.power.0) {
        (Some(PowerSeen::Running), _) => 1,
        (Some(PowerSeen::Stopped), _) => 4,
        (Some(PowerSeen::Preparing) | None, Power::Running | Power::Stopped) => 0,
    }
}

fn fault(view: &ServerView) -> Value {
    json!({
        "code": 500, "created": time::seconds(view.server.updated_ms),
        "message": view.fault.as_deref().unwrap_or("no reason was given"),
    })
}
