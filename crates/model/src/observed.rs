//! What is: what nodes report.

use serde::{Deserialize, Serialize};

use crate::{NodeId, PortId, ServerId};

/// One thing a node saw change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Guest(GuestSeen),
    /// The guest, its disk and its taps are gone from this node.
    GuestGone(ServerId),
    Port(PortSeen),
    /// The port's tap and filters are gone from this node.
    PortGone(PortId),
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

/// What a node says of itself when it connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    pub id: NodeId,
    pub name: String,
    pub vcpus: u32,
    pub ram_mib: u64,
    pub disk_gib: u64,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why it is not `kvm`.
    pub accelerator_why: Option<String>,
    pub qemu_version: String,
    /// Names of the physical networks that the node's settings map to a bridge.
    pub physical_networks: Vec<String>,
}
