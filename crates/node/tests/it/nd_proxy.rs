//! Routers that answer on their external network for addresses behind them.

use model::{Direction, Network, RouterId};

use crate::world::{Guest, World, allow, eventually, leg, network};

const ASSIGNED: &str = "2001:db8:300:1::a";
const CHOSEN: &str = "2001:db8:300:1::77";
const OUTSIDE: &str = "2001:db8:300::1";

struct Scene {
    world: World,
    router: RouterId,
    guest: Guest,
    /// Knows nothing but the external prefix, on its link.
    outside: Guest,
}

/// An external network whose prefix contains that of the network behind its router.
fn scene() -> Scene {
    let mut world = World::new();
    let inner = world.network("2001:db8:300:1::/64");
    let outer = Network {
        physical_network: Some("physnet".into()),
        vlan: None,
        ..network("2001:db8:300::/48")
    };
    let outer_id = outer.id;
    world.wanted.networks.insert(outer_id, outer);
    let router = world.router(vec![
        leg(inner, 1, "2001:db8:300:1::1/64", false),
        leg(outer_id, 2, "2001:db8:300::2/48", true),
    ]);
    let port = world.port(inner, ASSIGNED);
    world.rule(port, allow(Direction::Ingress));
    world.pass();
    let guest = world.guest(port);
    guest.shell("ip -6 route replace default via 2001:db8:300:1::1 dev eth0 metric 1");
    let outside = world.outside(OUTSIDE);
    outside.shell(&format!(
        "ip -6 address del {OUTSIDE}/64 dev eth0; ip -6 address add {OUTSIDE}/48 dev eth0 nodad"
    ));
    Scene {
        world,
        router,
        guest,
        outside,
    }
}

impl Scene {
    fn proxy(&mut self, nd_proxy: bool) {
        let router = self.world.wanted.routers.get_mut(&self.router).unwrap();
        router.nd_proxy = nd_proxy;
        self.world.pass();
        assert_eq!(self.world.pass().steps, 0, "a second pass does nothing");
    }
}

#[test]
fn a_neighbour_reaches_guests_without_a_route() {
    let mut scene = scene();
    assert!(!scene.outside.pings(ASSIGNED));
    scene.proxy(true);
    let Scene { outside, guest, .. } = &scene;
    eventually("a ping from outside", || outside.pings(ASSIGNED));
    eventually("a ping to the outside", || guest.pings(OUTSIDE));
    let neighbour = || outside.shell(&format!("ip -6 neigh show {ASSIGNED}"));
    let leg = scene.world.wanted.routers[&scene.router].ports[1].mac;
    assert!(neighbour().contains(&leg.to_string()), "{}", neighbour());
    // A probe to the one address is answered, as the question to all is.
    outside.shell(&format!(
        "ip -6 neigh replace {ASSIGNED} lladdr {leg} dev eth0 nud probe"
    ));
    eventually("an answer", || neighbour().contains("REACHABLE"));
    scene.proxy(false);
    scene.outside.shell("ip -6 neigh flush all");
    assert!(!scene.outside.pings(ASSIGNED));
}

#[test]
fn addresses_that_a_guest_chose_are_answered_for() {
    let mut scene = scene();
    scene.proxy(true);
    scene.guest.address(CHOSEN);
    assert!(!scene.outside.pings(CHOSEN), "nobody has seen it yet");
    // What is said from it is seen, whether or not an answer comes.
    let say = format!("ping -n -c 1 -W 1 -I {CHOSEN} {OUTSIDE}");
    scene.guest.run(&say);
    scene.world.pass();
    eventually("a ping from outside", || scene.outside.pings(CHOSEN));
    assert!(!scene.outside.pings("2001:db8:300:1::78"), "nobody's");
}
