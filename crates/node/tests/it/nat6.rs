//! Floating addresses of IPv6: what leaves otherwise is routed as it is.

use linux::netlink::Netlink;
use node::links::names;

use crate::nat::{Scene, floating, flows, scene, seen_as};
use crate::world::{Guest, eventually};

const FLOATING: &str = "2001:db8:ffff::9";
const FIRST: &str = "2001:db8:1::a";
const SECOND: &str = "2001:db8:1::b";
const OUTSIDE: &str = "2001:db8:ffff::1";
/// Beyond the external subnet.
const FAR: &str = "2001:db8:f00::1";
/// The router's, in the external network.
const OWN: &str = "2001:db8:ffff::2";

fn stands_for(scene: &mut Scene, fixed: &[&str]) {
    let all = fixed
        .iter()
        .map(|fixed| floating(FLOATING, fixed))
        .collect();
    scene.change(|router| router.floating_ips = all);
}

/// A scene whose outside knows the way to the guests' own addresses.
fn routed() -> Scene {
    let scene = scene();
    let way = format!("ip -6 route add 2001:db8:1::/64 via {OWN}");
    scene.outside.shell(&way);
    scene
}

#[test]
fn a_floating_address_stands_for_a_port() {
    let mut scene = routed();
    eventually("a ping to the outside", || scene.guests[0].pings(FAR));
    assert!(!scene.outside.pings(FLOATING));
    stands_for(&mut scene, &[FIRST]);
    let [first, second] = &scene.guests;
    assert!(scene.outside.pings(FLOATING), "from outside");
    assert_eq!(seen_as(&scene.outside, first, FLOATING), OUTSIDE);
    assert_eq!(seen_as(first, &scene.outside, FAR), FLOATING);
    assert_eq!(seen_as(second, &scene.outside, FAR), SECOND, "as it is");
    assert!(scene.outside.pings(FIRST), "by its own address, too");
    // From inside, both ways by the router.
    assert!(second.pings(FLOATING) && first.pings(FLOATING));
    assert_eq!(seen_as(second, first, FLOATING), OWN);
}

#[test]
fn what_is_under_way_does_not_follow_an_address_that_moves() {
    let mut scene = routed();
    stands_for(&mut scene, &[FIRST]);
    let addresses = [FLOATING, FIRST, SECOND];
    let ping = scene.outside.shell(&format!(
        "ping -n -i 0.2 {FLOATING} >/dev/null 2>&1 & echo $!"
    ));
    eventually("a flow", || flows(&scene, addresses) > 0);
    stands_for(&mut scene, &[SECOND]);
    let [first, second] = &scene.guests;
    assert_eq!(seen_as(&scene.outside, second, FLOATING), OUTSIDE);
    assert_eq!(seen_as(first, &scene.outside, FAR), FIRST);
    stands_for(&mut scene, &[]);
    assert!(!scene.outside.pings(FLOATING));
    assert_eq!(flows(&scene, addresses), 0);
    scene.outside.shell(&format!("kill {ping}"));
}

/// Lets the outside believe that somebody else has an address, does something, and waits until it knows
/// that the router's external leg has it.
fn outside_hears(scene: &mut Scene, address: &str, something: impl FnOnce(&mut Scene)) {
    scene.outside.shell(&format!(
        "ip -6 neigh replace {address} lladdr 02:00:00:00:00:99 dev eth0 nud stale"
    ));
    something(scene);
    let leg = scene.world.wanted.routers[&scene.router].ports[1].mac;
    eventually("the outside knows the router's leg", || {
        let known = scene.outside.shell(&format!("ip -6 neigh show {address}"));
        known.contains(&leg.to_string()) && known.contains("router")
    });
}

#[test]
fn neighbours_hear_where_a_floating_address_is() {
    outside_hears(&mut routed(), FLOATING, |scene| stands_for(scene, &[FIRST]));
}

#[test]
fn neighbours_hear_of_a_leg_that_is_made_anew() {
    outside_hears(&mut routed(), OWN, |scene| {
        let ns = scene.world.router_netns(scene.router);
        let leg = names::leg_in_router(scene.world.wanted.routers[&scene.router].ports[1].id);
        Netlink::open(&ns).unwrap().remove_link(&leg).unwrap();
        scene.world.pass();
    });
}

/// Sends a line at once, and another one when the file `go` is there.
const TALK: &str = "\
import os, socket, time
s = socket.create_connection((FAR, 9))
s.send(b'one\\n')
while not os.path.exists(GO): time.sleep(0.05)
s.send(b'two\\n')
";

/// Says where who connects comes from, and all that it sends.
const LISTEN: &str = "\
import socket
s = socket.create_server(('::', 9), family=socket.AF_INET6)
print('listening', flush=True)
c, peer = s.accept()
print(peer[0], flush=True)
for line in c.makefile(): print(line, end='', flush=True)
";

#[test]
fn a_connection_that_was_there_before_keeps_its_address() {
    let mut scene = routed();
    let dir = std::env::temp_dir().join(format!("hxt{}-talk", scene.world.short));
    std::fs::create_dir_all(&dir).unwrap();
    let (said, go) = (dir.join("said"), dir.join("go"));
    let python = |guest: &Guest, script: String| {
        let file = said.display();
        guest.shell(&format!(
            "timeout 30 python3 -c \"{script}\" >>{file} 2>&1 </dev/null &"
        ))
    };
    let heard = || std::fs::read_to_string(&said).unwrap_or_default();
    python(&scene.outside, LISTEN.into());
    eventually("somebody listens", || heard().contains("listening"));
    let talk = TALK
        .replace("FAR", &format!("'{FAR}'"))
        .replace("GO", &format!("'{}'", go.display()));
    python(&scene.guests[0], talk);
    eventually("the first line", || heard().contains("one"));
    assert!(heard().contains(FIRST), "{}", heard());
    stands_for(&mut scene, &[FIRST]);
    std::fs::write(&go, "").unwrap();
    eventually("the second line", || heard().contains("two"));
    std::fs::remove_dir_all(&dir).unwrap();
}
