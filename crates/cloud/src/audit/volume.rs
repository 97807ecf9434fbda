//! Volumes and their attachments.

use std::collections::BTreeMap;

use model::{Finding, VolumeId, VolumeWish};
use store::row;

use super::{Rows, contradiction};
use crate::volume::attached;

/// What contradicts itself. That an attachment has its volume and its server the database holds.
pub(super) fn findings(rows: &Rows) -> Vec<Finding> {
    let by_volume = rows.attachments.iter().map(|a| (a.volume_id, a));
    let attachments: BTreeMap<VolumeId, &row::Attachment> = by_volume.collect();
    let mut found = Vec::new();
    for volume in &rows.volumes {
        found.extend(placed(volume, rows));
        found.extend(status(volume, attachments.get(&volume.id).copied()));
    }
    found
}

fn placed(volume: &row::Volume, rows: &Rows) -> Option<Finding> {
    let id = volume.id;
    match volume.node_id {
        Some(node) if !rows.nodes.iter().any(|n| n.id == node) => Some(Finding::new(
            format!("volume {id} is on node {node}, which was removed from this cloud"),
            "nothing serves it",
            "bring the node back, or delete the volume",
        )),
        None if volume.fault.is_none() => Some(contradiction(
            format!("volume {id} is on no node, and no fault says why"),
            "nothing makes it",
        )),
        _ => None,
    }
}

/// The materialised status must be what the pure function gives.
fn status(volume: &row::Volume, attachment: Option<&row::Attachment>) -> Option<Finding> {
    let wish = VolumeWish {
        size_gib: volume.size_gib,
        deleting: volume.deleting,
        attached: attachment.map(attached),
    };
    let seen = volume.seen.0.as_ref();
    let status = model::volume_status(wish, seen, volume.made, volume.fault.is_some());
    (status != volume.status).then(|| {
        let what = format!(
            "volume {} is {} on record, and {status} by what is wanted and seen",
            volume.id, volume.status
        );
        contradiction(
            what,
            "clients wait for a state that it has already, or never reach",
        )
    })
}
