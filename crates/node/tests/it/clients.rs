//! Real clients: what they are told arrives, and what they say is heard.

use model::{Direction, Lifetimes, NetworkId, PortId, RaMode, RouterId};

use crate::client::{Client, addresses, has, has_default_route};
use crate::world::{World, allow, eventually, leg};

const ROUTER: &str = "fe80::f816:3eff:fe01:1";
const DNS: &str = "2001:db8::53";
const SOLICIT: &str = "ia_na\n";
const NETWORKD: &str = "[Match]\nName=eth0\n[Network]\nDHCP=ipv6\nIPv6AcceptRA=yes\n";
/// What `2001:db8:1::/64` and the first port's MAC make.
const EUI64: &str = "2001:db8:1:0:f816:3eff:fe00:1";

/// A network with a router and one port.
fn net(mode: Option<RaMode>, address: &str) -> (World, NetworkId, PortId, RouterId) {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    set_mode(&mut world, network, 0, mode);
    let port = world.port(network, address);
    world.rule(port, allow(Direction::Ingress));
    let router = world.router(vec![leg(network, 1, "2001:db8:1::1/64", false)]);
    (world, network, port, router)
}

fn set_mode(world: &mut World, network: NetworkId, at: usize, mode: Option<RaMode>) {
    let subnets = &mut world.wanted.networks.get_mut(&network).unwrap().subnets;
    (subnets[at].ra_mode, subnets[at].address_mode) = (mode, mode);
    subnets[at].dns_nameservers = vec![DNS.parse().unwrap()];
}

#[test]
fn a_port_has_its_address_whoever_asks_for_it() {
    for mode in [Some(RaMode::Dhcpv6Stateful), None] {
        let (mut world, network, port, _) = net(mode, "2001:db8:1::5");
        world.pass();
        // Each is a new installation, with a DUID of its own.
        let clients: [fn(&crate::world::Guest) -> Client; 4] = [
            |guest| Client::dhclient(guest, "-6 -1", "", ""),
            |guest| Client::dhclient(guest, "-6 -1", "send dhcp6.rapid-commit;", ""),
            |guest| Client::dhcpcd(guest, SOLICIT),
            |guest| Client::networkd(guest, NETWORKD),
        ];
        for start in clients {
            let guest = world.bare(port);
            let client = start(&guest);
            has(&guest, &client, &["2001:db8:1::5/128"]);
            has_default_route(&guest, ROUTER);
            client.hears(DNS);
            eventually("an answer", || guest.pings("2001:db8:1::1"));
        }
        let counts = world.lan.dhcp6_counts(&network).unwrap();
        assert_eq!(counts.refused, 0, "{counts:?}");
        assert!(counts.replies >= 4 && counts.advertises >= 1, "{counts:?}");
    }
}

#[test]
fn stateless_addresses_are_the_guests_and_settings_ours() {
    let (mut world, network, port, _) = net(Some(RaMode::Dhcpv6Stateless), EUI64);
    world.pass();
    let clients: [fn(&crate::world::Guest) -> Client; 3] = [
        |guest| Client::dhclient(guest, "-6 -S -1", "", ""),
        |guest| Client::dhcpcd(guest, "slaac hwaddr\n"),
        |guest| Client::networkd(guest, NETWORKD),
    ];
    for (number, start) in clients.into_iter().enumerate() {
        let guest = world.bare(port);
        let client = start(&guest);
        let own = format!("{EUI64}/64");
        has(&guest, &client, &[&own]);
        has_default_route(&guest, ROUTER);
        client.hears(DNS);
        eventually("settings", || {
            world.lan.dhcp6_counts(&network).unwrap().replies > number as u64
        });
        eventually("an answer", || guest.pings("2001:db8:1::1"));
    }
    let counts = world.lan.dhcp6_counts(&network).unwrap();
    assert_eq!((counts.advertises, counts.refused), (0, 0), "{counts:?}");
}

#[test]
fn the_kernel_alone_is_enough_for_slaac() {
    let (mut world, network, port, _) = net(Some(RaMode::Slaac), EUI64);
    world.pass();
    let guest = world.bare(port);
    let own = format!("{EUI64}/64");
    eventually("an address", || addresses(&guest) == [own.as_str()]);
    has_default_route(&guest, ROUTER);
    eventually("an answer", || guest.pings("2001:db8:1::1"));
    // A client of DHCPv6 is told by the flags that there is nothing to ask for.
    let client = Client::networkd(&guest, NETWORKD);
    client.hears(DNS);
    let counts = world.lan.dhcp6_counts(&network).unwrap();
    assert_eq!(counts, lan::Dhcp6Counts::default());
}

#[test]
fn subnets_of_a_network_have_their_own_modes() {
    let (mut world, network, port, router) = net(Some(RaMode::Slaac), EUI64);
    let subnets = &mut world.wanted.networks.get_mut(&network).unwrap().subnets;
    subnets.push(crate::world::subnet("2001:db8:2::/64".parse().unwrap()));
    set_mode(&mut world, network, 1, Some(RaMode::Dhcpv6Stateful));
    let leg = &mut world.wanted.routers.get_mut(&router).unwrap().ports[0];
    leg.addresses.push("2001:db8:2::1/64".parse().unwrap());
    let port_ = world.wanted.ports.get_mut(&port).unwrap();
    port_.addresses.push("2001:db8:2::5".parse().unwrap());
    world.pass();
    for start in [
        (|guest| Client::dhclient(guest, "-6 -1", "", "")) as fn(&crate::world::Guest) -> Client,
        |guest| Client::dhcpcd(guest, "slaac hwaddr\nia_na\n"),
        |guest| Client::networkd(guest, NETWORKD),
    ] {
        let guest = world.bare(port);
        let client = start(&guest);
        let own = format!("{EUI64}/64");
        has(&guest, &client, &[&own, "2001:db8:2::5/128"]);
        for source in [EUI64, "2001:db8:2::5"] {
            let ping = format!("-I {source} 2001:db8:1::1");
            eventually("an answer", || guest.pings(&ping));
        }
    }
}

#[test]
fn an_address_that_is_the_ports_no_more_ends() {
    let (mut world, network, port, _) = net(Some(RaMode::Dhcpv6Stateful), "2001:db8:1::5");
    let subnet = &mut world.wanted.networks.get_mut(&network).unwrap().subnets[0];
    subnet.lifetimes = Lifetimes {
        preferred_s: 6,
        valid_s: 600,
    };
    let clients: [fn(&crate::world::Guest) -> Client; 3] = [
        |guest| Client::dhclient(guest, "-6", "", ""),
        |guest| Client::dhcpcd(guest, SOLICIT),
        |guest| Client::networkd(guest, NETWORKD),
    ];
    for start in clients {
        let renumber = |world: &mut World, address: &str| {
            let port = world.wanted.ports.get_mut(&port).unwrap();
            port.addresses = vec![address.parse().unwrap()];
            world.pass();
        };
        renumber(&mut world, "2001:db8:1::5");
        let guest = world.bare(port);
        let client = start(&guest);
        has(&guest, &client, &["2001:db8:1::5/128"]);
        renumber(&mut world, "2001:db8:1::55");
        has(&guest, &client, &["2001:db8:1::55/128"]);
    }
}

#[test]
fn guests_of_one_duid_have_their_own_addresses() {
    let (mut world, network, first, _) = net(Some(RaMode::Dhcpv6Stateful), "2001:db8:1::5");
    let second = world.port(network, "2001:db8:1::6");
    world.pass();
    let guests = [world.bare(first), world.bare(second)];
    let duid = "default-duid \"\\000\\001\\000\\001\\062\\226\\004\\031\\002\\000\\000\\000\\000\\001\";\n";
    let clients = guests
        .each_ref()
        .map(|guest| Client::dhclient(guest, "-6 -1", "", duid));
    for ((guest, client), own) in guests.iter().zip(&clients).zip(["5", "6"]) {
        has(guest, client, &[&format!("2001:db8:1::{own}/128")]);
        client.hears("new_dhcp6_client_id=0:1:0:1:32:96:4:19:2:0:0:0:0:1");
    }
}

#[test]
fn a_delegated_prefix_is_told_and_routed() {
    let (mut world, network, port, router) = net(Some(RaMode::Dhcpv6Stateful), "2001:db8:1::5");
    let other = world.network("2001:db8:2::/64");
    let far = world.port(other, "2001:db8:2::b");
    let far_leg = leg(other, 2, "2001:db8:2::1/64", false);
    let far_router = far_leg.mac.link_local().to_string();
    let ports = &mut world.wanted.routers.get_mut(&router).unwrap().ports;
    ports.push(far_leg);
    let delegated = "2001:db8:8::/56".parse().unwrap();
    world.wanted.ports.get_mut(&port).unwrap().delegated = vec![delegated];
    world.pass();
    let outside = world.guest(far);
    has_default_route(&outside, &far_router);
    let clients: [fn(&crate::world::Guest) -> Client; 3] = [
        |guest| Client::dhclient(guest, "-6 -P -1", "", ""),
        |guest| Client::dhcpcd(guest, "ia_na\nia_pd 2\n"),
        |guest| {
            Client::networkd(
                guest,
                &format!("{NETWORKD}[DHCPv6]\nPrefixDelegationHint=::/56\n"),
            )
        },
    ];
    for (number, start) in clients.into_iter().enumerate() {
        let guest = world.bare(port);
        // An address of its own making, as hosts of today have it.
        let link_local = format!("fe80::{}", number + 0x77);
        guest.shell(&format!(
            "ip link set eth0 addrgenmode none; ip -6 address flush dev eth0; \
             ip -6 address add {link_local}/64 dev eth0; ip link set lo up; \
             ip -6 address add 2001:db8:8::1/64 dev lo; ip -6 route replace default via {ROUTER} dev eth0"
        ));
        let client = start(&guest);
        client.hears("2001:db8:8::");
        world.guest_placed();
        let heard = world
            .lan
            .dhcp6_heard(&network, world.wanted.ports[&port].mac);
        assert_eq!(heard.unwrap().link_local, Some(link_local.parse().unwrap()));
        world.pass();
        eventually("an answer", || outside.pings("2001:db8:8::1"));
        // Who has heard nothing yet changes nothing.
        world.restart();
        assert_eq!(world.pass().steps, 0);
        assert!(outside.pings("2001:db8:8::1"));
    }
    world.wanted.ports.get_mut(&port).unwrap().delegated.clear();
    world.pass();
    assert!(!outside.pings("2001:db8:8::1"), "routed no more");
}

#[test]
fn a_guest_says_that_its_address_is_in_use() {
    let (mut world, network, port, _) = net(Some(RaMode::Dhcpv6Stateful), "2001:db8:1::5");
    let thief = world.port(network, "2001:db8:1::66");
    world.wanted.ports.get_mut(&thief).unwrap().port_security = false;
    world.pass();
    let other = world.bare(thief);
    other.address("2001:db8:1::5");
    let guest = world.bare(port);
    guest.shell("sysctl -qw net.ipv6.conf.eth0.accept_dad=1");
    let client = Client::dhclient(&guest, "-6", "", "");
    let mac = world.wanted.ports[&port].mac;
    eventually("a decline", || {
        let heard = world.lan.dhcp6_heard(&network, mac).unwrap_or_default();
        heard.declined == ["2001:db8:1::5".parse::<std::net::Ipv6Addr>().unwrap()]
    });
    assert!(world.lan.dhcp6_counts(&network).unwrap().declines > 0);
    // It is the port's all the same, once the other is gone.
    drop((client, other));
    let client = Client::dhclient(&guest, "-6", "", "");
    has(&guest, &client, &["2001:db8:1::5/128"]);
}

/// No client of Debian 12 knows RFC 9686: the message is made by hand.
#[test]
fn a_guest_tells_an_address_that_it_made() {
    let (mut world, network, port, _) = net(Some(RaMode::Slaac), EUI64);
    world.pass();
    let guest = world.bare(port);
    let own = "2001:db8:1::77";
    guest.address(own);
    let mac = world.wanted.ports[&port].mac;
    let registered = || {
        world
            .lan
            .dhcp6_heard(&network, mac)
            .unwrap_or_default()
            .registered
    };
    for (valid_s, count) in [(600, 1), (0, 0)] {
        let script = format!(
            "import socket, struct; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); \
             s.bind(('{own}', 546)); s.settimeout(5); \
             a = socket.inet_pton(socket.AF_INET6, '{own}') + struct.pack('>II', {valid_s}, {valid_s}); \
             m = bytes([36, 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, 1, 0, 5, 0, 24]) + a; \
             s.sendto(m, ('ff02::1:2', 547, 0, socket.if_nametoindex('eth0'))); \
             print(s.recvfrom(99)[0][:4].hex())"
        );
        let said = guest.shell(&format!("python3 -c \"{script}\""));
        assert_eq!(said.trim(), "25010203");
        assert_eq!(registered().len(), count);
    }
}

#[test]
fn clients_of_ipv4_get_an_address_and_the_ports_own_options() {
    let (mut world, network, port, _) = net(None, "2001:db8:1::5");
    world.subnet4(network, "192.0.2.0/24");
    world.address4(port, "192.0.2.10");
    let option = model::DhcpOption {
        ipv6: false,
        code: 42,
        value: vec![192, 0, 2, 123],
    };
    world.wanted.ports.get_mut(&port).unwrap().dhcp_options = vec![option];
    world.pass();
    let clients: [fn(&crate::world::Guest) -> Client; 2] = [
        |guest| Client::dhclient(guest, "-4 -1", "request subnet-mask, ntp-servers;", ""),
        |guest| Client::dhcpcd(guest, "ipv4only\noption ntp_servers\n"),
    ];
    for start in clients {
        let guest = world.bare(port);
        let client = start(&guest);
        client.hears("new_ntp_servers=192.0.2.123");
        eventually("an address", || {
            guest
                .shell("ip -4 -o address show dev eth0")
                .contains("192.0.2.10/24")
        });
    }
    assert_eq!(world.lan.dhcp4_counts(&network).unwrap().naks, 0);
}
