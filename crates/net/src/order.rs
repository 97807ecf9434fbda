//! In which order the addresses of a name are tried (RFC 6724, section 6). Where only IPv6 is
//! asked for it matters little; beside IPv4 it decides that a ULA comes last.

use std::cmp::{Ordering, Reverse};
use std::net::{IpAddr, Ipv6Addr};

/// An address, and the one we would speak to it from; `None`: there is no way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) address: IpAddr,
    pub(crate) source: Option<IpAddr>,
}

/// Prefix, its length, precedence and label: section 2.1.
const POLICY: [(Ipv6Addr, u32, u8, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 50, 0),
    (Ipv6Addr::UNSPECIFIED, 0, 40, 1),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 35, 4),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 30, 2),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5, 5),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 3, 13),
    (Ipv6Addr::UNSPECIFIED, 96, 1, 3),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 1, 11),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 1, 12),
];

/// Sorts, the best first; equals stay as the DNS had them (rule 10).
pub(crate) fn sort(destinations: &mut [Destination]) {
    destinations.sort_by(compare);
}

fn compare(a: &Destination, b: &Destination) -> Ordering {
    let rank = |d: &Destination| {
        let source = d.source;
        (
            source.is_none(),                                           // rule 1
            source.is_some_and(|s| scope(s) != scope(d.address)),       // rule 2
            source.is_some_and(|s| policy(s).1 != policy(d.address).1), // rule 5
            Reverse(policy(d.address).0),                               // rule 6
            scope(d.address),                                           // rule 8
        )
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(|| match (a.address, b.address) {
            // Rule 9 is of IPv6 alone: prefixes of IPv4 say nothing about distance.
            (IpAddr::V6(_), IpAddr::V6(_)) => common(b).cmp(&common(a)),
            _ => Ordering::Equal,
        })
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

/// Precedence and label of the longest prefix that holds the address.
fn policy(address: IpAddr) -> (u8, u8) {
    let bits = u128::from(mapped(address));
    let within = |(prefix, length, ..): &&(Ipv6Addr, u32, u8, u8)| {
        let differ = bits ^ u128::from(*prefix);
        *length == 0 || differ >> (128 - length) == 0
    };
    let best = POLICY.iter().filter(within).max_by_key(|line| line.1);
    best.map_or((40, 1), |line| (line.2, line.3))
}

/// Multicast's numbers for scopes (section 3.1): 2 link-local, 5 site-local, 14 global.
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(a) if a.is_loopback() || a.is_link_local() => 2,
        IpAddr::V4(_) => 14,
        IpAddr::V6(a) if a.is_multicast() => a.octets()[1] & 0xf,
        IpAddr::V6(a) if a.is_loopback() || a.is_unicast_link_local() => 2,
        IpAddr::V6(a) if a.segments()[0] & 0xffc0 == 0xfec0 => 5,
        IpAddr::V6(_) => 14,
    }
}

/// How many leading bits source and destination share, of the prefix's 64.
fn common(d: &Destination) -> u32 {
    let Some(source) = d.source else { return 0 };
    let differ = u128::from(mapped(source)) ^ u128::from(mapped(d.address));
    differ.leading_zeros().min(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)], expected: &[&str]) {
        let parse = |(address, source): &(&str, &str)| Destination {
            address: address.parse().unwrap(),
            source: source.parse().ok(),
        };
        let mut all: Vec<_> = pairs.iter().map(parse).collect();
        sort(&mut all);
        let sorted: Vec<_> = all.iter().map(|d| d.address.to_string()).collect();
        assert_eq!(sorted, expected, "{pairs:?}");
    }

    #[test]
    fn addresses_are_in_the_order_of_rfc_6724() {
        // Examples of section 10.2.
        check(
            &[
                ("2001:db8:1::1", "2001:db8:1::2"),
                ("198.51.100.121", "169.254.13.78"),
            ],
            &["2001:db8:1::1", "198.51.100.121"],
        );
        check(
            &[
                ("2001:db8:1::1", "fe80::1"),
                ("198.51.100.121", "198.51.100.117"),
            ],
            &["198.51.100.121", "2001:db8:1::1"],
        );
        check(
            &[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")],
            &["2001:db8:1::1", "10.1.2.3"],
        );
        check(
            &[
                ("2001:db8:1::1", "2001:db8:3f44::2"),
                ("2001:db8:3ffe::1", "2001:db8:3f44::2"),
            ],
            &["2001:db8:3ffe::1", "2001:db8:1::1"],
        );
        check(
            &[
                ("2001:db8:1::1", "2002:c633:6401::2"),
                ("2002:c633:6401::1", "2002:c633:6401::2"),
            ],
            &["2002:c633:6401::1", "2001:db8:1::1"],
        );
        // A ULA loses to IPv4 even when it can be reached; what cannot be reached loses to all.
        check(
            &[("fd00::1", "fd00::2"), ("192.0.2.1", "192.0.2.2")],
            &["192.0.2.1", "fd00::1"],
        );
        check(
            &[("2001:db8::1", ""), ("fd00::1", "fd00::2")],
            &["fd00::1", "2001:db8::1"],
        );
    }
}
