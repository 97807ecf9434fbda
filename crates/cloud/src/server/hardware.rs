//! What an image's properties ask of the machine.

use model::{Clock, DiskBus, Error, Firmware, Hardware, ImageId, MachineType, Result, VifModel};
use store::row;

/// The words that a property may have, and what they mean.
type Words<T> = &'static [(&'static str, T)];

const FIRMWARE: Words<Firmware> = &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)];

const DISK_BUSES: Words<DiskBus> = &[
    ("virtio", DiskBus::Virtio),
    ("scsi", DiskBus::Scsi),
    ("sata", DiskBus::Sata),
    ("ide", DiskBus::Ide),
    ("usb", DiskBus::Usb),
];

const VIF_MODELS: Words<VifModel> = &[
    ("virtio", VifModel::Virtio),
    ("e1000", VifModel::E1000),
    ("e1000e", VifModel::E1000e),
    ("rtl8139", VifModel::Rtl8139),
    ("ne2k_pci", VifModel::Ne2kPci),
    ("pcnet", VifModel::Pcnet),
    ("vmxnet3", VifModel::Vmxnet3),
];

const MACHINES: Words<MachineType> = &[("pc", MachineType::Pc), ("q35", MachineType::Q35)];

const SYSTEMS: Words<Clock> = &[("linux", Clock::Utc), ("windows", Clock::LocalTime)];

/// The one controller there is for `hw_disk_bus=scsi`.
const SCSI_MODELS: Words<()> = &[("virtio-scsi", ())];

/// The machine that a server of this image gets.
///
/// # Errors
/// `Invalid`, naming the property and what it may be.
pub(super) fn hardware(image: &row::Image) -> Result<Hardware> {
    let properties = Properties(&image.id, &image.properties.0);
    properties.word("hw_scsi_model", SCSI_MODELS)?;
    let hardware = Hardware {
        firmware: properties.word("hw_firmware_type", FIRMWARE)?,
        disk_bus: properties.word("hw_disk_bus", DISK_BUSES)?,
        vif_model: properties.word("hw_vif_model", VIF_MODELS)?,
        machine: properties.word("hw_machine_type", MACHINES)?,
        clock: properties.word("os_type", SYSTEMS)?,
    };
    match (hardware.machine, hardware.disk_bus) {
        (MachineType::Q35, DiskBus::Ide) => Err(Error::invalid(format!(
            "Image {}: hw_machine_type 'q35' has no IDE: its hw_disk_bus must be sata, virtio, scsi or usb",
            image.id
        ))),
        _ => Ok(hardware),
    }
}

struct Properties<'a>(&'a ImageId, &'a row::Metadata);

impl Properties<'_> {
    fn word<T: Copy + Default>(&self, name: &str, words: Words<T>) -> Result<T> {
        let Some(text) = self.1.get(name) else {
            return Ok(T::default());
        };
        let found = words.iter().find(|(word, _)| word == text);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            Error::invalid(format!(
                "Image {}: property {name} '{text}' is not one of {}",
                self.0,
                known().join(", ")
            ))
        })
    }
}
