//! The files behind volumes. One that has its name is whole; a file that is being made has another.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use model::VolumeId;

/// A volume's file in its directory.
pub fn name(volume: VolumeId) -> String {
    format!("{volume}.raw")
}

/// A file on its way to be a volume's. Unless it is finished it goes when this is dropped.
#[derive(Debug)]
pub struct NewFile {
    /// Empty, open for writing.
    pub file: File,
    dir: PathBuf,
    volume: VolumeId,
}

/// Begins a volume's file; an earlier attempt is forgotten.
pub fn begin(dir: &Path, volume: VolumeId) -> io::Result<NewFile> {
    let path = unfinished(dir, volume);
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&path).map_err(|e| named(e, &path))?;
    crash::point("volume: begun");
    let dir = dir.to_owned();
    Ok(NewFile { file, dir, volume })
}

impl NewFile {
    /// Gives the file its size, its owner and its name.
    ///
    /// # Errors
    /// When it holds more than fits the size, or cannot be written out.
    pub fn finish(self, size_bytes: u64, uid: u32) -> io::Result<()> {
        let path = unfinished(&self.dir, self.volume);
        let content = self.file.metadata()?.len();
        if content > size_bytes {
            return Err(io::Error::other(format!(
                "the image holds {content} octets and the volume {size_bytes}: make a larger volume"
            )));
        }
        self.file.set_len(size_bytes)?;
        fchown(&self.file, Some(uid), Some(uid))?;
        self.file.sync_all()?;
        crash::point("volume: made, under another name");
        fs::rename(&path, self.dir.join(name(self.volume)))?;
        File::open(&self.dir)?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What is half made would keep a full disk full. A finished one has another name.
        let _ = fs::remove_file(unfinished(&self.dir, self.volume));
    }
}

/// Makes a volume's file larger; it never gets smaller.
pub fn extend(dir: &Path, volume: VolumeId, size_bytes: u64) -> io::Result<()> {
    let path = dir.join(name(volume));
    let file = File::options()
        .write(true)
        .open(&path)
        .map_err(|e| named(e, &path))?;
    if file.metadata()?.len() < size_bytes {
        file.set_len(size_bytes)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Removes a volume's file, finished or not. Nothing happens when there is none.
pub fn remove(dir: &Path, volume: VolumeId) -> io::Result<()> {
    for path in [dir.join(name(volume)), unfinished(dir, volume)] {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(named(e, &path)),
            _ => {}
        }
    }
    Ok(())
}

/// The volumes here with the sizes of their files in octets; `None` for one that is unfinished.
pub fn list(dir: &Path) -> io::Result<Vec<(VolumeId, Option<u64>)>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let volume = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let file = entry.file_name().into_string().ok()?;
        let size = entry.metadata().ok()?.len();
        match file
            .strip_prefix('.')
            .and_then(|rest| rest.strip_suffix(".new"))
        {
            Some(id) => Some((id.parse().ok()?, None)),
            None => Some((file.strip_suffix(".raw")?.parse().ok()?, Some(size))),
        }
    };
    Ok(entries.filter_map(volume).collect())
}

/// Makes the directory that only we and tgtd may enter, and only we may change.
pub fn directory(path: &Path, uid: u32) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|e| named(e, path))?;
    chown(path, Some(0), Some(uid)).map_err(|e| named(e, path))?;
    fs::set_permissions(path, Permissions::from_mode(0o710)).map_err(|e| named(e, path))
}

fn unfinished(dir: &Path, volume: VolumeId) -> PathBuf {
    dir.join(format!(".{volume}.new"))
}

fn named(e: io::Error, path: &Path) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_is_made_grown_and_removed() {
        let dir = std::env::temp_dir().join(format!("hextet-volume-{}", VolumeId::random()));
        fs::create_dir(&dir).unwrap();
        let uid = nix::unistd::Uid::effective().as_raw();
        let volume = VolumeId::random();
        let mut new = begin(&dir, volume).unwrap();
        new.file.write_all(b"content").unwrap();
        assert_eq!(list(&dir).unwrap(), [(volume, None)]);
        drop(new);
        assert_eq!(list(&dir).unwrap(), []);
        let mut new = begin(&dir, volume).unwrap();
        new.file.write_all(b"again").unwrap();
        new.finish(1 << 30, uid).unwrap();
        assert_eq!(list(&dir).unwrap(), [(volume, Some(1 << 30))]);
        let seen = fs::metadata(dir.join(name(volume))).unwrap();
        assert_eq!(seen.mode() & 0o777, 0o600);
        assert!(seen.blocks() < 100, "{} blocks", seen.blocks());
        extend(&dir, volume, 2 << 30).unwrap();
        extend(&dir, volume, 1 << 30).unwrap();
        assert_eq!(list(&dir).unwrap(), [(volume, Some(2 << 30))]);

        let other = VolumeId::random();
        let mut small = begin(&dir, other).unwrap();
        small.file.write_all(b"too much").unwrap();
        assert!(small.finish(4, uid).is_err());
        for id in [volume, other, VolumeId::random()] {
            remove(&dir, id).unwrap();
        }
        assert_eq!(list(&dir).unwrap(), []);
        fs::remove_dir(&dir).unwrap();
    }
}
