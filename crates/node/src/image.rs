//! The images that this node's guests were made of, each fetched and verified once.
//!
//! A file under a content's SHA-512 is whole and verified: it appears by a rename after that. The
//! directory is for us alone, so the files in it may be readable for a guest's QEMU, which gets
//! them as open descriptors.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::ImageFile;
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha512};
use tokio::sync::OnceCell;

/// Where images come from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// The image store of a controller on this host: a file under each image's id.
    Directory(PathBuf),
}

/// The verified images. Clones share it.
#[derive(Clone, Debug)]
pub struct ImageCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    source: ImageSource,
    /// One cell for each content: who comes first fetches, the others wait for it.
    images: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
    attempts: AtomicU64,
}

impl ImageCache {
    /// A cache in this directory, which is made when the first image is fetched.
    pub fn new(dir: PathBuf, source: ImageSource) -> ImageCache {
        let (images, attempts) = (Mutex::default(), AtomicU64::new(0));
        ImageCache {
            shared: Arc::new(Shared {
                dir,
                source,
                images,
                attempts,
            }),
        }
    }

    /// The path of the image's data, which is fetched if it is not here.
    pub async fn fetch(&self, image: &ImageFile) -> io::Result<PathBuf> {
        let cell = {
            let mut images = self
                .shared
                .images
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            images.entry(image.sha512.clone()).or_default().clone()
        };
        let fetch = async || {
            let (shared, image) = (self.shared.clone(), image.clone());
            let fetched = tokio::task::spawn_blocking(move || shared.fetch(&image)).await;
            fetched.map_err(io::Error::other)?
        };
        cell.get_or_try_init(fetch).await.cloned()
    }
}

impl Shared {
    fn fetch(&self, image: &ImageFile) -> io::Result<PathBuf> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("image {}: {e}", image.id));
        let path = self.dir.join(file_name(image)?);
        if fs::metadata(&path).is_ok_and(|file| file.len() == image.size_bytes) {
            return Ok(path);
        }
        private_dir(&self.dir)?;
        // An attempt whose guest was deleted may still be at work: no two share a name.
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}.{}.{attempt}", image.id, std::process::id());
        let new = self.dir.join(name);
        let done = self
            .bring(image, &new)
            .and_then(|()| fs::rename(&new, &path));
        if let Err(e) = done {
            let _ = fs::remove_file(&new);
            return Err(named(e));
        }
        File::open(&self.dir)?.sync_all()?;
        Ok(path)
    }

    fn bring(&self, image: &ImageFile, new: &Path) -> io::Result<()> {
        let ImageSource::Directory(store) = &self.source;
        let stored = store.join(image.id.to_string());
        if fs::hard_link(&stored, new).is_err() {
            copy(&stored, &File::create_new(new)?)?;
        }
        let file = File::open(new)?;
        verify(&file, image)?;
        // A link shares the mode with the image store's file; no stranger gets into either directory.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()
    }
}

/// The content's checksum names the file: an id may come to stand for another content, of another
/// project, when its image is deleted and made again.
fn file_name(image: &ImageFile) -> io::Result<&str> {
    let hex = image.sha512.len() == 128 && image.sha512.bytes().all(|o| o.is_ascii_hexdigit());
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "its record has no SHA-512");
    hex.then_some(image.sha512.as_str()).ok_or_else(wrong)
}

/// Makes a directory that only we can enter, and those above it.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|e| io::Error::new(e.kind(), format!("making {}: {e}", path.display())))
}

/// Copies a file into an empty one: its extents are shared where the file system can, and its
/// holes stay holes.
pub(crate) fn copy(from: &Path, to: &File) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", from.display()));
    let from = File::open(from).map_err(named)?;
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        // ENXIO: from here on there is only a hole.
        let data = match lseek(&from, at.cast_signed(), Whence::SeekData) {
            Err(nix::Error::ENXIO) => break,
            data => data?.cast_unsigned(),
        };
        let end = lseek(&from, data.cast_signed(), Whence::SeekHole)?.cast_unsigned();
        (&from).seek(SeekFrom::Start(data))?;
        let mut to = to;
        to.seek(SeekFrom::Start(data))?;
        // Between two files this is copy_file_range(2), which reflinks on XFS and btrfs.
        io::copy(&mut (&from).take(end - data), &mut to)?;
        at = end;
    }
    Ok(())
}

fn verify(mut file: &File, image: &ImageFile) -> io::Result<()> {
    let mut sum = Sha512::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sum.update(&piece[..read]),
        }
    }
    let found: String = sum
        .finalize()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    if found == image.sha512 {
        return Ok(());
    }
    let begin = |sum: &str| sum.chars().take(12).collect::<String>();
    let (found, wanted) = (begin(&found), begin(&image.sha512));
    let text = format!("its SHA-512 begins with {found}, and should with {wanted}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::scratch::Scratch;
    use model::ImageId;
    use std::os::unix::fs::{FileExt, MetadataExt};

    fn stored(store: &Path, content: &[u8]) -> ImageFile {
        let id = ImageId::random();
        fs::write(store.join(id.to_string()), content).unwrap();
        let sha512 = Sha512::digest(content)
            .iter()
            .map(|o| format!("{o:02x}"))
            .collect();
        ImageFile {
            id,
            size_bytes: content.len() as u64,
            sha512,
            disk_format: "raw".into(),
        }
    }

    #[tokio::test]
    async fn an_image_is_fetched_once_for_all() {
        let scratch = Scratch::new();
        let image = stored(&scratch.0, b"content");
        let dir = scratch.0.join("cache");
        let cache = ImageCache::new(dir.clone(), ImageSource::Directory(scratch.0.clone()));
        let (one, two) = tokio::join!(cache.fetch(&image), cache.fetch(&image));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(cache.shared.attempts.load(Ordering::Relaxed), 1);
        assert_eq!(fs::read(dir.join(&image.sha512)).unwrap(), b"content");
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);

        // A later process finds it, though the store has lost it.
        fs::remove_file(scratch.0.join(image.id.to_string())).unwrap();
        let later = ImageCache::new(dir, ImageSource::Directory("/nonexistent".into()));
        assert!(later.fetch(&image).await.is_ok());
    }

    #[tokio::test]
    async fn a_wrong_image_leaves_nothing() {
        let scratch = Scratch::new();
        let image = ImageFile {
            sha512: format!("{:0<128}", "0123456789abcdef"),
            ..stored(&scratch.0, b"x")
        };
        let dir = scratch.0.join("cache");
        let cache = ImageCache::new(dir.clone(), ImageSource::Directory(scratch.0.clone()));
        let error = cache.fetch(&image).await.unwrap_err().to_string();
        assert!(error.contains(&image.id.to_string()), "{error}");
        assert!(
            error.contains("a4abd4448c49") && error.contains("0123456789ab"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);

        let missing = ImageFile {
            id: ImageId::random(),
            ..image
        };
        assert!(
            cache
                .fetch(&missing)
                .await
                .unwrap_err()
                .to_string()
                .contains("No such file")
        );
    }

    #[test]
    fn holes_stay_holes() {
        let scratch = Scratch::new();
        let from = File::create(scratch.0.join("from")).unwrap();
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"middle", 32 << 20).unwrap();
        let to = File::create_new(scratch.0.join("to")).unwrap();
        copy(&scratch.0.join("from"), &to).unwrap();
        let seen = fs::metadata(scratch.0.join("to")).unwrap();
        assert_eq!(seen.len(), 64 << 20);
        assert!(seen.blocks() < 1000, "{} blocks", seen.blocks());
        assert_eq!(
            fs::read(scratch.0.join("to")).unwrap()[32 << 20..][..6],
            *b"middle"
        );
    }
}
