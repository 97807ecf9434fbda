//! New volumes: what is asked for, checked, and made in one transaction.

use model::{Caller, Error, ImageId, Key, ProjectId, Result, VolumeId};
use store::{Json, Tx, row};

use super::change::check_metadata;
use super::{VolumeView, refresh, view};
use crate::node::Nodes;
use crate::quota::{self, Resource};
use crate::server::image_file;
use crate::{Cloud, image, list, now_ms};

const DEFAULT_ZONE: &str = "nova";

/// As large as clients can read: the volume API's sizes are signed 32-bit numbers.
const MAX_SIZE: u32 = i32::MAX as u32;

/// A volume to make.
#[derive(Clone, Debug, Default)]
pub struct NewVolume {
    pub name: String,
    pub description: Option<String>,
    pub size_gib: u32,
    /// What it is made of; blank without one.
    pub image: Option<ImageId>,
    pub metadata: row::Metadata,
    pub availability_zone: Option<String>,
}

impl Cloud {
    /// A new volume, placed on a node, in one transaction.
    pub fn create_volume(&self, caller: &Caller, new: &NewVolume) -> Result<VolumeView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let project = caller.project()?;
            let volume = insert(tx, &self.inner.nodes, caller, project, new)?;
            view(tx, volume)
        })
    }
}

/// Writes a new volume. Without a node that has room for it, it is there all the same, in error,
/// and says so.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    nodes: &Nodes,
    caller: &Caller,
    project: &ProjectId,
    new: &NewVolume,
) -> Result<row::Volume> {
    check(new)?;
    let image = match &new.image {
        Some(id) => Some(volume_image(tx, caller, id, new.size_gib)?),
        None => None,
    };
    quota::check(tx, project, Resource::Volumes, 1)?;
    quota::check(tx, project, Resource::Gigabytes, new.size_gib.into())?;
    let placed = nodes.place_volume(tx, new.size_gib)?;
    let now = now_ms();
    let mut volume = row::Volume {
        id: VolumeId::random(),
        project_id: project.clone(),
        user_id: caller.user.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        size_gib: new.size_gib,
        node_id: placed.as_ref().ok().copied(),
        bootable: image.is_some(),
        image: Json(image),
        metadata: Json(new.metadata.clone()),
        availability_zone: DEFAULT_ZONE.into(),
        read_only: false,
        deleting: false,
        made: false,
        seen: Json(None),
        fault: placed.err(),
        status: String::new(),
        created_ms: now,
        updated_ms: now,
    };
    if let Some(fault) = &volume.fault {
        let request_id = &caller.request_id;
        tracing::warn!(request_id, volume = %volume.id, fault, "a volume has no place");
    }
    tx.insert(&volume)?;
    refresh(tx, &mut volume)?;
    tx.touch(Key::Volume(volume.id))?;
    Ok(volume)
}

fn check(new: &NewVolume) -> Result<()> {
    list::check_name("name", &new.name)?;
    if let Some(description) = &new.description {
        list::check_name("description", description)?;
    }
    check_metadata(&new.metadata)?;
    if new.size_gib == 0 || new.size_gib > MAX_SIZE {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute size: {} is not a size in GiB from 1 to {MAX_SIZE}",
            new.size_gib
        )));
    }
    match &new.availability_zone {
        Some(zone) if zone != DEFAULT_ZONE => Err(Error::invalid(format!(
            "Availability zone '{zone}' is invalid: this cloud has one, {DEFAULT_ZONE}"
        ))),
        _ => Ok(()),
    }
}

/// The image that a volume is to be made of, as it is now.
fn volume_image(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &ImageId,
    size_gib: u32,
) -> Result<row::VolumeImage> {
    let image = image::visible(tx, caller, id).map_err(|_| {
        Error::invalid(format!(
            "Invalid image identifier or unable to access requested image: {id}"
        ))
    })?;
    if image.status != "active" {
        return Err(Error::invalid(format!(
            "Image {id} is not active: it is {}.",
            image.status
        )));
    }
    let file = image_file(&image)?;
    let size_bytes = image.virtual_size_bytes.unwrap_or(file.size_bytes);
    let least = size_bytes.div_ceil(1 << 30);
    if least > u64::from(size_gib) {
        return Err(Error::invalid(format!(
            "Size of specified image {least}GB is larger than volume size {size_gib}GB."
        )));
    }
    if image.min_disk > size_gib {
        return Err(Error::invalid(format!(
            "Volume size {size_gib}GB cannot be smaller than the image minDisk size {}GB.",
            image.min_disk
        )));
    }
    let mut metadata = image.properties.0.clone();
    for (key, value) in [
        ("image_id", Some(id.to_string())),
        ("image_name", image.name.clone()),
        ("checksum", image.checksum.clone()),
        ("container_format", image.container_format.clone()),
        ("disk_format", image.disk_format.clone()),
        ("min_disk", Some(image.min_disk.to_string())),
        ("min_ram", Some(image.min_ram.to_string())),
        ("size", Some(file.size_bytes.to_string())),
    ] {
        metadata.insert(key.to_owned(), value.unwrap_or_default());
    }
    Ok(row::VolumeImage { file, metadata })
}
