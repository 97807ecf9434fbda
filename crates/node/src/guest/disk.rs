//! A guest's root disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::image;

/// The root disk's path in a guest's directory. Once there, it is whole.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("disk.raw")
}

/// Makes the root disk from an image's data, at least `size_gib` large, for the guest's user.
pub(super) fn make(dir: &Path, data: &Path, size_gib: u32, uid: u32) -> io::Result<()> {
    image::private_dir(dir)?;
    let new = dir.join(".disk.raw");
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    image::copy(data, &file)?;
    let size = u64::from(size_gib) << 30;
    if size > file.metadata()?.len() {
        file.set_len(size)?;
    }
    fchown(&file, Some(uid), Some(uid))?;
    file.sync_all()?;
    fs::rename(&new, path(dir))
}
