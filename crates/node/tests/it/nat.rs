//! Address translation in routers' namespaces: as text, and with packets between namespaces.

use model::{
    AddressScopeId, Direction, FloatingIp, FloatingIpId, Forwarding, Network, NetworkId, PortId,
    Router, RouterId, RouterPort, Scopes,
};
use node::filter::Tables;

use crate::golden;
use crate::world::{Guest, World, allow, allow4, eventually, leg, network};

const FLOATING: &str = "198.51.100.9";

pub(crate) fn floating(floating: &str, fixed: &str) -> FloatingIp {
    FloatingIp {
        id: FloatingIpId::random(),
        floating: floating.parse().unwrap(),
        fixed: fixed.parse().unwrap(),
    }
}

/// Of TCP.
pub(crate) fn forwarding(
    floating: &str,
    external: (u16, u16),
    fixed: &str,
    internal: (u16, u16),
) -> Forwarding {
    Forwarding {
        floating: floating.parse().unwrap(),
        protocol: 6,
        external,
        fixed: fixed.parse().unwrap(),
        internal,
    }
}

fn dual_leg(network: NetworkId, number: u8, addresses: [&str; 2], external: bool) -> RouterPort {
    let mut leg = leg(network, number, addresses[0], external);
    leg.addresses.push(addresses[1].parse().unwrap());
    leg
}

#[test]
fn as_text() {
    let id = |n: u128| uuid::Uuid::from_u128((n << 96) | n);
    let network = NetworkId(id(1));
    let addresses = ["2001:db8:ffff::2/64", "198.51.100.2/24"];
    let mut external = dual_leg(network, 2, addresses, true);
    external.id = PortId(id(2));
    let mut router = Router {
        id: RouterId(id(3)),
        enabled: true,
        ports: vec![external],
        routes: Vec::new(),
        default_nexthops: Vec::new(),
        snat: true,
        floating_ips: vec![
            floating(FLOATING, "192.0.2.10"),
            floating("2001:db8:ffff::9", "2001:db8:1::a"),
        ],
        forwardings: vec![
            forwarding("198.51.100.10", (80, 80), "192.0.2.10", (8080, 8080)),
            forwarding("198.51.100.10", (1000, 2000), "192.0.2.11", (1000, 2000)),
            forwarding("2001:db8:ffff::10", (2000, 2002), "2001:db8:1::b", (80, 82)),
            forwarding("2001:db8:ffff::10", (90, 91), "2001:db8:1::b", (22, 22)),
        ],
        nd_proxy: false,
    };
    golden::check("nat.nft", &Tables::of_router(&router).render());
    let mut inner = dual_leg(network, 1, ["2001:db8:1::1/64", "192.0.2.1/24"], false);
    inner.id = PortId(id(4));
    let scope = |n: u128| Some(AddressScopeId(id(n)));
    inner.scopes.v6 = scope(5);
    inner.scopes.v4 = scope(6);
    router.ports[0].scopes.v4 = scope(6);
    let scoped = Router {
        ports: vec![inner, router.ports[0].clone()],
        ..router.clone()
    };
    golden::check("nat_scopes.nft", &Tables::of_router(&scoped).render());
    router.snat = false;
    let text = Tables::of_router(&router).render();
    assert!(!text.contains("oifname \"n00000002000000\" snat to 198.51.100.2"));
    router.ports.clear();
    let text = Tables::of_router(&router).render();
    assert!(!text.contains("chain"), "{text}");
}

/// Two guests behind a router, and a host outside, with both families.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) router: RouterId,
    pub(crate) guests: [Guest; 2],
    pub(crate) outside: Guest,
}

pub(crate) fn scene() -> Scene {
    let mut world = World::new();
    let inner = world.network("2001:db8:1::/64");
    world.subnet4(inner, "192.0.2.0/24");
    let outer = Network {
        physical_network: Some("physnet".into()),
        vlan: None,
        ..network("2001:db8:ffff::/64")
    };
    let outer_id = outer.id;
    world.wanted.networks.insert(outer_id, outer);
    world.subnet4(outer_id, "198.51.100.0/24");
    let router = world.router(vec![
        dual_leg(inner, 1, ["2001:db8:1::1/64", "192.0.2.1/24"], false),
        dual_leg(
            outer_id,
            2,
            ["2001:db8:ffff::2/64", "198.51.100.2/24"],
            true,
        ),
    ]);
    let wanted = world.wanted.routers.get_mut(&router).unwrap();
    wanted.default_nexthops = ["198.51.100.1", "2001:db8:ffff::1"]
        .map(|a| a.parse().unwrap())
        .to_vec();
    let ports = [
        world.port(inner, "2001:db8:1::a"),
        world.port(inner, "2001:db8:1::b"),
    ];
    world.address4(ports[0], "192.0.2.10");
    world.address4(ports[1], "192.0.2.11");
    for port in ports {
        world.rule(port, allow4(Direction::Ingress));
        world.rule(port, allow(Direction::Ingress));
    }
    world.pass();
    let guests = ports.map(|port| world.guest(port));
    for guest in &guests {
        guest.shell("ip route add default via 192.0.2.1");
        guest.shell("ip -6 route replace default via 2001:db8:1::1 dev eth0 metric 1");
    }
    let outside = world.outside("198.51.100.1");
    // Beyond the external subnet, so that the router's default route is needed.
    outside.shell("ip link set lo up; ip address add 203.0.113.1/32 dev lo");
    outside.shell("ip -6 address add 2001:db8:f00::1/128 dev lo nodad");
    outside.address("2001:db8:ffff::1");
    Scene {
        world,
        router,
        guests,
        outside,
    }
}

impl Scene {
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Router)) {
        change(self.world.wanted.routers.get_mut(&self.router).unwrap());
        self.world.pass();
        assert_eq!(self.world.pass().steps, 0, "a second pass does nothing");
    }
}

/// Which address a host sees when another pings it.
pub(crate) fn seen_as(guest: &Guest, at: &Guest, to: &str) -> String {
    let file = format!("/tmp/{}.pcap", at.ns.name());
    let request = match to.contains(':') {
        true => "ip6[40] = 128",
        false => "icmp[0] = 8",
    };
    let listen = format!(
        "timeout 8 tcpdump --immediate-mode -Q in -nli any -c 1 '{request}' >{file} 2>{file}.log & \
         while ! grep -q listening {file}.log; do sleep 0.05; done"
    );
    at.shell(&listen);
    guest.pings(to);
    eventually("a ping", || {
        !std::fs::read_to_string(&file).unwrap().is_empty()
    });
    let line = std::fs::read_to_string(&file).unwrap();
    for file in [file.clone(), format!("{file}.log")] {
        std::fs::remove_file(file).unwrap();
    }
    let mut words = line
        .split_whitespace()
        .skip_while(|word| !word.starts_with("IP"));
    words.nth(1).unwrap().to_owned()
}

/// The scopes of the inner and the outer leg: 0 is none.
fn scopes(scene: &mut Scene, v4: [u128; 2], v6: [u128; 2]) {
    let id = |n: u128| (n > 0).then(|| AddressScopeId(uuid::Uuid::from_u128(n)));
    scene.change(|router| {
        for (place, leg) in router.ports.iter_mut().enumerate() {
            leg.scopes = Scopes {
                v4: id(v4[place]),
                v6: id(v6[place]),
            };
        }
    });
}

#[test]
fn address_scopes_are_kept_apart_and_whole() {
    let mut scene = scene();
    let (far4, far6, own) = ("203.0.113.1", "2001:db8:f00::1", "192.0.2.10");
    scene
        .outside
        .shell("ip route add 192.0.2.0/24 via 198.51.100.2");
    scene
        .outside
        .shell("ip -6 route add 2001:db8:1::/64 via 2001:db8:ffff::2");
    let passes = |scene: &Scene, to: &str| scene.guests[0].pings(to);
    eventually("both families pass", || {
        passes(&scene, far4) && passes(&scene, far6)
    });
    // IPv4 is translated between scopes; IPv6 is not, so it stays where it is.
    scopes(&mut scene, [1, 2], [3, 0]);
    assert_eq!(
        seen_as(&scene.guests[0], &scene.outside, far4),
        "198.51.100.2"
    );
    assert!(passes(&scene, far4), "with its answer");
    assert!(!passes(&scene, far6) && !scene.outside.pings("2001:db8:1::a"));
    assert!(!scene.outside.pings(own), "no way in");
    // A floating address leads from one into the other.
    scene.change(|router| {
        router.floating_ips = vec![
            floating(FLOATING, own),
            floating("2001:db8:ffff::9", "2001:db8:1::a"),
        ];
    });
    assert!(scene.outside.pings(FLOATING) && scene.outside.pings("2001:db8:ffff::9"));
    assert!(passes(&scene, far4) && passes(&scene, far6));
    assert!(!scene.guests[1].pings(far6), "it has none");
    scene.change(|router| router.floating_ips.clear());
    // Within one scope addresses stay as they are.
    scopes(&mut scene, [1, 1], [3, 3]);
    assert_eq!(seen_as(&scene.guests[0], &scene.outside, far4), own);
    assert!(passes(&scene, far4) && passes(&scene, far6) && scene.outside.pings(own));
}

#[test]
fn what_leaves_has_the_routers_address() {
    let mut scene = scene();
    let [guest, _] = &scene.guests;
    eventually("a ping to the outside", || guest.pings("203.0.113.1"));
    assert_eq!(
        seen_as(guest, &scene.outside, "203.0.113.1"),
        "198.51.100.2"
    );
    assert!(!scene.outside.pings("192.0.2.10"), "no way in");
    scene.change(|router| router.snat = false);
    let [guest, _] = &scene.guests;
    assert_eq!(seen_as(guest, &scene.outside, "203.0.113.1"), "192.0.2.10");
}

#[test]
fn a_floating_address_stands_for_a_port() {
    let mut scene = scene();
    let addresses = [FLOATING, "192.0.2.10", "192.0.2.11"];
    assert!(!scene.outside.pings(FLOATING));
    scene.change(|router| router.floating_ips = vec![floating(FLOATING, "192.0.2.10")]);
    let [first, second] = &scene.guests;
    assert!(scene.outside.pings(FLOATING), "from outside");
    assert_eq!(seen_as(&scene.outside, first, FLOATING), "198.51.100.1");
    assert_eq!(seen_as(first, &scene.outside, "203.0.113.1"), FLOATING);
    assert_eq!(
        seen_as(second, &scene.outside, "203.0.113.1"),
        "198.51.100.2"
    );
    // From inside, both ways by the router.
    assert!(second.pings(FLOATING) && first.pings(FLOATING));
    assert_eq!(seen_as(second, first, FLOATING), "198.51.100.2");

    // One that is on its way when the address moves is not answered by the old guest.
    let ping = scene.outside.shell(&format!(
        "ping -n -i 0.2 {FLOATING} >/dev/null 2>&1 & echo $!"
    ));
    eventually("a flow", || flows(&scene, addresses) > 0);
    scene.change(|router| router.floating_ips = vec![floating(FLOATING, "192.0.2.11")]);
    let [first, second] = &scene.guests;
    assert_eq!(seen_as(&scene.outside, second, FLOATING), "198.51.100.1");
    assert_eq!(
        seen_as(first, &scene.outside, "203.0.113.1"),
        "198.51.100.2"
    );
    scene.change(|router| router.floating_ips.clear());
    assert!(!scene.outside.pings(FLOATING));
    assert_eq!(flows(&scene, addresses), 0);
    scene.outside.shell(&format!("kill {ping}"));
}

/// Connections of the router's that were translated for a floating address to one of two others.
pub(crate) fn flows(scene: &Scene, addresses: [&str; 3]) -> usize {
    let ns = scene.world.router_netns(scene.router);
    let all = linux::conntrack::flows(&ns).unwrap();
    let [floating, one, other] = addresses.map(|address| address.parse().unwrap());
    let translated = all.iter().filter(|flow| flow.has(floating));
    translated
        .filter(|flow| flow.has(one) || flow.has(other))
        .count()
}
