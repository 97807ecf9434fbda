//! Cinder's notifications.

use cloud::told;
use model::Result;
use serde_json::{Value, json};
use store::{Touched, Tx, row};

use super::{Event, Kind, Service};
use crate::time;
use crate::volume::types::DEFAULT_TYPE_ID;

const VOLUME: &[&str] = &[
    "tenant_id",
    "host",
    "user_id",
    "availability_zone",
    "volume_id",
    "volume_type",
    "display_name",
    "launched_at",
    "created_at",
    "status",
    "snapshot_id",
    "size",
    "replication_status",
    "replication_extended_status",
    "replication_driver_data",
    "metadata",
    "volume_attachment",
];

pub(super) const SERVICE: Service = Service {
    exchange: "cinder",
    publisher: "volume",
    common: VOLUME,
    events: &[
        kind("volume.create.start", "a volume is asked for"),
        kind("volume.create.end", "it is there"),
        kind("volume.update.end", "what is said of it changed"),
        kind("volume.resize.start", "it is to be larger"),
        kind("volume.resize.end", "it is"),
        kind("volume.attach.start", "a server is to have it"),
        kind("volume.attach.end", "the server has it"),
        kind("volume.detach.start", "the server is to have it no longer"),
        kind("volume.detach.end", "no server has it"),
        kind("volume.delete.start", "it is to go"),
        kind("volume.delete.end", "it went"),
    ],
};

const fn kind(event_type: &'static str, when: &'static str) -> Kind {
    Kind {
        event_type,
        when,
        payload: &[],
    }
}

pub(super) fn events(tx: &Tx<'_>, row: &Touched) -> Result<Vec<Event>> {
    let (told, volume) = if let Some((old, new)) = row.row::<row::Volume>() {
        let Some(volume) = new.or(old) else {
            return Ok(Vec::new());
        };
        (of_volume(old, new), volume.clone())
    } else if let Some((old, new)) = row.row::<row::Attachment>() {
        let id = new.or(old).map(|a| a.volume_id.to_string());
        let Some(volume) = id
            .map(|id| tx.find(store::Value::Text(id)))
            .transpose()?
            .flatten()
        else {
            return Ok(Vec::new());
        };
        (of_attachment(old, new), volume)
    } else {
        return Ok(Vec::new());
    };
    let gone = matches!(row.row::<row::Volume>(), Some((_, None)));
    let event = |event_type| Ok(Event::new(event_type, payload(tx, &volume, gone)?));
    told.into_iter().map(event).collect()
}

fn of_volume(old: Option<&row::Volume>, new: Option<&row::Volume>) -> Vec<&'static str> {
    let (old, new) = match (old, new) {
        (None, Some(_)) => return vec!["volume.create.start"],
        (Some(old), None) if old.deleting => return vec!["volume.delete.end"],
        (Some(_), None) => return vec!["volume.delete.start", "volume.delete.end"],
        (None, None) => return Vec::new(),
        (Some(old), Some(new)) => (old, new),
    };
    let said = |v: &row::Volume| {
        (
            v.name.clone(),
            v.description.clone(),
            v.metadata.clone(),
            v.read_only,
        )
    };
    let all = [
        (!old.made && new.made, "volume.create.end"),
        (said(old) != said(new), "volume.update.end"),
        (new.size_gib > old.size_gib, "volume.resize.start"),
        (
            old.status == "extending" && new.status == "available",
            "volume.resize.end",
        ),
        (!old.deleting && new.deleting, "volume.delete.start"),
    ];
    let so = all.into_iter().filter(|(so, _)| *so);
    so.map(|(_, event_type)| event_type).collect()
}

fn of_attachment(
    old: Option<&row::Attachment>,
    new: Option<&row::Attachment>,
) -> Vec<&'static str> {
    let joined = |a: Option<&row::Attachment>| a.is_some_and(|a| a.joined);
    let all = [
        (old.is_none(), "volume.attach.start"),
        (!joined(old) && joined(new), "volume.attach.end"),
        (
            old.is_some_and(|a| a.wanted) && !new.is_some_and(|a| a.wanted),
            "volume.detach.start",
        ),
        (new.is_none(), "volume.detach.end"),
    ];
    let so = all.into_iter().filter(|(so, _)| *so);
    so.map(|(_, event_type)| event_type).collect()
}

fn payload(tx: &Tx<'_>, volume: &row::Volume, gone: bool) -> Result<Value> {
    let view = told::volume(tx, volume.clone())?;
    let node = volume.node_id.map(|id| tx.node(id)).transpose()?.flatten();
    let launched = volume.made.then(|| time::bare_micros(volume.created_ms));
    let attached = view.attachment.iter().filter(|a| a.joined);
    let attached: Vec<Value> = attached
        .map(|a| json!({"id": a.id, "instance_uuid": a.server, "mountpoint": a.device, "volume_id": volume.id}))
        .collect();
    Ok(json!({
        "tenant_id": volume.project_id, "host": node.map(|n| format!("{}@hextet#hextet", n.name)),
        "user_id": volume.user_id, "availability_zone": volume.availability_zone, "volume_id": volume.id,
        "volume_type": DEFAULT_TYPE_ID, "display_name": volume.name, "launched_at": launched.unwrap_or_default(),
        "created_at": time::bare_micros(volume.created_ms),
        "status": if gone { "deleted" } else { volume.status.as_str() }, "snapshot_id": null, "size": view.size_gib(),
        "replication_status": null, "replication_extended_status": null, "replication_driver_data": null,
        "metadata": volume.metadata.0, "volume_attachment": attached,
    }))
}
