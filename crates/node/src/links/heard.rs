//! What guests hear on each link: which advertisements and metadata crate `lan` is to serve where.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use lan::{AdvertKey, Bindings, Family, Instance, Lan, Leases};
use model::{Key, Network, NetworkId, PortId};

use super::bindings::bindings;
use super::instance::instances;
use super::kernel::Kernel;
use super::layout::ipv4_prefixes;
use super::leases::leases;
use super::names::{self, Space};
use super::voice::{self, Voice};
use super::zones::{Resolver, resolvers};
use crate::Wanted;

/// Everything that is to be heard on this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Speech {
    pub(super) adverts: BTreeMap<AdvertKey, Voice>,
    pub(super) metadata: BTreeSet<(NetworkId, Family)>,
    /// Of networks that have an address for one.
    pub(super) resolvers: BTreeMap<NetworkId, Resolver>,
    /// Of networks with an IPv4 subnet.
    pub(super) leases: BTreeMap<NetworkId, Arc<Leases>>,
    /// Of networks where DHCPv6 has something to say.
    pub(super) bindings: BTreeMap<NetworkId, Arc<Bindings>>,
    /// By network and mark.
    pub(super) instances: BTreeMap<(NetworkId, u32), Arc<Instance>>,
}

/// Decides what is to be heard.
pub(super) fn speech(wanted: &Wanted, marks: &BTreeMap<PortId, u32>) -> Speech {
    let mut speech = Speech {
        instances: instances(wanted, marks),
        ..Speech::default()
    };
    for router in wanted.routers.values().filter(|r| r.enabled) {
        for leg in router.ports.iter().filter(|leg| !leg.external) {
            let network = wanted.networks.get(&leg.network);
            if let Some(voice) = network.and_then(|n| voice::of_router(n, router, leg)) {
                speech.adverts.insert(
                    AdvertKey {
                        network: leg.network,
                        router: Some(router.id),
                    },
                    voice,
                );
            }
        }
    }
    let with_guests: BTreeSet<_> = wanted.ports.values().map(|p| p.network).collect();
    speech.resolvers = resolvers(wanted, &with_guests);
    for network in with_guests.iter().filter_map(|id| wanted.networks.get(id)) {
        speech.services(wanted, network);
    }
    speech
}

impl Speech {
    /// Adds what the network itself says.
    fn services(&mut self, wanted: &Wanted, network: &Network) {
        self.metadata.insert((network.id, Family::Ipv6));
        if !ipv4_prefixes(network).is_empty() {
            self.metadata.insert((network.id, Family::Ipv4));
            let leases = Arc::new(leases(wanted, network));
            self.leases.insert(network.id, leases);
        }
        if let Some(bindings) = bindings(wanted, network) {
            self.bindings.insert(network.id, Arc::new(bindings));
        }
        let routers = self
            .adverts
            .iter()
            .filter(|(key, _)| key.network == network.id);
        let spoken = routers.flat_map(|(_, voice)| voice.advert.prefixes.iter().map(|p| p.prefix));
        if let Some(voice) = voice::of_network(network, &spoken.collect()) {
            let key = AdvertKey {
                network: network.id,
                router: None,
            };
            self.adverts.insert(key, voice);
        }
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

    pub(super) fn lan(&self) -> &Lan {
        &self.lan
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
        for network in self.lan.serving_dns() {
            if !speech.resolvers.contains_key(&network) {
                self.lan.end_dns(&network);
            }
        }
        for network in self.lan.serving_dhcp4() {
            if !speech.leases.contains_key(&network) {
                self.lan.end_dhcp4(&network);
            }
        }
        for network in self.lan.serving_dhcp6() {
            if !speech.bindings.contains_key(&network) {
                self.lan.end_dhcp6(&network);
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
        for (network, resolver) in &speech.resolvers {
            let ns = kernel.netns(Space::Network(*network));
            let (addresses, zone) = (&resolver.addresses, resolver.zone.clone());
            let begun = ns.and_then(|ns| {
                self.lan
                    .serve_dns(*network, ns, names::BRIDGE, addresses, zone)
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
        for (network, bindings) in &speech.bindings {
            let ns = kernel.netns(Space::Network(*network));
            let begun = ns.and_then(|ns| {
                self.lan
                    .serve_dhcp6(*network, ns, names::BRIDGE, bindings.clone())
            });
            failures.extend(begun.err().map(|e| (Key::Network(*network), e)));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use lan::Advert;
    use model::{
        Advertising, Lifetimes, Mac, RaMode, RetiredPrefix, Router, RouterId, RouterPort, Subnet,
        SubnetId,
    };

    use super::*;

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
            lifetimes: Lifetimes::default(),
            pref64: None,
        }
    }

    /// A network of two subnets with a guest, the first led by a router.
    fn wanted(first: RaMode, second: RaMode) -> Wanted {
        let network = Network {
            id: NetworkId::random(),
            mtu: 1400,
            physical_network: None,
            vlan: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets: vec![subnet(1, first), subnet(2, second)],
            retired: Vec::new(),
        };
        let leg = RouterPort {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec!["2001:db8:1::1/64".parse().unwrap()],
            external: false,
            advertising: Advertising::default(),
            scopes: Default::default(),
        };
        let router = Router {
            id: RouterId::random(),
            enabled: true,
            ports: vec![leg],
            routes: Vec::new(),
            default_nexthops: Vec::new(),
            snat: true,
            floating_ips: Vec::new(),
            forwardings: Vec::new(),
            nd_proxy: false,
        };
        let port = model::Port {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 2]),
            enabled: true,
            addresses: Vec::new(),
            port_security: true,
            allowed_prefixes: Vec::new(),
            allowed_macs: Vec::new(),
            rules: Vec::new(),
            server: None,
            stateless: false,
            security_groups: Vec::new(),
            qos: model::Qos::default(),
            delegated: Vec::new(),
            dhcp_options: Vec::new(),
            subport: None,
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
    fn every_voice_tells_the_domain() {
        let speech = speech(&wanted(RaMode::Slaac, RaMode::Slaac), &BTreeMap::new());
        assert_eq!(speech.adverts.len(), 2);
        for voice in speech.adverts.values() {
            assert_eq!(voice.advert.dnssl, ["openstacklocal."]);
        }
    }

    #[test]
    fn a_router_speaks_for_what_it_leads_and_the_network_for_the_rest() {
        use RaMode::{Dhcpv6Stateful, Dhcpv6Stateless, Slaac};
        let said = flags(&wanted(Slaac, Dhcpv6Stateless));
        assert_eq!(said, [(0, false, true, 1), (1800, false, false, 1)]);
        let said = flags(&wanted(Dhcpv6Stateful, Slaac));
        assert_eq!(said, [(0, false, false, 1), (1800, true, false, 0)]);
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

    /// The only advertisement of a kind.
    fn only(speech: &Speech, router: bool) -> &Advert {
        let mut found = speech
            .adverts
            .iter()
            .filter(|(key, _)| key.router.is_some() == router);
        let (Some((_, voice)), None) = (found.next(), found.next()) else {
            panic!("{:?}", speech.adverts)
        };
        &voice.advert
    }

    #[test]
    fn the_router_says_of_itself_what_its_port_says() {
        let mut wanted = wanted(RaMode::Slaac, RaMode::Slaac);
        for leg in wanted.routers.values_mut().flat_map(|r| &mut r.ports) {
            leg.advertising = Advertising {
                interval_s: 30,
                lifetime_s: 90,
                preference: model::Preference::High,
            };
        }
        for network in wanted.networks.values_mut() {
            let subnet = &mut network.subnets[0];
            subnet.lifetimes.valid_s = 7200;
            subnet.lifetimes.preferred_s = 600;
            subnet.pref64 = Some("64:ff9b::/96".parse().unwrap());
            subnet.host_routes = vec![model::Route {
                destination: "2001:db8:77::/48".parse().unwrap(),
                nexthop: "2001:db8:1::7".parse().unwrap(),
            }];
        }
        let speech = speech(&wanted, &BTreeMap::new());
        let advert = only(&speech, true);
        assert_eq!(
            (advert.router_lifetime_s, advert.preference),
            (90, lan::Preference::High)
        );
        assert_eq!(advert.interval.max.as_secs(), 30);
        assert_eq!(
            (advert.prefixes[0].valid_s, advert.prefixes[0].preferred_s),
            (7200, 600)
        );
        assert_eq!(advert.pref64, ["64:ff9b::/96".parse().unwrap()]);
        let route = (
            advert.routes[0].prefix.to_string(),
            advert.routes[0].lifetime_s,
        );
        assert_eq!(route, ("2001:db8:77::/48".to_owned(), 90));
        assert!(only(&speech, false).pref64.is_empty());
    }

    #[test]
    fn a_prefix_that_went_is_deprecated_by_the_network() {
        let mut wanted = wanted(RaMode::Slaac, RaMode::Slaac);
        let prefix = "2001:db8:99::/64".parse().unwrap();
        for network in wanted.networks.values_mut() {
            network.subnets.clear();
            network.retired = vec![RetiredPrefix {
                prefix,
                until_ms: 5,
            }];
        }
        let speech = speech(&wanted, &BTreeMap::new());
        let told = only(&speech, false).prefixes[0];
        assert_eq!(
            (told.prefix, told.preferred_s, told.ends_ms),
            (prefix, 0, Some(5))
        );
        assert!(told.autonomous);
    }

    #[test]
    fn addresses_are_bound_where_dhcpv6_gives_them() {
        let mut wanted = wanted(RaMode::Dhcpv6Stateful, RaMode::Slaac);
        let delegated = "2001:db8:8::/56".parse().unwrap();
        for port in wanted.ports.values_mut() {
            port.addresses = ["2001:db8:1::5", "2001:db8:2::5"]
                .map(|a| a.parse().unwrap())
                .into();
            port.delegated = vec![delegated];
        }
        let speech = speech(&wanted, &BTreeMap::new());
        let bindings = speech.bindings.values().next().unwrap();
        let binding = bindings.ports.values().next().unwrap();
        let given: Vec<_> = binding
            .addresses
            .iter()
            .map(|g| g.value.to_string())
            .collect();
        assert_eq!(given, ["2001:db8:1::5"]);
        assert_eq!(binding.prefixes[0].value, delegated);
        assert_eq!((binding.dns.len(), bindings.on_link.len()), (1, 2));
    }
}
