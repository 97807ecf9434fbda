//! Addresses of both families as numbers of one order.

use std::net::{IpAddr, Ipv6Addr};

/// An address as a number. IPv4 stands as its v4-mapped form (RFC 4291, section 2.5.5.2), which is
/// no address of a subnet here, so that each number is one address.
pub fn ip_to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address that [`ip_to_bits`] made a number of.
pub fn ip_from_bits(bits: u128) -> IpAddr {
    Ipv6Addr::from_bits(bits).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_and_back() {
        for text in ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(ip_from_bits(ip_to_bits(address)), address, "{text}");
        }
        let bits = |text: &str| ip_to_bits(text.parse().unwrap());
        assert!(bits("192.0.2.9") < bits("192.0.2.10"));
        assert!(bits("255.255.255.255") < bits("2001:db8::"));
    }
}
