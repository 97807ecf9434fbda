//! Prefixes of pools: the arithmetic.

use ipnet::IpNet;
use model::{Error, Result, ip_from_bits, ip_to_bits};

/// Prefixes without overlaps, neighbours made one.
///
/// # Errors
/// `Invalid` when there is none, when a host's bits are set, or when the families differ.
pub(super) fn merged(prefixes: &[IpNet]) -> Result<Vec<IpNet>> {
    let Some(first) = prefixes.first() else {
        return Err(Error::invalid(
            "prefixes is missing: what subnets are cut from",
        ));
    };
    for prefix in prefixes {
        if prefix.trunc() != *prefix {
            return Err(Error::invalid(format!(
                "'{prefix}' in prefixes has host bits set: '{}' is meant?",
                prefix.trunc()
            )));
        }
        if prefix.addr().is_ipv4() != first.addr().is_ipv4() {
            return Err(Error::invalid("prefixes must be of one family"));
        }
    }
    Ok(IpNet::aggregate(&prefixes.to_vec()))
}

/// The first prefix of a length that is in one of `prefixes` and meets none of `taken`.
pub(super) fn first_free(prefixes: &[IpNet], taken: &[IpNet], length: u8) -> Option<IpNet> {
    prefixes
        .iter()
        .find_map(|prefix| free_in(prefix, taken, length))
}

fn free_in(prefix: &IpNet, taken: &[IpNet], length: u8) -> Option<IpNet> {
    let last = ip_to_bits(prefix.broadcast());
    let mut next = ip_to_bits(prefix.network());
    if length < prefix.prefix_len() {
        return None;
    }
    while next <= last {
        let here = IpNet::new(ip_from_bits(next), length).ok()?;
        let meets = |other: &&IpNet| other.contains(&here) || here.contains(*other);
        let Some(other) = taken.iter().find(meets) else {
            return Some(here);
        };
        // Of two prefixes that meet one is within the other, so behind the larger is a boundary.
        let behind = ip_to_bits(other.broadcast()).max(ip_to_bits(here.broadcast()));
        next = behind.checked_add(1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &str) -> Vec<IpNet> {
        texts
            .split_whitespace()
            .map(|t| t.parse().unwrap())
            .collect()
    }

    #[test]
    fn the_first_gap_is_found() {
        for (prefixes, taken, length, expected) in [
            ("2001:db8::/32", "", 64, "2001:db8::/64"),
            ("2001:db8::/32", "2001:db8::/64", 64, "2001:db8:0:1::/64"),
            ("2001:db8::/32", "2001:db8:0:1::/64", 64, "2001:db8::/64"),
            ("2001:db8::/32", "2001:db8::/64", 48, "2001:db8:1::/48"),
            ("2001:db8::/32", "2001:db8::/48", 64, "2001:db8:1::/64"),
            (
                "192.0.2.0/24",
                "192.0.2.0/26 192.0.2.128/26",
                26,
                "192.0.2.64/26",
            ),
            ("192.0.2.0/24", "192.0.2.0/26 192.0.2.128/26", 25, ""),
            ("192.0.2.0/24", "192.0.2.0/24", 32, ""),
            (
                "192.0.2.0/24 198.51.100.0/24",
                "192.0.2.0/24",
                28,
                "198.51.100.0/28",
            ),
            ("192.0.2.0/28 198.51.100.0/24", "", 24, "198.51.100.0/24"),
            (
                "ffff:ffff:ffff:ffff::/64",
                "ffff:ffff:ffff:ffff::/64",
                64,
                "",
            ),
            ("255.255.255.0/24", "255.255.255.0/24", 24, ""),
        ] {
            let found = first_free(&nets(prefixes), &nets(taken), length);
            let found = found.map(|net| net.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "/{length} of {prefixes} without {taken}");
        }
    }

    #[test]
    fn prefixes_are_merged() {
        let all = merged(&nets("192.0.2.128/25 192.0.2.0/25 198.51.100.0/24")).unwrap();
        assert_eq!(all, nets("192.0.2.0/24 198.51.100.0/24"));
        for wrong in ["", "192.0.2.1/24", "192.0.2.0/24 2001:db8::/32"] {
            assert!(merged(&nets(wrong)).is_err(), "{wrong}");
        }
    }
}
