//! Files that appear whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readers {
    Owner,
    All,
}

/// Writes a file by a rename after fsync.
pub(crate) fn write(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let fresh = path.with_extension("new");
    let told =
        |e: io::Error| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display()));
    let all = || -> io::Result<()> {
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        // The process's umask lets nobody else in unless told so.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    all().map_err(told)
}

/// Makes a directory and those above it, if they are not there.
pub(crate) fn directory(path: &Path, readers: Readers) -> io::Result<()> {
    let mode = match readers {
        Readers::Owner => 0o700,
        Readers::All => 0o755,
    };
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    let set = || fs::set_permissions(path, Permissions::from_mode(mode));
    made.and_then(|()| set())
        .map_err(|e| io::Error::new(e.kind(), format!("cannot make {}: {e}", path.display())))
}
