//! What a network's resolver knows by itself: the names of the network's ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wire::dns::{Data, IN, Name, Query, Record, Reply, Soa, extended, kind, rcode};

/// How long guests may remember an address, in seconds: a port may be given another.
const TTL_S: u32 = 60;
/// How long they may remember that there is none: what they wait for may be on its way.
const NEGATIVE_S: u32 = 5;

/// The names of one network, and the addresses they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    domain: Name,
    subnets: Vec<IpNet>,
    addresses: BTreeMap<Name, Vec<IpAddr>>,
    names: BTreeMap<IpAddr, Name>,
    /// What names of the domain lie below, and has no address itself.
    between: BTreeSet<Name>,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Reply(Reply),
    /// Somebody else knows.
    Forward,
}

impl Zone {
    /// The zone of a network: it decides about `domain`, about the names of `hosts` whatever
    /// domain these are of, and about the names of the addresses of `subnets`. `None` when the
    /// domain is none; a host whose name is none is left out.
    pub fn new<'a>(
        domain: &str,
        subnets: Vec<IpNet>,
        hosts: impl IntoIterator<Item = (&'a str, IpAddr)>,
    ) -> Option<Zone> {
        let mut zone = Zone {
            domain: domain.parse().ok()?,
            subnets,
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            between: BTreeSet::new(),
        };
        for (name, address) in hosts {
            if let Ok(name) = name.parse::<Name>() {
                zone.add(name, address);
            }
        }
        zone.addresses.values_mut().for_each(|held| held.sort());
        Some(zone)
    }

    fn add(&mut self, name: Name, address: IpAddr) {
        if name.is_within(&self.domain) {
            let above = std::iter::successors(name.parent(), Name::parent);
            let inside = above.take_while(|above| above.is_within(&self.domain));
            self.between.extend(inside);
        }
        self.names.insert(address, name.clone());
        self.addresses.entry(name).or_default().push(address);
    }

    /// Decides what becomes of a question.
    pub fn answer(&self, query: &Query) -> Decision {
        // Transfers and questions about the server itself are nobody's here.
        let meta = (250..=254).contains(&query.kind);
        if query.class != IN || meta || query.kind == kind::OPT {
            return Decision::Reply(refused("only records of the Internet are answered"));
        }
        if let Some(found) = self.forward_name(query).or_else(|| self.reverse(query)) {
            return Decision::Reply(found);
        }
        match query.recursion_desired {
            true => Decision::Forward,
            false => Decision::Reply(refused("this is a resolver: ask for recursion")),
        }
    }

    /// Addresses of a name.
    fn forward_name(&self, query: &Query) -> Option<Reply> {
        let inside = query.name.is_within(&self.domain);
        let held = self.addresses.get(&query.name);
        if !inside && held.is_none() {
            return None;
        }
        let zone = if inside { &self.domain } else { &query.name };
        let data = held.into_iter().flatten().map(|address| match address {
            IpAddr::V4(address) => (kind::A, Data::A(*address)),
            IpAddr::V6(address) => (kind::AAAA, Data::Aaaa(*address)),
        });
        let there = held.is_some() || query.name == *zone || self.between.contains(&query.name);
        Some(reply(query, zone.clone(), data.collect(), there))
    }

    /// The name of an address.
    fn reverse(&self, query: &Query) -> Option<Reply> {
        let (net, below) = net_of(&query.name)?;
        let subnet = self.subnets.iter().find(|subnet| subnet.contains(&net))?;
        // The shortest name that the subnet has to itself.
        let bits = if subnet.addr().is_ipv4() { 8 } else { 4 };
        let length = 2 + usize::from(subnet.prefix_len()).div_ceil(bits);
        let surplus = query.name.labels().count().saturating_sub(length);
        let zone = std::iter::successors(Some(query.name.clone()), Name::parent).nth(surplus)?;
        let mut held = self.names.range(net.network()..=net.broadcast());
        let whole = net.prefix_len() == net.max_prefix_len();
        let data = match held.next() {
            Some((_, name)) if whole && !below => vec![(kind::PTR, Data::Ptr(name.clone()))],
            Some(_) if !below => return Some(reply(query, zone, Vec::new(), true)),
            _ => Vec::new(),
        };
        let there = !data.is_empty() || query.name == zone;
        Some(reply(query, zone, data, there))
    }
}

/// Those of a name's records that are asked for; or that there is none of this type, or no such
/// name.
fn reply(query: &Query, zone: Name, data: Vec<(u16, Data)>, there: bool) -> Reply {
    let soa = Soa {
        mailbox: zone.child("hostmaster").unwrap_or_else(|| zone.clone()),
        zone,
        negative_s: NEGATIVE_S,
    };
    let wanted = |kind: u16| query.kind == kind || query.kind == kind::ANY;
    let mut answers: Vec<Record> = data
        .into_iter()
        .filter(|(kind, _)| wanted(*kind))
        .map(|(_, data)| Record { ttl_s: TTL_S, data })
        .collect();
    if query.name == soa.zone && wanted(kind::SOA) {
        let data = Data::Soa(soa.clone());
        answers.push(Record { ttl_s: TTL_S, data });
    }
    Reply {
        rcode: if there {
            rcode::NOERROR
        } else {
            rcode::NXDOMAIN
        },
        authoritative: true,
        soa: answers.is_empty().then_some(soa),
        answers,
        error: None,
    }
}

fn refused(why: &'static str) -> Reply {
    Reply {
        rcode: rcode::REFUSED,
        error: Some((extended::PROHIBITED, why)),
        ..Reply::default()
    }
}

/// The addresses that a name below `ip6.arpa` or `in-addr.arpa` is about (RFC 3596, section 2.5;
/// RFC 1035, section 3.5), and whether it goes on below them.
fn net_of(name: &Name) -> Option<(IpNet, bool)> {
    let mut labels: Vec<&[u8]> = name.labels().collect();
    let top = (labels.pop()?, labels.pop()?);
    let (v4, most) = match top {
        (b"arpa", b"ip6") => (false, 32),
        (b"arpa", b"in-addr") => (true, 4),
        _ => return None,
    };
    let part = if v4 { octet } else { nibble };
    let parts: Vec<u8> = labels
        .iter()
        .rev()
        .map_while(|label| part(label))
        .take(most)
        .collect();
    let below = parts.len() < labels.len();
    let width = if v4 { 8 } else { 4 };
    let bits = parts
        .iter()
        .fold(0, |bits: u128, part| bits << width | u128::from(*part));
    let length = parts.len() * width;
    // All parts that are missing are zero; a shift by the whole width means none is there.
    let net = match v4 {
        true => {
            let bits = (bits as u32).checked_shl(32 - length as u32).unwrap_or(0);
            Ipv4Net::new(Ipv4Addr::from_bits(bits), length as u8)
                .ok()?
                .into()
        }
        false => {
            let bits = bits.checked_shl(128 - length as u32).unwrap_or(0);
            Ipv6Net::new(Ipv6Addr::from_bits(bits), length as u8)
                .ok()?
                .into()
        }
    };
    Some((net, below))
}

fn octet(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let number: u8 = text.parse().ok()?;
    // Neither a sign nor leading zeros.
    (number.to_string() == text).then_some(number)
}

fn nibble(label: &[u8]) -> Option<u8> {
    let [digit] = label else { return None };
    char::from(*digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
