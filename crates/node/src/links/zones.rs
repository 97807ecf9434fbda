//! Which resolvers answer here, and for which names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lan::Zone;
use model::{Network, NetworkId, PortName, dns};

use crate::Wanted;

/// A network's resolver.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolver {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) zone: Arc<Zone>,
}

/// The resolvers of these networks; a network without an address for one has none.
pub(super) fn resolvers(
    wanted: &Wanted,
    networks: &BTreeSet<NetworkId>,
) -> BTreeMap<NetworkId, Resolver> {
    let mut names: BTreeMap<NetworkId, Vec<&PortName>> = BTreeMap::new();
    for name in wanted.names.values() {
        names.entry(name.network).or_default().push(name);
    }
    let served = networks.iter().filter_map(|id| wanted.networks.get(id));
    let served = served.filter(|network| !network.resolver.is_empty());
    let resolver = |network: &Network| {
        let theirs = names.get(&network.id).map_or(&[][..], Vec::as_slice);
        let resolver = Resolver {
            addresses: network.resolver.clone(),
            zone: Arc::new(zone(network, theirs)?),
        };
        Some((network.id, resolver))
    };
    served.filter_map(resolver).collect()
}

/// What the network's ports are called. `None` when its domain is none, which the cloud refuses.
fn zone(network: &Network, names: &[&PortName]) -> Option<Zone> {
    let mut hosts = Vec::new();
    for port in names {
        let domain = dns::domain_of(&port.dns_name, &port.dns_domain, &network.dns_domain);
        for address in &port.addresses {
            let name = dns::assignment(&port.dns_name, domain, *address).fqdn;
            hosts.push((name, *address));
        }
    }
    let subnets = network.subnets.iter().map(|subnet| subnet.prefix.trunc());
    let hosts = hosts
        .iter()
        .map(|(name, address)| (name.as_str(), *address));
    Zone::new(&network.dns_domain, subnets.collect(), hosts)
}

#[cfg(test)]
mod tests {
    use model::PortId;

    use super::*;

    #[test]
    fn a_network_answers_for_its_own_ports() {
        let network = |domain: &str, resolver: &[&str]| Network {
            id: NetworkId::random(),
            mtu: 1400,
            physical_network: None,
            vlan: None,
            dns_domain: domain.into(),
            resolver: resolver.iter().map(|a| a.parse().unwrap()).collect(),
            retired: Vec::new(),
            subnets: Vec::new(),
        };
        let (served, silent) = (network("a.example.", &["192.0.2.254"]), network("b.", &[]));
        let named = |network: &Network, name: &str, domain: &str| PortName {
            id: PortId::random(),
            network: network.id,
            dns_name: name.into(),
            dns_domain: domain.into(),
            addresses: vec!["192.0.2.9".parse().unwrap()],
            paired: Vec::new(),
            groups: Vec::new(),
        };
        let names = [
            named(&served, "web", ""),
            named(&served, "db", "c.example."),
            named(&served, "", ""),
            named(&silent, "other", ""),
        ];
        let wanted = Wanted {
            networks: [&served, &silent].map(|n| (n.id, n.clone())).into(),
            names: names.map(|n| (n.id, n)).into(),
            ..Wanted::default()
        };
        let found = resolvers(&wanted, &wanted.networks.keys().copied().collect());
        let address = "192.0.2.9".parse().unwrap();
        // The name that an address has is the last one's that came.
        let hosts = wanted.names.values().filter(|n| n.network == served.id);
        let hosts: Vec<&str> = hosts
            .map(|n| match n.dns_name.as_str() {
                "web" => "web.a.example.",
                "db" => "db.c.example.",
                _ => "host-192-0-2-9.a.example.",
            })
            .collect();
        let hosts = hosts.into_iter().map(|name| (name, address));
        let expected = Resolver {
            addresses: served.resolver.clone(),
            zone: Arc::new(Zone::new("a.example.", Vec::new(), hosts).unwrap()),
        };
        assert_eq!(found, [(served.id, expected)].into());
    }
}
