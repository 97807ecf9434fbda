//! IPv4 on a dual-stack network: what ports may say of it, and what they may not.

use linux::conntrack;
use model::{Direction, NetworkId, Peer, PortId, Rule, SecurityGroupId};

use crate::world::{World, allow4, eventually, leg};

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
    let group = SecurityGroupId::random();
    world.join(a, group);
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

#[test]
fn metadata_knows_who_asks_by_ipv4() {
    let (mut world, network, [a, b]) = dual();
    let leg = leg(network, 1, "192.0.2.1/24", false);
    let router = world.router(vec![leg]);
    let floating = model::FloatingIp {
        id: model::FloatingIpId::random(),
        floating: "203.0.113.7".parse().unwrap(),
        fixed: "192.0.2.11".parse().unwrap(),
    };
    let router = world.wanted.routers.get_mut(&router).unwrap();
    router.floating_ips.push(floating);
    let servers = [a, b].map(|port| world.server(port));
    world.pass();
    // One knows the address to be on its link; the other sends to its router whatever it knows no
    // better way for.
    let routes = ["169.254.169.254 dev eth0", "default via 192.0.2.1"];
    let public = ["", "203.0.113.7"];
    for (((port, server), route), public) in [a, b].into_iter().zip(servers).zip(routes).zip(public)
    {
        let guest = world.guest(port);
        guest.shell(&format!("ip route add {route}"));
        let url = "http://169.254.169.254/openstack/latest/meta_data.json";
        let said = guest.shell(&format!("curl -sm5 {url}"));
        assert!(said.contains(&server.to_string()), "{said}");
        let url = "http://169.254.169.254/latest/meta-data/public-ipv4";
        assert_eq!(guest.shell(&format!("curl -sm5 {url}")), public);
        assert!(guest.pings("169.254.169.254"));
        let before = world.counter(network, "inet", "filtered_input");
        let closed = guest.run("curl -sm1 http://169.254.169.254:81/");
        assert!(!closed.status.success());
        assert!(world.counter(network, "inet", "filtered_input") > before);
    }
}

#[test]
fn a_guest_is_leased_its_address() {
    leased(false);
}

#[test]
fn a_stateless_port_is_leased_its_address() {
    leased(true);
}

fn leased(stateless: bool) {
    let (mut world, network, [a, _]) = dual();
    let port = world.wanted.ports.get_mut(&a).unwrap();
    port.rules.clear();
    port.stateless = stateless;
    world.pass();
    let guest = world.guest(a);
    guest.shell("ip -4 address flush dev eth0");
    let script = std::env::temp_dir().join(format!("{}-script", world.short));
    std::fs::write(
        &script,
        "#!/bin/sh\n[ $1 = bound ] && echo got $ip by $serverid\n",
    )
    .unwrap();
    let path = script.display();
    let told = guest.shell(&format!(
        "chmod 755 {path}; busybox udhcpc -f -q -n -t 5 -T 1 -i eth0 -s {path} 2>&1; rm {path}"
    ));
    assert!(told.contains("got 192.0.2.10 by 169.254.169.254"), "{told}");
    // What is no service stays closed, and what was said is no noise in the counter.
    assert_eq!(world.counter(network, "inet", "filtered_input"), 0);
    let sockets = || {
        let mut ss = std::process::Command::new("ip");
        let listening = ss.args(["netns", "exec", world.netns(network).name(), "ss", "-4Hln"]);
        String::from_utf8(listening.output().unwrap().stdout).unwrap()
    };
    assert_eq!(
        sockets().lines().count(),
        1,
        "metadata alone: {}",
        sockets()
    );
    assert!(sockets().contains("169.254.169.254%br:80"), "{}", sockets());
}

#[test]
fn without_ipv4_nothing_of_it_is_there() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    world.port(network, "2001:db8:1::a");
    world.pass();
    let ns = world.netns(network);
    let run = |words: &str| {
        let mut ip = std::process::Command::new("ip");
        let words = ["netns", "exec", ns.name()]
            .into_iter()
            .chain(words.split(' '));
        String::from_utf8(ip.args(words).output().unwrap().stdout).unwrap()
    };
    assert_eq!(run("ss -4Hanw"), "");
    assert_eq!(run("ip -4 address show dev br"), "");
    assert_eq!(run("ip -4 route"), "");
}
