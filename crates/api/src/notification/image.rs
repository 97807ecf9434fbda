//! Glance's notifications.

use serde_json::{Value, json};
use store::{Touched, row};

use super::{Event, Kind, Service};
use crate::time;

const IMAGE: &[&str] = &[
    "id",
    "name",
    "status",
    "created_at",
    "updated_at",
    "min_disk",
    "min_ram",
    "protected",
    "checksum",
    "owner",
    "disk_format",
    "container_format",
    "size",
    "virtual_size",
    "is_public",
    "visibility",
    "properties",
    "tags",
    "deleted",
    "deleted_at",
];

pub(super) const SERVICE: Service = Service {
    exchange: "glance",
    publisher: "image",
    common: IMAGE,
    events: &[
        kind("image.create", "an image is there, without data"),
        kind("image.prepare", "its data begins to come"),
        kind("image.upload", "its data is there"),
        kind("image.activate", "it can be used"),
        kind(
            "image.update",
            "what is said of it changed, or its data did not come whole",
        ),
        kind("image.delete", "it went"),
    ],
};

const fn kind(event_type: &'static str, when: &'static str) -> Kind {
    Kind {
        event_type,
        when,
        payload: &[],
    }
}

pub(super) fn events(row: &Touched) -> Vec<Event> {
    let Some((old, new)) = row.row::<row::Image>() else {
        return Vec::new();
    };
    let told: &[_] = match (old, new) {
        (None, Some(_)) => &["image.create"],
        (Some(old), Some(new)) => match (old.status.as_str(), new.status.as_str()) {
            (before, after) if before == after && old == new => &[],
            (before, "saving") if before != "saving" => &["image.prepare"],
            (before, "active") if before != "active" => &["image.upload", "image.activate"],
            _ => &["image.update"],
        },
        (Some(_), None) => &["image.delete"],
        (None, None) => &[],
    };
    let Some(image) = new.or(old) else {
        return Vec::new();
    };
    let event = |event_type: &&'static str| Event::new(event_type, payload(image, new.is_none()));
    told.iter().map(event).collect()
}

fn payload(image: &row::Image, gone: bool) -> Value {
    json!({
        "id": image.id, "name": image.name, "status": if gone { "deleted" } else { image.status.as_str() },
        "created_at": time::seconds(image.created_ms), "updated_at": time::seconds(image.updated_ms),
        "min_disk": image.min_disk, "min_ram": image.min_ram, "protected": image.protected,
        "checksum": image.checksum, "owner": image.owner, "disk_format": image.disk_format,
        "container_format": image.container_format, "size": image.size_bytes,
        "virtual_size": image.virtual_size_bytes, "is_public": image.visibility == "public",
        "visibility": image.visibility, "properties": image.properties.0, "tags": image.tags.0,
        "deleted": gone, "deleted_at": gone.then(|| time::seconds(cloud::now_ms())),
    })
}
