//! What is plugged into a running guest: which volumes and network cards come and go. The plan is a
//! pure function of what is wanted and of what QEMU has; QEMU is asked, so nothing is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use model::{Attachment, AttachmentId, AttachmentSeen, PortId};

use super::task::{Nic, Orders};

/// The names of what QEMU has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plugged {
    pub devices: BTreeSet<String>,
    pub nodes: BTreeSet<String>,
    pub objects: BTreeSet<String>,
}

/// One thing to do. Each may be repeated.
#[derive(Debug, PartialEq)]
pub(super) enum Change<'a> {
    /// Ask the guest to let go of a device.
    Unplug(String),
    /// What was behind a volume that has gone, or that we were killed while plugging.
    DropNode(String),
    DropObject(String),
    /// QEMU lets go of a port's tap.
    DropTap(PortId),
    Attach(&'a Attachment),
    Connect(&'a Nic),
}

/// What to do, what goes first. `taps` are the ports whose taps QEMU was given, `failed` the
/// attachments that could not be: they are not tried again.
pub(super) fn plan<'a>(
    orders: &'a Orders,
    seen: &Plugged,
    taps: &BTreeSet<PortId>,
    failed: &BTreeMap<AttachmentId, String>,
) -> Vec<Change<'a>> {
    let attachments = orders.server.iter().flat_map(|server| &server.attachments);
    let wanted: BTreeMap<String, &Attachment> = attachments
        .map(|a| (qemu::volume_device(a.id), a))
        .collect();
    let cards: BTreeMap<String, &Nic> = orders
        .nics
        .iter()
        .map(|n| (qemu::card_device(n.port), n))
        .collect();
    let ports = orders.server.iter().flat_map(|server| &server.ports);
    let ports: BTreeSet<String> = ports.map(|port| qemu::card_device(*port)).collect();

    let stray = seen.devices.iter().filter(|device| {
        let volume = qemu::attachment_of(device).is_some() && !wanted.contains_key(*device);
        volume || (qemu::port_of(device).is_some() && !ports.contains(*device))
    });
    let unplug = stray.cloned().map(Change::Unplug);
    let drop_taps = taps
        .iter()
        .filter(|port| !seen.devices.contains(&qemu::card_device(**port)));
    let drop_taps = drop_taps.map(|port| Change::DropTap(*port));
    let missing = |device: &String| !seen.devices.contains(device);
    let attach = wanted.iter().filter(|(device, attachment)| {
        missing(device) && !attachment.root && !failed.contains_key(&attachment.id)
    });
    let connect = cards
        .iter()
        .filter(|(device, nic)| missing(device) && nic.up);
    unplug
        .chain(leftovers(seen))
        .chain(drop_taps)
        .chain(attach.map(|(_, attachment)| Change::Attach(attachment)))
        .chain(connect.map(|(_, nic)| Change::Connect(nic)))
        .collect()
}

/// Nodes and secrets without a device.
fn leftovers<'a>(seen: &Plugged) -> impl Iterator<Item = Change<'a>> {
    let plugged: BTreeSet<AttachmentId> = seen
        .devices
        .iter()
        .filter_map(|device| qemu::attachment_of(device))
        .collect();
    let used: BTreeSet<String> = plugged
        .iter()
        .flat_map(|id| [qemu::volume_node(*id), qemu::volume_secret(*id)])
        .collect();
    let nodes = seen.nodes.iter().filter(|node| qemu::is_volume_node(node));
    let nodes = nodes.cloned().map(Change::DropNode);
    let objects = seen
        .objects
        .iter()
        .filter(|object| object.starts_with(qemu::SECRET));
    let objects = objects.cloned().map(Change::DropObject);
    let unused: Vec<_> = nodes
        .chain(objects)
        .filter(|change| match change {
            Change::DropNode(name) | Change::DropObject(name) => !used.contains(name),
            _ => true,
        })
        .collect();
    unused.into_iter()
}

/// What the controller is told: what QEMU has, and what it could not be given. While QEMU has not
/// been asked yet, what is wanted is taken to be there: unknown is not gone.
pub(super) fn attachments(
    orders: &Orders,
    seen: Option<&Plugged>,
    runs: bool,
    failed: &BTreeMap<AttachmentId, String>,
) -> Vec<AttachmentSeen> {
    let wanted = orders.server.iter().flat_map(|server| &server.attachments);
    let wanted: BTreeSet<AttachmentId> = wanted.map(|attachment| attachment.id).collect();
    let has: BTreeSet<AttachmentId> = match seen {
        Some(seen) => seen
            .devices
            .iter()
            .filter_map(|d| qemu::attachment_of(d))
            .collect(),
        None if runs => wanted
            .iter()
            .filter(|id| !failed.contains_key(id))
            .copied()
            .collect(),
        None => BTreeSet::new(),
    };
    let had = has.iter().map(|id| AttachmentSeen {
        id: *id,
        failure: None,
    });
    let failed = failed
        .iter()
        .filter(|(id, _)| wanted.contains(id) && !has.contains(id));
    had.chain(failed.map(|(id, why)| AttachmentSeen {
        id: *id,
        failure: Some(why.clone()),
    }))
    .collect()
}
