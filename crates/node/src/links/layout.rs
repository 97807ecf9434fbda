//! Namespaces and links as values: what should be there, and what is.

mod vlan;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linux::netlink::{Proxy, Route};
use linux::tc::{Tbf, Vlan};
use model::{Key, Mac, Network, NetworkId, Port, Router, RouterPort};

use super::LinkSettings;
use super::delegated::Nexthops;
use super::limits::bucket;
use super::names::{self, Space};
use super::voice;
use crate::Wanted;
use crate::filter::{SERVICE, SERVICE_IPV4, SERVICE_ULA};

/// A link in a namespace.
pub type Place = (Space, String);

/// Namespaces with all they hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub spaces: BTreeMap<Space, Contents>,
    /// The veth pairs. The kernel does not tell which ends belong together, so that only what
    /// should be has these: names say it.
    pub pairs: BTreeSet<(Place, Place)>,
}

/// What one namespace holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Its sysctls are set and its loopback is up.
    pub prepared: bool,
    pub links: BTreeMap<String, Link>,
    pub routes: BTreeSet<Route>,
    /// Addresses behind a router that its links answer for: see `proxied`.
    pub proxies: BTreeSet<Proxy>,
    /// VLANs of guests' cards that are ports of their own.
    pub vlans: BTreeSet<Vlan>,
}

/// A link; what is `None` does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub kind: Kind,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    pub master: Option<String>,
    /// Says to an operator, and to us after a restart, whose it is.
    pub alias: Option<String>,
    pub addresses: BTreeSet<IpNet>,
    /// How fast it sends.
    pub rate: Option<Tbf>,
    /// The link that all it receives goes by first; empty when that has gone.
    pub redirect: Option<String>,
}

/// What a link is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bridge,
    Tap,
    Veth,
    Ifb,
}

/// What is wanted, whose it is, and what cannot be had.
pub struct Design {
    pub layout: Layout,
    pub owners: BTreeMap<Place, Key>,
    pub failures: Vec<(Key, String)>,
}

/// Lays out all networks that have a guest's port or a router here, and all routers.
///
/// `bridges` are the node's own bridges with their MTUs, `nexthops` what is known of guests.
pub fn design(
    wanted: &Wanted,
    settings: &LinkSettings,
    bridges: &BTreeMap<String, u32>,
    nexthops: &Nexthops,
) -> Design {
    let mut draft = Draft {
        wanted,
        settings,
        bridges,
        nexthops,
        design: Design::default(),
    };
    for id in networks_here(wanted) {
        match wanted.networks.get(&id) {
            Some(network) => draft.network(network),
            None => draft.fail(
                Key::Network(id),
                "has ports here, but is not known here".into(),
            ),
        }
    }
    for port in wanted.ports.values() {
        draft.port(port);
    }
    for router in wanted.routers.values() {
        draft.router(router);
    }
    draft.design
}

fn networks_here(wanted: &Wanted) -> BTreeSet<NetworkId> {
    let of_ports = wanted.ports.values().map(|p| p.network);
    let of_legs = wanted
        .routers
        .values()
        .flat_map(|r| r.ports.iter().map(|leg| leg.network));
    of_ports.chain(of_legs).collect()
}

impl Default for Design {
    fn default() -> Self {
        // The node's own namespace is always there, whatever it holds.
        let base = Contents {
            prepared: true,
            ..Contents::default()
        };
        let layout = Layout {
            spaces: [(Space::Base, base)].into(),
            pairs: BTreeSet::new(),
        };
        Design {
            layout,
            owners: BTreeMap::new(),
            failures: Vec::new(),
        }
    }
}

struct Draft<'a> {
    wanted: &'a Wanted,
    settings: &'a LinkSettings,
    bridges: &'a BTreeMap<String, u32>,
    nexthops: &'a Nexthops,
    design: Design,
}

impl Draft<'_> {
    fn network(&mut self, network: &Network) {
        let space = Space::Network(network.id);
        let ipv4 = !ipv4_prefixes(network).is_empty();
        let service4 = ipv4.then(|| IpNet::from(IpAddr::V4(SERVICE_IPV4)));
        let resolver = network.resolver.iter().copied().map(IpNet::from);
        let service6 = [on_link(SERVICE), IpNet::from(IpAddr::V6(SERVICE_ULA))];
        // So that answers to guests find their way: to all of a subnet, on the link.
        let routes = network.subnets.iter().map(|subnet| Route {
            destination: subnet.prefix.trunc(),
            nexthop: None,
            link: names::BRIDGE.to_owned(),
        });
        let contents = Contents {
            prepared: true,
            routes: routes.collect(),
            ..Contents::default()
        };
        self.design.layout.spaces.insert(space, contents);
        let bridge = Link {
            kind: Kind::Bridge,
            mac: Some(names::bridge_mac(network.id)),
            addresses: service4
                .into_iter()
                .chain(service6)
                .chain(resolver)
                .collect(),
            master: None,
            ..in_bridge(Kind::Bridge, network.mtu)
        };
        let key = Key::Network(network.id);
        self.add(space, names::BRIDGE.to_owned(), bridge, key);
        if let Some(physical) = &network.physical_network {
            self.uplink(network, physical);
        }
    }

    fn port(&mut self, port: &Port) {
        // A network that is not known has failed already.
        let Some(network) = self.wanted.networks.get(&port.network) else {
            return;
        };
        if let Some(subport) = &port.subport {
            return self.subport(port, subport, network);
        }
        let tap = of_guest(Kind::Tap, port, network.mtu);
        let (space, key) = (Space::Network(network.id), Key::Port(port.id));
        self.add(space, names::tap(port.id), tap, key);
        self.limit(port, network);
    }

    /// Where what a guest sends waits.
    fn limit(&mut self, port: &Port, network: &Network) {
        if let Some(limit) = &port.qos.egress {
            let ifb = Link {
                master: None,
                rate: Some(bucket(limit, network.mtu)),
                ..in_bridge(Kind::Ifb, network.mtu)
            };
            let space = Space::Network(network.id);
            self.add(space, names::limit(port.id), ifb, Key::Port(port.id));
        }
    }

    fn router(&mut self, router: &Router) {
        let contents = Contents {
            prepared: true,
            ..Contents::default()
        };
        self.design
            .layout
            .spaces
            .insert(Space::Router(router.id), contents);
        for leg in &router.ports {
            if let Some(network) = self.wanted.networks.get(&leg.network) {
                self.leg(router, leg, network);
            }
        }
        if router.enabled {
            self.routes(router);
        }
    }

    fn leg(&mut self, router: &Router, leg: &RouterPort, network: &Network) {
        let inner = in_bridge(Kind::Veth, network.mtu);
        // The kernel keeps addresses of a link that goes down, but for the link-local one.
        let link_local = router.enabled.then(|| on_link(leg.mac.link_local()));
        // The leg answers for floating addresses too; what becomes of their packets says `nat`.
        let floating = router.floating_ips.iter().map(|ip| ip.floating);
        let forwarded = router.forwardings.iter().map(|f| f.floating);
        let floating = floating.chain(forwarded).filter(|_| leg.external);
        let floating = floating.map(IpNet::from);
        let addresses = leg.addresses.iter().copied().chain(link_local);
        let outer = Link {
            mac: Some(leg.mac),
            up: router.enabled,
            master: None,
            addresses: addresses.chain(floating).collect(),
            ..in_bridge(Kind::Veth, network.mtu)
        };
        let inside = (Space::Network(network.id), names::leg_in_network(leg.id));
        let outside = (Space::Router(router.id), names::leg_in_router(leg.id));
        self.pair((inside, inner), (outside, outer), Key::Router(router.id));
    }

    fn routes(&mut self, router: &Router) {
        let mut found = BTreeSet::new();
        for nexthop in &router.default_nexthops {
            let destination = match nexthop {
                IpAddr::V4(_) => IpNet::V4(Ipv4Net::default()),
                IpAddr::V6(_) => IpNet::V6(Ipv6Net::default()),
            };
            match router.ports.iter().find(|leg| leg.external) {
                Some(leg) => drop(found.insert(by(leg, destination, *nexthop))),
                None => self.fail(
                    Key::Router(router.id),
                    format!(
                        "no port in an external network leads to the default gateway {nexthop}"
                    ),
                ),
            }
        }
        for model::Route {
            destination,
            nexthop,
        } in &router.routes
        {
            if destination.addr().is_ipv4() != nexthop.is_ipv4() {
                let text = format!("the next hop to {destination} is of another family: {nexthop}");
                self.fail(Key::Router(router.id), text);
                continue;
            }
            let holds = |leg: &&RouterPort| leg.addresses.iter().any(|net| net.contains(nexthop));
            match router.ports.iter().find(holds) {
                Some(leg) => drop(found.insert(by(leg, destination.trunc(), *nexthop))),
                None => self.fail(
                    Key::Router(router.id),
                    format!("no port's subnet holds {nexthop}, the next hop to {destination}"),
                ),
            }
        }
        for leg in router.ports.iter().filter(|leg| !leg.external) {
            let network = self.wanted.networks.get(&leg.network);
            let announced = network.map(|network| voice::host_routes(network, router, leg));
            let announced = announced.into_iter().flatten();
            let announced = announced.map(|r| by(leg, r.destination.trunc(), r.nexthop));
            for route in self.delegated(leg).chain(announced) {
                // What its owner said of the router comes first.
                if found.iter().all(|r| r.destination != route.destination) {
                    found.insert(route);
                }
            }
        }
        if let Some(contents) = self.design.layout.spaces.get_mut(&Space::Router(router.id)) {
            contents.routes = found;
        }
    }

    /// Routes to what is behind the guests of a leg's network.
    fn delegated(&self, leg: &RouterPort) -> impl Iterator<Item = Route> {
        let ports = self.wanted.ports.values();
        let ports = ports.filter(|p| p.network == leg.network && p.enabled);
        ports.flat_map(move |port| {
            let nexthop = self.nexthops.get(&port.id).copied();
            let nexthop = nexthop.unwrap_or(port.mac.link_local());
            let prefixes = port.delegated.iter();
            prefixes.map(move |prefix| by(leg, prefix.trunc().into(), nexthop.into()))
        })
    }

    fn pair(&mut self, (a, inner): (Place, Link), (b, outer): (Place, Link), key: Key) {
        let added =
            self.add(a.0, a.1.clone(), inner, key) && self.add(b.0, b.1.clone(), outer, key);
        if added {
            self.design.layout.pairs.insert((a, b));
        }
    }

    /// Names are cut ids; two that are cut to the same name cannot both be had.
    fn add(&mut self, space: Space, name: String, link: Link, key: Key) -> bool {
        let place = (space, name.clone());
        if let Some(other) = self.design.owners.get(&place) {
            let text = format!("link {name} would also be that of {other:?}");
            self.fail(key, text);
            return false;
        }
        self.design.owners.insert(place, key);
        self.design
            .layout
            .spaces
            .entry(space)
            .or_default()
            .links
            .insert(name, link);
        true
    }

    fn fail(&mut self, key: Key, text: String) {
        self.design.failures.push((key, text));
    }
}

/// A guest's port of a network's bridge.
fn of_guest(kind: Kind, port: &Port, mtu: u32) -> Link {
    Link {
        up: port.enabled,
        alias: Some(port.id.to_string()),
        rate: port.qos.ingress.map(|limit| bucket(&limit, mtu)),
        redirect: port.qos.egress.map(|_| names::limit(port.id)),
        ..in_bridge(kind, mtu)
    }
}

/// A port of a network's bridge.
fn in_bridge(kind: Kind, mtu: u32) -> Link {
    Link {
        kind,
        mac: None,
        mtu,
        up: true,
        master: Some(names::BRIDGE.to_owned()),
        alias: None,
        addresses: BTreeSet::new(),
        rate: None,
        redirect: None,
    }
}

/// By the router's end of a leg.
fn by(leg: &RouterPort, destination: IpNet, nexthop: IpAddr) -> Route {
    Route {
        destination,
        nexthop: Some(nexthop),
        link: names::leg_in_router(leg.id),
    }
}

fn on_link(address: std::net::Ipv6Addr) -> IpNet {
    Ipv6Net::new_assert(address, 64).into()
}

/// The IPv4 prefixes of a network's subnets.
pub(super) fn ipv4_prefixes(network: &Network) -> BTreeSet<Ipv4Net> {
    let prefixes = network.subnets.iter().map(|subnet| subnet.prefix);
    let ipv4 = prefixes.filter_map(|prefix| match prefix {
        IpNet::V4(prefix) => Some(prefix.trunc()),
        IpNet::V6(_) => None,
    });
    ipv4.collect()
}
