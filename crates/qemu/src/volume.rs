//! A volume as QEMU's objects: a secret, a block node that logs in over iSCSI by itself, a disk.
//!
//! Their names are made of the attachment's id, so that a QEMU can be asked which it has.

use std::net::SocketAddrV6;

use model::{AttachmentId, ServerId, VolumeId};
use serde_json::{Value, json};

use crate::hardware;

/// What devices of volumes are called, before the attachment's id.
const DEVICE: &str = "volume-";

/// Octets of a serial number that virtio-blk shows a guest. Its rules for `/dev/disk/by-id` see the
/// first 20 of the volume's id, as in every OpenStack cloud.
const SERIAL: usize = 20;

/// Our one LUN in each target.
const LUN: u32 = 1;

/// A volume at a portal that is known to let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeDisk {
    pub server: ServerId,
    pub attachment: AttachmentId,
    pub volume: VolumeId,
    pub portal: SocketAddrV6,
    pub target: String,
    /// The account's name; its secret goes another way.
    pub user: String,
    pub read_only: bool,
}

/// The device of an attachment.
pub fn volume_device(attachment: AttachmentId) -> String {
    format!("{DEVICE}{attachment}")
}

/// The attachment that a device is of, if it is a volume.
pub fn attachment_of(device: &str) -> Option<AttachmentId> {
    device.strip_prefix(DEVICE)?.parse().ok()
}

/// The block node of an attachment. QEMU takes 31 letters, one less than the id has digits.
pub fn volume_node(attachment: AttachmentId) -> String {
    let digits = attachment.to_string().replace('-', "");
    format!("v{}", &digits[..30])
}

/// Whether a block node is a volume's.
pub fn is_volume_node(node: &str) -> bool {
    let digits = node.strip_prefix('v').unwrap_or_default();
    digits.len() == 30 && digits.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// The secret object of an attachment.
pub fn volume_secret(attachment: AttachmentId) -> String {
    format!("{SECRET}{attachment}")
}

/// What secret objects of volumes are called, before the attachment's id.
pub const SECRET: &str = "chap-";

impl VolumeDisk {
    /// The block node. It reconnects by itself and for ever: while a target is away, the guest
    /// waits. Flushes reach the file; the guest is what caches.
    pub fn node(&self) -> Value {
        json!({
            "driver": "iscsi",
            "node-name": volume_node(self.attachment),
            "transport": "tcp",
            "portal": self.portal.to_string(),
            "target": self.target,
            "lun": LUN,
            "user": self.user,
            "password-secret": volume_secret(self.attachment),
            "initiator-name": format!("iqn.2026-11.org.hextet:{}", self.server),
            "read-only": self.read_only,
            "discard": "unmap",
            "cache": {"direct": true},
        })
    }

    /// A disk to plug into a running machine; `None` for the bus: where there is room.
    ///
    /// An error that a target tells is told to the guest, as by any disk: to stop the whole guest
    /// for one would be worse, and an absent target is no error.
    pub fn device(&self, bus: Option<&str>) -> Value {
        let mut device = json!({
            "driver": "virtio-blk-pci",
            "id": volume_device(self.attachment),
            "drive": volume_node(self.attachment),
            "serial": self.serial(),
            "rerror": "report",
            "werror": "report",
        });
        if let Some(bus) = bus {
            device["bus"] = bus.into();
        }
        device
    }

    /// The disk that the guest boots from.
    pub(crate) fn root_device(&self, hardware: &model::Hardware) -> String {
        format!(
            "{},id={},drive={},serial={},bootindex=1",
            hardware::root_device(hardware),
            volume_device(self.attachment),
            volume_node(self.attachment),
            self.serial()
        )
    }

    fn serial(&self) -> String {
        self.volume.to_string().chars().take(SERIAL).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_attachment() {
        let id = AttachmentId::random();
        assert_eq!(attachment_of(&volume_device(id)), Some(id));
        assert_eq!(attachment_of("port-x"), None);
        assert_eq!(volume_node(id).len(), 31);
        assert!(is_volume_node(&volume_node(id)));
        assert!(!is_volume_node("variables") && !is_volume_node("root"));
    }
}
