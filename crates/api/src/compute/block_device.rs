//! `block_device_mapping_v2`: what disks a new server is to have.

use cloud::{DiskSource, NewDisk};
use model::{Error, ImageId, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::json::{number, parse, truth};

/// One entry, as microversion 2.1 has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockDevice {
    uuid: Option<String>,
    source_type: Option<String>,
    destination_type: Option<String>,
    boot_index: Option<Value>,
    #[serde(default, deserialize_with = "number")]
    volume_size: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    delete_on_termination: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    no_device: Option<bool>,
    device_name: Option<String>,
    disk_bus: Option<String>,
    device_type: Option<String>,
    guest_format: Option<String>,
}

/// The image whose disk a server boots from, if it does, and its volumes.
///
/// # Errors
/// `Invalid` for a combination that the compute API does not know, or this cloud does not have.
pub(super) fn disks(
    mut image: Option<ImageId>,
    entries: Vec<BlockDevice>,
) -> Result<(Option<ImageId>, Vec<NewDisk>)> {
    let mut disks = Vec::new();
    let mut images = 0;
    for entry in entries {
        let root = entry.is_root()?;
        match entry.disk(root)? {
            Disk::Local(id) => {
                if !root || images > 0 || image.is_some_and(|given| given != id) {
                    return Err(sequence());
                }
                images += 1;
                image = Some(id);
            }
            Disk::Volume(disk) => disks.push(disk),
        }
    }
    let roots = disks.iter().filter(|disk| disk.root).count() + usize::from(image.is_some());
    match roots {
        1 => Ok((image, disks)),
        _ => Err(sequence()),
    }
}

enum Disk {
    Local(ImageId),
    Volume(NewDisk),
}

impl BlockDevice {
    fn is_root(&self) -> Result<bool> {
        let index = match &self.boot_index {
            None | Some(Value::Null) => return Ok(false),
            Some(Value::Number(n)) => n.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        match index {
            Some(0) => Ok(true),
            Some(..0) => Ok(false),
            Some(_) => Err(wrong(
                "boot_index can be 0, for the disk to boot from, or -1",
            )),
            None => Err(wrong("boot_index must be a whole number")),
        }
    }

    fn disk(self, root: bool) -> Result<Disk> {
        self.check()?;
        let source = self.source_type.as_deref().unwrap_or_default();
        let usual = if source == "volume" {
            "volume"
        } else {
            "local"
        };
        let destination = self.destination_type.as_deref().unwrap_or(usual);
        let uuid = || {
            let uuid = self.uuid.as_deref().filter(|u| !u.is_empty());
            uuid.ok_or_else(|| wrong("uuid is missing"))
        };
        let source = match (source, destination) {
            ("image", "local") => return parse("uuid", uuid()?).map(Disk::Local),
            ("image", "volume") => DiskSource::Image(parse("uuid", uuid()?)?),
            ("volume", "volume") => DiskSource::Volume(parse("uuid", uuid()?)?),
            ("blank", "volume") if !root => DiskSource::Blank,
            ("blank", "volume") => return Err(wrong("nothing boots from a blank volume")),
            ("blank" | "snapshot", _) => {
                return Err(wrong(&format!(
                    "source_type {source} to destination_type {destination} is not available in this cloud yet"
                )));
            }
            _ => {
                return Err(wrong(&format!(
                    "source_type '{source}' does not go with destination_type '{destination}'"
                )));
            }
        };
        let made = !matches!(source, DiskSource::Volume(_));
        let size_gib = self.volume_size.unwrap_or(0);
        if made && size_gib == 0 {
            return Err(wrong(
                "a volume that is made for a server needs a volume_size",
            ));
        }
        Ok(Disk::Volume(NewDisk {
            source,
            size_gib,
            root,
            device: self.device_name,
            delete_on_termination: self.delete_on_termination.unwrap_or(false),
        }))
    }

    /// What cannot be chosen for one disk must be left as it is.
    fn check(&self) -> Result<()> {
        let other = |value: &Option<String>, usual: &str| {
            let value = value.as_deref().filter(|v| !v.is_empty());
            value.is_some_and(|v| v != usual)
        };
        for (name, chosen) in [
            ("disk_bus", other(&self.disk_bus, "virtio")),
            ("device_type", other(&self.device_type, "disk")),
            ("guest_format", other(&self.guest_format, "")),
            ("no_device", self.no_device == Some(true)),
        ] {
            if chosen {
                return Err(wrong(&format!(
                    "{name} is not available in this cloud yet: leave it out"
                )));
            }
        }
        Ok(())
    }
}

fn wrong(why: &str) -> Error {
    Error::invalid(format!("Block Device Mapping is Invalid: {why}."))
}

fn sequence() -> Error {
    wrong("Boot sequence for the instance and image/block device mapping combination is not valid")
}
