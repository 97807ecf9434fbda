//! Namespaces, bridges, taps and routers: planned, made, adopted, taken away.

use std::collections::BTreeMap;

use linux::netlink::Netlink;
use linux::netns::Netns;
use model::{Direction, Key, PortId, RaMode, ServerId};
use node::Wanted;
use node::links::layout::{Layout, design};
use node::links::plan::{Step, plan};
use node::links::{LinkSettings, names, purge};

use crate::world::{World, allow, eventually, leg, network, port};

fn settings() -> LinkSettings {
    LinkSettings {
        short: "ab12".into(),
        base: Netns::current().unwrap(),
        physical: BTreeMap::from([("physnet".into(), "br-ext".into())]),
        filters: "/nowhere".into(),
    }
}

/// A provider network and an inner one with a port, joined by a router.
pub(crate) fn sample() -> Wanted {
    let mut wanted = Wanted::default();
    let inner = network("2001:db8:1::/64");
    let outer = model::Network {
        physical_network: Some("physnet".into()),
        vlan: None,
        ..network("2001:db8:ffff::/64")
    };
    let port = port(inner.id, 1, "2001:db8:1::5");
    let router = model::Router {
        id: model::RouterId::random(),
        enabled: true,
        ports: vec![
            leg(inner.id, 1, "2001:db8:1::1/64", false),
            leg(outer.id, 2, "2001:db8:ffff::2/64", true),
        ],
        routes: vec![model::Route {
            destination: "2001:db8:7::/48".parse().unwrap(),
            nexthop: "2001:db8:1::7".parse().unwrap(),
        }],
        default_nexthops: vec!["2001:db8:ffff::1".parse().unwrap()],
        snat: true,
        floating_ips: Vec::new(),
        forwardings: Vec::new(),
        nd_proxy: false,
    };
    wanted.ports.insert(port.id, port);
    wanted
        .networks
        .extend([(inner.id, inner), (outer.id, outer)]);
    wanted.routers.insert(router.id, router);
    wanted
}

fn layout_of(wanted: &Wanted) -> Layout {
    let bridges = BTreeMap::from([("br-ext".to_owned(), 1500)]);
    let design = design(wanted, &settings(), &bridges, &BTreeMap::new());
    assert_eq!(design.failures, []);
    design.layout
}

#[test]
fn nothing_is_planned_when_all_is_there() {
    let layout = layout_of(&sample());
    assert_eq!(plan(&layout, &layout), []);
    assert!(plan(&layout, &Layout::default()).len() > 20);
}

#[test]
fn removals_come_first() {
    let (layout, empty) = (layout_of(&sample()), layout_of(&Wanted::default()));
    let steps = plan(&empty, &layout);
    let links = steps
        .iter()
        .filter(|s| matches!(s, Step::RemoveLink(_)))
        .count();
    let spaces = steps
        .iter()
        .filter(|s| matches!(s, Step::RemoveSpace(_)))
        .count();
    assert_eq!((links, spaces, steps.len()), (9, 3, 12));
    assert!(
        steps[..links]
            .iter()
            .all(|s| matches!(s, Step::RemoveLink(_)))
    );
}

#[test]
fn nothing_is_redirected_to_what_is_not_there() {
    let before = sample();
    let mut after = before.clone();
    let limit = model::Bandwidth {
        max_kbps: 1000,
        burst_kbit: 800,
    };
    let port = after.ports.values_mut().next().unwrap();
    port.qos.egress = Some(limit);
    port.qos.ingress = Some(limit);
    let (free, limited) = (layout_of(&before), layout_of(&after));
    let words = |wanted, seen| {
        let steps = plan(wanted, seen).into_iter();
        let text = |step: Step| {
            let text = format!("{step:?}");
            text.split('(').next().unwrap().to_owned()
        };
        steps.map(text).collect::<Vec<_>>()
    };
    assert_eq!(
        words(&limited, &free),
        [
            "MakeIfb", "SetMtu", "SetUp", "SetRate", "SetRate", "Redirect"
        ]
    );
    assert_eq!(
        words(&free, &limited),
        ["RemoveRedirect", "RemoveLink", "RemoveRate"]
    );
    let twice = plan(&limited, &limited);
    assert_eq!(twice, []);
    let steps = plan(&limited, &free);
    assert!(steps.iter().all(Step::is_of_limit), "{steps:?}");
}

#[test]
fn routes_go_and_come_back_with_their_link() {
    let before = sample();
    let mut after = before.clone();
    let router = after.routers.values_mut().next().unwrap();
    router.ports.retain(|leg| !leg.external);
    router.default_nexthops.clear();
    let (before, after) = (layout_of(&before), layout_of(&after));
    let routes = |steps: &[Step]| {
        let gone = steps.iter().filter(|s| matches!(s, Step::RemoveRoute(..)));
        let made = steps.iter().filter(|s| matches!(s, Step::AddRoute(..)));
        (gone.count(), made.count())
    };
    assert_eq!(
        routes(&plan(&after, &before)),
        (0, 0),
        "they went with the leg"
    );
    // One end of each pair is missing, so the other is removed and both are made anew.
    let mut halves = before.clone();
    for (a, b) in &before.pairs {
        let of_router = matches!(a.0, names::Space::Router(_));
        let (space, name) = if of_router { b } else { a };
        halves.spaces.get_mut(space).unwrap().links.remove(name);
    }
    let of_router = |(space, _): &(&names::Space, _)| matches!(space, names::Space::Router(_));
    let routers = before.spaces.iter().filter(of_router);
    let all: usize = routers.map(|(_, contents)| contents.routes.len()).sum();
    assert_eq!(
        all, 2,
        "to the nexthops of the router and of the outer network"
    );
    assert_eq!(routes(&plan(&before, &halves)).1, all);
}

#[test]
fn delegated_prefixes_are_routed_to_their_guests() {
    let mut wanted = sample();
    let port = wanted.ports.values_mut().next().unwrap();
    port.delegated = vec!["2001:db8:8::/56".parse().unwrap()];
    let (id, mac) = (port.id, port.mac);
    let bridges = BTreeMap::from([("br-ext".to_owned(), 1500)]);
    let nexthops = |heard: &BTreeMap<PortId, std::net::Ipv6Addr>, wanted: &Wanted| {
        let layout = design(wanted, &settings(), &bridges, heard).layout;
        let routes = layout.spaces.into_values().flat_map(|space| space.routes);
        let inside = routes.filter(|r| r.destination == "2001:db8:8::/56".parse().unwrap());
        inside.map(|r| r.nexthop.unwrap()).collect::<Vec<_>>()
    };
    let told = "fe80::1234".parse().unwrap();
    assert_eq!(nexthops(&BTreeMap::new(), &wanted), [mac.link_local()]);
    assert_eq!(nexthops(&[(id, told)].into(), &wanted), [told]);
    // The router's own route to the same prefix comes first.
    let router = wanted.routers.values_mut().next().unwrap();
    router.routes[0].destination = "2001:db8:8::/56".parse().unwrap();
    let own: std::net::IpAddr = "2001:db8:1::7".parse().unwrap();
    assert_eq!(nexthops(&BTreeMap::new(), &wanted), [own]);
    // Nothing leads to a port that is down.
    wanted.routers.values_mut().for_each(|r| r.routes.clear());
    wanted.ports.get_mut(&id).unwrap().enabled = false;
    assert!(nexthops(&BTreeMap::new(), &wanted).is_empty());
}

#[test]
fn a_veth_end_without_its_other_is_made_anew() {
    let wanted = layout_of(&sample());
    let mut seen = wanted.clone();
    let (inside, outside) = wanted.pairs.first().unwrap().clone();
    seen.spaces
        .get_mut(&outside.0)
        .unwrap()
        .links
        .remove(&outside.1);
    let steps = plan(&wanted, &seen);
    assert_eq!(steps[0], Step::RemoveLink(inside.clone()));
    assert!(steps.contains(&Step::MakePair(inside, outside)));
}

#[test]
fn what_cannot_be_had_is_said() {
    let wanted = sample();
    let outer = wanted
        .networks
        .values()
        .find(|n| n.physical_network.is_some())
        .unwrap()
        .id;
    let unmapped = LinkSettings {
        physical: BTreeMap::new(),
        ..settings()
    };
    let failures = design(&wanted, &unmapped, &BTreeMap::new(), &BTreeMap::new()).failures;
    let text = "this node's settings map no bridge to physical network physnet";
    assert_eq!(failures, [(Key::Network(outer), text.to_owned())]);
    let failures = design(&wanted, &settings(), &BTreeMap::new(), &BTreeMap::new()).failures;
    assert!(
        failures[0].1.starts_with("this host has no bridge br-ext"),
        "{failures:?}"
    );
}

#[test]
fn a_second_pass_does_nothing_and_the_last_leaves_nothing() {
    let mut world = World::new();
    world.wanted = sample();
    let port = *world.wanted.ports.keys().next().unwrap();
    let report = world.pass();
    assert!(report.steps > 20);
    assert!(report.up.contains(&port));
    assert_eq!(world.pass().steps, 0);
    world.restart();
    let adopted = world.pass();
    assert_eq!((adopted.steps, adopted.up), (0, report.up));

    let report = world.links.remove_all();
    assert_eq!(report.failures, []);
    assert_eq!(report.removed, [port].into());
    assert_eq!(
        Netns::list(&names::prefix(&world.short)).unwrap(),
        Vec::<String>::new()
    );
    let left = Netlink::open(&world.base).unwrap().links().unwrap();
    let left: Vec<_> = left.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(left, ["br-ext", "lo"]);
}

#[test]
fn purge_needs_no_documents() {
    let mut world = World::new();
    world.wanted = sample();
    world.pass();
    let stranger = Netns::ensure(&format!("hxt{}-stranger", world.short)).unwrap();
    purge(&world.short, &world.base).unwrap();
    assert_eq!(
        Netns::list(&names::prefix(&world.short)).unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(
        Netlink::open(&world.base).unwrap().links().unwrap().len(),
        2
    );
    Netns::open(stranger.name()).unwrap();
}

#[test]
fn what_strangers_changed_is_mended() {
    let mut world = World::new();
    world.wanted = sample();
    world.pass();
    let router = *world.wanted.routers.keys().next().unwrap();
    let name = names::Space::Router(router).name(&world.short).unwrap();
    let mut netlink = Netlink::open(&Netns::open(&name).unwrap()).unwrap();
    for route in netlink.routes().unwrap() {
        netlink.remove_route(&route).unwrap();
    }
    let inner = world.wanted.ports.values().next().unwrap().network;
    Netlink::open(&world.netns(inner))
        .unwrap()
        .remove_link("br")
        .unwrap();
    assert!(world.pass().steps > 3);
    assert_eq!(netlink.routes().unwrap().len(), 2);
    assert_eq!(world.pass().steps, 0);
}

#[test]
fn only_our_addresses_exist() {
    let mut world = World::new();
    world.wanted = sample();
    world.pass();
    let inner = world.wanted.ports.values().next().unwrap().network;
    let mut netlink = Netlink::open(&world.netns(inner)).unwrap();
    let addresses: Vec<_> = netlink
        .all_addresses()
        .unwrap()
        .into_iter()
        .map(|(_, net)| net.to_string())
        .collect();
    let expected = [
        "127.0.0.1/8",
        "::1/128",
        "fd00:ec2::254/128",
        "fe80::a9fe:a9fe/64",
    ];
    assert_eq!(addresses, expected);
}

#[test]
fn a_guest_reaches_the_outside_by_its_router() {
    let mut world = World::new();
    world.wanted = sample();
    let port = *world.wanted.ports.keys().next().unwrap();
    let inner = world.wanted.ports[&port].network;
    world.wanted.networks.get_mut(&inner).unwrap().subnets[0].ra_mode = Some(RaMode::Slaac);
    world.wanted.ports.get_mut(&port).unwrap().addresses.clear();
    world.pass();
    let outside = world.outside("2001:db8:ffff::1");
    outside.shell("ip -6 route add 2001:db8:1::/64 via 2001:db8:ffff::2");
    let guest = world.guest(port);
    // The address and the default route come from the router's advertisement alone.
    eventually("SLAAC", || {
        guest
            .shell("ip -6 address")
            .contains("2001:db8:1:0:f816:3eff:fe00:1")
    });
    let route = guest.shell("ip -6 route show default");
    assert!(
        route.contains("via fe80::f816:3eff:fe01:1 dev eth0 proto ra"),
        "{route}"
    );
    assert!(
        guest
            .shell("ip -6 route")
            .contains("2001:db8:1::/64 dev eth0 proto kernel")
    );
    eventually("a ping to the outside", || guest.pings("2001:db8:ffff::1"));
    assert!(
        !outside.pings("2001:db8:1:0:f816:3eff:fe00:1"),
        "no rule lets it in"
    );
    world.rule(port, allow(Direction::Ingress));
    world.pass();
    assert!(outside.pings("2001:db8:1:0:f816:3eff:fe00:1"));

    world.wanted.routers.values_mut().next().unwrap().enabled = false;
    world.pass();
    assert!(!guest.pings("2001:db8:ffff::1"));
    assert_eq!(world.pass().steps, 0);
    world.wanted.routers.values_mut().next().unwrap().enabled = true;
    world.pass();
    eventually("a ping after the router's return", || {
        guest.pings("2001:db8:ffff::1")
    });
}

#[test]
fn a_network_without_router_has_addresses_but_no_gateway() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    world.wanted.networks.get_mut(&network).unwrap().subnets[0].ra_mode = Some(RaMode::Slaac);
    let port = world.port(network, "2001:db8:1::5");
    world.pass();
    let guest = world.guest(port);
    eventually("SLAAC", || {
        guest
            .shell("ip -6 address")
            .contains("2001:db8:1:0:f816:3eff:fe00:1")
    });
    assert_eq!(guest.shell("ip -6 route show default"), "");
}

#[test]
fn metadata_knows_who_asks() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let ports = [
        world.port(network, "2001:db8:1::a"),
        world.port(network, "2001:db8:1::b"),
    ];
    let servers = ports.map(|port| world.server(port));
    world.pass();
    for (port, server) in ports.into_iter().zip(servers) {
        let guest = world.guest(port);
        let said = guest.shell(
            "python3 -c \"import socket; s = socket.create_connection(('fe80::a9fe:a9fe%eth0', 80), 3); \
             s.send(b'GET /openstack/latest/meta_data.json HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n'); \
             s.settimeout(3); print(s.makefile().read())\"",
        );
        assert!(said.contains(&server.to_string()), "{said}");
    }
}

/// A SLAAC network with a guest that has a server, its port's address gone.
fn slaac(world: &mut World, with_router: bool) -> (PortId, ServerId) {
    let network = world.network("2001:db8:1::/64");
    world.wanted.networks.get_mut(&network).unwrap().subnets[0].ra_mode = Some(RaMode::Slaac);
    if with_router {
        world.router(vec![leg(network, 1, "2001:db8:1::1/64", false)]);
    }
    let port = world.port(network, "2001:db8:1::5");
    let server = world.server(port);
    world.wanted.ports.get_mut(&port).unwrap().addresses.clear();
    world.pass();
    (port, server)
}

const METADATA: &str = "curl -gsm5 http://[fd00:ec2::254]/openstack/latest/meta_data.json";

#[test]
fn metadata_is_reached_by_a_router() {
    let mut world = World::new();
    let (port, server) = slaac(&mut world, true);
    let guest = world.guest(port);
    let default = || guest.shell("ip -6 route show default");
    eventually("a default route", || default().contains("proto ra"));
    assert!(!guest.shell("ip -6 route").contains("fd00:ec2::254"));
    // The packet goes to the router's Ethernet address, and comes from whichever source.
    eventually("metadata", || guest.run(METADATA).status.success());
    guest.shell("ip -6 address add 2001:db8:1::beef/64 dev eth0 nodad");
    for source in ["2001:db8:1:0:f816:3eff:fe00:1", "2001:db8:1::beef"] {
        let said = guest.shell(&format!("{METADATA} --interface {source}"));
        assert!(said.contains(&server.to_string()), "{source}: {said}");
    }
    guest.shell("ip -6 address flush dev eth0 scope global");
    let said = guest.shell(METADATA);
    assert!(said.contains(&server.to_string()), "link-local: {said}");
    // Nothing but metadata answers there, and the router has none.
    assert!(guest.pings("fd00:ec2::254"));
    assert!(
        !guest
            .run("curl -gsm1 http://[fd00:ec2::254]:81/")
            .status
            .success()
    );
}

#[test]
fn metadata_is_reached_without_a_router() {
    let mut world = World::new();
    let (port, server) = slaac(&mut world, false);
    let guest = world.guest(port);
    // By default Linux takes no routes from advertisements: systemd-networkd does for itself.
    guest.shell(
        "sysctl -qw net.ipv6.conf.eth0.accept_ra_rt_info_max_plen=128; \
         ip link set eth0 down; ip link set eth0 up",
    );
    let routes = || guest.shell("ip -6 route");
    eventually("the route that is advertised", || {
        routes().contains("fd00:ec2::254 via fe80::a9fe:a9fe dev eth0 proto ra")
    });
    eventually("metadata", || guest.run(METADATA).status.success());
    assert!(guest.shell(METADATA).contains(&server.to_string()));
    assert_eq!(guest.shell("ip -6 route show default"), "");
    // One that has put the address on its link finds it there.
    guest.shell("ip -6 route replace fd00:ec2::254 dev eth0 metric 1");
    assert!(guest.shell(METADATA).contains(&server.to_string()));
    // And one that takes it hears that it is taken.
    guest.shell(
        "sysctl -qw net.ipv6.conf.eth0.accept_dad=1; ip -6 address add fd00:ec2::254/128 dev eth0",
    );
    eventually("the duplicate is noticed", || {
        guest
            .shell("ip -6 address")
            .contains("fd00:ec2::254/128 scope global dadfailed")
    });
}

#[test]
fn one_failure_does_not_stop_the_others() {
    let mut world = World::new();
    let good = world.network("2001:db8:1::/64");
    let bad = world.network("2001:db8:2::/64");
    let unmapped = world.wanted.networks.get_mut(&bad).unwrap();
    unmapped.physical_network = Some("elsewhere".into());
    let ports = [
        world.port(good, "2001:db8:1::5"),
        world.port(bad, "2001:db8:2::5"),
    ];
    let report = world.links.pass(&world.wanted);
    assert_eq!(report.up, [ports[0]].into());
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].0, Key::Network(bad));
}

#[test]
fn a_port_that_is_switched_off_is_not_up() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let port = world.port(network, "2001:db8:1::5");
    let other = world.port(network, "2001:db8:1::6");
    world.rule(port, allow(Direction::Ingress));
    world.rule(other, allow(Direction::Ingress));
    assert_eq!(world.pass().up, [port, other].into());
    let [guest, neighbour] = [port, other].map(|port| world.guest(port));
    eventually("an answer", || guest.pings("2001:db8:1::6"));
    world.wanted.ports.get_mut(&port).unwrap().enabled = false;
    assert_eq!(world.pass().up, [other].into());
    // Cut, whatever was under way.
    assert!(!neighbour.pings("2001:db8:1::5"));
    assert!(!guest.pings("2001:db8:1::6"));
    assert!(neighbour.pings("fe80::a9fe:a9fe%eth0"));
    let tap = names::tap(port);
    let mut netlink = Netlink::open(&world.netns(network)).unwrap();
    assert!(!netlink.link(&tap).unwrap().unwrap().up);
}

#[test]
fn no_ipv4_socket_is_needed() {
    // A filter is never taken off again, so it lies on a thread of its own.
    let thread = std::thread::spawn(|| {
        linux::seccomp::deny_inet4().unwrap();
        let mut world = World::new();
        world.wanted = sample();
        let port = *world.wanted.ports.keys().next().unwrap();
        assert!(world.pass().up.contains(&port));
        let network = world.wanted.ports[&port].network;
        world.links.taps().open(network, port).unwrap();
        assert_eq!(world.links.remove_all().removed, [port].into());
    });
    thread.join().unwrap();
}
