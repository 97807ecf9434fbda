//! The two options that carry a prefix: Prefix Information and Route Information.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::Malformed;

/// A prefix, and what hosts may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInfo {
    /// Without host bits.
    pub prefix: Ipv6Net,
    /// Its addresses are neighbours.
    pub on_link: bool,
    /// Hosts may make their own addresses of it (RFC 4862).
    pub autonomous: bool,
    pub valid_s: u32,
    pub preferred_s: u32,
}

const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

impl PrefixInfo {
    pub const TYPE: u8 = 3; // RFC 4861, section 4.6.2

    /// Reads one option.
    ///
    /// ```text
    /// | type 3 | length 4 | prefix length | L|A|reserved |
    /// | valid lifetime                                   |
    /// | preferred lifetime                               |
    /// | reserved                                         |
    /// | prefix (16)                                      |
    /// ```
    pub fn parse(option: &[u8]) -> Result<PrefixInfo, Malformed> {
        let wrong = Malformed("prefix information option");
        let (head, address) = option.split_first_chunk::<16>().ok_or(wrong)?;
        let &[
            Self::TYPE,
            4,
            length,
            flags,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            _,
            _,
            _,
            _,
        ] = head
        else {
            return Err(wrong);
        };
        let address: [u8; 16] = address.try_into().map_err(|_| wrong)?;
        Ok(PrefixInfo {
            prefix: prefix(address, length).ok_or(wrong)?,
            on_link: flags & ON_LINK != 0,
            autonomous: flags & AUTONOMOUS != 0,
            valid_s: u32::from_be_bytes([a, b, c, d]),
            preferred_s: u32::from_be_bytes([e, f, g, h]),
        })
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let on_link = if self.on_link { ON_LINK } else { 0 };
        let autonomous = if self.autonomous { AUTONOMOUS } else { 0 };
        out.extend([
            Self::TYPE,
            4,
            self.prefix.prefix_len(),
            on_link | autonomous,
        ]);
        out.extend(self.valid_s.to_be_bytes());
        out.extend(self.preferred_s.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.prefix.network().octets());
    }
}

/// A route that hosts may send by this router (RFC 4191). Linux takes none unless
/// `accept_ra_rt_info_max_plen` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Without host bits.
    pub prefix: Ipv6Net,
    pub preference: Preference,
    pub lifetime_s: u32,
}

impl RouteInfo {
    pub const TYPE: u8 = 24; // RFC 4191, section 2.3

    /// Reads one option. The prefix has as many octets as the option's length leaves: 0, 8 or 16.
    pub fn parse(option: &[u8]) -> Result<RouteInfo, Malformed> {
        let wrong = Malformed("route information option");
        let (head, carried) = option.split_first_chunk::<8>().ok_or(wrong)?;
        let &[Self::TYPE, units, length, flags, a, b, c, d] = head else {
            return Err(wrong);
        };
        if option.len() != usize::from(units) * 8 || carried.len() > 16 {
            return Err(wrong);
        }
        if usize::from(length) > carried.len() * 8 {
            return Err(wrong);
        }
        let mut address = [0; 16];
        address[..carried.len()].copy_from_slice(carried);
        Ok(RouteInfo {
            prefix: prefix(address, length).ok_or(wrong)?,
            // With the reserved value the option "MUST be ignored".
            preference: Preference::from_bits(flags).ok_or(wrong)?,
            lifetime_s: u32::from_be_bytes([a, b, c, d]),
        })
    }

    /// Appends the option in its shortest form.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = self.prefix.prefix_len();
        let units = length.div_ceil(64);
        out.extend([Self::TYPE, 1 + units, length, self.preference.bits()]);
        out.extend(self.lifetime_s.to_be_bytes());
        out.extend(&self.prefix.network().octets()[..usize::from(units) * 8]);
    }
}

/// How much a router or route is to be preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    Low,
    #[default]
    Medium,
    High,
}

impl Preference {
    /// The two bits as both messages hold them (RFC 4191, section 2.1).
    pub(crate) fn bits(self) -> u8 {
        match self {
            Preference::High => 0b01 << 3,
            Preference::Medium => 0b00 << 3,
            Preference::Low => 0b11 << 3,
        }
    }

    /// `None` for the reserved value.
    pub(crate) fn from_bits(flags: u8) -> Option<Preference> {
        match flags >> 3 & 0b11 {
            0b01 => Some(Preference::High),
            0b00 => Some(Preference::Medium),
            0b11 => Some(Preference::Low),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Preference> {
        proptest::sample::select(vec![Preference::Low, Preference::Medium, Preference::High])
    }
}

/// Bits beyond the prefix are ignored, whatever the sender put there (RFC 4861, section 4.6.2).
fn prefix(address: [u8; 16], length: u8) -> Option<Ipv6Net> {
    Some(Ipv6Net::new(Ipv6Addr::from(address), length).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_ignored_and_lengths_checked() {
        let mut option = [0; 32];
        option[..4].copy_from_slice(&[3, 4, 64, 0x40]);
        option[16..18].copy_from_slice(&[0x20, 0x01]);
        option[31] = 9;
        let read = PrefixInfo::parse(&option).unwrap();
        assert_eq!(read.prefix.to_string(), "2001::/64");
        assert!(read.autonomous && !read.on_link);
        option[2] = 129;
        assert!(PrefixInfo::parse(&option).is_err());
        assert!(PrefixInfo::parse(&option[..24]).is_err());
    }

    #[test]
    fn routes_take_the_shortest_form() {
        let check = |prefix: &str, expected: &[u8]| {
            let prefix = prefix.parse().unwrap();
            let route = RouteInfo {
                prefix,
                preference: Preference::High,
                lifetime_s: 1800,
            };
            let mut out = Vec::new();
            route.emit(&mut out);
            assert_eq!(out, expected);
            assert_eq!(RouteInfo::parse(&out), Ok(route));
        };
        check("::/0", &[24, 1, 0, 8, 0, 0, 7, 8]);
        check(
            "fd00:9::/32",
            &[24, 2, 32, 8, 0, 0, 7, 8, 0xfd, 0, 0, 9, 0, 0, 0, 0],
        );
        let host = [&[24, 3, 128, 8, 0, 0, 7, 8, 0xfe, 0x80][..], &[0; 13], &[1]].concat();
        check("fe80::1/128", &host);
        assert!(
            RouteInfo::parse(&[24, 1, 64, 0, 0, 0, 0, 0]).is_err(),
            "prefix missing"
        );
        assert!(
            RouteInfo::parse(&[24, 1, 0, 0x10, 0, 0, 0, 0]).is_err(),
            "reserved preference"
        );
    }
}
