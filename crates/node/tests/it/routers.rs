//! Several routers on one network, and the routes that routers have and announce.

use model::{Direction, NetworkId, PortId, RaMode, Route};

use crate::world::{World, allow, eventually, leg, network, subnet};

fn route(destination: &str, nexthop: &str) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        nexthop: nexthop.parse().unwrap(),
    }
}

fn host_route(world: &mut World, network: NetworkId, subnet: usize, route: Route) {
    let network = world.wanted.networks.get_mut(&network).unwrap();
    network.subnets[subnet].host_routes.push(route);
}

fn open_port(world: &mut World, network: NetworkId, address: &str) -> PortId {
    let port = world.port(network, address);
    world.rule(port, allow(Direction::Ingress));
    port
}

#[test]
fn each_of_two_routers_speaks_for_what_it_leads() {
    let mut world = World::new();
    let shared = world.network("2001:db8:a::/64");
    let network = world.wanted.networks.get_mut(&shared).unwrap();
    network
        .subnets
        .push(subnet("2001:db8:b::/64".parse().unwrap()));
    for subnet in &mut network.subnets {
        subnet.ra_mode = Some(RaMode::Slaac);
    }
    let one = world.network("2001:db8:1::/64");
    let two = world.network("2001:db8:2::/64");
    world.router(vec![
        leg(shared, 1, "2001:db8:a::1/64", false),
        leg(one, 2, "2001:db8:1::1/64", false),
    ]);
    world.router(vec![
        leg(shared, 3, "2001:db8:b::1/64", false),
        leg(two, 4, "2001:db8:2::1/64", false),
    ]);
    for (subnet, destination, gateway) in [
        (0, "2001:db8:1::/64", "2001:db8:a::1"),
        (1, "2001:db8:2::/64", "2001:db8:b::1"),
    ] {
        host_route(&mut world, shared, subnet, route(destination, gateway));
    }
    let middle = open_port(&mut world, shared, "2001:db8:a::a");
    let addresses = &mut world.wanted.ports.get_mut(&middle).unwrap().addresses;
    addresses.clear();
    let far = [
        open_port(&mut world, one, "2001:db8:1::a"),
        open_port(&mut world, two, "2001:db8:2::a"),
    ];
    world.pass();
    let far = far.map(|port| world.guest(port));
    for (guest, number) in far.iter().zip(1..) {
        guest.shell(&format!(
            "ip -6 route replace default via 2001:db8:{number}::1 dev eth0 metric 1"
        ));
    }
    let guest = world.guest(middle);
    guest.shell("echo 64 > /proc/sys/net/ipv6/conf/eth0/accept_ra_rt_info_max_plen");
    // Solicits again, now that it takes routes.
    guest.shell("ip link set eth0 down; ip link set eth0 up");
    for known in [
        "inet6 2001:db8:a:0:f816:3eff:fe00:1/64",
        "inet6 2001:db8:b:0:f816:3eff:fe00:1/64",
        "2001:db8:1::/64 via fe80::f816:3eff:fe01:1 ",
        "2001:db8:2::/64 via fe80::f816:3eff:fe01:3 ",
    ] {
        eventually(known, || {
            guest.shell("ip -6 route; ip -6 address").contains(known)
        });
    }
    // Each router knows the way back to the prefix that it leads.
    for (prefix, to) in [("a", "2001:db8:1::a"), ("b", "2001:db8:2::a")] {
        let from = format!("2001:db8:{prefix}:0:f816:3eff:fe00:1");
        eventually(to, || guest.pings(&format!("-I {from} {to}")));
    }
}

#[test]
fn a_router_has_the_routes_that_it_announces() {
    let mut world = World::new();
    let inner = world.network("2001:db8:1::/64");
    let outer = model::Network {
        physical_network: Some("physnet".into()),
        vlan: None,
        ..network("2001:db8:ffff::/64")
    };
    let outer_id = outer.id;
    world.wanted.networks.insert(outer_id, outer);
    let router = world.router(vec![
        leg(inner, 1, "2001:db8:1::1/64", false),
        leg(outer_id, 2, "2001:db8:ffff::2/64", true),
    ]);
    for (destination, nexthop) in [
        ("2001:db8:77::/48", "2001:db8:1::a"),
        ("2001:db8:88::/48", "2001:db8:1::1"),
    ] {
        host_route(&mut world, inner, 0, route(destination, nexthop));
    }
    let port = open_port(&mut world, inner, "2001:db8:1::a");
    let behind = "2001:db8:77::/48".parse().unwrap();
    world.wanted.ports.get_mut(&port).unwrap().allowed_prefixes = vec![behind];
    world.pass();
    assert_eq!(world.pass().steps, 0);
    let guest = world.guest(port);
    guest.shell("ip -6 address add 2001:db8:77::1/128 dev lo nodad");
    guest.shell("ip -6 route replace default via 2001:db8:1::1 dev eth0 metric 1");
    let outside = world.outside("2001:db8:ffff::1");
    outside.shell("ip -6 route add 2001:db8:77::/48 via 2001:db8:ffff::2");
    eventually("a ping behind the guest", || {
        outside.pings("2001:db8:77::1")
    });

    // The router's own route wins, and the way to itself is none.
    let own = &mut world.wanted.routers.get_mut(&router).unwrap().routes;
    own.push(route("2001:db8:77::/48", "2001:db8:1::b"));
    world.pass();
    let ns = world.router_netns(router);
    let routes = linux::netlink::Netlink::open(&ns).unwrap().routes();
    let there: Vec<_> = routes
        .unwrap()
        .iter()
        .map(|route| (route.destination.to_string(), route.nexthop))
        .collect();
    let nexthop = Some("2001:db8:1::b".parse().unwrap());
    assert_eq!(there, [("2001:db8:77::/48".to_owned(), nexthop)]);
}
