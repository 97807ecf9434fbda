//! By which addresses routers reach guests that have prefixes delegated.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use lan::Lan;
use model::{Port, PortId};

use super::layout::Layout;
use crate::Wanted;

/// Link-local addresses of guests. One that is not here has the address its MAC makes.
pub type Nexthops = BTreeMap<PortId, Ipv6Addr>;

/// Those that routes lead to already: what an earlier life of ours had heard.
pub(super) fn routed(wanted: &Wanted, seen: &Layout) -> Nexthops {
    let nexthop = |port: &Port| {
        let routes = seen.spaces.values().flat_map(|space| &space.routes);
        let to_port = |destination: &IpNet| match destination {
            IpNet::V6(net) => port.delegated.contains(net),
            IpNet::V4(_) => false,
        };
        let mut routes = routes.filter(|route| to_port(&route.destination));
        routes.find_map(|route| match route.nexthop {
            Some(IpAddr::V6(nexthop)) if nexthop.is_unicast_link_local() => Some(nexthop),
            _ => None,
        })
    };
    of(wanted, nexthop)
}

/// Those that guests spoke DHCPv6 from, or else those `before`.
pub(super) fn heard(wanted: &Wanted, lan: &Lan, before: &Nexthops) -> Nexthops {
    let nexthop = |port: &Port| {
        let heard = lan.dhcp6_heard(&port.network, port.mac);
        let heard = heard.and_then(|heard| heard.link_local);
        heard.or_else(|| before.get(&port.id).copied())
    };
    of(wanted, nexthop)
}

fn of(wanted: &Wanted, nexthop: impl Fn(&Port) -> Option<Ipv6Addr>) -> Nexthops {
    let ports = wanted.ports.values().filter(|p| !p.delegated.is_empty());
    ports
        .filter_map(|port| Some((port.id, nexthop(port)?)))
        .collect()
}
