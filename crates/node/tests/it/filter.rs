//! What ports may say and hear: rendered, and tried with frames a guest should not send.

use std::collections::BTreeMap;

use linux::nft;
use model::{
    AddressGroup, AddressGroupId, Direction, Peer, Port, PortId, Protocol, Rule, SecurityGroupId,
};
use node::filter::{Members, Scene, Tables};

use crate::golden;
use crate::world::{World, allow, allow4, eventually, leg, network, port, subnet};

/// A rule for what comes in.
fn ingress(protocol: Protocol, range: Option<(u16, Option<u16>)>, peer: Option<Peer>) -> Rule {
    Rule {
        protocol: Some(protocol),
        range,
        peer,
        ..allow(Direction::Ingress)
    }
}

fn echo() -> Rule {
    ingress(Protocol::Icmpv6, Some((128, Some(0))), None)
}

struct Sample {
    network: model::Network,
    ports: Vec<(Port, u32)>,
    leg: model::RouterPort,
    groups: BTreeMap<AddressGroupId, AddressGroup>,
    members: Members,
}

impl Sample {
    fn new() -> Sample {
        let id = |n: u128| uuid::Uuid::from_u128((n << 96) | n);
        let mut network = network("2001:db8:1::/64");
        network.id = model::NetworkId(id(0xa));
        network
            .subnets
            .push(subnet("192.0.2.0/24".parse().unwrap()));
        network.resolver = ["2001:db8:1::53", "192.0.2.53"]
            .map(|address| address.parse().unwrap())
            .into();
        let group = SecurityGroupId(id(0xb));
        let members = ["2001:db8:1::6", "192.0.2.6"].map(|a| a.parse().unwrap());
        let partners = AddressGroupId(id(0xd));
        let partner = AddressGroup {
            id: partners,
            prefixes: ["2001:db8:7::/48", "2001:db8:8::8/128", "198.51.100.0/24"]
                .map(|net| net.parse().unwrap())
                .into(),
        };
        let mut leg = leg(network.id, 1, "2001:db8:1::1/64", false);
        leg.id = PortId(id(0xc));
        let mut first = port(network.id, 5, "2001:db8:1::5");
        first.id = PortId(id(1));
        first.allowed_prefixes = ["2001:db8:5::/64", "2001:db8:1::100/128"]
            .map(|net| net.parse().unwrap())
            .into();
        first.allowed_macs = vec!["00:00:5e:00:02:01".parse().unwrap()];
        first.rules.extend([
            echo(),
            ingress(
                Protocol::Tcp,
                Some((22, Some(22))),
                Some(Peer::Group(group)),
            ),
            ingress(Protocol::Tcp, Some((8000, Some(8010))), None),
            ingress(Protocol::Tcp, Some((8443, None)), None),
            ingress(
                Protocol::Udp,
                None,
                Some(Peer::Prefix("2001:db8:9::/48".parse().unwrap())),
            ),
            ingress(
                Protocol::Udp,
                None,
                Some(Peer::Prefix("2001:db8:a::5/128".parse().unwrap())),
            ),
            ingress(
                Protocol::Tcp,
                Some((443, None)),
                Some(Peer::Addresses(partners)),
            ),
            ingress(Protocol::Number(50), None, None),
        ]);
        let mut second = port(network.id, 6, "2001:db8:1::6");
        second.id = PortId(id(2));
        second.addresses.push("192.0.2.6".parse().unwrap());
        second.rules.push(allow4(Direction::Egress));
        let mut free = port(network.id, 7, "2001:db8:1::7");
        free.id = PortId(id(3));
        free.port_security = false;
        let ports = vec![(first, 1), (second, 2), (free, 3)];
        Sample {
            network,
            ports,
            leg,
            groups: [(partners, partner)].into(),
            members: [(group, members.into())].into(),
        }
    }

    fn tables(&self) -> Tables {
        Tables::of(&Scene {
            network: &self.network,
            ports: self
                .ports
                .iter()
                .map(|(port, mark)| (port, *mark))
                .collect(),
            legs: vec![&self.leg],
            groups: &self.groups,
            members: &self.members,
        })
    }
}

#[test]
fn the_whole_as_text() {
    golden::check("tables.nft", &Sample::new().tables().render());
}

#[test]
fn changes_as_text() {
    let mut sample = Sample::new();
    let before = sample.tables();
    assert_eq!(before.changes(&before).as_deref(), Some(""));
    let (mut fourth, mark) = (port(sample.network.id, 8, "2001:db8:1::8"), 4);
    fourth.id = PortId(uuid::Uuid::from_u128(4 << 96));
    sample.ports.push((fourth, mark));
    sample.ports.remove(1);
    sample.ports[0].0.rules.pop();
    golden::check("changes.nft", &before.changes(&sample.tables()).unwrap());
}

#[test]
fn marked_ports_as_text() {
    let mut sample = Sample::new();
    let before = sample.tables();
    for (port, _) in &mut sample.ports {
        port.qos.dscp = Some(26);
    }
    golden::check("dscp.nft", &before.changes(&sample.tables()).unwrap());
}

#[test]
fn a_stateless_port_as_text() {
    let mut sample = Sample::new();
    let before = sample.tables();
    sample.ports[1].0.stateless = true;
    let after = sample.tables();
    assert_eq!(before.changes(&after), None, "a hook is never altered");
    let text = after.render();
    let inet = text.split("table inet hextet {").nth(1).unwrap();
    golden::check("stateless.nft", inet);
}

#[test]
fn nft_takes_whole_and_changes() {
    let world = World::new();
    let mut sample = Sample::new();
    let before = sample.tables();
    nft::apply(&world.base, &before.render()).unwrap();
    nft::apply(&world.base, &before.render()).unwrap();
    sample.ports.remove(1);
    sample.ports[0].0.rules.pop();
    sample.members.values_mut().for_each(|m| m.clear());
    for group in sample.groups.values_mut() {
        // Wider than what was there, and of it a part is gone.
        group.prefixes.retain(|net| net.addr().is_ipv6());
        for net in &mut group.prefixes {
            *net = net.supernet().unwrap();
        }
    }
    let after = sample.tables();
    nft::apply(&world.base, &before.changes(&after).unwrap()).unwrap();
    let changed = nft::ask(&world.base, &["list", "ruleset"]).unwrap();
    nft::apply(&world.base, &after.render()).unwrap();
    let mut whole: Vec<_> = changed.lines().collect();
    let replaced = nft::ask(&world.base, &["list", "ruleset"]).unwrap();
    let mut expected: Vec<_> = replaced.lines().collect();
    whole.sort_unstable();
    expected.sort_unstable();
    assert_eq!(
        whole, expected,
        "changes lead to the same tables as the whole"
    );
}

#[test]
fn both_sides_must_allow() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    world.pass();
    let (first, second) = (world.guest(a), world.guest(b));
    assert!(!first.pings("2001:db8:1::b"), "nothing lets it in");
    assert!(world.counter(network, "inet", "filtered_ingress") > 0);

    let group = SecurityGroupId::random();
    world.rule(b, ingress(Protocol::Icmpv6, None, Some(Peer::Group(group))));
    world.pass();
    assert!(!first.pings("2001:db8:1::b"), "the group is empty");
    world.join(a, group);
    world.pass();
    assert!(first.pings("2001:db8:1::b"), "replies need no rule");
    assert!(
        first
            .run("ping -6 -n -c 1 -W 1 -s 3000 2001:db8:1::b")
            .status
            .success(),
        "fragments"
    );
    assert!(!second.pings("2001:db8:1::a"), "only replies");

    world.wanted.ports.get_mut(&a).unwrap().rules.clear();
    world.pass();
    first.shell("ip -6 address add 2001:db8:1::aa/64 dev eth0 nodad");
    assert!(!first.pings("2001:db8:1::b"), "nothing lets it out");
    assert!(world.counter(network, "inet", "filtered_egress") > 0);
}

#[test]
fn a_rule_that_goes_takes_connections_of_learned_addresses_and_of_earlier_lives() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    let c = world.port(network, "2001:db8:1::c");
    for port in [b, c] {
        world.rule(port, echo());
    }
    world.pass();
    let (first, second, _third) = (world.guest(a), world.guest(b), world.guest(c));
    second.shell("ip -6 address add 2001:db8:1::bb/64 dev eth0 nodad");
    let flows = |world: &World, to: &str| {
        let all = linux::conntrack::flows(&world.netns(network)).unwrap();
        let to = to.parse().unwrap();
        all.iter().filter(|flow| flow.has(to)).count()
    };
    let own = ["2001:db8:1::b", "2001:db8:1::bb"];
    let meet = |world: &World| {
        for address in own.iter().chain(&["2001:db8:1::c"]) {
            eventually("an answer", || first.pings(address));
            assert!(flows(world, address) > 0);
        }
    };
    // A privacy address of the guest's own choice; then a rule that went while we were away.
    for away in [false, true] {
        meet(&world);
        let rule = world.wanted.ports.get_mut(&b).unwrap().rules.pop().unwrap();
        if away {
            world.restart();
        }
        world.pass();
        assert_eq!(
            own.map(|address| flows(&world, address)),
            [0, 0],
            "away: {away}"
        );
        assert!(
            flows(&world, "2001:db8:1::c") > 0,
            "what is allowed goes on"
        );
        world.rule(b, rule);
        world.pass();
    }
    // A new life in which nothing went ends nothing.
    meet(&world);
    world.restart();
    world.pass();
    for address in own {
        assert!(flows(&world, address) > 0);
    }
}

#[test]
fn an_address_group_lets_its_prefixes_in_as_long_as_it_has_them() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    let group = AddressGroupId::random();
    let set = |world: &mut World, prefixes: &[&str]| {
        let group = AddressGroup {
            id: group,
            prefixes: prefixes.iter().map(|net| net.parse().unwrap()).collect(),
        };
        world.wanted.groups.insert(group.id, group);
        world.pass();
    };
    let peer = Some(Peer::Addresses(group));
    world.rule(b, ingress(Protocol::Icmpv6, None, peer));
    set(&mut world, &["2001:db8:1::c/127"]);
    let (first, _second) = (world.guest(a), world.guest(b));
    let flows = |world: &World| {
        let all = linux::conntrack::flows(&world.netns(network)).unwrap();
        let to = "2001:db8:1::b".parse().unwrap();
        all.iter().filter(|flow| flow.has(to)).count()
    };
    assert!(!first.pings("2001:db8:1::b"), "another's prefix");
    set(&mut world, &["2001:db8:1::a/127", "2001:db8:1::c/127"]);
    eventually("an answer", || first.pings("2001:db8:1::b"));
    assert!(flows(&world) > 0);
    // Written otherwise it is the same, and what it let in goes on.
    set(&mut world, &["2001:db8:1::8/125"]);
    assert!(flows(&world) > 0);
    set(&mut world, &["2001:db8:1::c/127"]);
    assert_eq!(flows(&world), 0, "what only the prefix allowed has ended");
    assert!(!first.pings("2001:db8:1::b"));
    set(&mut world, &["::/0"]);
    eventually("an answer", || first.pings("2001:db8:1::b"));
}

#[test]
fn a_stateless_port_hears_only_what_rules_say() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    let c = world.port(network, "2001:db8:1::c");
    for port in [a, b, c] {
        world.rule(port, echo());
    }
    world.pass();
    let [stateful, first, second] = [a, b, c].map(|port| world.guest(port));
    let answers = |world: &mut World, port: PortId| {
        world.rule(port, ingress(Protocol::Icmpv6, Some((129, Some(0))), None));
    };
    let flows = |world: &World, address: &str| {
        let all = linux::conntrack::flows(&world.netns(network)).unwrap();
        let of = address.parse().unwrap();
        all.iter().filter(|flow| flow.has(of)).count()
    };
    eventually("an answer", || first.pings("2001:db8:1::a"));
    assert!(flows(&world, "2001:db8:1::b") > 0);
    for port in [b, c] {
        world.wanted.ports.get_mut(&port).unwrap().stateless = true;
    }
    world.pass();
    assert_eq!(flows(&world, "2001:db8:1::b"), 0, "what was tracked ended");
    assert!(!first.pings("2001:db8:1::a"), "an answer needs a rule");
    assert!(stateful.pings("2001:db8:1::b"), "and of the other none");
    assert!(!first.pings("2001:db8:1::c"));
    answers(&mut world, b);
    world.pass();
    assert!(first.pings("2001:db8:1::a"), "a rule lets answers in");
    assert!(first.pings("2001:db8:1::c"), "among stateless ports too");
    assert!(!second.pings("2001:db8:1::b"), "each by its own rules");
    assert_eq!(flows(&world, "2001:db8:1::c"), 0, "nothing is tracked");

    // A rule that goes is gone with the next packet, in both directions.
    let rules = &mut world.wanted.ports.get_mut(&b).unwrap().rules;
    rules.retain(|rule| rule.direction == Direction::Ingress);
    world.pass();
    assert!(!stateful.pings("2001:db8:1::b"), "it may not answer");
    world.wanted.ports.get_mut(&c).unwrap().stateless = false;
    world.pass();
    eventually("an answer", || second.pings("2001:db8:1::a"));
}

#[test]
fn tcp_by_port_range() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    world.rule(b, ingress(Protocol::Tcp, Some((8000, Some(8010))), None));
    world.rule(b, ingress(Protocol::Tcp, Some((8020, None)), None));
    world.pass();
    let (first, second) = (world.guest(a), world.guest(b));
    let serve = |port: u16| {
        format!(
            "python3 -c \"import socket; s = socket.create_server(('::', {port}), \
             family=socket.AF_INET6); s.settimeout(6); s.accept()[0].send(b'hello')\" >/dev/null 2>&1 &"
        )
    };
    second.shell(&(serve(8005) + &serve(8011) + &serve(8020)));
    let ask = |port: u16| {
        let script = format!(
            "python3 -c \"import socket; \
             print(socket.create_connection(('2001:db8:1::b', {port}), 2).recv(9))\""
        );
        String::from_utf8(first.run(&script).stdout).unwrap()
    };
    for port in [8005, 8020] {
        eventually("an answer", || ask(port).contains("hello"));
    }
    assert_eq!(ask(8011), "");
}

/// Sends a frame and expects a counter to grow by exactly one.
fn refused(world: &World, guest: &crate::world::Guest, port: PortId, counter: &str, frame: &str) {
    let network = world.wanted.ports[&port].network;
    let before = world.counter(network, "bridge", counter);
    guest.send(frame);
    eventually(&format!("{counter} for {frame}"), || {
        world.counter(network, "bridge", counter) == before + 1
    });
}

/// Waits until what a guest sent before has been judged: frames keep their order, and this one counts.
fn heard_out(world: &World, guest: &crate::world::Guest, port: PortId) {
    let last = "ether('fa:16:3e:ff:ff:ff', 0x86dd, icmp6('fe80::1', 'ff02::1', 128, bytes(4)))";
    refused(world, guest, port, "spoofed_mac", last);
}

#[test]
fn a_guest_cannot_pretend() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let router_leg = leg(network, 1, "2001:db8:1::1/64", false);
    let router_address = router_leg.mac.link_local();
    world.router(vec![router_leg]);
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    world.rule(b, allow(Direction::Ingress));
    world.pass();
    let (first, second) = (world.guest(a), world.guest(b));
    assert!(first.pings("2001:db8:1::b"));
    let refused = |counter: &str, frame: &str| refused(&world, &first, a, counter, frame);

    let own = "fa:16:3e:00:00:01";
    let echo = |source: &str| format!("icmp6('{source}', 'ff02::1', 128, bytes(4))");
    let frame = |mac: &str, packet: &str| format!("ether('{mac}', 0x86dd, {packet})");
    refused(
        "spoofed_mac",
        &frame("fa:16:3e:00:00:02", &echo("2001:db8:1::a")),
    );
    refused("spoofed_source", &frame(own, &echo("2001:db8:1::b")));
    refused("spoofed_source", &frame(own, &echo("2001:db8:1::1")));
    refused(
        "spoofed_source",
        &frame(own, &echo(&router_address.to_string())),
    );
    refused("spoofed_source", &frame(own, &echo("fe80::a9fe:a9fe")));
    refused("spoofed_source", &frame(own, &echo("fd00:ec2::254")));
    refused("spoofed_source", &frame(own, &echo("2001:db8:2::a")));
    refused("spoofed_source", &frame(own, &echo("::")));
    refused("spoofed_source", &frame(own, &echo("::1")));

    let link_local = "fe80::f816:3eff:fe00:1";
    let icmp = |kind: u8, body: &str| {
        frame(
            own,
            &format!("icmp6('{link_local}', 'ff02::1', {kind}, {body})"),
        )
    };
    refused("rogue", &icmp(134, "bytes([64,0,7,8]) + bytes(8)"));
    refused("rogue", &icmp(137, "bytes(36)"));
    let udp = |sport: u16, dport: u16| {
        frame(
            own,
            &format!("udp('{link_local}', 'ff02::1', {sport}, {dport})"),
        )
    };
    refused("rogue", &udp(547, 1546));
    refused("rogue", &udp(1547, 546));
    // Behind a destination options header (RFC 7113).
    let hidden = format!(
        "ip6('{link_local}', 'ff02::1', 60, bytes([58,0,1,4,0,0,0,0]) + \
         icmp6('{link_local}', 'ff02::1', 134, bytes(12))[40:])"
    );
    refused("rogue", &frame(own, &hidden));

    let advert = |target: &str| icmp(136, &format!("bytes([32,0,0,0]) + ip('{target}')"));
    refused("spoofed_target", &advert("2001:db8:1::b"));
    refused("spoofed_target", &advert("2001:db8:1::1"));
    refused("spoofed_target", &advert("fe80::a9fe:a9fe"));
    refused("spoofed_target", &advert("fd00:ec2::254"));
    refused("spoofed_target", &advert("2001:db8:2::1"));

    let fragment = |offset: u16, next: u8, body: &str| {
        let header = format!("bytes([{next},0]) + struct.pack('>HI', {offset}, 7)");
        frame(
            own,
            &format!("ip6('{link_local}', 'ff02::1', 44, {header} + {body})"),
        )
    };
    refused(
        "fragment",
        &fragment(1, 58, "bytes([135,0,0,0]) + bytes(20)"),
    );
    refused("fragment", &fragment(1, 58, "b''"));
    refused("fragment", &fragment(1, 6, "b''"));
    let options = "bytes([58,0,1,4,0,0,0,0])";
    refused("fragment", &fragment(1, 60, options));

    refused("not_ipv6", &format!("ether('{own}', 0x0806, bytes(28))"));
    refused("not_ipv6", &format!("ether('{own}', 0x0800, bytes(28))"));
    refused(
        "not_ipv6",
        &format!(
            "ether('{own}', 0x8100, bytes([0,0,0x86,0xdd]) + {})",
            echo("2001:db8:1::a")
        ),
    );
    refused("not_ipv6", &format!("ether('{own}', 0x88cc, bytes(28))"));
    assert!(
        first.pings("2001:db8:1::b"),
        "it still may say what is its own"
    );
    drop(second);
}

#[test]
fn who_comes_first_owns_an_address() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    for port in [a, b] {
        world.rule(port, allow(Direction::Ingress));
    }
    world.pass();
    let (first, second) = (world.guest(a), world.guest(b));
    // An address of its own making, learned by its use.
    first.shell("ip -6 address add 2001:db8:1::77 dev eth0 nodad");
    assert!(first.pings("-I 2001:db8:1::77 2001:db8:1::b"));
    let echo =
        "ether('fa:16:3e:00:00:02', 0x86dd, icmp6('2001:db8:1::77', 'ff02::1', 128, bytes(4)))";
    refused(&world, &second, b, "spoofed_source", echo);
    // Another, learned from Duplicate Address Detection alone.
    let probe = "ether('fa:16:3e:00:00:01', 0x86dd, icmp6('::', 'ff02::1:ff00:88', 135, bytes(4) + ip('2001:db8:1::88')))";
    first.send(probe);
    heard_out(&world, &first, a);
    let echo = echo.replace("::77", "::88");
    refused(&world, &second, b, "spoofed_source", &echo);

    // It survives a restart, and a stranger's hand on the tables.
    world.restart();
    world.pass();
    refused(&world, &second, b, "spoofed_source", &echo);
    nft::apply(&world.netns(network), "add table ip stranger").unwrap();
    world.pass();
    refused(&world, &second, b, "spoofed_source", &echo);

    // A port that goes frees what it had.
    drop(first);
    world.wanted.ports.remove(&a);
    let report = world.pass();
    assert_eq!(report.removed, [a].into());
    second.shell("ip -6 address add 2001:db8:1::88 dev eth0 nodad");
    let before = world.counter(network, "bridge", "spoofed_source");
    second.send(&echo);
    heard_out(&world, &second, b);
    assert_eq!(world.counter(network, "bridge", "spoofed_source"), before);
}

#[test]
fn nobody_owns_a_whole_subnet() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    world.pass();
    let guest = world.guest(a);
    let packet = "icmp6(f'2001:db8:1::1:{i:x}', 'ff02::1', 128, bytes(4))";
    guest.send_each(&format!(
        "[ether('fa:16:3e:00:00:01', 0x86dd, {packet}) for i in range(40)]"
    ));
    eventually("the limit", || {
        world.counter(network, "bridge", "full") == 8
    });
}

#[test]
fn without_port_security_nothing_is_filtered() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    let b = world.port(network, "2001:db8:1::b");
    for port in [a, b] {
        let port = world.wanted.ports.get_mut(&port).unwrap();
        port.port_security = false;
        port.rules.clear();
    }
    world.pass();
    let (first, second) = (world.guest(a), world.guest(b));
    first.shell("ip -6 address add 2001:db8:99::1/64 dev eth0 nodad");
    second.shell("ip -6 address add 2001:db8:99::2/64 dev eth0 nodad");
    assert!(first.pings("2001:db8:99::2"));
    first.shell("ip link set eth0 down; ip link set eth0 address fa:16:3e:99:99:99 up");
    first.shell("ip -6 address add 2001:db8:99::1/64 dev eth0 nodad || true");
    assert!(first.pings("2001:db8:99::2"), "any Ethernet address");
}

#[test]
fn a_guest_reaches_nothing_of_the_host_but_the_services() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let a = world.port(network, "2001:db8:1::a");
    world.pass();
    let guest = world.guest(a);
    assert!(guest.pings("fe80::a9fe:a9fe%eth0"));
    let connect = |port: u16| {
        let script = format!(
            "python3 -c \"import socket; socket.create_connection(('fe80::a9fe:a9fe%eth0', {port}), 1)\""
        );
        let output = guest.run(&script);
        String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(connect(80), "", "metadata");
    let before = world.counter(network, "inet", "filtered_input");
    assert!(connect(81).contains("timed out"));
    assert!(world.counter(network, "inet", "filtered_input") > before);
}
