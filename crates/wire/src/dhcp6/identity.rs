//! Identity associations: what a client asks to be given, and is given (RFC 9915, sections 21.4 to
//! 21.6, 21.21 and 21.22).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::option::{CUT, Status, put, split};
use crate::Malformed;

/// IA_NA: the addresses of one interface.
pub type Addresses = Association<Ipv6Addr>;

/// IA_PD: prefixes for what is behind the client. As a wish one may be `::/LENGTH`.
pub type Prefixes = Association<Ipv6Net>;

/// What one client is given of a kind, under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association<T> {
    /// IAID: the client's own name for it.
    pub id: u32,
    /// T1 and T2 in seconds; 0 leaves them to the client.
    pub renew_s: u32,
    pub rebind_s: u32,
    pub leases: Vec<Lease<T>>,
    pub status: Option<Status>,
}

/// Something that is given, and how long it is so; 0 ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<T> {
    pub value: T,
    pub preferred_s: u32,
    pub valid_s: u32,
}

const STATUS: u16 = 13;

/// What can be given: the two kinds have the same parts in another order. There are no more, so nobody
/// outside can name this.
pub trait Leasable: Sized {
    /// The option that holds one within an association.
    const OPTION: u16;

    /// Reads one; options of its own, which no one says, may follow it.
    fn parse(option: &[u8]) -> Result<Lease<Self>, Malformed>;

    /// The same as octets.
    fn option(lease: &Lease<Self>) -> Vec<u8>;
}

/// `address (16), preferred (4), valid (4)`
impl Leasable for Ipv6Addr {
    const OPTION: u16 = 5;

    fn parse(option: &[u8]) -> Result<Lease<Ipv6Addr>, Malformed> {
        let (address, rest) = option.split_first_chunk::<16>().ok_or(CUT)?;
        let ([preferred_s, valid_s], _) = words(rest)?;
        Ok(Lease {
            value: Ipv6Addr::from(*address),
            preferred_s,
            valid_s,
        })
    }

    fn option(lease: &Lease<Ipv6Addr>) -> Vec<u8> {
        let times = octets([lease.preferred_s, lease.valid_s]);
        [&lease.value.octets()[..], &times].concat()
    }
}

/// `preferred (4), valid (4), length (1), prefix (16)`
impl Leasable for Ipv6Net {
    const OPTION: u16 = 26;

    fn parse(option: &[u8]) -> Result<Lease<Ipv6Net>, Malformed> {
        let ([preferred_s, valid_s], rest) = words(option)?;
        let (length, rest) = rest.split_first().ok_or(CUT)?;
        let (address, _) = rest.split_first_chunk::<16>().ok_or(CUT)?;
        let prefix = Ipv6Net::new(Ipv6Addr::from(*address), *length);
        Ok(Lease {
            value: prefix.map_err(|_| Malformed("dhcpv6 prefix"))?.trunc(),
            preferred_s,
            valid_s,
        })
    }

    fn option(lease: &Lease<Ipv6Net>) -> Vec<u8> {
        let mut out = octets([lease.preferred_s, lease.valid_s]);
        out.push(lease.value.prefix_len());
        out.extend(lease.value.network().octets());
        out
    }
}

impl<T: Leasable> Association<T> {
    /// Options that mean nothing here are left out.
    pub(super) fn parse(value: &[u8]) -> Result<Association<T>, Malformed> {
        let ([id, renew_s, rebind_s], rest) = words(value)?;
        let (mut leases, mut status) = (Vec::new(), None);
        for option in split(rest) {
            match option? {
                (code, value) if code == T::OPTION => leases.push(T::parse(value)?),
                (STATUS, value) => status = Some(Status::parse(value)?),
                _ => {}
            }
        }
        Ok(Association {
            id,
            renew_s,
            rebind_s,
            leases,
            status,
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut out = octets([self.id, self.renew_s, self.rebind_s]);
        for lease in &self.leases {
            put(T::OPTION, &T::option(lease), &mut out);
        }
        if let Some(status) = &self.status {
            put(STATUS, &status.value(), &mut out);
        }
        out
    }
}

impl<T> Default for Association<T> {
    fn default() -> Association<T> {
        Association {
            id: 0,
            renew_s: 0,
            rebind_s: 0,
            leases: Vec::new(),
            status: None,
        }
    }
}

/// Numbers of 32 bits, and what follows them.
fn words<const N: usize>(mut bytes: &[u8]) -> Result<([u32; N], &[u8]), Malformed> {
    let mut words = [0; N];
    for word in &mut words {
        let (octets, rest) = bytes.split_first_chunk::<4>().ok_or(CUT)?;
        (*word, bytes) = (u32::from_be_bytes(*octets), rest);
    }
    Ok((words, bytes))
}

fn octets<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_be_bytes).collect()
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
            leases: vec![Lease {
                value: "2001:db8::5".parse().unwrap(),
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
            leases: vec![Lease {
                value: "2001:db8:8::/56".parse().unwrap(),
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
        assert!(Ipv6Net::parse(&value).is_err());
        assert!(Ipv6Addr::parse(&[0; 23]).is_err());
        assert!(Addresses::parse(&[0; 11]).is_err());
    }
}
