//! The images that this node's guests were made of, each fetched and verified once.
//!
//! ```text
//! SHA512      an image's data, whole and verified: it appears by a rename after that
//! SHA512.raw  the disk in it, where the data is qcow2
//! .*          what is being made; nobody's after a crash
//! ```
//! The directory is for us alone, so the files in it may be readable for a guest's QEMU, which gets
//! them as open descriptors. What was not used for longest goes when there is too much of it; what is
//! [`Held`] stays.

mod check;
mod convert;
mod file;
mod room;

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::ImageFile;

pub(crate) use check::check;
pub(crate) use file::{copy, private_dir, sha512};
pub use room::RESERVE;

/// Where images come from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// The image store of a controller on this host: a file under each image's id.
    Directory(PathBuf),
}

/// How a cache is kept.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Made when the first image is fetched.
    pub dir: PathBuf,
    pub source: ImageSource,
    /// What it may take of the disk, in octets. Data that it shares with the image store is free.
    pub limit_bytes: u64,
    /// The user, no guest's, that reads images which others made.
    pub uid: u32,
}

/// The verified images. Clones share it.
#[derive(Clone, Debug)]
pub struct ImageCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: CacheSettings,
    /// The files in use, by name.
    used: Mutex<HashMap<String, Used>>,
    attempts: AtomicU64,
}

/// Who comes first makes the file, the others wait for it.
#[derive(Debug, Default)]
struct Used {
    holders: usize,
    gate: Arc<tokio::sync::Mutex<()>>,
}

/// A file of the cache, which stays there while this does.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    name: String,
    shared: Arc<Shared>,
}

impl Deref for Held {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.shared.used();
        let last = used.get_mut(&self.name).is_none_or(|used| {
            used.holders -= 1;
            used.holders == 0
        });
        if last {
            used.remove(&self.name);
        }
    }
}

impl ImageCache {
    /// What a crash left half made goes.
    pub fn new(settings: CacheSettings) -> ImageCache {
        room::remove_unfinished(&settings.dir);
        ImageCache {
            shared: Arc::new(Shared {
                settings,
                used: Mutex::default(),
                attempts: AtomicU64::new(0),
            }),
        }
    }

    /// The image's data as it is, which is fetched if it is not here.
    ///
    /// # Errors
    /// When its source has none, or another than its checksum says, or the disk is full.
    pub async fn fetch(&self, image: &ImageFile) -> io::Result<Held> {
        let wanted = image.clone();
        let held = self.shared.hold(file_name(image)?.to_owned());
        make_once(held, move |held| held.shared.fetch(&wanted, held)).await
    }

    /// The disk in the image, octet by octet: its data, or what qcow2 stands for.
    ///
    /// # Errors
    /// As [`ImageCache::fetch`]; and when the data is not what the image's record says, or qemu-img
    /// cannot read it.
    pub async fn disk(&self, image: &ImageFile) -> io::Result<Held> {
        match image.disk_format.as_str() {
            "raw" | "ami" => return self.fetch(image).await,
            "qcow2" => {}
            other => {
                let text = format!("image {} is '{other}', which is no disk", image.id);
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        }
        let converted = self.shared.hold(format!("{}.raw", file_name(image)?));
        if converted.exists() {
            converted.touch();
            return Ok(converted);
        }
        let (data, wanted) = (self.fetch(image).await?, image.clone());
        make_once(converted, move |held| {
            held.shared.convert(&wanted, &data, held)
        })
        .await
    }
}

/// Lets `make` make a file if it is not there, once at a time, where it may block. It goes on when
/// nobody waits for it any more, and holds the file for as long.
async fn make_once(
    held: Held,
    make: impl FnOnce(&Held) -> io::Result<()> + Send + 'static,
) -> io::Result<Held> {
    let gate = held.gate().lock_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let _gate = gate;
        make(&held)?;
        held.touch();
        Ok(held)
    });
    made.await.map_err(io::Error::other)?
}

impl Held {
    fn gate(&self) -> Arc<tokio::sync::Mutex<()>> {
        let used = self.shared.used();
        used.get(&self.name)
            .map(|used| used.gate.clone())
            .unwrap_or_default()
    }

    /// Its time of change says when it was last used, in later lives of ours too.
    fn touch(&self) {
        let touched = File::open(&self.path).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(e) = touched {
            tracing::debug!("{}: {e}", self.path.display());
        }
    }
}

impl Shared {
    fn used(&self) -> MutexGuard<'_, HashMap<String, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(self: &Arc<Self>, name: String) -> Held {
        self.used().entry(name.clone()).or_default().holders += 1;
        Held {
            path: self.settings.dir.join(&name),
            name,
            shared: self.clone(),
        }
    }

    fn fetch(&self, image: &ImageFile, path: &Path) -> io::Result<()> {
        if fs::metadata(path).is_ok_and(|file| file.len() == image.size_bytes) {
            return Ok(());
        }
        self.appear(image, path, |new| self.bring(image, new))
    }

    /// Makes a file under a name of its own, and gives it its name when it is whole.
    fn appear(
        &self,
        image: &ImageFile,
        path: &Path,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("image {}: {e}", image.id));
        let dir = &self.settings.dir;
        private_dir(dir)?;
        self.make_room(image.size_bytes);
        // An attempt whose guest was deleted may still be at work: no two share a name.
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let new = dir.join(format!(".{}.{}.{attempt}", image.id, std::process::id()));
        let made = make(&new);
        crash::point("image: made, under another name");
        if let Err(e) = made.and_then(|()| fs::rename(&new, path)) {
            let _ = fs::remove_file(&new);
            return Err(named(e));
        }
        self.make_room(0);
        File::open(dir)?.sync_all()
    }

    fn bring(&self, image: &ImageFile, new: &Path) -> io::Result<()> {
        let ImageSource::Directory(store) = &self.settings.source;
        let stored = store.join(image.id.to_string());
        if fs::hard_link(&stored, new).is_err() {
            copy(&stored, &File::create_new(new)?)?;
        }
        let file = File::open(new)?;
        file::verify(&file, image)?;
        // A link shares the mode with the image store's file; no stranger gets into either directory.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()
    }
}

/// The content's checksum names the file: an id may come to stand for another content, of another
/// project, when its image is deleted and made again.
fn file_name(image: &ImageFile) -> io::Result<&str> {
    let hex = image.sha512.len() == 128 && image.sha512.bytes().all(|o| o.is_ascii_hexdigit());
    let wrong = || {
        let text = format!("image {}: its record has no SHA-512", image.id);
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    hex.then_some(image.sha512.as_str()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
