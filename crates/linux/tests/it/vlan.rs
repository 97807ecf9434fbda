use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use linux::netlink::{Netlink, VethEnd};
use linux::tap;
use linux::tc::Vlan;

use crate::space::Space;

/// `struct virtio_net_hdr`, which stands before each frame of a tap.
const HEADER: [u8; 10] = [0; 10];
const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];

/// A card with VLAN 100 in its own namespace, and a tap in the namespace where its frames come out.
struct Scene {
    inside: Space,
    elsewhere: Space,
    netlink: Netlink,
    card: File,
    other: File,
}

fn vlan() -> Vlan {
    Vlan {
        link: "card".into(),
        id: 100,
        untagged: Some("sub".into()),
    }
}

impl Scene {
    fn new() -> Scene {
        let (inside, elsewhere) = (Space::new(), Space::new());
        let end = |ns, name| VethEnd {
            ns,
            name,
            mac: None,
        };
        Netlink::ensure_veth(end(&inside.0, "sub"), end(&elsewhere.0, "out")).unwrap();
        for space in [&inside, &elsewhere] {
            space.shell(
                "sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1",
            );
            tap::ensure(&space.0, "card").unwrap();
            Netlink::open(&space.0).unwrap().set_up("card").unwrap();
        }
        let mut there = Netlink::open(&elsewhere.0).unwrap();
        there.ensure_bridge("br", [2, 0, 0, 0, 0, 9]).unwrap();
        for link in ["card", "out"] {
            there.set_master(link, Some("br")).unwrap();
        }
        for link in ["br", "out"] {
            there.set_up(link).unwrap();
        }
        let mut netlink = Netlink::open(&inside.0).unwrap();
        netlink.set_up("sub").unwrap();
        let open = |space: &Space| File::from(tap::open(&space.0, "card").unwrap());
        let (card, other) = (open(&inside), open(&elsewhere));
        Scene {
            inside,
            elsewhere,
            netlink,
            card,
            other,
        }
    }
}

fn frame(tag: Option<u16>, text: &str) -> Vec<u8> {
    let tag = tag.map(|id| [[0x81, 0x00], id.to_be_bytes()].concat());
    let kind = [0x88, 0xb5]; // IEEE 802: for experiments
    let data = format!("{text:46}");
    [
        &HEADER[..],
        &MACS,
        &tag.unwrap_or_default(),
        &kind,
        data.as_bytes(),
    ]
    .concat()
}

fn send(tap: &mut File, frame: &[u8]) {
    tap.write_all(frame).unwrap();
}

/// The next frame of ours.
fn receive(tap: &mut File) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no frame came");
        let mut polled = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(tap),
            nix::poll::PollFlags::POLLIN,
        )];
        let left = nix::poll::PollTimeout::try_from(left).unwrap();
        nix::poll::poll(&mut polled, left).unwrap();
        let mut bytes = vec![0; 2048];
        let read = tap.read(&mut bytes).unwrap();
        bytes.truncate(read);
        if bytes[HEADER.len()..].starts_with(&MACS) {
            return bytes;
        }
    }
}

#[test]
fn a_vlan_comes_out_elsewhere_without_its_tag() {
    let mut scene = Scene::new();
    scene.netlink.ensure_vlan(&vlan()).unwrap();
    send(&mut scene.card, &frame(Some(101), "another VLAN"));
    send(&mut scene.card, &frame(None, "no VLAN"));
    send(&mut scene.card, &frame(Some(100), "from the card"));
    assert_eq!(receive(&mut scene.other), frame(None, "from the card"));

    send(&mut scene.other, &frame(None, "to the card"));
    assert_eq!(receive(&mut scene.card), frame(Some(100), "to the card"));
}

#[test]
fn what_the_kernel_has_can_be_read_and_removed() {
    let mut scene = Scene::new();
    assert_eq!(scene.netlink.vlans().unwrap(), []);
    scene.netlink.ensure_vlan(&vlan()).unwrap();
    scene.netlink.ensure_vlan(&vlan()).unwrap();
    assert_eq!(scene.netlink.vlans().unwrap(), [vlan()]);
    let witness = scene.inside.shell("tc filter show dev card ingress");
    assert!(witness.contains("direct-action"), "{witness}");

    // Without the way back it is not whole; with it, it is again.
    scene.inside.shell("tc filter del dev sub ingress");
    let half = Vlan {
        untagged: None,
        ..vlan()
    };
    assert_eq!(scene.netlink.vlans().unwrap(), std::slice::from_ref(&half));
    scene.netlink.ensure_vlan(&vlan()).unwrap();
    assert_eq!(scene.netlink.vlans().unwrap(), [vlan()]);

    // A link that went, and came again under another index.
    scene.elsewhere.shell("ip link del out");
    assert_eq!(scene.netlink.vlans().unwrap(), std::slice::from_ref(&half));

    scene.netlink.remove_vlan(&half).unwrap();
    scene.netlink.remove_vlan(&half).unwrap();
    assert_eq!(scene.netlink.vlans().unwrap(), []);
    let gone = scene.netlink.ensure_vlan(&vlan()).unwrap_err();
    assert!(gone.to_string().contains("link sub"), "{gone}");
}
