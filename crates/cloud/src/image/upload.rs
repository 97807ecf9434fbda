//! Uploads: an image's data on its way in, judged before it counts.

use std::io;
use std::path::PathBuf;

use md5::{Digest, Md5};
use model::{Caller, Error, ImageId, Kind, Result};
use sha2::Sha512;
use store::{Query, Tx, Value, row};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::{hex, owned};
use crate::{Cloud, now_ms};

impl Cloud {
    /// Begins to take an image's data in. Nothing of it is visible until [`ImageWriter::finish`].
    ///
    /// # Errors
    /// `Conflict` unless the image is `queued`; `Invalid` without formats.
    pub async fn upload_image(&self, caller: &Caller, id: &ImageId) -> Result<ImageWriter> {
        let (disk_format, created_ms) = self.store().write(|tx| {
            let mut image = owned(tx, caller, id)?;
            if image.status != "queued" {
                return Err(Error::conflict(format!(
                    "Image status transition from {} to saving is not allowed",
                    image.status
                )));
            }
            let (Some(format), Some(_)) = (&image.disk_format, &image.container_format) else {
                return Err(Error::invalid(
                    "Properties disk_format, container_format must be set prior to saving data.",
                ));
            };
            let format = format.clone();
            image.status = "saving".into();
            image.updated_ms = now_ms();
            tx.update(&image)?;
            Ok((format, image.created_ms))
        })?;
        // Each upload has a file of its own: one whose image was deleted and made anew under the
        // same id may still be under way. Nothing waits before the writer is there, because a
        // request that is dropped while it waits would leave the image `saving`.
        let name = format!("{id}.{}.part", ImageId::random().short());
        let part = self.settings().images.join(name);
        let file = std::fs::File::create(&part)
            .map(File::from_std)
            .map_err(|e| Error::internal("making an image's file", e));
        if file.is_err() {
            self.settle_upload(id, created_ms, None)?;
        }
        Ok(ImageWriter {
            cloud: self.clone(),
            id: *id,
            created_ms,
            part,
            file: file?,
            disk_format,
            head: Vec::new(),
            size: 0,
            md5: Md5::new(),
            sha512: Sha512::new(),
            done: false,
        })
    }

    /// Uploads that a stop interrupted are void, files without a record go.
    ///
    /// # Errors
    /// `Internal` when the directory or the database fails.
    pub fn recover_images(&self) -> Result<()> {
        let failed = |e| Error::internal("looking through the images' directory", e);
        self.store().write(|tx| {
            let saving: Vec<row::Image> =
                tx.list(&Query::equal("status", Value::Text("saving".into())))?;
            for mut image in saving {
                image.status = "queued".into();
                tx.update(&image)?;
            }
            Ok(())
        })?;
        for entry in std::fs::read_dir(&self.settings().images).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What does not have a name that we give is not ours to remove.
            let id = name.split('.').next().unwrap_or_default();
            if id.parse::<ImageId>().is_err() || !entry.file_type().map_err(failed)?.is_file() {
                continue;
            }
            let known = self
                .store()
                .read(|tx| tx.find::<row::Image>(Value::Text(name.clone())))?
                .is_some();
            if !known {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn settle_upload(&self, id: &ImageId, created_ms: i64, data: Option<Taken>) -> Result<()> {
        self.store().write(|tx| {
            let mut image = saving(tx, id, created_ms)?;
            match &data {
                Some(taken) => {
                    image.status = "active".into();
                    image.size_bytes = Some(taken.size_bytes);
                    image.virtual_size_bytes = Some(taken.virtual_size_bytes);
                    image.checksum = Some(taken.md5.clone());
                    image.sha512 = Some(taken.sha512.clone());
                }
                None => image.status = "queued".into(),
            }
            image.updated_ms = now_ms();
            tx.update(&image)
        })
    }
}

/// The image an upload began for.
///
/// # Errors
/// `NotFound` when it was deleted, and perhaps made anew under the same id.
fn saving(tx: &Tx<'_>, id: &ImageId, created_ms: i64) -> Result<row::Image> {
    let image: row::Image = tx.get(id)?;
    match image.status == "saving" && image.created_ms == created_ms {
        true => Ok(image),
        false => Err(Error::not_found(Kind::Image, id)),
    }
}

/// An upload under way. Dropped unfinished, it leaves the image `queued` and no file.
pub struct ImageWriter {
    cloud: Cloud,
    id: ImageId,
    /// Tells its image from a later one of the same id.
    created_ms: i64,
    part: PathBuf,
    file: File,
    /// As the image had it when the upload began; it cannot change meanwhile.
    disk_format: String,
    /// The beginning of the data, which tells its format.
    head: Vec<u8>,
    size: u64,
    md5: Md5,
    sha512: Sha512,
    done: bool,
}

/// What an upload brought.
struct Taken {
    size_bytes: u64,
    virtual_size_bytes: u64,
    md5: String,
    sha512: String,
}

impl ImageWriter {
    /// Takes the next octets.
    ///
    /// # Errors
    /// `TooLarge` past the limit, `Internal` when the disk fails (full, say).
    pub async fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.size += octets.len() as u64;
        let limit = self.cloud.settings().max_image_bytes;
        if self.size > limit {
            return Err(Error::TooLarge(format!(
                "The image is larger than {limit} bytes, the most this cloud takes."
            )));
        }
        let missing = disk::HEAD_SIZE - self.head.len();
        self.head.extend(octets.iter().take(missing));
        self.md5.update(octets);
        self.sha512.update(octets);
        self.file
            .write_all(octets)
            .await
            .map_err(|e| storage_error(&e))
    }

    /// Makes the data durable and the image `active`.
    ///
    /// # Errors
    /// `Invalid` when the data is not what the image says it is; `TooLarge` when the disk in it is
    /// past the limit; `Internal` when the disk fails; `NotFound` when the image was deleted meanwhile.
    pub async fn finish(mut self) -> Result<()> {
        let virtual_size_bytes = self.check()?;
        self.file.flush().await.map_err(|e| storage_error(&e))?;
        self.file.sync_all().await.map_err(|e| storage_error(&e))?;
        let path = self.cloud.image_file(&self.id);
        let (id, created_ms) = (self.id, self.created_ms);
        // The file of another image must not be written over.
        self.cloud
            .store()
            .read(|tx| saving(tx, &id, created_ms).map(drop))?;
        // From here on nothing waits: a request dropped between these steps would leave the file
        // under its name and the image `queued`.
        std::fs::rename(&self.part, &path).map_err(|e| storage_error(&e))?;
        sync_directory(&self.cloud.settings().images).map_err(|e| storage_error(&e))?;
        self.done = true;
        let taken = Taken {
            size_bytes: self.size,
            virtual_size_bytes,
            md5: hex(&self.md5.finalize_reset()),
            sha512: hex(&self.sha512.finalize_reset()),
        };
        let settled = self.cloud.settle_upload(&id, created_ms, Some(taken));
        if settled.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        settled
    }

    /// The size of the disk that the data holds.
    fn check(&self) -> Result<u64> {
        let found = disk::check(&self.disk_format, &self.head, self.size);
        let size = found.map_err(|e| Error::invalid(format!("Image {}: {e}", self.id)))?;
        let limit = self.cloud.settings().max_image_bytes;
        match size > limit {
            true => Err(Error::TooLarge(format!(
                "The disk in the image is of {size} bytes, and {limit} is the most this cloud takes."
            ))),
            false => Ok(size),
        }
    }
}

impl Drop for ImageWriter {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.part);
            if let Err(e) = self.cloud.settle_upload(&self.id, self.created_ms, None) {
                tracing::warn!(image = %self.id, error = %e, "could not set an interrupted upload back to queued");
            }
        }
    }
}

fn storage_error(e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::TooLarge("There is not enough disk space on the image storage media.".into())
        }
        _ => Error::internal("writing an image's data", e.to_string()),
    }
}

fn sync_directory(path: &std::path::Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
