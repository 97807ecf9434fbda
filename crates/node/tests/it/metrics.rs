//! What a node's counters say of its networks.

use model::RaMode;

use crate::world::{World, eventually};

#[test]
fn each_network_has_its_counters() {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let subnet = &mut world.wanted.networks.get_mut(&network).unwrap().subnets[0];
    (subnet.ra_mode, subnet.address_mode) = (Some(RaMode::Slaac), Some(RaMode::Slaac));
    let port = world.port(network, "2001:db8:1::a");
    world.pass();
    let guest = world.guest(port);
    let metrics = world.links.metrics();
    let value = |name: &str, label: (&str, &str)| {
        let samples = metrics.samples();
        let found = samples.iter().find(|sample| {
            let has = |wanted: (&str, &str)| {
                sample
                    .labels
                    .iter()
                    .any(|(n, v)| (*n, v.as_str()) == wanted)
            };
            sample.name == name && has(("network", &network.to_string())) && has(label)
        });
        found.map(|sample| sample.value)
    };
    eventually("an advertisement", || {
        value("ra_sent", ("router", "")) > Some(0)
    });
    assert_eq!(value("dropped_packets", ("reason", "rogue")), Some(0));
    guest.send("ether('fa:16:3e:00:00:01', 0x86dd, icmp6('fe80::f816:3eff:fe00:1', 'ff02::1', 134, bytes([64,0,7,8]) + bytes(8)))");
    eventually("the drop", || {
        value("dropped_packets", ("reason", "rogue")) == Some(1)
    });
    assert_eq!(value("dhcp6_messages", ("kind", "refused")), Some(0));
}
