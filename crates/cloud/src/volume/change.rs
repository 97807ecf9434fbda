//! Changes to volumes: names, metadata, flags, size, and their end.

use model::{Caller, Error, Key, Result, VolumeId};
use store::{Tx, row};

use super::state::remove;
use super::{VolumeView, attachment_of, refresh, view, visible};
use crate::quota::{self, Resource};
use crate::{Cloud, list};

/// The volume API takes as many pairs as compute does.
const MAX_METADATA: usize = 128;

/// The volume as it should be after an update: the caller changed a copy of the row.
pub type VolumeUpdate = row::Volume;

impl Cloud {
    /// Changes a volume's name, description or metadata: `change` edits a copy.
    pub fn update_volume(
        &self,
        caller: &Caller,
        id: &VolumeId,
        mut change: impl FnMut(&mut VolumeUpdate) -> Result<()>,
    ) -> Result<VolumeView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut volume = visible(tx, caller, id)?;
            change(&mut volume)?;
            list::check_name("name", &volume.name)?;
            if let Some(description) = &volume.description {
                list::check_name("description", description)?;
            }
            check_metadata(&volume.metadata.0)?;
            refresh(tx, &mut volume)?;
            view(tx, volume)
        })
    }

    /// Wants a volume larger. The size that clients see follows once its node serves it.
    ///
    /// # Errors
    /// `Invalid` unless it is available, the size grows, and its node has room.
    pub fn extend_volume(&self, caller: &Caller, id: &VolumeId, size_gib: u32) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut volume = visible(tx, caller, id)?;
            require_available(&volume, "extend")?;
            if size_gib <= volume.size_gib {
                return Err(Error::invalid(format!(
                    "New size for extend must be greater than current size. (current: {}, extended: {size_gib}).",
                    volume.size_gib
                )));
            }
            let more = size_gib - volume.size_gib;
            quota::check(tx, &volume.project_id, Resource::Gigabytes, more.into())?;
            if let Some(node) = volume.node_id {
                self.inner.nodes.require_room(tx, node, more)?;
            }
            volume.size_gib = size_gib;
            refresh(tx, &mut volume)?;
            tx.touch(Key::Volume(*id))
        })
    }

    /// Makes a volume one that can only be read, or that can be written again.
    ///
    /// # Errors
    /// `Invalid` unless it is available.
    pub fn set_volume_read_only(&self, caller: &Caller, id: &VolumeId, to: bool) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut volume = visible(tx, caller, id)?;
            require_available(&volume, "update readonly flag")?;
            volume.read_only = to;
            refresh(tx, &mut volume)
        })
    }

    /// Wants a volume gone. It vanishes when its node has taken it away.
    ///
    /// # Errors
    /// `Invalid` while a server has it.
    pub fn delete_volume(&self, caller: &Caller, id: &VolumeId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut volume = visible(tx, caller, id)?;
            if attachment_of(tx, id)?.is_some() {
                return Err(Error::invalid(format!(
                    "Invalid volume: Volume {id} must not be attached to be deleted: its status is {}. Detach it first.",
                    volume.status
                )));
            }
            delete(tx, &mut volume)
        })
    }
}

/// Wants a volume gone that nothing has.
pub(crate) fn delete(tx: &mut Tx<'_>, volume: &mut row::Volume) -> Result<()> {
    // What no node has, or one that was forgotten, no node takes away.
    let kept = match volume.node_id {
        Some(node) => tx.node(node)?.is_some(),
        None => false,
    };
    if !kept {
        return remove(tx, volume);
    }
    volume.deleting = true;
    refresh(tx, volume)?;
    tx.touch(Key::Volume(volume.id))
}

fn require_available(volume: &row::Volume, what: &str) -> Result<()> {
    match volume.status.as_str() {
        "available" => Ok(()),
        other => Err(Error::invalid(format!(
            "Invalid volume: Volume {} status must be available to {what}, but current status is: {other}.",
            volume.id
        ))),
    }
}

pub(super) fn check_metadata(metadata: &row::Metadata) -> Result<()> {
    if metadata.len() > MAX_METADATA {
        return Err(Error::invalid(format!(
            "a volume takes at most {MAX_METADATA} metadata items"
        )));
    }
    for (key, value) in metadata {
        list::check_required_name("a metadata key", key)?;
        list::check_name("a metadata value", value)?;
    }
    Ok(())
}
