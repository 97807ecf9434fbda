//! Router Advertisement.

use crate::Malformed;
use crate::icmpv6::Icmpv6;
use crate::nd::{NdOption, Preference, fixed_part, option};

/// What a router tells the hosts of its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAdvert {
    /// For packets that hosts send; 0 leaves it to them.
    pub hop_limit: u8,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other settings are to be had by DHCPv6.
    pub other: bool,
    /// RFC 4191, section 2.2.
    pub preference: Preference,
    /// 0: not a default router.
    pub router_lifetime_s: u16,
    /// 0 leaves it to the hosts, as does [`RouterAdvert::retransmit_ms`].
    pub reachable_ms: u32,
    pub retransmit_ms: u32,
    pub options: Vec<NdOption>,
}

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

impl RouterAdvert {
    pub const TYPE: u8 = 134; // RFC 4861, section 4.2

    /// Reads and validates (RFC 4861, section 6.1.2).
    ///
    /// ```text
    /// | type 134 | code 0              | checksum        |
    /// | hop limit| M|O|-|Prf |-|-|-    | router lifetime |
    /// | reachable time                                   |
    /// | retransmit timer                                 |
    /// ```
    pub fn parse(packet: &Icmpv6) -> Result<RouterAdvert, Malformed> {
        let wrong = Malformed("router advertisement");
        if !packet.source.is_unicast_link_local() {
            return Err(wrong);
        }
        let (fixed, rest) = fixed_part::<16>(packet, Self::TYPE, wrong.0)?;
        let &[_, _, _, _, hop_limit, flags, l, m, a, b, c, d, e, f, g, h] = fixed;
        let mut options = Vec::new();
        for option in option::split(rest) {
            options.extend(NdOption::parse(option?).ok().flatten());
        }
        Ok(RouterAdvert {
            hop_limit,
            managed: flags & MANAGED != 0,
            other: flags & OTHER != 0,
            // "Reserved: MUST NOT be sent, MUST be treated as medium" (RFC 4191, section 2.2).
            preference: Preference::from_bits(flags).unwrap_or(Preference::Medium),
            router_lifetime_s: u16::from_be_bytes([l, m]),
            reachable_ms: u32::from_be_bytes([a, b, c, d]),
            retransmit_ms: u32::from_be_bytes([e, f, g, h]),
            options,
        })
    }

    /// Appends the message; [`Icmpv6::emit`] sets its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let managed = if self.managed { MANAGED } else { 0 };
        let other = if self.other { OTHER } else { 0 };
        let flags = managed | other | self.preference.bits();
        out.extend([Self::TYPE, 0, 0, 0, self.hop_limit, flags]);
        out.extend(self.router_lifetime_s.to_be_bytes());
        out.extend(self.reachable_ms.to_be_bytes());
        out.extend(self.retransmit_ms.to_be_bytes());
        for option in &self.options {
            option.emit(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::icmpv6::ALL_NODES;
    use crate::nd::option::any_option;
    use crate::nd::{HOP_LIMIT, Mtu, PrefixInfo, SourceLinkAddress};

    fn packet(message: &[u8]) -> Icmpv6<'_> {
        let source = "fe80::f816:3eff:fe00:1".parse().unwrap();
        Icmpv6 {
            source,
            destination: ALL_NODES,
            hop_limit: HOP_LIMIT,
            message,
        }
    }

    #[test]
    fn golden() {
        let advert = RouterAdvert {
            hop_limit: 64,
            managed: false,
            other: true,
            preference: Preference::Medium,
            router_lifetime_s: 1800,
            reachable_ms: 0,
            retransmit_ms: 0,
            options: vec![
                NdOption::SourceLinkAddress(SourceLinkAddress([0xfa, 0x16, 0x3e, 0, 0, 1])),
                NdOption::Mtu(Mtu(1430)),
                NdOption::Prefix(PrefixInfo {
                    prefix: "2001:db8:1::/64".parse().unwrap(),
                    on_link: true,
                    autonomous: true,
                    valid_s: 2_592_000,
                    preferred_s: 604_800,
                }),
            ],
        };
        let expected = [
            0x60, 0x00, 0x00, 0x00, 0x00, 0x40, 0x3a,
            0xff, // length 64, ICMPv6, hop limit 255
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xf8, 0x16, 0x3e, 0xff, 0xfe, 0x00, 0x00, 0x01, //
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, //
            0x86, 0x00, 0x82, 0xc0, 0x40, 0x40, 0x07,
            0x08, // type 134, hop limit 64, O, 1800 s
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // reachable, retransmit
            0x01, 0x01, 0xfa, 0x16, 0x3e, 0x00, 0x00, 0x01, // source link-layer address
            0x05, 0x01, 0x00, 0x00, 0x00, 0x00, 0x05, 0x96, // MTU 1430
            0x03, 0x04, 0x40, 0xc0, 0x00, 0x27, 0x8d, 0x00, // prefix, /64, L and A, 30 d
            0x00, 0x09, 0x3a, 0x80, 0x00, 0x00, 0x00, 0x00, // 7 d
            0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let mut message = Vec::new();
        advert.emit(&mut message);
        let mut out = Vec::new();
        packet(&message).emit(&mut out);
        assert_eq!(out, expected);
        assert_eq!(
            RouterAdvert::parse(&Icmpv6::parse(&out).unwrap()),
            Ok(advert)
        );
    }

    #[test]
    fn validation_of_section_6_1_2() {
        let message = [134, 0, 0, 0, 64, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let good = packet(&message);
        let advert = RouterAdvert::parse(&good).unwrap();
        assert_eq!(
            advert.preference,
            Preference::Medium,
            "10 is read as medium"
        );
        let source = "2001:db8::1".parse().unwrap();
        assert!(RouterAdvert::parse(&Icmpv6 { source, ..good }).is_err());
        assert!(
            RouterAdvert::parse(&Icmpv6 {
                hop_limit: 64,
                ..good
            })
            .is_err()
        );
        assert!(RouterAdvert::parse(&packet(&message[..15])).is_err());
        let zero_length = [&message[..], &[99, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert!(RouterAdvert::parse(&packet(&zero_length)).is_err());
        let unknown = [&message[..], &[99, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(RouterAdvert::parse(&packet(&unknown)), Ok(advert));
    }

    prop_compose! {
        fn any_advert()(
            (hop_limit, managed, other) in any::<(u8, bool, bool)>(),
            preference in Preference::any(),
            router_lifetime_s: u16,
            (reachable_ms, retransmit_ms) in any::<(u32, u32)>(),
            options in proptest::collection::vec(any_option(), 0..8),
        ) -> RouterAdvert {
            RouterAdvert {
                hop_limit, managed, other, preference, router_lifetime_s, reachable_ms,
                retransmit_ms, options,
            }
        }
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(advert in any_advert()) {
            let mut message = Vec::new();
            advert.emit(&mut message);
            prop_assert_eq!(RouterAdvert::parse(&packet(&message)), Ok(advert));
        }

        #[test]
        fn parse_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RouterAdvert::parse(&packet(&tail));
            let _ = RouterAdvert::parse(&packet(&[&[134, 0][..], &[0; 14], &tail].concat()));
        }
    }
}
