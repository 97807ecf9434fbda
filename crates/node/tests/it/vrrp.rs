//! An address and a MAC that two guests have in turn, as VRRP (RFC 9568) has it.

use model::{Direction, Mac, PortId};

use crate::world::{Guest, World, allow, eventually};

const ADDRESS: &str = "2001:db8:1::100";
const MAC: Mac = Mac([0, 0, 0x5e, 0, 2, 1]);
const CLIENT: &str = "2001:db8:1::c";

fn pair(world: &mut World, port: PortId) {
    let port = world.wanted.ports.get_mut(&port).unwrap();
    port.allowed_prefixes = vec![format!("{ADDRESS}/128").parse().unwrap()];
    port.allowed_macs = vec![MAC];
}

fn take(guest: &Guest) {
    guest.shell(&format!(
        "ip link set eth0 address {MAC}; ip -6 address add {ADDRESS}/64 dev eth0 nodad"
    ));
}

fn give_up(guest: &Guest, own: Mac) {
    guest.shell(&format!(
        "ip -6 address del {ADDRESS}/64 dev eth0; ip link set eth0 address {own}"
    ));
}

#[test]
fn two_guests_have_an_address_and_a_mac_in_turn() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let ports = ["2001:db8:1::a", "2001:db8:1::b", CLIENT, "2001:db8:1::d"];
    let [a, b, c, d] = ports.map(|address| world.port(network, address));
    pair(&mut world, a);
    pair(&mut world, b);
    world.rule(a, allow(Direction::Ingress));
    world.rule(c, allow(Direction::Ingress));
    world.pass();
    let [first, second, client, other] = [a, b, c, d].map(|port| world.guest(port));
    let own = |world: &World, port| world.wanted.ports[&port].mac;
    let says = |guest: &Guest| guest.pings(&format!("-I {ADDRESS} {CLIENT}"));

    // The first has it, by its own rules.
    take(&first);
    eventually("an answer to the first", || says(&first));
    eventually("an answer by the first", || client.pings(ADDRESS));
    let neighbour = || client.shell(&format!("ip -6 neigh show {ADDRESS}"));
    assert!(neighbour().contains(&MAC.to_string()), "{}", neighbour());
    give_up(&first, own(&world, a));

    // Then the second, by its own rules: nothing may come in.
    take(&second);
    eventually("an answer to the second", || says(&second));
    assert!(!client.pings(ADDRESS), "no rule of the second lets it in");
    world.rule(b, allow(Direction::Ingress));
    world.pass();
    eventually("an answer by the second", || client.pings(ADDRESS));
    assert!(neighbour().contains(&MAC.to_string()), "{}", neighbour());
    world.wanted.ports.get_mut(&b).unwrap().rules.clear();
    world.pass();
    assert!(!says(&second), "no rule of the second lets it out");

    // Without the pair neither the MAC nor the address is to be had.
    let dropped = |world: &World, why| world.counter(network, "bridge", why);
    let before = dropped(&world, "spoofed_source");
    other.address(ADDRESS);
    assert!(!says(&other));
    assert!(dropped(&world, "spoofed_source") > before);
    let before = dropped(&world, "spoofed_mac");
    other.shell(&format!("ip link set eth0 address {MAC}"));
    assert!(!other.pings(CLIENT));
    assert!(dropped(&world, "spoofed_mac") > before);
    give_up(&other, own(&world, d));

    // What is taken back is gone from the filters.
    world.wanted.ports.get_mut(&a).unwrap().allowed_macs.clear();
    world.pass();
    let before = dropped(&world, "spoofed_mac");
    take(&first);
    assert!(!says(&first));
    assert!(dropped(&world, "spoofed_mac") > before);
}

#[test]
fn the_same_of_ipv4() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    world.subnet4(network, "192.0.2.0/24");
    let [a, b] = ["2001:db8:1::a", "2001:db8:1::b"].map(|at| world.port(network, at));
    world.address4(a, "192.0.2.10");
    world.address4(b, "192.0.2.11");
    world.rule(b, crate::world::allow4(Direction::Ingress));
    let port = world.wanted.ports.get_mut(&a).unwrap();
    port.allowed_prefixes = vec!["192.0.2.100/32".parse().unwrap()];
    port.allowed_macs = vec![MAC];
    world.pass();
    let [first, second] = [a, b].map(|port| world.guest(port));
    first.shell(&format!(
        "ip link set eth0 address {MAC}; ip address add 192.0.2.100/24 dev eth0"
    ));
    eventually("an answer", || first.pings("-I 192.0.2.100 192.0.2.11"));
    second.shell(&format!("ip link set eth0 address {MAC}"));
    assert!(!second.pings("192.0.2.10"));
}

#[test]
fn a_rule_for_a_group_means_the_address_that_its_members_share() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let [sender, receiver] = ["2001:db8:1::a", CLIENT].map(|address| world.port(network, address));
    pair(&mut world, sender);
    let group = model::SecurityGroupId::random();
    world.join(sender, group);
    let rule = model::Rule {
        peer: Some(model::Peer::Group(group)),
        ..allow(Direction::Ingress)
    };
    world.rule(receiver, rule);
    world.pass();
    let (guest, _receiver) = (world.guest(sender), world.guest(receiver));
    take(&guest);
    let says = || guest.pings(&format!("-I {ADDRESS} {CLIENT}"));
    assert!(!says(), "nobody has said that it is theirs");
    let name = world.wanted.names.get_mut(&sender).unwrap();
    name.paired = vec![ADDRESS.parse().unwrap()];
    world.pass();
    eventually("an answer to the shared address", says);
}
