//! What Router Advertisements say on each link, and by whom: a router's leg speaks for the subnets it
//! leads, the network itself, as no router, for the others.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use lan::{Advert, Interval, Preference, Prefix, Route};
use model::{
    Advertising, Announced, Lifetimes, Network, RetiredPrefix, Router, RouterPort, Subnet,
};

use super::names::{self, Space};
use crate::filter::{SERVICE, SERVICE_ULA};

/// An advertisement and the link it is sent on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Voice {
    pub(super) space: Space,
    pub(super) link: String,
    pub(super) advert: Advert,
}

/// A subnet, and what is announced of it.
type Told<'a> = (&'a Subnet, Announced);

/// What a router's leg says; `None` when it leads no subnet of which anything is announced.
pub(super) fn of_router(network: &Network, router: &Router, leg: &RouterPort) -> Option<Voice> {
    let told = told(network, |subnet| leads(leg, subnet));
    if told.is_empty() {
        return None;
    }
    let Advertising {
        interval_s,
        lifetime_s,
        preference,
    } = leg.advertising;
    let source = leg.mac.link_local();
    let routes = announced_routes(told.iter().map(|(subnet, _)| *subnet));
    let routes = routes.filter_map(|route| match route.destination {
        IpNet::V6(net) => Some(Route {
            prefix: net.trunc(),
            preference: Preference::Medium,
            lifetime_s: lifetime_s.into(),
        }),
        IpNet::V4(_) => None,
    });
    let advert = Advert {
        source,
        mac: leg.mac,
        router_lifetime_s: lifetime_s,
        preference: match preference {
            model::Preference::Low => Preference::Low,
            model::Preference::Medium => Preference::Medium,
            model::Preference::High => Preference::High,
        },
        routes: routes.collect(),
        interval: interval(interval_s),
        ..advert(network, &told)
    };
    Some(Voice {
        space: Space::Router(router.id),
        link: names::leg_in_router(leg.id),
        advert,
    })
}

/// What the network itself says: of the subnets whose prefixes no router has `spoken` of, and of
/// prefixes that are no more. Whoever runs a physical network says what holds there.
pub(super) fn of_network(network: &Network, spoken: &BTreeSet<Ipv6Net>) -> Option<Voice> {
    if network.physical_network.is_some() {
        return None;
    }
    let told = told(network, |subnet| match subnet.prefix {
        IpNet::V6(prefix) => !spoken.contains(&prefix),
        IpNet::V4(_) => false,
    });
    if told.is_empty() && network.retired.is_empty() {
        return None;
    }
    let mut advert = Advert {
        // A guest sends what is for metadata to its router; one that has none needs this way.
        routes: vec![Route {
            prefix: SERVICE_ULA.into(),
            preference: Preference::Medium,
            lifetime_s: Advertising::default().lifetime_s.into(),
        }],
        ..advert(network, &told)
    };
    advert.prefixes.extend(network.retired.iter().map(retired));
    Some(Voice {
        space: Space::Network(network.id),
        link: names::BRIDGE.to_owned(),
        advert,
    })
}

/// Whether a router's leg is the gateway of a subnet.
pub(super) fn leads(leg: &RouterPort, subnet: &Subnet) -> bool {
    subnet
        .gateway
        .is_some_and(|gateway| leg.addresses.iter().any(|net| net.addr() == gateway))
}

fn told(network: &Network, which: impl Fn(&Subnet) -> bool) -> Vec<Told<'_>> {
    let provider = network.physical_network.is_some();
    let subnets = network.subnets.iter().filter(|subnet| which(subnet));
    subnets
        .filter_map(|subnet| Some((subnet, subnet.announced(provider)?)))
        .collect()
}

/// Routes to destinations of IPv6 that hosts hear of from the subnets' router. Linux guests take them
/// only where `accept_ra_rt_info_max_plen` says so; others have them by the default route.
pub(super) fn announced_routes<'a>(
    subnets: impl Iterator<Item = &'a Subnet>,
) -> impl Iterator<Item = &'a model::Route> {
    let routes = subnets.flat_map(|subnet| &subnet.host_routes);
    routes.filter(|route| {
        matches!(route.destination, IpNet::V6(net) if net.prefix_len() > 0)
            && route.nexthop.is_ipv6()
    })
}

/// The routes that a router's leg announces and that lead on from there: by a neighbour on the leg.
pub(super) fn host_routes<'a>(
    network: &'a Network,
    router: &'a Router,
    leg: &'a RouterPort,
) -> impl Iterator<Item = &'a model::Route> {
    let own = |address| {
        let mut addresses = router.ports.iter().flat_map(|leg| &leg.addresses);
        addresses.any(|net| net.addr() == address)
    };
    let near = |address: IpAddr| match address {
        IpAddr::V6(a) if a.is_unicast_link_local() => a != leg.mac.link_local(),
        _ => leg.addresses.iter().any(|net| net.contains(&address)),
    };
    let led = network.subnets.iter().filter(|subnet| leads(leg, subnet));
    announced_routes(led).filter(move |route| near(route.nexthop) && !own(route.nexthop))
}

/// At random from a third of the longest (RFC 4861, section 6.2.1).
fn interval(longest_s: u16) -> Interval {
    let max = Duration::from_secs(longest_s.into());
    let min = match longest_s {
        9.. => max.mul_f64(0.33),
        _ => max.mul_f64(0.75),
    };
    Interval {
        min: min.max(Duration::from_secs(3)),
        max,
    }
}

/// The parts that the subnets decide, as said by the network itself.
fn advert(network: &Network, told: &[Told<'_>]) -> Advert {
    let mut rdnss: Vec<Ipv6Addr> = Vec::new();
    for server in told.iter().flat_map(|(subnet, _)| &subnet.dns_nameservers) {
        match server {
            IpAddr::V6(server) if !rdnss.contains(server) => rdnss.push(*server),
            _ => {}
        }
    }
    let pref64: BTreeSet<_> = told
        .iter()
        .filter_map(|(subnet, _)| subnet.pref64)
        .collect();
    Advert {
        source: SERVICE,
        mac: names::bridge_mac(network.id),
        mtu: network.mtu,
        router_lifetime_s: 0,
        preference: Preference::Medium,
        managed: told.iter().any(|(_, said)| said.managed),
        other: told.iter().any(|(_, said)| said.other),
        prefixes: told.iter().filter_map(prefix).collect(),
        rdnss,
        dnssl: vec![network.dns_domain.clone()],
        routes: Vec::new(),
        pref64: pref64.into_iter().collect(),
        interval: Interval::default(),
    }
}

fn prefix((subnet, said): &Told<'_>) -> Option<Prefix> {
    let IpNet::V6(prefix) = subnet.prefix else {
        return None;
    };
    let Lifetimes {
        valid_s,
        preferred_s,
    } = subnet.lifetimes;
    Some(Prefix {
        prefix,
        autonomous: said.autonomous,
        on_link: true,
        valid_s,
        preferred_s,
        ends_ms: None,
    })
}

/// Addresses in it are used for what is under way, and no more (RFC 9096, section 3.3).
fn retired(retired: &RetiredPrefix) -> Prefix {
    Prefix {
        prefix: retired.prefix,
        autonomous: true,
        on_link: true,
        valid_s: u32::MAX,
        preferred_s: 0,
        ends_ms: Some(retired.until_ms),
    }
}
