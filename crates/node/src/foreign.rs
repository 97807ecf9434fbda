//! Routers from outside that advertise themselves on provider networks: hosts believe any.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lan::Sample;
use model::{Mac, Network, NetworkId};

use crate::Wanted;

/// What was heard of each, by network. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Foreign(Arc<Mutex<BTreeMap<NetworkId, BTreeMap<Source, Router>>>>);

type Source = (Mac, Ipv6Addr);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Router {
    /// Advertisements since it was first heard, or heard again after an hour of silence.
    adverts: u64,
    /// What the kernel had counted when it was last asked; it begins anew with a new table.
    counted: u64,
    warned: bool,
}

impl Foreign {
    /// Takes in what the kernel has counted in a network. The first word of a router that nobody
    /// expects there is a warning in the log.
    pub(crate) fn take_in(&self, network: &Network, wanted: &Wanted, now: &BTreeMap<Source, u64>) {
        let expected = is_expected(network, wanted);
        let mut all = lock(&self.0);
        let known = all.entry(network.id).or_default();
        known.retain(|source, _| now.contains_key(source));
        for (source, counted) in now {
            let router = known.entry(*source).or_default();
            router.count(*counted);
            if !expected && !router.warned {
                router.warned = true;
                let (network, (mac, address)) = (network.id, source);
                tracing::warn!(%network, %address, %mac, "a router from outside advertises itself on a provider network where it is not expected");
            }
        }
    }

    /// Forgets networks that have gone.
    pub(crate) fn retain(&self, wanted: &Wanted) {
        lock(&self.0).retain(|id, _| wanted.networks.contains_key(id));
    }

    /// As an operator's monitoring takes it: at most as many as the kernel's set holds for each network.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let all = lock(&self.0);
        let routers = all.iter().flat_map(|(network, routers)| {
            routers.iter().map(move |(source, r)| (network, source, r))
        });
        let sample = |(network, (mac, address), router): (&NetworkId, &Source, &Router)| Sample {
            name: "foreign_ra",
            labels: vec![
                ("network", network.to_string()),
                ("source", address.to_string()),
                ("mac", mac.to_string()),
            ],
            value: router.adverts,
        };
        routers.map(sample).collect()
    }
}

impl Router {
    fn count(&mut self, counted: u64) {
        self.adverts += counted.checked_sub(self.counted).unwrap_or(counted);
        self.counted = counted;
    }
}

/// Whether the network's subnets leave it to a router outside to speak, and nobody here does.
fn is_expected(network: &Network, wanted: &Wanted) -> bool {
    let mut legs = wanted.routers.values().flat_map(|router| &router.ports);
    let ours = legs.any(|leg| leg.network == network.id && !leg.external)
        || network.subnets.iter().any(|s| s.announced(true).is_some());
    let mut ipv6 = network.subnets.iter();
    !ours && ipv6.any(|s| s.prefix.addr().is_ipv6() && s.ra_mode.is_none())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Advertising, PortId, RaMode, RouterId, RouterPort, Subnet, SubnetId};

    fn network(ra_mode: Option<RaMode>, prefix: &str) -> Network {
        let subnet = Subnet {
            id: SubnetId::random(),
            prefix: prefix.parse().unwrap(),
            gateway: None,
            enable_dhcp: true,
            ra_mode,
            address_mode: Some(RaMode::Slaac),
            dns_nameservers: Vec::new(),
            host_routes: Vec::new(),
            lifetimes: Default::default(),
            pref64: None,
        };
        Network {
            id: NetworkId::random(),
            mtu: 1500,
            physical_network: Some("physnet".into()),
            vlan: None,
            subnets: vec![subnet],
            dns_domain: "x.".into(),
            resolver: Vec::new(),
            retired: Vec::new(),
        }
    }

    #[test]
    fn who_is_expected_follows_from_the_modes_and_the_routers() {
        let none = Wanted::default();
        let outside = network(None, "2001:db8::/64");
        assert!(is_expected(&outside, &none));
        let ours = network(Some(RaMode::Slaac), "2001:db8::/64");
        assert!(!is_expected(&ours, &none));
        assert!(!is_expected(&network(None, "192.0.2.0/24"), &none));
        let with_router = |external| {
            let leg = RouterPort {
                id: PortId::random(),
                network: outside.id,
                mac: Mac([2; 6]),
                addresses: Vec::new(),
                external,
                advertising: Advertising::default(),
                scopes: model::Scopes::default(),
            };
            let router = model::Router {
                id: RouterId::random(),
                enabled: true,
                ports: vec![leg],
                routes: Vec::new(),
                default_nexthops: Vec::new(),
                snat: true,
                floating_ips: Vec::new(),
                nd_proxy: false,
                forwardings: Vec::new(),
            };
            let wanted = Wanted {
                routers: [(router.id, router)].into(),
                ..Wanted::default()
            };
            is_expected(&outside, &wanted)
        };
        assert!(with_router(true), "it leads there, and does not speak");
        assert!(!with_router(false));
    }

    #[test]
    fn counts_go_on_when_the_kernels_begin_anew() {
        let (foreign, network) = (Foreign::default(), network(None, "2001:db8::/64"));
        let source = (Mac([2; 6]), Ipv6Addr::LOCALHOST);
        let wanted = Wanted {
            networks: [(network.id, network.clone())].into(),
            ..Wanted::default()
        };
        for (counted, sum) in [(3, 3), (3, 3), (5, 5), (2, 7)] {
            foreign.take_in(&network, &wanted, &[(source, counted)].into());
            assert_eq!(foreign.samples()[0].value, sum);
        }
        assert!(!lock(&foreign.0)[&network.id][&source].warned);
        foreign.take_in(&network, &wanted, &BTreeMap::new());
        assert_eq!(foreign.samples(), []);
        foreign.retain(&Wanted::default());
        assert!(lock(&foreign.0).is_empty());
    }
}
