//! Trunks: ports that are VLANs of another port's card.

use linux::netlink::{Netlink, VethEnd};
use linux::tc::Vlan;
use model::{Direction, Mac, NetworkId, PortId, RaMode, Subport};
use node::links::names;

use crate::world::{Guest, World, allow, eventually};

const PEER: &str = "2001:db8:2::b";

/// A network of the card itself and one of its VLAN, in which there is another guest.
struct Scene {
    world: World,
    inner: NetworkId,
    parent: PortId,
    subport: PortId,
    guest: Guest,
    peer: Guest,
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new();
        let outer = world.network("2001:db8:1::/64");
        let inner = world.network("2001:db8:2::/64");
        let parent = world.port(outer, "2001:db8:1::a");
        let subport = world.port(inner, "2001:db8:2::a");
        let peer = world.port(inner, PEER);
        world.rule(peer, allow(Direction::Ingress));
        world.wanted.ports.get_mut(&subport).unwrap().subport = Some(Subport { parent, vlan: 100 });
        world.pass();
        let (guest, peer) = (world.guest(parent), world.guest(peer));
        let mac = world.wanted.ports[&subport].mac;
        vlan(&guest, 100, mac);
        Scene {
            world,
            inner,
            parent,
            subport,
            guest,
            peer,
        }
    }

    fn mac(&self) -> Mac {
        self.world.wanted.ports[&self.subport].mac
    }

    fn wanted(&mut self) -> &mut model::Port {
        self.world.wanted.ports.get_mut(&self.subport).unwrap()
    }

    fn answers(&self, id: u16) -> bool {
        self.guest.pings(&format!("-I v{id} {PEER}"))
    }
}

/// A link `vID` in a guest for a VLAN of its card, made of what a kernel without VLAN devices has.
fn vlan(guest: &Guest, id: u16, mac: Mac) {
    let (own, other) = (format!("v{id}"), format!("x{id}"));
    let end = |name, mac| VethEnd {
        ns: &guest.ns,
        name,
        mac,
    };
    Netlink::ensure_veth(end(&own, Some(mac.0)), end(&other, None)).unwrap();
    let mut netlink = Netlink::open(&guest.ns).unwrap();
    netlink.set_mtu(&own, 1400).unwrap();
    netlink.set_up(&other).unwrap();
    netlink.set_up(&own).unwrap();
    let vlan = Vlan {
        link: "eth0".into(),
        id,
        untagged: Some(other),
    };
    netlink.ensure_vlan(&vlan).unwrap();
    guest.shell(&format!(
        "ip -6 address add 2001:db8:2::a/64 dev v{id} nodad"
    ));
}

#[test]
fn a_vlan_is_a_port_of_its_own() {
    let mut scene = Scene::new();
    eventually("an answer by the VLAN", || scene.answers(100));
    // The card itself is in another network, and so is every other VLAN.
    assert!(!scene.guest.pings(&format!("-I eth0 {PEER}")));
    vlan(&scene.guest, 101, scene.mac());
    assert!(!scene.answers(101));

    // Rules, guards and counters are the subport's.
    assert!(!scene.peer.pings("2001:db8:2::a"), "nothing lets it in");
    let subport = scene.subport;
    scene.world.rule(subport, allow(Direction::Ingress));
    scene.world.pass();
    eventually("an answer to the peer", || {
        scene.peer.pings("2001:db8:2::a")
    });
    let spoofed = |scene: &Scene| scene.world.counter(scene.inner, "bridge", "spoofed_mac");
    let before = spoofed(&scene);
    scene
        .guest
        .shell("ip link set v100 address 02:00:00:00:00:77");
    assert!(!scene.answers(100));
    assert!(spoofed(&scene) > before);
}

#[test]
fn a_vlan_hears_what_its_network_says() {
    let mut scene = Scene::new();
    let inner = scene.inner;
    let network = scene.world.wanted.networks.get_mut(&inner).unwrap();
    network.subnets[0].ra_mode = Some(RaMode::Slaac);
    network.subnets[0].address_mode = Some(RaMode::Slaac);
    scene.world.pass();
    scene
        .guest
        .shell("ip link set v100 down; ip link set v100 up");
    eventually("an address by Router Advertisement", || {
        let addresses = scene.guest.shell("ip -6 address show dev v100 dynamic");
        addresses.contains("2001:db8:2:0:")
    });
    assert!(
        !scene
            .guest
            .shell("ip -6 address show dev eth0")
            .contains("2001:db8:2:")
    );
}

#[test]
fn a_subport_comes_and_goes_while_its_guest_runs() {
    let mut scene = Scene::new();
    eventually("an answer", || scene.answers(100));
    let pass = |scene: &mut Scene| scene.world.pass().steps;
    assert_eq!(pass(&mut scene), 0);
    scene.world.restart();
    assert_eq!(pass(&mut scene), 0, "what is there was taken over");

    // Another VLAN.
    let parent = scene.parent;
    scene.wanted().subport = Some(Subport { parent, vlan: 101 });
    pass(&mut scene);
    vlan(&scene.guest, 101, scene.mac());
    assert!(!scene.answers(100));
    scene.guest.shell("ip link del v100");
    eventually("an answer by the other VLAN", || scene.answers(101));
    assert_eq!(pass(&mut scene), 0);

    // A tap that is made anew carries it again.
    let space = scene.world.netns(scene.world.wanted.ports[&parent].network);
    let tap = node::links::names::tap(parent);
    Netlink::open(&space).unwrap().remove_link(&tap).unwrap();
    pass(&mut scene);
    scene.guest = scene.world.guest(parent);
    vlan(&scene.guest, 101, scene.mac());
    eventually("an answer by the new tap", || scene.answers(101));
    assert_eq!(pass(&mut scene), 0);

    // Switched off, and taken away: nothing of it stays.
    scene.wanted().enabled = false;
    pass(&mut scene);
    assert!(!scene.answers(101));
    let subport = scene.subport;
    scene.world.wanted.ports.remove(&subport);
    let report = scene.world.pass();
    assert!(report.removed.contains(&subport), "{report:?}");
    assert_eq!(Netlink::open(&space).unwrap().vlans().unwrap(), []);
    assert_eq!(pass(&mut scene), 0);
}

#[test]
fn a_subport_without_its_parent_says_so() {
    let mut scene = Scene::new();
    let gone = scene.parent;
    scene.world.wanted.ports.remove(&gone);
    let report = scene.world.links.pass(&scene.world.wanted);
    let [(key, text)] = &report.failures[..] else {
        panic!("{:?}", report.failures);
    };
    assert_eq!(*key, model::Key::Port(scene.subport));
    assert!(text.contains("is not known here"), "{text}");
    assert!(!report.up.contains(&scene.subport));
}

/// Limits are at the end of the pair that stands in for the tap.
#[test]
fn a_subport_is_limited_as_any_port() {
    let mut scene = Scene::new();
    let limit = model::Bandwidth {
        max_kbps: 4000,
        burst_kbit: 160,
    };
    scene.wanted().qos.egress = Some(limit);
    scene.wanted().qos.ingress = Some(limit);
    scene.world.pass();
    assert_eq!(scene.world.pass().steps, 0, "all is as wanted");
    eventually("an answer by the VLAN", || scene.answers(100));
    let ns = scene.world.netns(scene.inner);
    for link in [names::tap(scene.subport), names::limit(scene.subport)] {
        let show = [
            "netns",
            "exec",
            ns.name(),
            "tc",
            "-s",
            "qdisc",
            "show",
            "dev",
            &link,
        ];
        let output = std::process::Command::new("ip")
            .args(show)
            .output()
            .unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.contains("rate 4Mbit"), "{seen}");
        assert!(!seen.contains("Sent 0 bytes"), "{seen}");
    }
}
