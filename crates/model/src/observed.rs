//! What is: what nodes report.

use std::net::{IpAddr, SocketAddrV6};

use serde::{Deserialize, Serialize};

use crate::{AttachmentId, NodeId, PasswordSeen, PortId, ServerId, VolumeId};

/// One thing a node saw change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Guest(GuestSeen),
    /// The guest, its disk and its taps are gone from this node.
    GuestGone(ServerId),
    Port(PortSeen),
    /// What the guest on a port was heard to use and ask.
    PortHeard(PortId, PortHeard),
    /// The port's tap and filters are gone from this node.
    PortGone(PortId),
    /// A guest told the password that it made.
    Password(PasswordSeen),
    Volume(VolumeSeen),
    /// The volume's target and data are gone from this node.
    VolumeGone(VolumeId),
}

/// A guest as its node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuestSeen {
    pub server: ServerId,
    pub power: PowerSeen,
    /// The newest `start_epoch` under which the guest ran.
    pub started_epoch: u64,
    /// The newest `reboot_epoch` that was carried out.
    pub rebooted_epoch: u64,
    /// Why the guest is not what it should be: what failed, why, what to do.
    pub failure: Option<String>,
    /// Milliseconds since 1970 when it was last started.
    pub launched_ms: Option<i64>,
    /// The attachments that QEMU has, or could not be given. One that is neither wanted nor here
    /// has been detached: the cloud may give its volume to another server then. So one that is
    /// being plugged or unplugged is either here already, or here still.
    #[serde(default)]
    pub attachments: Vec<AttachmentSeen>,
    /// How the guest last ended without anybody having asked for it. It stays when the guest is
    /// started again, so that word of it is not lost with a connection.
    #[serde(default)]
    pub ended: Option<GuestEnd>,
}

/// An end that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestEnd {
    /// Milliseconds since 1970 when the node noticed.
    pub ended_ms: i64,
    pub how: Ended,
}

/// What ended a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It powered itself off.
    PoweredOff,
    /// Its QEMU was killed by the signal of this number.
    Signal(i32),
    /// Its QEMU exited with this code.
    Exit(i32),
    /// Its QEMU was no child of the node's process any more: only its parent learns more.
    Unknown,
}

/// An attachment as the server's node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentSeen {
    pub id: AttachmentId,
    /// Why the guest does not have it: which portal, and what it said. `None`: it has it.
    pub failure: Option<String>,
}

/// A volume as the node that keeps it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSeen {
    pub volume: VolumeId,
    /// Its data is whole and its target serves it.
    pub ready: bool,
    /// The size that is served, in GiB; it follows a wish to extend.
    pub size_gib: u32,
    /// What failed, why, what to do.
    pub failure: Option<String>,
}

/// Whether a guest's QEMU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerSeen {
    /// Being prepared: image, disk, ports.
    Preparing,
    Running,
    Stopped,
}

/// A port as its node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortSeen {
    pub port: PortId,
    /// Tap, filters and advertisements are in place.
    pub up: bool,
}

/// What the guest on a port was heard to use and ask, all of it. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortHeard {
    /// Addresses that it used within the last hour, sorted; at most [`PortHeard::MAX`].
    pub addresses: Vec<AddressHeard>,
    /// Addresses that it would have had within the last hour, and that a neighbour said to have
    /// (RFC 4862, section 5.4.4), sorted; at most [`PortHeard::MAX`].
    pub dad_failures: Vec<AddressHeard>,
    /// When it last asked for a router.
    pub last_rs_ms: Option<i64>,
    /// When it was last told of a router, alone or with all others.
    pub last_ra_ms: Option<i64>,
    /// When it last spoke DHCP of either family.
    pub last_dhcp_ms: Option<i64>,
}

impl PortHeard {
    /// How many addresses are told of one port: more than its filters let it use.
    pub const MAX: usize = 128;
}

/// An address, and when it was last heard of, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressHeard {
    pub address: IpAddr,
    pub last_ms: i64,
}

/// What a node says of itself when it connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    pub id: NodeId,
    pub name: String,
    pub vcpus: u32,
    pub ram_mib: u64,
    pub disk_gib: u64,
    /// `kvm`, `tcg`, or `fake` where guests are made up.
    pub accelerator: String,
    /// Why it is not `kvm`.
    pub accelerator_why: Option<String>,
    pub qemu_version: String,
    /// Names of the physical networks that the node's settings map to a bridge.
    pub physical_networks: Vec<String>,
    /// Where this node serves volumes; none when it keeps no volumes.
    #[serde(default)]
    pub portals: Vec<SocketAddrV6>,
}
