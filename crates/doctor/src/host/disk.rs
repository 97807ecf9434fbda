//! Where things are kept: room, and who may look in.

use super::{at, found, mended};
use crate::finding::{Edit, Finding};
use crate::table;

/// Files that a file system must be able to take.
const FILES: u64 = 1000;

/// What was seen of disks and directories.
#[derive(Debug, Default)]
pub struct Disks {
    pub disks: Vec<Disk>,
    pub exposed: Vec<Exposed>,
    /// Files that there is no cloud without, and that are gone: each path with what it holds.
    pub gone: Vec<(String, String)>,
}

/// A file system that something is kept on.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What, in words.
    pub holds: String,
    /// The directory.
    pub path: String,
    pub free_bytes: u64,
    /// What should be free.
    pub least_bytes: u64,
    /// None where the file system does not count.
    pub free_files: Option<u64>,
    pub read_only: bool,
}

/// A file or directory that is its owner's alone, and that others may look into.
#[derive(Clone, Debug)]
pub struct Exposed {
    pub path: String,
    pub mode: u32,
    /// What it should be.
    pub should: u32,
}

pub(super) fn check(seen: &Disks) -> Vec<Finding> {
    let disks = seen.disks.iter().filter_map(disk);
    let gone = seen.gone.iter().map(|(path, holds)| gone(path, holds));
    let exposed = seen.exposed.iter().map(exposed);
    disks.chain(gone).chain(exposed).collect()
}

fn gone(path: &str, holds: &str) -> Finding {
    let what = format!("{path}, which holds {holds}, is not there");
    let fix = "see whether a file system is not mounted (`findmnt`); else bring the file back from a backup, with `hextet up` stopped";
    found(&table::FILE_GONE, at(path), what, fix.into())
}

fn disk(disk: &Disk) -> Option<Finding> {
    let Disk { holds, path, .. } = disk;
    let room = "remove what is not needed, give the file system more room, or move what is large to another (for volumes: `directory` in [node.volumes])";
    let (kind, what, fix) = match disk {
        Disk {
            read_only: true, ..
        } => (
            &table::DISK_READ_ONLY,
            "nothing can be written there".to_owned(),
            format!(
                "see `dmesg` for why; then `mount -o remount,rw \"$(findmnt -no TARGET -T {path})\"`"
            ),
        ),
        Disk {
            free_bytes,
            least_bytes,
            ..
        } if free_bytes < least_bytes => (
            &table::DISK_SHORT,
            format!("{} MiB are left", free_bytes >> 20),
            room.to_owned(),
        ),
        Disk {
            free_files: Some(free),
            ..
        } if *free < FILES => (
            &table::DISK_SHORT,
            format!("{free} more files can be made (`df -i {path}`)"),
            room.to_owned(),
        ),
        _ => return None,
    };
    let what = format!("{path}, with {holds}: {what}");
    Some(found(kind, at(path), what, fix))
}

fn exposed(seen: &Exposed) -> Finding {
    let Exposed { path, mode, should } = seen;
    let what = format!("others may use {path} (mode {mode:03o})");
    let fix = format!("`chmod {should:o} {path}` (`hextet doctor --fix` does it)");
    let finding = found(&table::SECRET_EXPOSED, at(path), what, fix);
    mended(finding, Edit::Mode { mode: *should })
}
