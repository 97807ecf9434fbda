//! Options: a code, a length and a value each (RFC 9915, section 21).

use std::net::Ipv6Addr;

use super::identity::{Addresses, Leasable, Lease, Prefixes};
use crate::Malformed;
use crate::nd::DomainName;

/// An option that a server reads or says; any other is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dhcp6Option {
    /// The client's DUID: octets that mean nothing to anybody else (section 11).
    ClientId(Vec<u8>),
    ServerId(Vec<u8>),
    /// IA_NA: the addresses of one interface.
    Addresses(Addresses),
    /// IA_PD: prefixes for what is behind the client.
    Prefixes(Prefixes),
    /// An address outside an association, as RFC 9686 has it.
    Address(Lease<Ipv6Addr>),
    /// Codes of the options that the client would have.
    OptionRequest(Vec<u16>),
    /// 255: the client need not wait for other servers (section 18.2.1).
    Preference(u8),
    /// Since the exchange began, in hundredths of a second.
    ElapsedTime(u16),
    Status(Status),
    RapidCommit,
    DnsServers(Vec<Ipv6Addr>),
    DomainSearch(Vec<DomainName>),
    /// How long, in seconds, what an Information-request brought holds.
    RefreshTime(u32),
    /// Addresses of NTP servers (RFC 5908).
    NtpServers(Vec<Ipv6Addr>),
    BootfileUrl(Vec<u8>),
    /// Clients may tell the addresses they made (RFC 9686).
    AddressRegistration,
    Other {
        code: u16,
        value: Vec<u8>,
    },
}

/// How it went (section 21.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u16,
    /// For a person to read.
    pub message: String,
}

impl Status {
    pub const SUCCESS: u16 = 0;
    pub const NO_ADDRS_AVAIL: u16 = 2;
    pub const NO_BINDING: u16 = 3;
    pub const NOT_ON_LINK: u16 = 4;
    pub const USE_MULTICAST: u16 = 5;
    pub const NO_PREFIX_AVAIL: u16 = 6;

    /// A status without a text.
    pub fn of(code: u16) -> Status {
        let message = String::new();
        Status { code, message }
    }

    pub(super) fn parse(value: &[u8]) -> Result<Status, Malformed> {
        let (code, message) = value.split_first_chunk::<2>().ok_or(CUT)?;
        Ok(Status {
            code: u16::from_be_bytes(*code),
            message: String::from_utf8_lossy(message).into_owned(),
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        [&self.code.to_be_bytes()[..], self.message.as_bytes()].concat()
    }
}

pub(super) const CUT: Malformed = Malformed("dhcpv6 option's length");
/// Within an NTP option: one server's address (RFC 5908, section 4.1).
const NTP_ADDRESS: u16 = 1;

/// Reads options one after the other.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Dhcp6Option>, Malformed> {
    let each = split(bytes);
    each.map(|option| option.and_then(|(code, value)| Dhcp6Option::parse(code, value)))
        .collect()
}

/// Appends options. What exceeds 65,535 octets is left out.
pub(super) fn emit(options: &[Dhcp6Option], out: &mut Vec<u8>) {
    for option in options {
        let (code, value) = option.value();
        put(code, &value, out);
    }
}

pub(super) fn put(code: u16, value: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(value.len()) {
        out.extend(code.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
}

/// Codes and values; an error ends them.
pub(super) fn split(mut rest: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let head = rest.split_first_chunk::<4>();
        let option = head.and_then(|(&[a, b, c, d], after)| {
            let length = usize::from(u16::from_be_bytes([c, d]));
            let (value, after) = after.split_at_checked(length)?;
            Some((u16::from_be_bytes([a, b]), value, after))
        });
        let Some((code, value, after)) = option else {
            rest = &[];
            return Some(Err(CUT));
        };
        rest = after;
        Some(Ok((code, value)))
    })
}

impl Dhcp6Option {
    fn parse(code: u16, value: &[u8]) -> Result<Dhcp6Option, Malformed> {
        use Dhcp6Option as O;
        Ok(match code {
            1 => O::ClientId(value.to_vec()),
            2 => O::ServerId(value.to_vec()),
            3 => O::Addresses(Addresses::parse(value)?),
            5 => O::Address(Ipv6Addr::parse(value)?),
            6 => O::OptionRequest(codes(value)?),
            7 => O::Preference(fixed::<1>(value)?[0]),
            8 => O::ElapsedTime(u16::from_be_bytes(fixed(value)?)),
            13 => O::Status(Status::parse(value)?),
            14 => O::RapidCommit,
            23 => O::DnsServers(addresses(value)?),
            24 => O::DomainSearch(domains(value)?),
            25 => O::Prefixes(Prefixes::parse(value)?),
            32 => O::RefreshTime(u32::from_be_bytes(fixed(value)?)),
            56 => ntp_servers(value)?,
            59 => O::BootfileUrl(value.to_vec()),
            148 => O::AddressRegistration,
            code => O::Other {
                code,
                value: value.to_vec(),
            },
        })
    }

    /// The option's code.
    pub fn code(&self) -> u16 {
        self.value().0
    }

    fn value(&self) -> (u16, Vec<u8>) {
        use Dhcp6Option as O;
        let list = |all: &[Ipv6Addr]| all.iter().flat_map(Ipv6Addr::octets).collect();
        match self {
            O::ClientId(duid) => (1, duid.clone()),
            O::ServerId(duid) => (2, duid.clone()),
            O::Addresses(addresses) => (3, addresses.value()),
            O::Address(address) => (5, Ipv6Addr::option(address)),
            O::OptionRequest(codes) => (6, codes.iter().flat_map(|c| c.to_be_bytes()).collect()),
            O::Preference(preference) => (7, vec![*preference]),
            O::ElapsedTime(time) => (8, time.to_be_bytes().into()),
            O::Status(status) => (13, status.value()),
            O::RapidCommit => (14, Vec::new()),
            O::DnsServers(all) => (23, list(all)),
            O::DomainSearch(all) => {
                let mut out = Vec::new();
                all.iter().for_each(|domain| domain.emit(&mut out));
                (24, out)
            }
            O::Prefixes(prefixes) => (25, prefixes.value()),
            O::RefreshTime(s) => (32, s.to_be_bytes().into()),
            O::NtpServers(all) => {
                let mut out = Vec::new();
                all.iter()
                    .for_each(|server| put(NTP_ADDRESS, &server.octets(), &mut out));
                (56, out)
            }
            O::BootfileUrl(url) => (59, url.clone()),
            O::AddressRegistration => (148, Vec::new()),
            O::Other { code, value } => (*code, value.clone()),
        }
    }
}

pub(super) fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| CUT)
}

fn codes(value: &[u8]) -> Result<Vec<u16>, Malformed> {
    let code = |pair: &[u8]| fixed(pair).map(u16::from_be_bytes);
    value.chunks(2).map(code).collect()
}

fn addresses(value: &[u8]) -> Result<Vec<Ipv6Addr>, Malformed> {
    let address = |octets: &[u8]| fixed::<16>(octets).map(Ipv6Addr::from);
    value.chunks(16).map(address).collect()
}

fn domains(mut rest: &[u8]) -> Result<Vec<DomainName>, Malformed> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (domain, after) = DomainName::parse(rest)?;
        found.push(domain);
        rest = after;
    }
    Ok(found)
}

/// Servers named otherwise than by a unicast address are kept as they are.
fn ntp_servers(value: &[u8]) -> Result<Dhcp6Option, Malformed> {
    let mut servers = Vec::new();
    for part in split(value) {
        match part? {
            (NTP_ADDRESS, octets) => servers.push(Ipv6Addr::from(fixed::<16>(octets)?)),
            _ => {
                return Ok(Dhcp6Option::Other {
                    code: 56,
                    value: value.to_vec(),
                });
            }
        }
    }
    Ok(Dhcp6Option::NtpServers(servers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: Dhcp6Option, expected: &[u8]) {
        let mut out = Vec::new();
        emit(std::slice::from_ref(&option), &mut out);
        assert_eq!(out, expected);
        assert_eq!(parse(&out), Ok(vec![option]));
    }

    #[test]
    fn golden() {
        let server: Ipv6Addr = "2001:db8::53".parse().unwrap();
        let octets = server.octets();
        check(
            Dhcp6Option::DnsServers(vec![server]),
            &[&[0, 23, 0, 16][..], &octets].concat(),
        );
        check(
            Dhcp6Option::NtpServers(vec![server]),
            &[&[0, 56, 0, 20, 0, 1, 0, 16][..], &octets].concat(),
        );
        check(
            Dhcp6Option::DomainSearch(vec!["a.example".parse().unwrap()]),
            b"\x00\x18\x00\x0b\x01a\x07example\x00",
        );
        check(Dhcp6Option::Preference(255), &[0, 7, 0, 1, 255]);
        check(
            Dhcp6Option::RefreshTime(86_400),
            &[0, 32, 0, 4, 0, 1, 0x51, 0x80],
        );
        check(
            Dhcp6Option::Status(Status::of(Status::NOT_ON_LINK)),
            &[0, 13, 0, 2, 0, 4],
        );
        check(Dhcp6Option::AddressRegistration, &[0, 148, 0, 0]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for bad in [
            &[0][..],
            &[0, 1, 0],
            &[0, 1, 0, 1],
            &[0, 6, 0, 1, 0],
            &[0, 7, 0, 0],
            &[0, 13, 0, 1, 0],
            &[0, 23, 0, 1, 0],
            &[0, 24, 0, 2, 5, b'a'],
            &[0, 56, 0, 5, 0, 1, 0, 1, 0],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
