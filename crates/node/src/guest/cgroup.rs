//! A cgroup for each QEMU, where the host has the unified hierarchy. Without controllers it still
//! answers "what belongs to this guest", and keeps QEMU out of our own unit's group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::ServerId;

/// The group of tgtd, beside those of the guests.
pub const TGTD_GROUP: &str = "tgtd";

/// Where the unified hierarchy (cgroup v2) is mounted: usually `/sys/fs/cgroup`.
pub fn hierarchy() -> Option<PathBuf> {
    mounted(&fs::read_to_string("/proc/self/mounts").ok()?)
}

fn mounted(mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split(' '));
    fields.find_map(|mut mount| {
        let path = mount.nth(1)?;
        (mount.next()? == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// Makes the guest's group. `None` when the host allows none: the guest then goes without.
pub(super) fn ensure(parent: Option<&Path>, server: ServerId) -> Option<PathBuf> {
    let dir = parent?.join(server.to_string());
    match fs::create_dir_all(&dir) {
        Ok(()) => Some(dir),
        Err(e) => {
            tracing::warn!("no cgroup {}: {e}", dir.display());
            None
        }
    }
}

/// Removes the guest's group, which is empty once QEMU is gone.
pub(super) fn remove(parent: Option<&Path>, server: ServerId) -> io::Result<()> {
    let Some(parent) = parent else { return Ok(()) };
    match fs::remove_dir(parent.join(server.to_string())) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_wherever_it_is() {
        let old = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0";
        let new = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0";
        assert_eq!(mounted(old), None);
        let both = format!("{old}\n{new}\n");
        assert_eq!(mounted(&both), Some("/sys/fs/cgroup/unified".into()));
    }
}
