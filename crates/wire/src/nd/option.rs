//! Options of Neighbour Discovery messages, one small type for each.
//!
//! All begin with their type and their length in units of eight octets (RFC 4861, section 4.6).

use std::net::Ipv6Addr;

use crate::nd::{DomainName, Pref64, PrefixInfo, RouteInfo};
use crate::{MacBytes, Malformed};

/// An option of a Router Advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdOption {
    SourceLinkAddress(SourceLinkAddress),
    Mtu(Mtu),
    Prefix(PrefixInfo),
    Route(RouteInfo),
    Rdnss(Rdnss),
    Dnssl(Dnssl),
    Pref64(Pref64),
}

impl NdOption {
    /// Reads one option; `None` for a type that no Router Advertisement of ours has.
    pub fn parse(option: &[u8]) -> Result<Option<NdOption>, Malformed> {
        Ok(Some(match *option.first().ok_or(Malformed("option"))? {
            SourceLinkAddress::TYPE => {
                NdOption::SourceLinkAddress(SourceLinkAddress::parse(option)?)
            }
            Mtu::TYPE => NdOption::Mtu(Mtu::parse(option)?),
            PrefixInfo::TYPE => NdOption::Prefix(PrefixInfo::parse(option)?),
            RouteInfo::TYPE => NdOption::Route(RouteInfo::parse(option)?),
            Rdnss::TYPE => NdOption::Rdnss(Rdnss::parse(option)?),
            Dnssl::TYPE => NdOption::Dnssl(Dnssl::parse(option)?),
            Pref64::TYPE => NdOption::Pref64(Pref64::parse(option)?),
            _ => return Ok(None),
        }))
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            NdOption::SourceLinkAddress(option) => option.emit(out),
            NdOption::Mtu(option) => option.emit(out),
            NdOption::Prefix(option) => option.emit(out),
            NdOption::Route(option) => option.emit(out),
            NdOption::Rdnss(option) => option.emit(out),
            NdOption::Dnssl(option) => option.emit(out),
            NdOption::Pref64(option) => option.emit(out),
        }
    }
}

/// The sender's Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLinkAddress(pub MacBytes);

impl SourceLinkAddress {
    pub const TYPE: u8 = 1; // RFC 4861, section 4.6.1

    /// Reads one option.
    pub fn parse(option: &[u8]) -> Result<SourceLinkAddress, Malformed> {
        let &[Self::TYPE, 1, ref mac @ ..] = option else {
            return Err(Malformed("source link-layer address option"));
        };
        let mac = mac
            .try_into()
            .map_err(|_| Malformed("source link-layer address option"))?;
        Ok(SourceLinkAddress(mac))
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::TYPE, 1]);
        out.extend(self.0);
    }
}

/// The Ethernet address of an advertisement's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLinkAddress(pub MacBytes);

impl TargetLinkAddress {
    pub const TYPE: u8 = 2; // RFC 4861, section 4.6.1

    /// Reads one option.
    pub fn parse(option: &[u8]) -> Result<TargetLinkAddress, Malformed> {
        let &[Self::TYPE, 1, ref mac @ ..] = option else {
            return Err(Malformed("target link-layer address option"));
        };
        let mac = mac
            .try_into()
            .map_err(|_| Malformed("target link-layer address option"))?;
        Ok(TargetLinkAddress(mac))
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::TYPE, 1]);
        out.extend(self.0);
    }
}

/// The largest packet the link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(pub u32);

impl Mtu {
    pub const TYPE: u8 = 5; // RFC 4861, section 4.6.4

    /// Reads one option.
    pub fn parse(option: &[u8]) -> Result<Mtu, Malformed> {
        let &[Self::TYPE, 1, _, _, a, b, c, d] = option else {
            return Err(Malformed("mtu option"));
        };
        Ok(Mtu(u32::from_be_bytes([a, b, c, d])))
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::TYPE, 1, 0, 0]);
        out.extend(self.0.to_be_bytes());
    }
}

/// DNS servers; a lifetime of 0 withdraws them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdnss {
    pub lifetime_s: u32,
    /// One to [`Rdnss::MAX`].
    pub servers: Vec<Ipv6Addr>,
}

impl Rdnss {
    pub const TYPE: u8 = 25; // RFC 8106, section 5.1
    /// As many as the length can say: `emit` leaves out those beyond.
    pub const MAX: usize = 127;

    /// Reads one option.
    pub fn parse(option: &[u8]) -> Result<Rdnss, Malformed> {
        let wrong = Malformed("rdnss option");
        let &[Self::TYPE, length, _, _, a, b, c, d, ref rest @ ..] = option else {
            return Err(wrong);
        };
        if option.len() != usize::from(length) * 8 {
            return Err(wrong);
        }
        let (servers, []) = rest.as_chunks::<16>() else {
            return Err(wrong);
        };
        if servers.is_empty() {
            return Err(wrong);
        }
        let servers = servers
            .iter()
            .map(|octets| Ipv6Addr::from(*octets))
            .collect();
        Ok(Rdnss {
            lifetime_s: u32::from_be_bytes([a, b, c, d]),
            servers,
        })
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let servers = &self.servers[..self.servers.len().min(Self::MAX)];
        out.extend([Self::TYPE, 1 + 2 * servers.len() as u8, 0, 0]);
        out.extend(self.lifetime_s.to_be_bytes());
        out.extend(servers.iter().flat_map(|server| server.octets()));
    }
}

/// Domains to search for short names; a lifetime of 0 withdraws them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnssl {
    pub lifetime_s: u32,
    /// At least one; `emit` leaves out those that do not fit 2040 octets.
    pub domains: Vec<DomainName>,
}

impl Dnssl {
    pub const TYPE: u8 = 31; // RFC 8106, section 5.2

    /// Reads one option. Zeros fill what follows the last name.
    pub fn parse(option: &[u8]) -> Result<Dnssl, Malformed> {
        let wrong = Malformed("dnssl option");
        let &[Self::TYPE, length, _, _, a, b, c, d, ref rest @ ..] = option else {
            return Err(wrong);
        };
        if option.len() != usize::from(length) * 8 {
            return Err(wrong);
        }
        let mut rest = rest;
        let mut domains = Vec::new();
        while rest.first().is_some_and(|&length| length != 0) {
            let (domain, after) = DomainName::parse(rest)?;
            domains.push(domain);
            rest = after;
        }
        if domains.is_empty() || rest.iter().any(|&padding| padding != 0) {
            return Err(wrong);
        }
        Ok(Dnssl {
            lifetime_s: u32::from_be_bytes([a, b, c, d]),
            domains,
        })
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut names = Vec::new();
        for domain in &self.domains {
            if 8 + names.len() + domain.wire_len() <= 255 * 8 {
                domain.emit(&mut names);
            }
        }
        names.resize(names.len().next_multiple_of(8), 0);
        out.extend([Self::TYPE, 1 + (names.len() / 8) as u8, 0, 0]);
        out.extend(self.lifetime_s.to_be_bytes());
        out.extend(names);
    }
}

/// The options one by one, each from its type on; an error ends them.
pub(super) fn split(mut rest: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = 8 * usize::from(rest.get(1).copied().unwrap_or(0));
        let Some((option, after)) = rest.split_at_checked(length).filter(|_| length > 0) else {
            rest = &[];
            return Some(Err(Malformed("option length")));
        };
        rest = after;
        Some(Ok(option))
    })
}

#[cfg(test)]
pub(super) use tests::any_option;

#[cfg(test)]
mod tests {
    use ipnet::Ipv6Net;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::nd::Preference;

    fn check(option: NdOption, expected: &[u8]) {
        let mut out = Vec::new();
        option.emit(&mut out);
        assert_eq!(out, expected);
        assert_eq!(NdOption::parse(&out), Ok(Some(option)));
    }

    #[test]
    fn golden() {
        let mac = [0xfa, 0x16, 0x3e, 1, 2, 3];
        check(
            NdOption::SourceLinkAddress(SourceLinkAddress(mac)),
            &[1, 1, 0xfa, 0x16, 0x3e, 1, 2, 3],
        );
        check(NdOption::Mtu(Mtu(1500)), &[5, 1, 0, 0, 0, 0, 0x05, 0xdc]);
        let servers = vec!["2001:db8::53".parse().unwrap()];
        let mut expected = vec![25, 3, 0, 0, 0, 0, 0x07, 0x08, 0x20, 0x01, 0x0d, 0xb8];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53]);
        check(
            NdOption::Rdnss(Rdnss {
                lifetime_s: 1800,
                servers,
            }),
            &expected,
        );
        let domains = vec!["lan".parse().unwrap(), "a.example".parse().unwrap()];
        let mut expected = vec![
            31, 3, 0, 0, 0, 0, 0x07, 0x08, 3, b'l', b'a', b'n', 0, 1, b'a',
        ];
        expected.extend(*b"\x07example\x00");
        check(
            NdOption::Dnssl(Dnssl {
                lifetime_s: 1800,
                domains,
            }),
            &expected,
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let servers = vec![Ipv6Addr::LOCALHOST; 200];
        let mut out = Vec::new();
        Rdnss {
            lifetime_s: 1,
            servers,
        }
        .emit(&mut out);
        assert_eq!((out.len(), out[1]), (2040, 255));
        let domains = vec![["a".repeat(60).as_str(); 4].join(".").parse().unwrap(); 20];
        out.clear();
        Dnssl {
            lifetime_s: 1,
            domains,
        }
        .emit(&mut out);
        assert_eq!(out.len(), 8 * usize::from(out[1]));
        assert_eq!(Dnssl::parse(&out).unwrap().domains.len(), 8);
    }

    #[test]
    fn other_types_and_wrong_sizes() {
        assert_eq!(NdOption::parse(&[14, 1, 0, 0, 0, 0, 0, 0]), Ok(None));
        let wrong: [&[u8]; 6] = [
            &[],
            &[5, 2, 0, 0, 0, 0, 5, 0xdc, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[25, 1, 0, 0, 0, 0, 0, 1],
            &[31, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[31, 2, 0, 0, 0, 0, 0, 1, 1, b'a', 0, 0, 1, 0, 0, 0],
        ];
        for option in wrong {
            assert!(NdOption::parse(option).is_err(), "{option:?}");
        }
    }

    fn any_net() -> impl Strategy<Value = Ipv6Net> {
        (any::<u128>(), 0..=128u8).prop_map(|(a, len)| Ipv6Net::new(a.into(), len).unwrap().trunc())
    }

    pub(in crate::nd) fn any_option() -> impl Strategy<Value = NdOption> {
        let prefix = (any_net(), any::<(bool, bool, u32, u32)>()).prop_map(|(prefix, rest)| {
            let (on_link, autonomous, valid_s, preferred_s) = rest;
            PrefixInfo {
                prefix,
                on_link,
                autonomous,
                valid_s,
                preferred_s,
            }
        });
        let route = (any_net(), Preference::any(), any::<u32>()).prop_map(
            |(prefix, preference, lifetime_s)| RouteInfo {
                prefix,
                preference,
                lifetime_s,
            },
        );
        let rdnss = (
            any::<u32>(),
            vec(any::<u128>().prop_map(Ipv6Addr::from), 1..=127),
        )
            .prop_map(|(lifetime_s, servers)| Rdnss {
                lifetime_s,
                servers,
            });
        let labels = vec("[a-zA-Z0-9_-]{1,20}", 1..4);
        let domain = labels.prop_map(|labels| labels.join(".").parse().unwrap());
        let dnssl = (any::<u32>(), vec(domain, 1..8)).prop_map(|(lifetime_s, domains)| Dnssl {
            lifetime_s,
            domains,
        });
        prop_oneof![
            any::<[u8; 6]>().prop_map(|mac| NdOption::SourceLinkAddress(SourceLinkAddress(mac))),
            any::<u32>().prop_map(|mtu| NdOption::Mtu(Mtu(mtu))),
            prefix.prop_map(NdOption::Prefix),
            route.prop_map(NdOption::Route),
            rdnss.prop_map(NdOption::Rdnss),
            dnssl.prop_map(NdOption::Dnssl),
            Pref64::any().prop_map(NdOption::Pref64),
        ]
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(option in any_option()) {
            let mut out = Vec::new();
            option.emit(&mut out);
            prop_assert_eq!(out.len(), 8 * usize::from(out[1]));
            prop_assert_eq!(NdOption::parse(&out), Ok(Some(option)));
        }

        #[test]
        fn parse_never_panics(bytes in vec(any::<u8>(), 0..99)) {
            let _ = NdOption::parse(&bytes);
            for kind in [1, 2, 3, 5, 24, 25, 31, 38] {
                let _ = NdOption::parse(&[&[kind][..], &bytes].concat());
            }
            let _ = TargetLinkAddress::parse(&bytes);
            split(&bytes).for_each(drop);
        }
    }

    #[test]
    fn a_length_that_is_not_the_options_own_is_refused() {
        let mut rdnss = Vec::new();
        Rdnss {
            lifetime_s: 1,
            servers: vec![Ipv6Addr::LOCALHOST],
        }
        .emit(&mut rdnss);
        let mut dnssl = Vec::new();
        Dnssl {
            lifetime_s: 1,
            domains: vec!["example".parse().unwrap()],
        }
        .emit(&mut dnssl);
        for mut option in [rdnss, dnssl] {
            assert!(NdOption::parse(&option).is_ok());
            option[1] += 1;
            assert!(NdOption::parse(&option).is_err());
        }
    }
}
