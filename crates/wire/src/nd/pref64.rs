//! PREF64: where a network's translator to IPv4 is (RFC 8781).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::Malformed;

/// A prefix in which IPv4 addresses stand (RFC 6052).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pref64 {
    prefix: Ipv6Net,
    /// In units of 8 s; 13 bits.
    lifetime: u16,
}

/// By their codes (RFC 8781, section 4).
const LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];
const LIFETIME_MAX: u16 = (1 << 13) - 1;
const UNIT_S: u32 = 8;

impl Pref64 {
    pub const TYPE: u8 = 38; // RFC 8781, section 4

    /// `None` for a prefix of a length that has no code: 96, 64, 56, 48, 40 and 32 have one. A
    /// lifetime is rounded up to the next 8 s, and is 65,528 s at most.
    pub fn new(prefix: Ipv6Net, lifetime_s: u32) -> Option<Pref64> {
        let lifetime = lifetime_s.div_ceil(UNIT_S).min(LIFETIME_MAX.into());
        LENGTHS.contains(&prefix.prefix_len()).then(|| Pref64 {
            prefix: prefix.trunc(),
            lifetime: lifetime as u16,
        })
    }

    /// The prefix, without host bits.
    pub fn prefix(&self) -> Ipv6Net {
        self.prefix
    }

    /// How long it holds; 0 withdraws it.
    pub fn lifetime_s(&self) -> u32 {
        u32::from(self.lifetime) * UNIT_S
    }

    /// Reads one option.
    ///
    /// ```text
    /// | type 38 | length 2 | lifetime (13 bits) | PLC (3) |
    /// | highest 96 bits of the prefix                     |
    /// ```
    pub fn parse(option: &[u8]) -> Result<Pref64, Malformed> {
        let wrong = Malformed("pref64 option");
        let &[Self::TYPE, 2, high, low, ref octets @ ..] = option else {
            return Err(wrong);
        };
        let scaled = u16::from_be_bytes([high, low]);
        let length = LENGTHS.get(usize::from(scaled & 7)).ok_or(wrong)?;
        let octets: [u8; 12] = octets.try_into().map_err(|_| wrong)?;
        let mut address = [0; 16];
        address[..12].copy_from_slice(&octets);
        let prefix = Ipv6Net::new(Ipv6Addr::from(address), *length).map_err(|_| wrong)?;
        Ok(Pref64 {
            prefix: prefix.trunc(),
            lifetime: scaled >> 3,
        })
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = self.prefix.prefix_len();
        let code = LENGTHS.iter().position(|l| *l == length).unwrap_or(0); // `new` saw to it
        out.extend([Self::TYPE, 2]);
        out.extend((self.lifetime << 3 | code as u16).to_be_bytes());
        out.extend(&self.prefix.network().octets()[..12]);
    }

    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Pref64> {
        use proptest::prelude::*;
        let parts = (
            any::<u128>(),
            proptest::sample::select(LENGTHS.to_vec()),
            0..70_000_u32,
        );
        parts.prop_filter_map("length", |(address, length, lifetime_s)| {
            Pref64::new(Ipv6Net::new(address.into(), length).ok()?, lifetime_s)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let prefix = "64:ff9b::/96".parse().unwrap();
        let pref64 = Pref64::new(prefix, 1800).unwrap();
        let mut out = Vec::new();
        pref64.emit(&mut out);
        // 225 units of 8 s, and the code of /96.
        let expected = [38, 2, 7, 8, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(out, expected);
        assert_eq!(Pref64::parse(&out), Ok(pref64));
        assert_eq!((pref64.prefix(), pref64.lifetime_s()), (prefix, 1800));
    }

    #[test]
    fn lengths_without_a_code_are_refused() {
        assert_eq!(Pref64::new("64:ff9b::/95".parse().unwrap(), 1), None);
        let mut option = [0; 16];
        option[..4].copy_from_slice(&[38, 2, 0, 6]);
        assert!(Pref64::parse(&option).is_err());
        assert!(Pref64::parse(&option[..8]).is_err());
        let longest = Pref64::new("64:ff9b::/96".parse().unwrap(), u32::MAX).unwrap();
        assert_eq!(longest.lifetime_s(), 65_528);
    }
}
