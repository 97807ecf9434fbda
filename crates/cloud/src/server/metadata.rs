//! What a user writes on a server: metadata, and the lock that keeps others' hands off.

use model::{Caller, Error, Kind, Result, ServerId};
use store::row;

use super::state::save;
use super::{unlocked, visible};
use crate::quota::{self, Resource};
use crate::{Cloud, list};

/// What becomes of metadata that is there and not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    Keep,
    Remove,
}

impl Cloud {
    /// Writes metadata; the server's guest is told of it when it asks. All that there is now.
    ///
    /// # Errors
    /// `OverQuota` for more items than a server of the project may have.
    pub fn set_server_metadata(
        &self,
        caller: &Caller,
        id: &ServerId,
        metadata: &row::Metadata,
        others: Others,
    ) -> Result<row::Metadata> {
        caller.require_member()?;
        check(metadata)?;
        self.store().write(|tx| {
            let mut server = unlocked(tx, caller, id)?;
            if others == Others::Remove {
                server.metadata.0.clear();
            }
            server.metadata.0.extend(metadata.clone());
            let many = server.metadata.0.len() as u64;
            quota::check_used(tx, &server.project_id, Resource::MetadataItems, 0, many)?;
            save(tx, &mut server)?;
            Ok(server.metadata.0)
        })
    }

    /// Removes one item.
    ///
    /// # Errors
    /// `NotFound` when there is none with this key.
    pub fn delete_server_metadata(&self, caller: &Caller, id: &ServerId, key: &str) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = unlocked(tx, caller, id)?;
            if server.metadata.0.remove(key).is_none() {
                return Err(Error::not_found(Kind::Path, key));
            }
            save(tx, &mut server)
        })
    }

    /// Locks a server, so that only an administrator changes it, or unlocks it.
    pub fn lock_server(&self, caller: &Caller, id: &ServerId, locked: bool) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            server.locked = locked;
            tx.update(&server)
        })
    }
}

/// Metadata as a client may give it.
///
/// # Errors
/// `Invalid`, naming what is wrong.
pub(super) fn check(metadata: &row::Metadata) -> Result<()> {
    metadata.iter().try_for_each(|(key, value)| {
        list::check_required_name("a metadata key", key)?;
        list::check_name("a metadata value", value)
    })
}
