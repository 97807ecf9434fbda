//! The volumes that a new server asks for, and what it boots from when it has no image's disk.

use model::{Boot, Caller, Error, Hardware, ImageId, Result, VolumeId};
use store::{Tx, row};

use super::boot::{boot_of, boot_of_image};
use super::create::NewServer;
use crate::attachment::{self, NewAttachment};
use crate::node::Nodes;
use crate::volume::{self, NewVolume};

/// A volume that a new server is to have.
#[derive(Clone, Debug)]
pub struct NewDisk {
    pub source: DiskSource,
    /// Of a volume that is made for it.
    pub size_gib: u32,
    /// It boots from it. One of its disks is its root, or it has an image.
    pub root: bool,
    pub device: Option<String>,
    pub delete_on_termination: bool,
}

/// Where a disk comes from.
#[derive(Clone, Debug)]
pub enum DiskSource {
    /// A new volume of an image.
    Image(ImageId),
    /// A volume that is there.
    Volume(VolumeId),
    /// A new volume with nothing on it.
    Blank,
}

/// What a new server boots from.
pub(super) fn boot(
    tx: &Tx<'_>,
    caller: &Caller,
    new: &NewServer,
    flavor: &row::Flavor,
) -> Result<Boot> {
    if let Some(image) = &new.image {
        return boot_of(tx, caller, image, flavor);
    }
    // Its root disk is as large as the volume, whatever the flavor says.
    let flavor = row::Flavor {
        disk_gib: 0,
        ..flavor.clone()
    };
    let root = new.disks.iter().find(|disk| disk.root);
    let boot = match root.map(|disk| &disk.source) {
        Some(DiskSource::Image(id)) => boot_of(tx, caller, id, &flavor)?,
        Some(DiskSource::Volume(id)) => boot_of_volume(tx, caller, id, &flavor)?,
        Some(DiskSource::Blank) | None => {
            return Err(Error::invalid(
                "Block Device Mapping is Invalid: nothing to boot from: give an image, or a volume with boot_index 0.",
            ));
        }
    };
    Ok(Boot { disk: None, ..boot })
}

/// A volume is booted as the image that it was made of says.
fn boot_of_volume(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &VolumeId,
    flavor: &row::Flavor,
) -> Result<Boot> {
    let volume = given(tx, caller, id)?;
    if !volume.bootable {
        return Err(Error::invalid(format!(
            "Block Device Mapping is Invalid: volume {id} is not bootable."
        )));
    }
    match &volume.image.0 {
        Some(image) => boot_of_image(tx, caller, &as_image(&volume, image), flavor),
        None => Ok(Boot {
            disk: None,
            kernel: None,
            ramdisk: None,
            kernel_args: String::new(),
            hardware: Hardware::default(),
        }),
    }
}

/// The image as a volume remembers it: it may be gone.
fn as_image(volume: &row::Volume, image: &row::VolumeImage) -> row::Image {
    let number = |name: &str| {
        let text = image.metadata.get(name);
        text.and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    row::Image {
        id: image.file.id,
        owner: volume.project_id.clone(),
        name: image.metadata.get("image_name").cloned(),
        status: "active".into(),
        visibility: "private".into(),
        disk_format: Some(image.file.disk_format.clone()),
        container_format: None,
        size_bytes: Some(image.file.size_bytes),
        virtual_size_bytes: None,
        checksum: None,
        sha512: Some(image.file.sha512.clone()),
        min_disk: 0,
        min_ram: number("min_ram"),
        protected: false,
        hidden: false,
        properties: store::Json(image.metadata.clone()),
        tags: store::Json::default(),
        created_ms: volume.created_ms,
        updated_ms: volume.created_ms,
    }
}

/// Makes the volumes that are new, and gives the server all of them.
pub(super) fn attach_disks(
    tx: &mut Tx<'_>,
    nodes: &Nodes,
    caller: &Caller,
    server: &mut row::Server,
    new: &NewServer,
) -> Result<()> {
    if server.node_id.is_none() {
        return Ok(());
    }
    for disk in &new.disks {
        let mut volume = match &disk.source {
            DiskSource::Volume(id) => {
                let volume = given(tx, caller, id)?;
                attachment::require_available(&volume)?;
                volume
            }
            DiskSource::Image(id) => make(tx, nodes, caller, server, disk, Some(*id))?,
            DiskSource::Blank => make(tx, nodes, caller, server, disk, None)?,
        };
        let wish = NewAttachment {
            device: disk.device.clone(),
            root: disk.root,
            delete_on_termination: disk.delete_on_termination,
        };
        attachment::insert(tx, server, &mut volume, &wish)?;
        server.waiting |= !volume.made;
        if let Some(why) = &volume.fault {
            server.fault = Some(format!(
                "Block Device Mapping is Invalid: volume {}: {why}",
                volume.id
            ));
        }
    }
    Ok(())
}

fn make(
    tx: &mut Tx<'_>,
    nodes: &Nodes,
    caller: &Caller,
    server: &row::Server,
    disk: &NewDisk,
    image: Option<ImageId>,
) -> Result<row::Volume> {
    let new = NewVolume {
        size_gib: disk.size_gib,
        image,
        ..NewVolume::default()
    };
    volume::insert(tx, nodes, caller, &server.project_id, &new)
}

fn given(tx: &Tx<'_>, caller: &Caller, id: &VolumeId) -> Result<row::Volume> {
    volume::visible(tx, caller, id).map_err(|_| {
        Error::invalid(format!(
            "Block Device Mapping is Invalid: failed to get volume {id}."
        ))
    })
}
