//! A guest's metadata as a disk: what the metadata service says, for a guest that cannot ask it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use lan::Instance;
use lan::openstack::Tree;
use serde_json::Value;

use crate::image;

/// By which guests find it.
const LABEL: &str = "config-2";

/// Makes it anew, for the next start of the guest: its path.
pub(super) fn make(
    dir: &Path,
    instance: &Instance,
    vendor_data: &Value,
    uid: u32,
) -> io::Result<PathBuf> {
    let tree = Tree {
        instance,
        vendor_data,
        seed: &lan::fresh_seed()?,
        password: "",
    };
    let files = tree.config_drive();
    let content = disk::iso::write(LABEL, &files).map_err(io::Error::other)?;
    image::private_dir(dir)?;
    let (new, path) = (dir.join(".config.iso"), dir.join("config.iso"));
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(&content)?;
    fchown(&file, Some(uid), Some(uid))?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    Ok(path)
}
