//! A guest's root disk: a copy of a small image's disk, or a layer on a large one's.
//!
//! ```text
//! disk.raw                a copy
//! disk.qcow2, base.raw    what the guest wrote, and a link to the cache's file, which nobody writes
//! ```
//! Ten copies of Debian at once took 35 s, and ten layers 0.4 s. The link keeps the image's disk for as
//! long as the guest is there, whatever the cache does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::image;

/// Octets of an image's disk that are copied: fewer are there as soon as a layer would be, and need
/// none of its tables.
const COPY_MAX: u64 = 32 << 20;

const COPY: &str = "disk.raw";
const LAYER: &str = "disk.qcow2";
const BENEATH: &str = "base.raw";

/// The files of a root disk.
pub(super) struct Root {
    pub disk: PathBuf,
    /// What it is a layer on.
    pub beneath: Option<PathBuf>,
}

/// The root disk in a guest's directory. Once there, it is whole.
pub(super) fn find(dir: &Path) -> Option<Root> {
    let there = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
    let copy = there(COPY).map(|disk| Root {
        disk,
        beneath: None,
    });
    copy.or_else(|| {
        there(LAYER).map(|disk| Root {
            disk,
            beneath: Some(dir.join(BENEATH)),
        })
    })
}

/// Makes the root disk from an image's, at least `size_gib` large, for the guest's user.
pub(super) fn make(dir: &Path, data: &Path, size_gib: u32, uid: u32) -> io::Result<()> {
    image::private_dir(dir)?;
    let seen = fs::metadata(data)?;
    let size = seen.len().max(u64::from(size_gib) << 30);
    if seen.blocks() * 512 > COPY_MAX && link(dir, data).is_ok() {
        let layer = disk::qcow2_layer(size);
        return appear(dir, LAYER, uid, |mut file| file.write_all(&layer));
    }
    appear(dir, COPY, uid, |file| {
        image::copy(data, file)?;
        file.set_len(size)
    })
}

/// Fails where the cache is on another file system.
fn link(dir: &Path, data: &Path) -> io::Result<()> {
    let path = dir.join(BENEATH);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::hard_link(data, path)
}

fn appear(
    dir: &Path,
    name: &str,
    uid: u32,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let new = dir.join(format!(".{name}"));
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    let made = fill(&file)
        .and_then(|()| fchown(&file, Some(uid), Some(uid)))
        .and_then(|()| file.sync_all());
    crash::point("guest: its disk is made, under another name");
    if let Err(e) = made.and_then(|()| fs::rename(&new, dir.join(name))) {
        // On a full disk even the word of the failure needs the room.
        let _ = fs::remove_file(&new);
        return Err(io::Error::new(
            e.kind(),
            format!("making its root disk {}: {e}", dir.join(name).display()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::scratch::Scratch;

    #[test]
    fn a_small_disk_is_copied_and_a_large_one_lies_beneath() {
        let scratch = Scratch::new();
        let (dir, data) = (scratch.0.join("guest"), scratch.0.join("data"));
        let uid = nix::unistd::Uid::current().as_raw();
        fs::write(&data, b"small").unwrap();
        make(&dir, &data, 1, uid).unwrap();
        let root = find(&dir).unwrap();
        assert_eq!(fs::metadata(&root.disk).unwrap().len(), 1 << 30);
        assert!(root.beneath.is_none());
        fs::remove_dir_all(&dir).unwrap();

        fs::write(&data, vec![7; COPY_MAX as usize + 1]).unwrap();
        // We were killed between the link and the layer.
        image::private_dir(&dir).unwrap();
        fs::write(dir.join(BENEATH), "another's").unwrap();
        assert!(find(&dir).is_none());
        make(&dir, &data, 1, uid).unwrap();
        let root = find(&dir).unwrap();
        let beneath = fs::metadata(root.beneath.unwrap()).unwrap();
        assert_eq!(beneath.ino(), fs::metadata(&data).unwrap().ino());
        assert!(fs::metadata(&root.disk).unwrap().len() < 1 << 20);
    }
}
