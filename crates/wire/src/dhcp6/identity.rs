//! Identity associations: what a client asks to be given, and is given (RFC 9915, sections 21.4 to
//! 21.6, 21.21 and 21.22).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::option::{CUT, Status, put, split};
use crate::Malformed;

/// IA_NA: the addresses of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// IAID: the client's own name for it.
    pub id: u32,
    /// T1 and T2 in seconds; 0 leaves them to the client.
    pub renew_s: u32,
    pub rebind_s: u32,
    pub leases: Vec<LeasedAddress>,
    pub status: Option<Status>,
}

/// IA_PD: prefixes for what is behind the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// IAID, T1 and T2 as with addresses.
    pub id: u32,
    pub renew_s: u32,
    pub rebind_s: u32,
    pub leases: Vec<LeasedPrefix>,
    pub status: Option<Status>,
}

/// An address and how long it is so; 0 ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasedAddress {
    pub address: Ipv6Addr,
    pub preferred_s: u32,
    pub valid_s: u32,
}

/// A prefix and how long it is so; 0 ends it. As a wish it may be `::/LENGTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasedPrefix {
    pub prefix: Ipv6Net,
    pub preferred_s: u32,
    pub valid_s: u32,
}

const ADDRESS: u16 = 5;
const PREFIX: u16 = 26;
const STATUS: u16 = 13;

impl Addresses {
    pub(super) fn parse(value: &[u8]) -> Result<Addresses, Malformed> {
        let ([id, renew_s, rebind_s], rest) = head(value)?;
        let (leases, status) = contents(rest, ADDRESS, LeasedAddress::parse)?;
        Ok(Addresses {
            id,
            renew_s,
            rebind_s,
            leases,
            status,
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut out = words(&[self.id, self.renew_s, self.rebind_s]);
        for lease in &self.leases {
            put(ADDRESS, &lease.value(), &mut out);
        }
        put_status(self.status.as_ref(), &mut out);
        out
    }
}

impl Prefixes {
    pub(super) fn parse(value: &[u8]) -> Result<Prefixes, Malformed> {
        let ([id, renew_s, rebind_s], rest) = head(value)?;
        let (leases, status) = contents(rest, PREFIX, LeasedPrefix::parse)?;
        Ok(Prefixes {
            id,
            renew_s,
            rebind_s,
            leases,
            status,
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut out = words(&[self.id, self.renew_s, self.rebind_s]);
        for lease in &self.leases {
            put(PREFIX, &lease.value(), &mut out);
        }
        put_status(self.status.as_ref(), &mut out);
        out
    }
}

impl LeasedAddress {
    /// `address (16), preferred (4), valid (4)`, and options that no one says.
    pub(super) fn parse(value: &[u8]) -> Result<LeasedAddress, Malformed> {
        let (address, rest) = value.split_first_chunk::<16>().ok_or(CUT)?;
        let (&[a, b, c, d, e, f, g, h], _) = rest.split_first_chunk::<8>().ok_or(CUT)?;
        Ok(LeasedAddress {
            address: Ipv6Addr::from(*address),
            preferred_s: u32::from_be_bytes([a, b, c, d]),
            valid_s: u32::from_be_bytes([e, f, g, h]),
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let times = words(&[self.preferred_s, self.valid_s]);
        [&self.address.octets()[..], &times].concat()
    }
}

impl LeasedPrefix {
    /// `preferred (4), valid (4), length (1), prefix (16)`, and options that no one says.
    fn parse(value: &[u8]) -> Result<LeasedPrefix, Malformed> {
        let (&[a, b, c, d, e, f, g, h, length], rest) =
            value.split_first_chunk::<9>().ok_or(CUT)?;
        let (address, _) = rest.split_first_chunk::<16>().ok_or(CUT)?;
        let prefix = Ipv6Net::new(Ipv6Addr::from(*address), length);
        Ok(LeasedPrefix {
            prefix: prefix.map_err(|_| Malformed("dhcpv6 prefix"))?.trunc(),
            preferred_s: u32::from_be_bytes([a, b, c, d]),
            valid_s: u32::from_be_bytes([e, f, g, h]),
        })
    }

    fn value(&self) -> Vec<u8> {
        let mut out = words(&[self.preferred_s, self.valid_s]);
        out.push(self.prefix.prefix_len());
        out.extend(self.prefix.network().octets());
        out
    }
}

/// IAID, T1 and T2.
fn head(value: &[u8]) -> Result<([u32; 3], &[u8]), Malformed> {
    let (&[a, b, c, d, e, f, g, h, i, j, k, l], rest) =
        value.split_first_chunk::<12>().ok_or(CUT)?;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l]];
    Ok((words.map(u32::from_be_bytes), rest))
}

/// The leases of one kind, and the status; options that mean nothing here are left out.
fn contents<T>(
    rest: &[u8],
    code: u16,
    parse: fn(&[u8]) -> Result<T, Malformed>,
) -> Result<(Vec<T>, Option<Status>), Malformed> {
    let (mut leases, mut status) = (Vec::new(), None);
    for option in split(rest) {
        match option? {
            (found, value) if found == code => leases.push(parse(value)?),
            (STATUS, value) => status = Some(Status::parse(value)?),
            _ => {}
        }
    }
    Ok((leases, status))
}

fn put_status(status: Option<&Status>, out: &mut Vec<u8>) {
    if let Some(status) = status {
        put(STATUS, &status.value(), out);
    }
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let addresses = Addresses {
            id: 1,
            renew_s: 2,
            rebind_s: 3,
            leases: vec![LeasedAddress {
                address: "2001:db8::5".parse().unwrap(),
                preferred_s: 4,
                valid_s: 5,
            }],
            status: Some(Status::of(Status::NO_ADDRS_AVAIL)),
        };
        let value = addresses.value();
        assert_eq!(
            value[..16],
            [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 5, 0, 24]
        );
        assert_eq!(value[32..], [0, 0, 0, 4, 0, 0, 0, 5, 0, 13, 0, 2, 0, 2]);
        assert_eq!(Addresses::parse(&value), Ok(addresses));

        let prefixes = Prefixes {
            leases: vec![LeasedPrefix {
                prefix: "2001:db8:8::/56".parse().unwrap(),
                preferred_s: 4,
                valid_s: 5,
            }],
            ..Prefixes::default()
        };
        let value = prefixes.value();
        assert_eq!(
            value[12..26],
            [0, 26, 0, 25, 0, 0, 0, 4, 0, 0, 0, 5, 56, 0x20]
        );
        assert_eq!(Prefixes::parse(&value), Ok(prefixes));
    }

    #[test]
    fn a_prefix_longer_than_an_address_is_refused() {
        let mut value = vec![0; 8];
        value.push(129);
        value.extend([0; 16]);
        assert!(LeasedPrefix::parse(&value).is_err());
        assert!(LeasedAddress::parse(&[0; 23]).is_err());
        assert!(Addresses::parse(&[0; 11]).is_err());
    }
}
