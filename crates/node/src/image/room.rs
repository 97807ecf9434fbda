//! How much of the disk the cache takes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statvfs::{fstatvfs, statvfs};

use super::Shared;

/// Octets that are left free on the disk, for the guests that are there.
pub const RESERVE: u64 = 1 << 30;

/// A file that may go.
struct Idle {
    path: PathBuf,
    size_bytes: u64,
    last_used: SystemTime,
}

/// Removes what was being made when we were killed.
pub(super) fn remove_unfinished(dir: &Path) {
    let hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if hidden(&entry)
            && let Err(e) = fs::remove_file(entry.path())
        {
            tracing::warn!("removing {}: {e}", entry.path().display());
        }
    }
}

/// Whether the disk that holds a file has less free than guests are to have.
pub(super) fn is_short(file: &File) -> io::Result<bool> {
    let disk = fstatvfs(file)?;
    Ok(disk.blocks_available() * disk.fragment_size() < RESERVE)
}

impl Shared {
    /// Removes what was not used for longest, until the cache keeps its limit and the disk has room
    /// for so many octets more, or nothing idle is left.
    pub(super) fn make_room(&self, coming_bytes: u64) {
        if let Err(e) = self.try_make_room(coming_bytes) {
            let dir = self.settings.dir.display();
            tracing::warn!("looking for room in {dir}: {e}");
        }
    }

    fn try_make_room(&self, coming_bytes: u64) -> io::Result<()> {
        // Nobody begins to use a file while this is held.
        let used = self.used();
        let (mut taken, mut idle) = (coming_bytes, Vec::new());
        for entry in fs::read_dir(&self.settings.dir)? {
            let entry = entry?;
            let seen = entry.metadata()?;
            // What the image store has too takes no room here, and gives none.
            if !seen.is_file() || seen.nlink() > 1 {
                continue;
            }
            let size_bytes = seen.blocks() * 512;
            taken += size_bytes;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && !used.contains_key(&name) {
                idle.push(Idle {
                    path: entry.path(),
                    size_bytes,
                    last_used: seen.modified()?,
                });
            }
        }
        idle.sort_by_key(|file| std::cmp::Reverse(file.last_used));
        let disk = statvfs(&self.settings.dir)?;
        let mut free = disk.blocks_available() * disk.fragment_size();
        while taken > self.settings.limit_bytes || free < coming_bytes.saturating_add(RESERVE) {
            let Some(oldest) = idle.pop() else { break };
            tracing::info!("{} makes room in the image cache", oldest.path.display());
            fs::remove_file(&oldest.path)?;
            taken = taken.saturating_sub(oldest.size_bytes);
            free = free.saturating_add(oldest.size_bytes);
        }
        Ok(())
    }
}
