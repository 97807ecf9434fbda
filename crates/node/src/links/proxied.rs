//! Addresses behind routers that their external legs answer for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use linux::netlink::Proxy;
use model::{NetworkId, Router, RouterPort};

use super::layout::Layout;
use super::names::{self, Space};
use crate::Wanted;

/// Addresses of guests' own choice, by network.
pub(super) type Chosen = BTreeMap<NetworkId, BTreeSet<Ipv6Addr>>;

/// Draws them into a layout that has the routers.
pub(super) fn add(layout: &mut Layout, wanted: &Wanted, chosen: &Chosen) {
    for router in wanted.routers.values().filter(|r| r.enabled && r.nd_proxy) {
        if let Some(contents) = layout.spaces.get_mut(&Space::Router(router.id)) {
            contents.proxies = of(router, wanted, chosen);
        }
    }
}

/// What lies both in a prefix of an inner leg and in one of the external leg.
fn of(router: &Router, wanted: &Wanted, chosen: &Chosen) -> BTreeSet<Proxy> {
    let (outer, inner): (Vec<_>, Vec<_>) = router.ports.iter().partition(|leg| leg.external);
    let mut found = BTreeSet::new();
    for leg in inner {
        let there = addresses(leg.network, wanted, chosen).into_iter();
        for address in there.filter(|address| holds(leg, address)) {
            let answering = outer.iter().filter(|outer| holds(outer, &address));
            found.extend(answering.map(|outer| Proxy {
                address,
                link: names::leg_in_router(outer.id),
            }));
        }
    }
    found
}

fn holds(leg: &RouterPort, address: &Ipv6Addr) -> bool {
    let address = IpAddr::V6(*address);
    leg.addresses.iter().any(|net| net.contains(&address))
}

/// The IPv6 addresses of a network's guests here.
fn addresses(network: NetworkId, wanted: &Wanted, chosen: &Chosen) -> BTreeSet<Ipv6Addr> {
    let ports = wanted.ports.values();
    let ports = ports.filter(|port| port.network == network && port.enabled);
    let assigned = ports.flat_map(|port| &port.addresses);
    let assigned = assigned.filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    let chosen = chosen.get(&network).into_iter().flatten().copied();
    assigned.chain(chosen).collect()
}
