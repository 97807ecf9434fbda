//! What was heard and said, as an operator's monitoring takes it.

use crate::{Family, Lan};

/// One value of a counter, by its name and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Without `hextet_` before it and `_total` after it.
    pub name: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: u64,
}

impl Lan {
    /// All counters, by network. They begin anew where serving does.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for key in self.advertising() {
            let Some(counts) = self.counts(&key) else {
                continue;
            };
            let router = key.router.map(|id| id.to_string()).unwrap_or_default();
            let labels = vec![("network", key.network.to_string()), ("router", router)];
            put(&mut samples, "ra_sent", labels.clone(), counts.sent);
            put(&mut samples, "ra_failed", labels.clone(), counts.failed);
            let heard = counts.solicitations;
            put(&mut samples, "ra_solicitations", labels.clone(), heard);
            put(&mut samples, "ra_malformed", labels, counts.malformed);
        }
        for network in self.serving_dhcp4() {
            let Some(c) = self.dhcp4_counts(&network) else {
                continue;
            };
            let said = [
                ("offer", c.offers),
                ("ack", c.acks),
                ("nak", c.naks),
                ("release", c.releases),
                ("decline", c.declines),
                ("refused", c.refused),
            ];
            put_all(&mut samples, "dhcp4_messages", "kind", network, &said);
        }
        for network in self.serving_dhcp6() {
            let Some(c) = self.dhcp6_counts(&network) else {
                continue;
            };
            let said = [
                ("advertise", c.advertises),
                ("reply", c.replies),
                ("release", c.releases),
                ("decline", c.declines),
                ("registration", c.registrations),
                ("refused", c.refused),
            ];
            put_all(&mut samples, "dhcp6_messages", "kind", network, &said);
        }
        for network in self.serving_dns() {
            let Some(c) = self.dns_counts(&network) else {
                continue;
            };
            let said = [
                ("all", c.queries),
                ("answered", c.answered),
                ("forwarded", c.forwarded),
                ("failed", c.failed),
                ("refused", c.refused),
            ];
            put_all(&mut samples, "dns_queries", "outcome", network, &said);
        }
        for (network, family) in self.serving_metadata() {
            let Some(c) = self.metadata_counts(network, family) else {
                continue;
            };
            let family = match family {
                Family::Ipv4 => "4",
                Family::Ipv6 => "6",
            };
            for (outcome, value) in [
                ("all", c.requests),
                ("refused", c.refused),
                ("limited", c.limited),
            ] {
                let labels = vec![
                    ("network", network.to_string()),
                    ("ip_version", family.to_owned()),
                    ("outcome", outcome.to_owned()),
                ];
                put(&mut samples, "metadata_requests", labels, value);
            }
        }
        samples
    }
}

fn put_all(
    samples: &mut Vec<Sample>,
    name: &'static str,
    by: &'static str,
    network: model::NetworkId,
    values: &[(&str, u64)],
) {
    for (which, value) in values {
        let labels = vec![("network", network.to_string()), (by, (*which).to_owned())];
        put(samples, name, labels, *value);
    }
}

fn put(
    samples: &mut Vec<Sample>,
    name: &'static str,
    labels: Vec<(&'static str, String)>,
    value: u64,
) {
    samples.push(Sample {
        name,
        labels,
        value,
    });
}
