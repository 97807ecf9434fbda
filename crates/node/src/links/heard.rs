//! What guests hear on each link: which advertisements and metadata crate `lan` is to serve where.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use lan::{Advert, AdvertKey, Family, Instance, Interval, Lan, Leases, Preference, Prefix, Route};
use model::{Key, Network, NetworkId, PortId, RaMode, Router, RouterPort, Subnet};

use super::instance::instances;
use super::kernel::Kernel;
use super::layout::ipv4_prefixes;
use super::leases::leases;
use super::names::{self, Space};
use crate::Wanted;
use crate::filter::{SERVICE, SERVICE_ULA};

/// Three times the longest pause between two advertisements (RFC 4861, section 6.2.1).
const ROUTER_LIFETIME_S: u16 = 1800;
/// As radvd has them: short enough that a prefix that went is forgotten within a day.
const VALID_S: u32 = 86_400;
const PREFERRED_S: u32 = 14_400;

/// Everything that is to be heard on this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Speech {
    pub(super) adverts: BTreeMap<AdvertKey, Voice>,
    pub(super) metadata: BTreeSet<(NetworkId, Family)>,
    /// Of networks with an IPv4 subnet.
    pub(super) leases: BTreeMap<NetworkId, Arc<Leases>>,
    /// By network and mark.
    pub(super) instances: BTreeMap<(NetworkId, u32), Arc<Instance>>,
}

/// An advertisement and the link it is sent on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Voice {
    pub(super) space: Space,
    pub(super) link: String,
    pub(super) advert: Advert,
}

/// Decides what is to be heard.
pub(super) fn speech(wanted: &Wanted, marks: &BTreeMap<PortId, u32>) -> Speech {
    let mut speech = Speech {
        instances: instances(wanted, marks),
        ..Speech::default()
    };
    for router in wanted.routers.values().filter(|r| r.enabled) {
        for leg in router.ports.iter().filter(|leg| !leg.external) {
            if let Some(network) = wanted.networks.get(&leg.network) {
                speech.add(network, Some((router, leg)));
            }
        }
    }
    let with_guests: BTreeSet<_> = wanted.ports.values().map(|p| p.network).collect();
    for network in with_guests.iter().filter_map(|id| wanted.networks.get(id)) {
        speech.metadata.insert((network.id, Family::Ipv6));
        if !ipv4_prefixes(network).is_empty() {
            speech.metadata.insert((network.id, Family::Ipv4));
            let leases = Arc::new(leases(wanted, network));
            speech.leases.insert(network.id, leases);
        }
        // Whoever runs a physical network says what holds there.
        if network.physical_network.is_none() {
            speech.add(network, None);
        }
    }
    speech
}

impl Speech {
    /// Adds the advertisement of a router's leg, or of the network itself for those subnets that
    /// no router speaks for. Nothing is said when there is nothing to say.
    fn add(&mut self, network: &Network, by: Option<(&Router, &RouterPort)>) {
        let key = AdvertKey {
            network: network.id,
            router: by.map(|(router, _)| router.id),
        };
        let subnets: Vec<_> = network
            .subnets
            .iter()
            .filter(|subnet| match by {
                Some((_, leg)) => leads(leg, subnet),
                None => !self.speaks_for(network.id, subnet),
            })
            .filter_map(|subnet| subnet.ra_mode.map(|mode| (subnet, mode)))
            .collect();
        if subnets.is_empty() {
            return;
        }
        let (space, link, source, mac) = match by {
            Some((router, leg)) => {
                let link = names::leg_in_router(leg.id);
                (
                    Space::Router(router.id),
                    link,
                    leg.mac.link_local(),
                    leg.mac,
                )
            }
            None => {
                let mac = names::bridge_mac(network.id);
                (
                    Space::Network(network.id),
                    names::BRIDGE.to_owned(),
                    SERVICE,
                    mac,
                )
            }
        };
        // A guest sends what is for metadata to its router; one that has none needs this way.
        let (router_lifetime_s, routes) = match by {
            Some(_) => (ROUTER_LIFETIME_S, Vec::new()),
            None => (0, vec![to_metadata()]),
        };
        let advert = Advert {
            source,
            mac,
            router_lifetime_s,
            routes,
            ..advert(network.mtu, &subnets)
        };
        self.adverts.insert(
            key,
            Voice {
                space,
                link,
                advert,
            },
        );
    }

    /// Whether a router advertises the subnet's prefix already.
    fn speaks_for(&self, network: NetworkId, subnet: &Subnet) -> bool {
        let voices = self
            .adverts
            .iter()
            .filter(|(key, _)| key.network == network);
        let mut prefixes = voices.flat_map(|(_, voice)| &voice.advert.prefixes);
        prefixes.any(|p| IpNet::V6(p.prefix) == subnet.prefix)
    }
}

fn to_metadata() -> Route {
    Route {
        prefix: SERVICE_ULA.into(),
        preference: Preference::Medium,
        lifetime_s: ROUTER_LIFETIME_S.into(),
    }
}

/// Whether a router's leg is the gateway of a subnet.
fn leads(leg: &RouterPort, subnet: &Subnet) -> bool {
    subnet
        .gateway
        .is_some_and(|gateway| leg.addresses.iter().any(|net| net.addr() == gateway))
}

/// The parts that the subnets decide; who speaks is filled in by the caller.
fn advert(mtu: u32, subnets: &[(&Subnet, RaMode)]) -> Advert {
    let mut rdnss = Vec::new();
    for server in subnets
        .iter()
        .flat_map(|(subnet, _)| &subnet.dns_nameservers)
    {
        match server {
            IpAddr::V6(server) if !rdnss.contains(server) => rdnss.push(*server),
            _ => {}
        }
    }
    let prefix = |(subnet, mode): &(&Subnet, RaMode)| {
        let IpNet::V6(prefix) = subnet.prefix else {
            return None;
        };
        Some(Prefix {
            prefix,
            autonomous: *mode != RaMode::Dhcpv6Stateful,
            on_link: true,
            valid_s: VALID_S,
            preferred_s: PREFERRED_S,
        })
    };
    Advert {
        source: SERVICE,
        mac: model::Mac([0; 6]),
        mtu,
        router_lifetime_s: 0,
        managed: subnets
            .iter()
            .any(|(_, mode)| *mode == RaMode::Dhcpv6Stateful),
        other: subnets.iter().any(|(_, mode)| *mode != RaMode::Slaac),
        prefixes: subnets.iter().filter_map(prefix).collect(),
        rdnss,
        dnssl: Vec::new(),
        routes: Vec::new(),
        interval: Interval::default(),
    }
}

/// Tells `lan` what to serve.
pub(super) struct Heard {
    lan: Lan,
    told: BTreeMap<(NetworkId, u32), Arc<Instance>>,
}

impl Heard {
    /// Nothing is told yet.
    pub(super) fn new(lan: Lan) -> Heard {
        Heard {
            lan,
            told: BTreeMap::new(),
        }
    }

    /// Ends what is not to be heard any more: before its link goes, so that the farewell is heard.
    pub(super) fn end(&mut self, speech: &Speech) {
        for key in self.lan.advertising() {
            if !speech.adverts.contains_key(&key) {
                self.lan.silence(&key, true);
            }
        }
        for (network, family) in self.lan.serving_metadata() {
            if !speech.metadata.contains(&(network, family)) {
                self.lan.end_metadata(network, family);
            }
        }
        for network in self.lan.serving_dhcp4() {
            if !speech.leases.contains_key(&network) {
                self.lan.end_dhcp4(&network);
            }
        }
        self.told.retain(|(network, mark), _| {
            let stays = speech.instances.contains_key(&(*network, *mark));
            if !stays {
                self.lan.remove_instance(*network, *mark);
            }
            stays
        });
    }

    /// Begins or changes what is to be heard, on links that are there by now.
    pub(super) fn begin(
        &mut self,
        speech: &Speech,
        kernel: &mut Kernel<'_>,
    ) -> Vec<(Key, io::Error)> {
        for (place, instance) in &speech.instances {
            if self.told.get(place) != Some(instance) {
                self.lan.set_instance(place.0, place.1, instance.clone());
                self.told.insert(*place, instance.clone());
            }
        }
        let mut failures = Vec::new();
        for (key, voice) in &speech.adverts {
            let begun = kernel.netns(voice.space).and_then(|ns| {
                self.lan
                    .advertise(*key, ns, &voice.link, voice.advert.clone())
            });
            if let Err(e) = begun {
                let owner = key.router.map_or(Key::Network(key.network), Key::Router);
                failures.push((owner, e));
            }
        }
        for (network, family) in &speech.metadata {
            let ns = kernel.netns(Space::Network(*network));
            let begun = ns.and_then(|ns| {
                self.lan
                    .serve_metadata(*network, *family, ns, names::BRIDGE)
            });
            failures.extend(begun.err().map(|e| (Key::Network(*network), e)));
        }
        for (network, leases) in &speech.leases {
            let ns = kernel.netns(Space::Network(*network));
            let begun = ns.and_then(|ns| {
                self.lan
                    .serve_dhcp4(*network, ns, names::BRIDGE, leases.clone())
            });
            failures.extend(begun.err().map(|e| (Key::Network(*network), e)));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Mac, RouterId, SubnetId};

    fn subnet(number: u16, mode: RaMode) -> Subnet {
        let prefix: IpNet = format!("2001:db8:{number:x}::/64").parse().unwrap();
        Subnet {
            id: SubnetId::random(),
            prefix,
            gateway: Some(format!("2001:db8:{number:x}::1").parse().unwrap()),
            enable_dhcp: true,
            ra_mode: Some(mode),
            address_mode: Some(mode),
            dns_nameservers: vec!["2001:db8::53".parse().unwrap()],
            host_routes: Vec::new(),
        }
    }

    /// A network of two subnets with a guest, the first led by a router.
    fn wanted(first: RaMode, second: RaMode) -> Wanted {
        let network = Network {
            id: NetworkId::random(),
            mtu: 1400,
            physical_network: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets: vec![subnet(1, first), subnet(2, second)],
        };
        let leg = RouterPort {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec!["2001:db8:1::1/64".parse().unwrap()],
            external: false,
        };
        let router = Router {
            id: RouterId::random(),
            enabled: true,
            ports: vec![leg],
            routes: Vec::new(),
            default_nexthops: Vec::new(),
            snat: true,
            floating_ips: Vec::new(),
        };
        let port = model::Port {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 2]),
            enabled: true,
            addresses: Vec::new(),
            port_security: true,
            allowed_prefixes: Vec::new(),
            rules: Vec::new(),
            server: None,
            security_groups: Vec::new(),
        };
        Wanted {
            networks: [(network.id, network)].into(),
            routers: [(router.id, router)].into(),
            ports: [(port.id, port)].into(),
            ..Wanted::default()
        }
    }

    /// Lifetime, M, O and the number of prefixes with A, of the network's and the router's voice.
    fn flags(wanted: &Wanted) -> Vec<(u16, bool, bool, usize)> {
        let speech = speech(wanted, &BTreeMap::new());
        let flags = |advert: &Advert| {
            let autonomous = advert.prefixes.iter().filter(|p| p.autonomous).count();
            (
                advert.router_lifetime_s,
                advert.managed,
                advert.other,
                autonomous,
            )
        };
        speech.adverts.values().map(|v| flags(&v.advert)).collect()
    }

    #[test]
    fn a_router_speaks_for_what_it_leads_and_the_network_for_the_rest() {
        use RaMode::{Dhcpv6Stateful, Dhcpv6Stateless, Slaac};
        let said = flags(&wanted(Slaac, Dhcpv6Stateless));
        assert_eq!(said, [(0, false, true, 1), (1800, false, false, 1)]);
        let said = flags(&wanted(Dhcpv6Stateful, Slaac));
        assert_eq!(said, [(0, false, false, 1), (1800, true, true, 0)]);
    }

    #[test]
    fn a_disabled_or_external_leg_says_nothing() {
        let mut wanted = wanted(RaMode::Slaac, RaMode::Slaac);
        wanted.routers.values_mut().for_each(|r| r.enabled = false);
        assert_eq!(flags(&wanted), [(0, false, false, 2)]);
        for network in wanted.networks.values_mut() {
            network.physical_network = Some("physnet".into());
        }
        assert_eq!(flags(&wanted), []);
    }
}
