//! What guests are heard to use and ask: looked at now and then, beside the passes, and told to the
//! controller when it is news.
//!
//! The kernel notes addresses by itself (`filter`), `lan` remembers who asked it what, so a look costs
//! one question a network and nothing a packet. What a guest can make news of is bounded: an address
//! that comes or goes is news at the next look, a question at most once a minute, and that
//! something is used still is said for all ports at the same moment, every ten minutes.
//!
//! The same look counts the Router Advertisements of others on provider networks (`foreign`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use linux::netns::Netns;
use model::{AddressHeard, NetworkId, Port, PortHeard, PortId};

use crate::filter::Noted;
use crate::links::names::Space;
use crate::{Metrics, Wanted};

/// A guest's question is news so often.
const ASKED_EVERY_MS: i64 = 60_000;
/// And so often that anything goes on.
const SAID_EVERY_MS: i64 = 600_000;

/// Looks at what guests do on a node.
pub struct Observer {
    metrics: Metrics,
    /// When each port was first looked at: an advertisement to all of before was not to it.
    since_ms: BTreeMap<PortId, i64>,
}

impl Observer {
    /// Has seen nothing yet. What it counts is seen in these metrics.
    pub fn new(metrics: Metrics) -> Observer {
        Observer {
            metrics,
            since_ms: BTreeMap::new(),
        }
    }

    /// What is known of each port whose network is there. Blocks: it asks the kernel.
    pub fn look(&mut self, wanted: &Wanted) -> BTreeMap<PortId, PortHeard> {
        let now_ms = now_ms();
        let mut by_network = BTreeMap::<NetworkId, Vec<&Port>>::new();
        for port in wanted.ports.values() {
            by_network.entry(port.network).or_default().push(port);
            self.since_ms.entry(port.id).or_insert(now_ms);
        }
        self.since_ms.retain(|id, _| wanted.ports.contains_key(id));
        for network in wanted.networks.values() {
            if network.physical_network.is_some() {
                by_network.entry(network.id).or_default();
            }
        }
        self.metrics.foreign.retain(wanted);
        let mut heard = BTreeMap::new();
        for (network, ports) in by_network {
            let name = Space::Network(network).name(&self.metrics.short);
            let noted = Netns::open(&name.unwrap_or_default());
            // One that is not there yet is looked at the next time.
            let Ok(noted) = noted.and_then(|ns| Noted::read(&ns, now_ms)) else {
                continue;
            };
            if let Some(network) = wanted.networks.get(&network) {
                let adverts = noted.adverts();
                self.metrics.foreign.take_in(network, wanted, adverts);
            }
            heard.extend(ports.iter().map(|port| (port.id, self.heard(port, &noted))));
        }
        heard
    }

    fn heard(&self, port: &Port, noted: &Noted) -> PortHeard {
        let (network, mac) = (port.network, port.mac);
        let lan = &self.metrics.lan;
        let (asked, told) = lan.discovery(network, mac);
        let since = self.since_ms.get(&port.id);
        let told = told.filter(|told| since.is_some_and(|since| told >= since));
        let dhcp6 = lan.dhcp6_heard(&network, mac);
        PortHeard {
            addresses: noted.used(port.id),
            dad_failures: noted.met(port.id),
            last_rs_ms: asked,
            last_ra_ms: asked.max(told),
            last_dhcp_ms: dhcp6
                .map(|heard| heard.last_ms)
                .max(lan.dhcp4_heard_ms(&network, mac)),
        }
    }
}

/// What of this the controller has not been told, and takes it for told. Of a port that is new to it
/// that is all, even when there is nothing: it may hold what was once.
pub(crate) fn news(
    told: &mut BTreeMap<PortId, PortHeard>,
    heard: BTreeMap<PortId, PortHeard>,
) -> Vec<(PortId, PortHeard)> {
    told.retain(|id, _| heard.contains_key(id));
    let is_news = |(id, heard): &(PortId, PortHeard)| {
        let before = told.get(id);
        before.is_none_or(|before| differs(before, heard))
    };
    let news: Vec<_> = heard.into_iter().filter(is_news).collect();
    told.extend(news.iter().cloned());
    news
}

fn differs(before: &PortHeard, now: &PortHeard) -> bool {
    let asked = |h: &PortHeard| {
        [h.last_rs_ms, h.last_dhcp_ms].map(|ms| ms.map(|ms| ms.div_euclid(ASKED_EVERY_MS)))
    };
    let said = |h: &PortHeard| h.last_ra_ms.map(|ms| ms.div_euclid(SAID_EVERY_MS));
    asked(before) != asked(now)
        || said(before) != said(now)
        || roughly(&before.addresses) != roughly(&now.addresses)
        || roughly(&before.dad_failures) != roughly(&now.dad_failures)
}

fn roughly(heard: &[AddressHeard]) -> BTreeSet<(std::net::IpAddr, i64)> {
    let rough = heard
        .iter()
        .map(|a| (a.address, a.last_ms.div_euclid(SAID_EVERY_MS)));
    rough.collect()
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(addresses: &[(&str, i64)]) -> PortHeard {
        let addresses = addresses.iter().map(|(address, last_ms)| AddressHeard {
            address: address.parse().unwrap(),
            last_ms: *last_ms,
        });
        PortHeard {
            addresses: addresses.collect(),
            ..PortHeard::default()
        }
    }

    #[test]
    fn only_news_are_told() {
        let check = |change: fn(&mut PortHeard), told_before: bool| {
            let before = heard(&[("fe80::1", 1_200_000)]);
            let mut now = before.clone();
            change(&mut now);
            assert_eq!(differs(&before, &now), told_before, "{now:?}");
        };
        check(|_| {}, false);
        check(|h| h.addresses[0].last_ms += SAID_EVERY_MS - 1, false);
        check(|h| h.addresses[0].last_ms += SAID_EVERY_MS, true);
        check(|h| h.addresses.clear(), true);
        check(|h| h.addresses.push(h.addresses[0]), false);
        check(|h| h.dad_failures.push(h.addresses[0]), true);
        check(|h| h.last_rs_ms = Some(1), true);
        check(|h| h.last_dhcp_ms = Some(1), true);
        check(|h| h.last_ra_ms = Some(1), true);
    }

    #[test]
    fn a_guest_that_asks_all_the_time_is_news_once_a_minute() {
        let port = PortId::random();
        let mut told = BTreeMap::new();
        let mut times = 0;
        for second in 0..600 {
            let mut now = heard(&[]);
            now.last_rs_ms = Some(second * 1000);
            times += news(&mut told, [(port, now)].into()).len();
        }
        assert_eq!(times, 10);
    }

    #[test]
    fn a_port_is_told_of_once_whatever_it_does() {
        let (port, other) = (PortId::random(), PortId::random());
        let mut told = BTreeMap::new();
        let silent = || BTreeMap::from([(port, PortHeard::default())]);
        assert_eq!(news(&mut told, silent()).len(), 1);
        assert_eq!(news(&mut told, silent()), []);
        assert_eq!(news(&mut told, [(other, heard(&[]))].into()).len(), 1);
        assert_eq!(news(&mut told, silent()).len(), 1, "it had gone");
    }
}
