//! What is seen of guests: the addresses that they use, and when they asked for what.

use std::collections::BTreeSet;

use model::{Direction, PortHeard, RaMode};
use node::Observer;

use crate::client::Client;
use crate::world::{World, allow, eventually};

const EUI64: &str = "2001:db8:1:0:f816:3eff:fe00:1";
const CHOSEN: &str = "2001:db8:1::77";
const NEIGHBOURS: &str = "2001:db8:1::b";

fn addresses(heard: &PortHeard) -> BTreeSet<String> {
    let texts = heard.addresses.iter().map(|a| a.address.to_string());
    texts.collect()
}

#[test]
fn what_a_guest_uses_and_asks_is_seen() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let subnet = &mut world.wanted.networks.get_mut(&network).unwrap().subnets[0];
    (subnet.ra_mode, subnet.address_mode) = (Some(RaMode::Slaac), Some(RaMode::Slaac));
    world.subnet4(network, "192.0.2.0/24");
    let port = world.port(network, EUI64);
    world.address4(port, "192.0.2.10");
    let other = world.port(network, NEIGHBOURS);
    world.rule(other, allow(Direction::Ingress));
    world.pass();
    let mut observer = Observer::new(world.lan.clone(), &world.short);
    assert_eq!(
        observer.look(&world.wanted)[&port],
        PortHeard::default(),
        "nobody is there yet"
    );

    let guest = world.bare(port);
    guest.shell("sysctl -qw net.ipv6.conf.eth0.accept_dad=1");
    eventually("its own addresses", || {
        let heard = addresses(&observer.look(&world.wanted)[&port]);
        heard == [EUI64, "fe80::f816:3eff:fe00:1"].map(str::to_owned).into()
    });
    let heard = observer.look(&world.wanted)[&port].clone();
    assert!(heard.last_rs_ms.is_some() && heard.last_ra_ms >= heard.last_rs_ms);
    assert_eq!(heard.last_dhcp_ms, None);

    // An address of its own choice, one of IPv4, and one that is another's.
    let neighbour = world.guest(other);
    guest.address(CHOSEN);
    guest.address("192.0.2.10");
    eventually("an answer", || {
        guest.pings(&format!("-I {CHOSEN} {NEIGHBOURS}"))
    });
    guest.run("ping -c 1 -W 1 192.0.2.77");
    guest.shell(&format!("ip -6 address add {NEIGHBOURS}/64 dev eth0"));
    let own = [CHOSEN, EUI64, "fe80::f816:3eff:fe00:1", "192.0.2.10"].map(str::to_owned);
    eventually("all of it", || {
        let heard = observer.look(&world.wanted)[&port].clone();
        let failed = heard.dad_failures.iter().map(|a| a.address.to_string());
        addresses(&heard) == own.clone().into() && failed.eq([NEIGHBOURS.to_owned()])
    });
    let failed = guest.shell("ip -6 -o address show dev eth0 dadfailed");
    assert!(failed.contains(NEIGHBOURS), "{failed}");
    let theirs = &observer.look(&world.wanted)[&other];
    assert!(addresses(theirs).contains(NEIGHBOURS));
    assert_eq!(theirs.dad_failures, []);

    let client = Client::dhclient(&guest, "-6 -S", "", "");
    eventually("a word of DHCP", || {
        observer.look(&world.wanted)[&port].last_dhcp_ms.is_some()
    });
    drop((client, neighbour));

    // What the kernel noted outlives us, with its time.
    let before = observer.look(&world.wanted)[&port].clone();
    drop(observer);
    world.restart();
    world.pass();
    let mut observer = Observer::new(world.lan.clone(), &world.short);
    let after = observer.look(&world.wanted)[&port].clone();
    for address in &before.addresses {
        let found = after
            .addresses
            .iter()
            .find(|a| a.address == address.address);
        let moved = found.map(|found| found.last_ms - address.last_ms);
        assert!(
            moved.is_some_and(|ms| (-1000..8000).contains(&ms)),
            "{moved:?}"
        );
    }
    assert_eq!(before.dad_failures.len(), after.dad_failures.len());
}

#[test]
fn what_a_guest_can_have_seen_is_bounded() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let port = world.port(network, "2001:db8:1::a");
    let wanted = world.wanted.ports.get_mut(&port).unwrap();
    wanted.delegated = vec!["2001:db8:8::/64".parse().unwrap()];
    world.pass();
    let guest = world.bare(port);
    let frame = |packet: &str| format!("ether('fa:16:3e:00:00:01', 0x86dd, {packet})");
    let used = frame("icmp6(f'2001:db8:1::1:{i:x}', 'ff02::1', 128, bytes(4))");
    let asked = frame("icmp6('::', 'ff02::1:ff00:1', 135, bytes(4) + ip(f'2001:db8:8::{i:x}'))");
    guest.send_each(&format!(
        "[f for i in range(300) for f in ({used}, {asked})]"
    ));
    let mut observer = Observer::new(world.lan.clone(), &world.short);
    eventually("as many as there is room for", || {
        let heard = observer.look(&world.wanted)[&port].addresses.len();
        assert!(heard <= PortHeard::MAX);
        heard == 32 + 64
    });
}
