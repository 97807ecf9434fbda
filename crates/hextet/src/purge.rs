//! `hextet node purge`: takes away what this node made, from what is on disk and in the kernel.

use node::{guest, links};

use crate::Failure;
use crate::config::{Places, load};
use crate::files::{Readers, directory};
use crate::up::{lock, node_settings};

/// Ends guests, removes links, filters and the node's files. Settings, database and images stay.
///
/// # Errors
/// When a hextet runs on this root, or something cannot be removed.
pub(crate) fn purge(places: &Places) -> Result<(), Failure> {
    let config = load(places)?;
    directory(&places.run, Readers::Owner)?;
    let _lock = lock(places)?;
    let settings = node_settings(places, &config)?;
    guest::purge(&settings.guests())?;
    links::purge(&settings.short(), &settings.base)?;
    for name in ["node/documents.jsonl", "cache"] {
        let path = places.state.join(name);
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {e}", path.display()).into());
            }
            _ => {}
        }
    }
    Ok(())
}
