//! What a volume's node saw, and the status that follows from what is wanted and what was seen.

use model::{Attached, Key, NodeId, Result, VolumeId, VolumeSeen, VolumeWish};
use store::{Field, Tx, row};

use super::attachment_of;
use crate::{attachment, now_ms};

/// Takes in what a node saw of a volume that it keeps.
pub(crate) fn take_in(tx: &mut Tx<'_>, node: NodeId, seen: &VolumeSeen) -> Result<()> {
    let Some(mut volume) = volume_on(tx, node, &seen.volume)? else {
        return Ok(());
    };
    if volume.seen.0.as_ref() == Some(seen) {
        return Ok(());
    }
    if let Some(failure) = &seen.failure {
        tracing::warn!(volume = %volume.id, failure, "a volume's node has trouble with it");
    }
    let made = seen.ready && !volume.made;
    volume.made |= seen.ready;
    volume.seen.0 = Some(seen.clone());
    // Observed facts are no news for the node that reported them, but for this one: it must know
    // later that there was data.
    refresh(tx, &mut volume)?;
    if made {
        tx.touch(Key::Volume(volume.id))?;
    }
    attachment::volume_made(tx, &volume)
}

/// A volume's target and data are gone from a node.
pub(crate) fn take_out(tx: &mut Tx<'_>, node: NodeId, id: &VolumeId) -> Result<()> {
    match volume_on(tx, node, id)? {
        Some(volume) if volume.deleting => remove(tx, &volume),
        _ => Ok(()),
    }
}

/// Takes a volume's record away.
pub(super) fn remove(tx: &mut Tx<'_>, volume: &row::Volume) -> Result<()> {
    tx.delete::<row::Volume>(&volume.id)?;
    tx.touch(Key::Volume(volume.id))
}

/// Writes a changed volume with the status that follows.
pub(crate) fn refresh(tx: &mut Tx<'_>, volume: &mut row::Volume) -> Result<()> {
    let wish = VolumeWish {
        size_gib: volume.size_gib,
        deleting: volume.deleting,
        attached: attachment_of(tx, &volume.id)?.map(|a| attached(&a)),
    };
    let seen = volume.seen.0.as_ref();
    let status = model::volume_status(wish, seen, volume.made, volume.fault.is_some());
    volume.status = status.to_owned();
    volume.updated_ms = now_ms();
    tx.update(volume)
}

/// How far an attachment has come.
pub(crate) fn attached(attachment: &row::Attachment) -> Attached {
    match (attachment.wanted, attachment.joined) {
        (false, _) => Attached::Detaching,
        (true, true) => Attached::InUse,
        (true, false) => Attached::Attaching,
    }
}

fn volume_on(tx: &Tx<'_>, node: NodeId, id: &VolumeId) -> Result<Option<row::Volume>> {
    let volume: Option<row::Volume> = tx.find(id.to_value())?;
    Ok(volume.filter(|v| v.node_id == Some(node)))
}
