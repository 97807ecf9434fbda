//! IPv4 on a dual-stack network: what ports may say of it, and what they may not.

use linux::conntrack;
use model::{AddressGroup, AddressGroupId, Direction, NetworkId, Peer, PortId, Rule};

use crate::world::{World, allow4, eventually};

/// A dual-stack network with two ports, each of which may send anything.
fn dual() -> (World, NetworkId, [PortId; 2]) {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    world.subnet4(network, "192.0.2.0/24");
    let ports = [
        world.port(network, "2001:db8:1::a"),
        world.port(network, "2001:db8:1::b"),
    ];
    world.address4(ports[0], "192.0.2.10");
    world.address4(ports[1], "192.0.2.11");
    (world, network, ports)
}

#[test]
fn rules_of_ipv4_hold_for_ipv4() {
    let (mut world, network, [a, b]) = dual();
    world.pass();
    let (first, _second) = (world.guest(a), world.guest(b));
    assert!(!first.pings("192.0.2.11"), "nothing lets it in");
    let group = AddressGroupId::random();
    let members = AddressGroup {
        id: group,
        addresses: vec!["192.0.2.10".parse().unwrap()],
    };
    world.wanted.groups.insert(group, members);
    let from_group = Rule {
        peer: Some(Peer::Group(group)),
        ..allow4(Direction::Ingress)
    };
    world.rule(b, from_group);
    world.pass();
    assert!(first.pings("192.0.2.11"), "a member of the group");
    assert!(!first.pings("2001:db8:1::b"), "no rule of IPv6");

    // A rule that goes takes its connections with it.
    let flows = |world: &World| {
        let all = conntrack::flows(&world.netns(network)).unwrap();
        let to = "192.0.2.11".parse().unwrap();
        all.iter().filter(|flow| flow.has(to)).count()
    };
    assert!(flows(&world) > 0);
    world.wanted.ports.get_mut(&b).unwrap().rules.pop();
    world.pass();
    assert_eq!(flows(&world), 0);
    assert!(!first.pings("192.0.2.11"));
}

#[test]
fn a_guest_cannot_pretend() {
    let (mut world, network, [a, b]) = dual();
    let six = world.port(network, "2001:db8:1::6");
    world.rule(b, allow4(Direction::Ingress));
    world.pass();
    let (first, second, third) = (world.guest(a), world.guest(b), world.guest(six));
    assert!(first.pings("192.0.2.11"));
    let refused = |guest: &crate::world::Guest, counter: &str, frame: &str| {
        let before = world.counter(network, "bridge", counter);
        guest.send(frame);
        eventually(&format!("{counter} for {frame}"), || {
            world.counter(network, "bridge", counter) == before + 1
        });
    };
    let own = "fa:16:3e:00:00:01";
    let ipv4 = |packet: &str| format!("ether('{own}', 0x800, {packet}, 'ff:ff:ff:ff:ff:ff')");
    let arp = |packet: &str| format!("ether('{own}', 0x806, {packet}, 'ff:ff:ff:ff:ff:ff')");
    for source in ["192.0.2.11", "192.0.2.1", "0.0.0.0", "169.254.169.254"] {
        let packet = format!("udp4('{source}', '192.0.2.11', 9, 9)");
        refused(&first, "spoofed_source", &ipv4(&packet));
    }
    let answer = "udp4('192.0.2.10', '255.255.255.255', 67, 68)";
    refused(&first, "rogue", &ipv4(answer));
    let answer = "udp4('192.0.2.10', '192.0.2.11', 9, 68)";
    refused(&first, "rogue", &ipv4(answer));
    for sender in ["192.0.2.11", "192.0.2.1", "169.254.169.254"] {
        for kind in [1, 2] {
            let packet = format!("arp({kind}, '{own}', '{sender}', '192.0.2.11')");
            refused(&first, "spoofed_source", &arp(&packet));
        }
    }
    let other = "arp(2, 'fa:16:3e:00:00:02', '192.0.2.10', '192.0.2.11')";
    refused(&first, "spoofed_mac", &arp(other));
    // A port that has no address of IPv4 says nothing but IPv6.
    let mac = "fa:16:3e:00:00:03";
    for (kind, packet) in [
        (0x806, format!("arp(1, '{mac}', '0.0.0.0', '192.0.2.10')")),
        (0x800, "udp4('0.0.0.0', '255.255.255.255', 68, 67)".into()),
    ] {
        refused(
            &third,
            "not_ipv6",
            &format!("ether('{mac}', {kind}, {packet})"),
        );
    }
    assert!(
        first.pings("192.0.2.11"),
        "it still may say what is its own"
    );
    drop(second);
}
