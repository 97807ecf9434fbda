//! What is seen of guests: the addresses that they use, and when they asked for what.

use std::collections::BTreeSet;

use model::{Direction, Network, PortHeard, RaMode};
use node::Observer;

use crate::client::Client;
use crate::world::{World, allow, eventually, leg, network};

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
    let mut observer = Observer::new(world.links.metrics());
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
    let mut observer = Observer::new(world.links.metrics());
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
    let mut observer = Observer::new(world.links.metrics());
    eventually("as many as there is room for", || {
        let heard = observer.look(&world.wanted)[&port].addresses.len();
        assert!(heard <= PortHeard::MAX);
        heard == 32 + 64
    });
}

#[test]
fn a_router_from_outside_is_counted() {
    let mut world = World::new();
    let mut provider = Network {
        physical_network: Some("physnet".into()),
        vlan: None,
        ..network("2001:db8:1::/64")
    };
    provider.subnets[0].ra_mode = Some(RaMode::Slaac);
    let id = provider.id;
    world.wanted.networks.insert(id, provider);
    world.router(vec![leg(id, 1, "2001:db8:1::1/64", false)]);
    let port = world.port(id, "2001:db8:1::a");
    world.pass();
    let (guest, outside) = (world.bare(port), world.outside("2001:db8:1::9"));
    let metrics = world.links.metrics();
    let mut observer = Observer::new(metrics.clone());
    let counted = |observer: &mut Observer| -> Vec<(String, u64)> {
        observer.look(&world.wanted);
        let samples = metrics.samples().into_iter();
        let samples = samples.filter(|sample| sample.name == "foreign_ra");
        samples
            .map(|sample| {
                assert_eq!(sample.labels[0], ("network", id.to_string()));
                (sample.labels[1].1.clone(), sample.value)
            })
            .collect()
    };
    let advert = "ether('02:00:00:00:00:99', 0x86dd, icmp6('fe80::99', 'ff02::1', 134, bytes([64,0,7,8]) + bytes(8)))";
    // A guest's own goes nowhere, our router's does not come from outside.
    guest.send(&advert.replace("02:00:00:00:00:99", "fa:16:3e:00:00:01"));
    eventually("a default route", || {
        guest
            .shell("ip -6 route show default")
            .contains("fe80::f816")
    });
    assert_eq!(counted(&mut observer), []);
    outside.send_each(&format!("[{advert}] * 3"));
    eventually("three of them", || {
        counted(&mut observer) == [("fe80::99".to_owned(), 3)]
    });
    // Guests believe it: that is why an operator must know.
    eventually("a second default route", || {
        guest.shell("ip -6 route show default").contains("fe80::99")
    });
    // However many speak, no more than these are told of.
    let many = advert.replace("'fe80::99'", "f'fe80::{i:x}'");
    outside.send_each(&format!("[{many} for i in range(1, 100)]"));
    eventually("as many as there is room for", || {
        counted(&mut observer).len() == 16
    });
}
