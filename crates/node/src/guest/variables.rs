//! The variables of a guest's firmware: for OVMF what a flash chip is to a board. They say what it
//! boots, and outlive its reboots as its disk does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use model::Firmware;
use qemu::{OVMF_CODE, OVMF_VARIABLES};

use crate::image;

/// Where a guest's variables are, if its firmware keeps any.
pub(super) fn path(dir: &Path, firmware: Firmware) -> Option<PathBuf> {
    match firmware {
        Firmware::Bios => None,
        Firmware::Uefi => Some(dir.join("firmware.vars")),
    }
}

/// Makes them as they are in a new machine, unless they are there.
///
/// # Errors
/// A sentence when this host has no OVMF.
pub(super) fn make(dir: &Path, firmware: Firmware, uid: u32) -> io::Result<()> {
    let Some(path) = path(dir, firmware).filter(|path| !path.exists()) else {
        return Ok(());
    };
    for file in [OVMF_CODE, OVMF_VARIABLES] {
        fs::metadata(file).map_err(|e| {
            let advice = "install the package ovmf on this node, or use an image without hw_firmware_type=uefi";
            io::Error::new(e.kind(), format!("UEFI needs {file}: {e}; {advice}"))
        })?;
    }
    image::private_dir(dir)?;
    let new = dir.join(".firmware.vars");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&new)?;
    image::copy(Path::new(OVMF_VARIABLES), &file)?;
    fchown(&file, Some(uid), Some(uid))?;
    file.sync_all()?;
    fs::rename(&new, path)
}
