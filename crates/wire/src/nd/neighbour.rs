//! Neighbour Advertisement.

use std::net::Ipv6Addr;

use crate::icmpv6::Icmpv6;
use crate::nd::{TargetLinkAddress, fixed_part, option};
use crate::{MacBytes, Malformed};

/// Whose link-layer address an IPv6 address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourAdvert {
    /// The sender is a router.
    pub router: bool,
    /// An answer to a solicitation.
    pub solicited: bool,
    /// What the receiver's cache holds is to be replaced.
    pub overrides: bool,
    pub target: Ipv6Addr,
    pub link_address: Option<TargetLinkAddress>,
}

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl NeighbourAdvert {
    pub const TYPE: u8 = 136; // RFC 4861, section 4.4

    /// Tells everyone that a router's address lives here now (RFC 4861, section 7.2.6): for a
    /// gateway that moved.
    pub fn unsolicited(target: Ipv6Addr, mac: MacBytes) -> NeighbourAdvert {
        let link_address = Some(TargetLinkAddress(mac));
        NeighbourAdvert {
            router: true,
            solicited: false,
            overrides: true,
            target,
            link_address,
        }
    }

    /// Reads and validates (RFC 4861, section 7.1.2).
    pub fn parse(packet: &Icmpv6) -> Result<NeighbourAdvert, Malformed> {
        let wrong = Malformed("neighbour advertisement");
        let (fixed, options) = fixed_part::<24>(packet, Self::TYPE, wrong.0)?;
        let &[_, _, _, _, flags, _, _, _, ref target @ ..] = fixed;
        let target: Ipv6Addr = (*target).into();
        let solicited = flags & SOLICITED != 0;
        if target.is_multicast() || (solicited && packet.destination.is_multicast()) {
            return Err(wrong);
        }
        let mut link_address = None;
        for option in option::split(options) {
            link_address = link_address.or(TargetLinkAddress::parse(option?).ok());
        }
        let router = flags & ROUTER != 0;
        let overrides = flags & OVERRIDE != 0;
        Ok(NeighbourAdvert {
            router,
            solicited,
            overrides,
            target,
            link_address,
        })
    }

    /// Appends the message; [`Icmpv6::emit`] sets its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let flags = [
            (self.router, ROUTER),
            (self.solicited, SOLICITED),
            (self.overrides, OVERRIDE),
        ];
        let flags = flags
            .iter()
            .filter(|(set, _)| *set)
            .fold(0, |all, (_, bit)| all | bit);
        out.extend([Self::TYPE, 0, 0, 0, flags, 0, 0, 0]);
        out.extend(self.target.octets());
        if let Some(address) = &self.link_address {
            address.emit(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::icmpv6::ALL_NODES;
    use crate::nd::HOP_LIMIT;

    fn packet(message: &[u8], destination: Ipv6Addr) -> Icmpv6<'_> {
        let source = "fe80::1".parse().unwrap();
        Icmpv6 {
            source,
            destination,
            hop_limit: HOP_LIMIT,
            message,
        }
    }

    #[test]
    fn golden() {
        let gateway = "2001:db8:1::1".parse().unwrap();
        let advert = NeighbourAdvert::unsolicited(gateway, [0xfa, 0x16, 0x3e, 0, 0, 1]);
        let mut message = Vec::new();
        advert.emit(&mut message);
        let expected = [
            0x88, 0x00, 0x00, 0x00, 0xa0, 0x00, 0x00, 0x00, // type 136, R and O
            0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // target
            0x02, 0x01, 0xfa, 0x16, 0x3e, 0x00, 0x00, 0x01, // target link-layer address
        ];
        assert_eq!(message, expected);
        assert_eq!(
            NeighbourAdvert::parse(&packet(&message, ALL_NODES)),
            Ok(advert)
        );
    }

    #[test]
    fn validation_of_section_7_1_2() {
        let target = "2001:db8::1".parse().unwrap();
        let solicited = NeighbourAdvert {
            solicited: true,
            ..NeighbourAdvert::unsolicited(target, [2; 6])
        };
        let mut message = Vec::new();
        solicited.emit(&mut message);
        assert!(NeighbourAdvert::parse(&packet(&message, target)).is_ok());
        assert!(NeighbourAdvert::parse(&packet(&message, ALL_NODES)).is_err());
        message[8] = 0xff;
        assert!(NeighbourAdvert::parse(&packet(&message, target)).is_err());
        assert!(NeighbourAdvert::parse(&packet(&message[..23], target)).is_err());
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(
            (router, overrides) in any::<(bool, bool)>(),
            target in any::<u128>().prop_map(|a| Ipv6Addr::from(a & !(1 << 127))),
            link_address in proptest::option::of(any::<[u8; 6]>().prop_map(TargetLinkAddress)),
        ) {
            let sent =
                NeighbourAdvert { router, solicited: false, overrides, target, link_address };
            let mut message = Vec::new();
            sent.emit(&mut message);
            prop_assert_eq!(NeighbourAdvert::parse(&packet(&message, ALL_NODES)), Ok(sent));
        }

        #[test]
        fn parse_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = NeighbourAdvert::parse(&packet(&tail, ALL_NODES));
            let _ = NeighbourAdvert::parse(&packet(&[&[136, 0][..], &tail].concat(), ALL_NODES));
        }
    }
}
