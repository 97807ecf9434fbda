//! What a server boots from: its image, and the kernel and ramdisk that the image names.

use model::{Boot, Caller, Error, ImageFile, ImageId, Result};
use store::{Tx, row};

use super::hardware::hardware;
use crate::image;

/// Characters that an image may add to the kernel's command line, which holds 2048 in all.
const MAX_KERNEL_ARGUMENTS: usize = 1024;

/// What a server boots from, once the image is known to be usable.
pub(super) fn boot_of(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &ImageId,
    flavor: &row::Flavor,
) -> Result<Boot> {
    boot_of_image(tx, caller, &usable(tx, caller, id)?, flavor)
}

/// What a server boots from an image, as its record says.
pub(super) fn boot_of_image(
    tx: &Tx<'_>,
    caller: &Caller,
    disk: &row::Image,
    flavor: &row::Flavor,
) -> Result<Boot> {
    let id = disk.id;
    if disk.min_ram > flavor.ram_mib {
        return Err(Error::invalid(
            "Flavor's memory is too small for requested image.",
        ));
    }
    let size = disk.virtual_size_bytes.unwrap_or(0);
    let least = u64::from(disk.min_disk).max(size.div_ceil(1 << 30));
    if flavor.disk_gib > 0 && least > u64::from(flavor.disk_gib) {
        return Err(Error::invalid(format!(
            "Flavor's disk is too small for requested image: {} GiB, and the image needs {least} GiB.",
            flavor.disk_gib
        )));
    }
    let part = |name: &str| -> Result<Option<ImageFile>> {
        let Some(text) = disk.properties.0.get(name) else {
            return Ok(None);
        };
        let id = text.parse().map_err(|_| {
            Error::invalid(format!(
                "Image {id}: property {name} '{text}' is not the id of an image"
            ))
        })?;
        usable(tx, caller, &id)
            .and_then(|i| image_file(&i))
            .map(Some)
    };
    if matches!(disk.disk_format.as_deref(), Some("aki" | "ari")) {
        return Err(Error::invalid(format!(
            "Image {id} is a kernel or a ramdisk: boot the image whose kernel_id and ramdisk_id name it"
        )));
    }
    Ok(Boot {
        kernel: part("kernel_id")?,
        ramdisk: part("ramdisk_id")?,
        kernel_args: kernel_arguments(disk)?,
        disk: Some(image_file(disk)?),
        hardware: hardware(disk)?,
    })
}

fn usable(tx: &Tx<'_>, caller: &Caller, id: &ImageId) -> Result<row::Image> {
    let image = image::visible(tx, caller, id)
        .map_err(|_| Error::invalid(format!("Image {id} could not be found.")))?;
    match image.status.as_str() {
        "active" => Ok(image),
        other => Err(Error::invalid(format!(
            "Image {id} is not active: it is {other}."
        ))),
    }
}

fn kernel_arguments(image: &row::Image) -> Result<String> {
    let text = image
        .properties
        .0
        .get("os_command_line")
        .cloned()
        .unwrap_or_default();
    match text.len() > MAX_KERNEL_ARGUMENTS || text.chars().any(char::is_control) {
        true => Err(Error::invalid(format!(
            "Image {}: property os_command_line must be one line of at most {MAX_KERNEL_ARGUMENTS} characters",
            image.id
        ))),
        false => Ok(text),
    }
}

/// An active image's data, as nodes know it.
pub(crate) fn image_file(image: &row::Image) -> Result<ImageFile> {
    let no_data = || {
        Error::internal(
            "reading an image's record",
            "an active image without size or checksum",
        )
    };
    Ok(ImageFile {
        id: image.id,
        size_bytes: image.size_bytes.ok_or_else(no_data)?,
        sha512: image.sha512.clone().ok_or_else(no_data)?,
        disk_format: image.disk_format.clone().unwrap_or_default(),
    })
}
