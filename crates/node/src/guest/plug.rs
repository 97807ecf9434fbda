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

/// What the controller is told: what QEMU has, nothing without one, and what it could not be given.
///
/// A volume that is not wanted is here until its secret is gone, which goes last: with the block
/// node, QEMU could still write to it.
pub(super) fn attachments(
    orders: &Orders,
    seen: Option<&Plugged>,
    failed: &BTreeMap<AttachmentId, String>,
) -> Vec<AttachmentSeen> {
    let wanted = orders.server.iter().flat_map(|server| &server.attachments);
    let wanted: BTreeSet<AttachmentId> = wanted.map(|attachment| attachment.id).collect();
    let unknown = Plugged::default();
    let plugged = seen.unwrap_or(&unknown);
    let devices = plugged
        .devices
        .iter()
        .filter_map(|d| qemu::attachment_of(d));
    let mut has: BTreeSet<AttachmentId> = devices.collect();
    let secrets = plugged
        .objects
        .iter()
        .filter_map(|object| object.strip_prefix(qemu::SECRET));
    let secrets = secrets.filter_map(|id| id.parse().ok());
    has.extend(secrets.filter(|id| !wanted.contains(id)));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Chap, Mac, Server};

    use super::*;

    fn attachment(root: bool) -> Attachment {
        Attachment {
            id: AttachmentId::random(),
            volume: model::VolumeId::random(),
            portals: Vec::new(),
            target: String::new(),
            chap: Chap {
                user: String::new(),
                secret: String::new(),
            },
            root,
            read_only: false,
            device: String::new(),
        }
    }

    fn orders(attachments: &[&Attachment], ports: &[(PortId, bool)]) -> Orders {
        let id = "0b1e5f4c-7a53-4d3c-9f0e-6d0f5a0c1b2d";
        let text = serde_json::json!({
            "id": id, "name": "", "hostname": "", "project": "p".repeat(32), "power": "running",
            "start_epoch": 1, "reboot_epoch": 0, "reboot": "soft", "vcpus": 1, "ram_mib": 1,
            "disk_gib": 0, "ports": ports.iter().map(|(port, _)| port).collect::<Vec<_>>(),
            "boot": {"disk": null, "kernel": null, "ramdisk": null, "kernel_args": "", "hardware": {}},
            "availability_zone": "", "public_keys": [], "user_data": null, "metadata": [],
            "created_ms": 0, "attachments": attachments, "config_drive": false,
        });
        let server: Server = serde_json::from_value(text).unwrap();
        let nics = ports.iter().map(|(port, up)| Nic {
            port: *port,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: *up,
        });
        Orders {
            server: Some(Arc::new(server)),
            nics: nics.collect(),
            ports_up: true,
            instance: None,
        }
    }

    /// A QEMU that has these.
    fn seen(attachments: &[&Attachment], ports: &[PortId]) -> Plugged {
        let devices = attachments.iter().map(|a| qemu::volume_device(a.id));
        Plugged {
            devices: devices
                .chain(ports.iter().map(|p| qemu::card_device(*p)))
                .collect(),
            nodes: attachments
                .iter()
                .map(|a| qemu::volume_node(a.id))
                .collect(),
            objects: attachments
                .iter()
                .map(|a| qemu::volume_secret(a.id))
                .collect(),
        }
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        let (one, root, port) = (attachment(false), attachment(true), PortId::random());
        let orders = orders(&[&root, &one], &[(port, true)]);
        let mut seen = seen(&[&root, &one], &[port]);
        seen.nodes.extend(["root".into(), "variables".into()]);
        seen.objects.extend(["rng".into()]);
        assert_eq!(plan(&orders, &seen, &[port].into(), &BTreeMap::new()), []);
        assert_eq!(attachments(&orders, Some(&seen), &BTreeMap::new()).len(), 2);
    }

    #[test]
    fn what_goes_goes_in_order() {
        let (one, port) = (attachment(false), PortId::random());
        let orders = orders(&[], &[]);
        let mut there = seen(&[&one], &[port]);
        let taps = BTreeSet::from([port]);
        let device = |id| Change::Unplug(id);
        let (volume, card) = (qemu::volume_device(one.id), qemu::card_device(port));
        let mut both = vec![device(card), device(volume)];
        both.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(plan(&orders, &there, &taps, &BTreeMap::new()), both);
        there.devices.clear();
        let node = Change::DropNode(qemu::volume_node(one.id));
        let secret = Change::DropObject(qemu::volume_secret(one.id));
        let rest = [node, secret, Change::DropTap(port)];
        assert_eq!(plan(&orders, &there, &taps, &BTreeMap::new()), rest);
        // It is told to be gone only when nothing of it is left.
        assert_eq!(
            attachments(&orders, Some(&there), &BTreeMap::new()).len(),
            1
        );
        assert_eq!(attachments(&orders, None, &BTreeMap::new()), []);
        let nothing = Plugged::default();
        assert_eq!(
            plan(&orders, &nothing, &BTreeSet::new(), &BTreeMap::new()),
            []
        );
        assert_eq!(attachments(&orders, Some(&nothing), &BTreeMap::new()), []);
    }

    #[test]
    fn what_comes_comes_once() {
        let (one, root) = (attachment(false), attachment(true));
        let (up, down) = (PortId::random(), PortId::random());
        let orders = orders(&[&root, &one], &[(up, true), (down, false)]);
        let has = seen(&[&root], &[]);
        let planned = plan(&orders, &has, &BTreeSet::new(), &BTreeMap::new());
        let [Change::Attach(attach), Change::Connect(nic)] = planned[..] else {
            panic!("{planned:?}");
        };
        assert_eq!((attach.id, nic.port), (one.id, up));
        // What could not be is told, and not tried again.
        let failed = BTreeMap::from([(one.id, "why".to_owned())]);
        let planned = plan(&orders, &has, &BTreeSet::new(), &failed);
        assert!(matches!(planned[..], [Change::Connect(_)]));
        let told = attachments(&orders, Some(&has), &failed);
        let told = told.iter().find(|seen| seen.id == one.id);
        assert_eq!(told.and_then(|seen| seen.failure.as_deref()), Some("why"));
        // A tap without its card is given back before it is tried anew.
        let planned = plan(&orders, &has, &[up].into(), &failed);
        assert_eq!(planned[0], Change::DropTap(up));
    }
}
