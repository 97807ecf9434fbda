//! Volumes as the volume API shows them.

use cloud::VolumeView;
use serde_json::{Value, json};

use super::types::DEFAULT_TYPE;
use crate::context::Context;
use crate::time;

/// `self` and `bookmark` of a volume.
pub(super) fn links(ctx: &Context, id: &str) -> Value {
    let url = &ctx.cloud.settings().url;
    json!([
        {"rel": "self", "href": format!("{url}/volume/v3/volumes/{id}")},
        {"rel": "bookmark", "href": format!("{url}/volume/volumes/{id}")},
    ])
}

/// A volume as a list without details shows it.
pub(super) fn short(ctx: &Context, view: &VolumeView) -> Value {
    let id = view.volume.id.to_string();
    json!({"id": id, "name": view.volume.name, "links": links(ctx, &id)})
}

/// What the answers to `POST` and `PUT` hold.
pub(super) fn made(ctx: &Context, view: &VolumeView) -> Value {
    let volume = &view.volume;
    let id = volume.id.to_string();
    let mut body = json!({
        "id": id, "name": volume.name, "description": volume.description,
        "status": volume.status, "size": view.size_gib(),
        "availability_zone": volume.availability_zone, "volume_type": DEFAULT_TYPE,
        "bootable": volume.bootable.to_string(), "encrypted": false, "multiattach": false,
        "metadata": volume.metadata.0, "attachments": attachments(ctx, view),
        "user_id": volume.user_id, "links": links(ctx, &id),
        "created_at": time::bare_micros(volume.created_ms),
        "updated_at": time::bare_micros(volume.updated_ms),
        "snapshot_id": null, "source_volid": null, "consistencygroup_id": null,
        "replication_status": null, "migration_status": null,
    });
    if volume.read_only {
        body["metadata"]["readonly"] = json!("True");
    }
    // The API has no field for it before 3.3, and a user must be able to read it.
    if let Some(failure) = view.failure() {
        body["metadata"]["fault"] = json!(failure);
    }
    body
}

/// A volume in full.
pub(super) fn full(ctx: &Context, view: &VolumeView) -> Value {
    let volume = &view.volume;
    let mut body = made(ctx, view);
    body["os-vol-tenant-attr:tenant_id"] = json!(volume.project_id);
    if let Some(image) = &volume.image.0 {
        body["volume_image_metadata"] = json!(image.metadata);
    }
    if ctx.caller.is_admin() {
        let host = view.node_name.as_deref();
        body["os-vol-host-attr:host"] = json!(host.map(|name| format!("{name}@hextet#hextet")));
        body["os-vol-mig-status-attr:migstat"] = Value::Null;
        body["os-vol-mig-status-attr:name_id"] = Value::Null;
    }
    body
}

/// One that is yet to come counts as none, as in cinder.
fn attachments(ctx: &Context, view: &VolumeView) -> Value {
    let joined = view.attachment.iter().filter(|a| a.joined);
    joined
        .map(|a| {
            let host = view.node_name.as_deref().filter(|_| ctx.caller.is_admin());
            json!({
                "id": view.volume.id, "volume_id": view.volume.id, "attachment_id": a.id,
                "server_id": a.server, "device": a.device, "host_name": host,
                "attached_at": time::bare_micros(a.created_ms),
            })
        })
        .collect()
}
