//! A guest asks its network's resolver, on the sockets, addresses and filters of a real network.

use std::net::UdpSocket;

use linux::netlink::Netlink;
use linux::netns::Netns;
use model::{NetworkId, PortId, PortName};

use crate::world::{Guest, World, eventually, leg};

const V6: &str = "2001:db8:1::53";
const V4: &str = "192.0.2.53";

/// A dual-stack network with a resolver and two ports, of which no rule lets anything in or out.
/// The first is called `web`, the second is not called.
fn scene() -> (World, NetworkId, [PortId; 2]) {
    let mut world = World::new();
    let id = world.network("2001:db8:1::/64");
    world.subnet4(id, "192.0.2.0/24");
    let ports = [
        world.port(id, "2001:db8:1::a"),
        world.port(id, "2001:db8:1::b"),
    ];
    world.address4(ports[0], "192.0.2.10");
    world.address4(ports[1], "192.0.2.11");
    let network = world.wanted.networks.get_mut(&id).unwrap();
    network.dns_domain = "alpha.example.".into();
    network.resolver = [V6, V4].map(|address| address.parse().unwrap()).into();
    for (port, name) in ports.into_iter().zip(["web", ""]) {
        let known = world.wanted.ports.get_mut(&port).unwrap();
        known.rules.clear();
        let name = PortName {
            id: port,
            network: id,
            dns_name: name.into(),
            dns_domain: String::new(),
            addresses: known.addresses.clone(),
            paired: Vec::new(),
            groups: Vec::new(),
        };
        world.wanted.names.insert(port, name);
    }
    (world, id, ports)
}

fn dig(guest: &Guest, question: &str) -> String {
    let answer = guest.shell(&format!("dig +time=8 +tries=1 {question}"));
    answer.trim().to_owned()
}

#[test]
fn a_guest_asks_for_names_whatever_its_security_groups_say() {
    let (mut world, network, [a, _]) = scene();
    world.pass();
    let guest = world.guest(a);
    for server in [V6, V4] {
        for transport in ["+notcp", "+tcp"] {
            let ask = |what: &str| dig(&guest, &format!("+short {transport} @{server} {what}"));
            assert_eq!(ask("web.alpha.example AAAA"), "2001:db8:1::a");
            assert_eq!(ask("web.alpha.example A"), "192.0.2.10");
            assert_eq!(ask("-x 192.0.2.10"), "web.alpha.example.");
            assert_eq!(ask("-x 2001:db8:1::b"), "host-2001-db8-1--b.alpha.example.");
        }
        assert!(guest.pings(server), "{server}");
    }
    let none = dig(&guest, &format!("@{V6} none.alpha.example AAAA"));
    assert!(none.contains("status: NXDOMAIN"), "{none}");
    assert!(!guest.pings("2001:db8:1::b"), "no rule lets it out");

    // A name that goes with its port; and another life of this process.
    world.wanted.names.remove(&a);
    world.pass();
    let gone = dig(&guest, &format!("@{V6} web.alpha.example AAAA"));
    assert!(gone.contains("status: NXDOMAIN"), "{gone}");
    world.restart();
    world.pass();
    let again = dig(&guest, &format!("+short @{V6} -x 2001:db8:1::b"));
    assert_eq!(again, "host-2001-db8-1--b.alpha.example.");

    // Without addresses there is no resolver.
    let wanted = world.wanted.networks.get_mut(&network).unwrap();
    wanted.resolver.clear();
    world.pass();
    assert!(!guest.pings(V6));
    assert!(
        !guest
            .run(&format!("dig +time=1 +tries=1 @{V6} a"))
            .status
            .success()
    );
}

#[test]
fn other_names_are_asked_of_upstreams_from_the_nodes_namespace() {
    let (mut world, network, [a, _]) = scene();
    upstream(&world.base);
    let leg = leg(network, 1, "2001:db8:1::1/64", false);
    let router = leg.mac.link_local();
    world.router(vec![leg]);
    world.pass();
    let guest = world.guest(a);
    for server in [V6, V4] {
        let answer = dig(&guest, &format!("+short @{server} other.example AAAA"));
        assert_eq!(answer, "2001:db8:f::1");
    }
    // A guest that knows no better way sends to its router, and is known all the same.
    guest.shell(&format!("ip -6 route add {V6}/128 via {router} dev eth0"));
    let answer = dig(&guest, &format!("+short @{V6} other.example AAAA"));
    assert_eq!(answer, "2001:db8:f::1");
}

#[test]
fn no_guest_takes_the_resolvers_address() {
    let (mut world, network, [a, b]) = scene();
    let thief = world.wanted.ports.get_mut(&b).unwrap();
    thief.allowed_prefixes = ["192.0.2.0/24", "2001:db8:1::/64"]
        .map(|net| net.parse().unwrap())
        .into();
    world.pass();
    let (guest, thief) = (world.guest(a), world.guest(b));
    thief.shell(&format!(
        "ip address add {V4}/32 dev eth0; ip -6 address add {V6}/128 dev eth0 nodad"
    ));
    for (own, other) in [(V4, "192.0.2.10"), (V6, "2001:db8:1::a")] {
        let before = world.counter(network, "bridge", "spoofed_source");
        thief.run(&format!("ping -n -c 1 -W 1 -I {own} {other}"));
        eventually(&format!("{own} is refused"), || {
            world.counter(network, "bridge", "spoofed_source") > before
        });
        let answer = dig(&guest, &format!("+short @{own} web.alpha.example A"));
        assert_eq!(answer, "192.0.2.10");
    }
}

/// A resolver on `[::1]:53` of a namespace that says 2001:db8:f::1 to everything.
fn upstream(ns: &Netns) {
    Netlink::open(ns).unwrap().set_up("lo").unwrap();
    let socket = ns.run(|| UdpSocket::bind("[::1]:53")).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = &buffer[..length];
            let end = 12 + question[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
            let mut answer = question[..end].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            (answer[7], answer[11]) = (1, 0);
            answer.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10");
            answer.extend(b"\x20\x01\x0d\xb8\x00\x0f\0\0\0\0\0\0\0\0\0\x01");
            socket.send_to(&answer, from).unwrap();
        }
    });
}
