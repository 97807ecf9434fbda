//! Networks that are VLANs of a physical one.

use linux::netlink::Netlink;
use linux::tap;
use model::{Direction, NetworkId, RaMode};

use crate::world::{World, allow, eventually};

fn physical(world: &mut World, network: NetworkId, vlan: u16) {
    let network = world.wanted.networks.get_mut(&network).unwrap();
    network.physical_network = Some("physnet".into());
    network.vlan = Some(vlan);
}

/// Captures frames with their tags on the operator's bridge, where a switch would be.
fn on_the_wire(world: &World, filter: &str, act: impl FnOnce()) -> String {
    let ns = world.base.name();
    let script = format!("timeout 8 tcpdump -c 1 -nevli wire {filter}");
    let child = std::process::Command::new("ip")
        .args(["netns", "exec", ns, "sh", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("tcpdump listens", || {
        let sockets = std::process::Command::new("ip")
            .args(["netns", "exec", ns, "cat", "/proc/net/packet"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&sockets.stdout).lines().count() > 1
    });
    act();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_network_is_a_vlan_of_the_physical_one() {
    let mut world = World::new();
    // A port of the operator's bridge on which everything is to be seen.
    tap::ensure(&world.base, "wire").unwrap();
    let _held = tap::open(&world.base, "wire").unwrap();
    let mut base = Netlink::open(&world.base).unwrap();
    base.set_master("wire", Some("br-ext")).unwrap();
    base.set_up("wire").unwrap();

    let networks = [100, 200].map(|vlan| {
        let network = world.network("2001:db8:1::/64");
        physical(&mut world, network, vlan);
        network
    });
    let [a, b] = networks.map(|network| world.port(network, "2001:db8:1::a"));
    let port = world.port(networks[0], "2001:db8:1::b");
    world.rule(port, allow(Direction::Ingress));
    world.pass();
    assert_eq!(world.pass().steps, 0);
    world.restart();
    assert_eq!(world.pass().steps, 0, "what is there was taken over");

    // What leaves bears its tag, and only its own network hears it.
    let (first, second, peer) = (world.guest(a), world.guest(b), world.guest(port));
    let seen = on_the_wire(&world, "'vlan 100 and icmp6'", || {
        let _ = first.pings("2001:db8:1::77");
    });
    assert!(seen.contains("vlan 100"), "{seen}");
    let seen = on_the_wire(&world, "'vlan 200 and icmp6'", || {
        let _ = second.pings("2001:db8:1::b");
    });
    assert!(seen.contains("vlan 200"), "{seen}");
    eventually("an answer on the same VLAN", || {
        first.pings("2001:db8:1::b")
    });
    assert!(!second.pings("2001:db8:1::b"), "another VLAN answered");
    drop(peer);

    // One goes, the other stays; at last the pair that carried them goes too.
    let links = |world: &World| {
        let links = Netlink::open(&world.base).unwrap().links().unwrap();
        let ours = links.into_iter().filter(|l| l.name.starts_with("hx"));
        ours.map(|l| l.name).collect::<Vec<_>>()
    };
    assert_eq!(links(&world).len(), 4);
    for (left, network) in [(3, networks[1]), (0, networks[0])] {
        world.wanted.ports.retain(|_, p| p.network != network);
        world.wanted.networks.remove(&network);
        world.pass();
        assert_eq!(links(&world).len(), left, "{:?}", links(&world));
        let vlans = Netlink::open(&world.base).unwrap().vlans().unwrap();
        assert_eq!(vlans.len(), left.saturating_sub(2));
        assert_eq!(world.pass().steps, 0);
    }
}

#[test]
fn two_nodes_share_a_vlan() {
    let (mut here, mut there) = (World::new(), World::new());
    // A wire between the bridges of both.
    let end = |ns, name| linux::netlink::VethEnd {
        ns,
        name,
        mac: None,
    };
    Netlink::ensure_veth(end(&here.base, "wire"), end(&there.base, "wire")).unwrap();
    for world in [&here, &there] {
        let mut netlink = Netlink::open(&world.base).unwrap();
        netlink.set_master("wire", Some("br-ext")).unwrap();
        netlink.set_up("wire").unwrap();
    }
    let network = here.network("2001:db8:1::/64");
    physical(&mut here, network, 4094);
    let subnet = &mut here.wanted.networks.get_mut(&network).unwrap().subnets[0];
    subnet.ra_mode = Some(RaMode::Slaac);
    subnet.address_mode = Some(RaMode::Slaac);
    there.wanted.networks = here.wanted.networks.clone();
    let a = here.port(network, "2001:db8:1::a");
    let mut b = crate::world::port(network, 9, "2001:db8:1::b");
    b.rules.push(allow(Direction::Ingress));
    let b_id = b.id;
    there.wanted.ports.insert(b_id, b);
    here.pass();
    there.pass();
    let (first, _second) = (here.guest(a), there.guest(b_id));
    eventually("an answer by the other node's guest", || {
        first.pings("2001:db8:1::b")
    });
}
