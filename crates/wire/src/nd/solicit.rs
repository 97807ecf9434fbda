//! Router Solicitation.

use crate::Malformed;
use crate::icmpv6::Icmpv6;
use crate::nd::{SourceLinkAddress, fixed_part, option};

/// A host asks the routers to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterSolicit {
    pub source_link_address: Option<SourceLinkAddress>,
}

impl RouterSolicit {
    pub const TYPE: u8 = 133; // RFC 4861, section 4.1

    /// Reads and validates (RFC 4861, section 6.1.1).
    pub fn parse(packet: &Icmpv6) -> Result<RouterSolicit, Malformed> {
        let wrong = Malformed("router solicitation");
        let (_, options) = fixed_part::<8>(packet, Self::TYPE, wrong.0)?;
        let mut found = None;
        for option in option::split(options) {
            let option = option?;
            if option[0] != SourceLinkAddress::TYPE {
                continue;
            }
            if packet.source.is_unspecified() {
                return Err(wrong);
            }
            found = found.or(SourceLinkAddress::parse(option).ok());
        }
        Ok(RouterSolicit {
            source_link_address: found,
        })
    }

    /// Appends the message; [`Icmpv6::emit`] sets its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([Self::TYPE, 0, 0, 0, 0, 0, 0, 0]);
        if let Some(address) = &self.source_link_address {
            address.emit(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::icmpv6::ALL_ROUTERS;
    use crate::nd::HOP_LIMIT;

    fn parse(source: &str, hop_limit: u8, message: &[u8]) -> Result<RouterSolicit, Malformed> {
        let source = source.parse().unwrap();
        let destination = ALL_ROUTERS;
        RouterSolicit::parse(&Icmpv6 {
            source,
            destination,
            hop_limit,
            message,
        })
    }

    /// What Linux 6.18 sent when an interface came up (RFC 4861, section 4.1).
    #[test]
    fn golden() {
        let packet = [
            0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a,
            0xff, // length 16, ICMPv6, hop limit 255
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xf8, 0x16, 0x3e, 0xff, 0xfe, 0x01, 0x02, 0x03, //
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, //
            0x85, 0x00, 0x0a, 0xf8, 0x00, 0x00, 0x00, 0x00, // type 133, code 0, checksum
            0x01, 0x01, 0xfa, 0x16, 0x3e, 0x01, 0x02, 0x03, // source link-layer address
        ];
        let ip = Icmpv6::parse(&packet).unwrap();
        let solicit = RouterSolicit::parse(&ip).unwrap();
        let mac = SourceLinkAddress([0xfa, 0x16, 0x3e, 1, 2, 3]);
        assert_eq!(solicit.source_link_address, Some(mac));

        let mut message = Vec::new();
        solicit.emit(&mut message);
        let mut out = Vec::new();
        Icmpv6 {
            message: &message,
            ..ip
        }
        .emit(&mut out);
        assert_eq!(out, packet);
    }

    #[test]
    fn validation_of_section_6_1_1() {
        let bare = [133, 0, 0, 0, 0, 0, 0, 0];
        let named = [&bare[..], &[1, 1, 2, 0, 0, 0, 0, 1]].concat();
        assert!(parse("::", 255, &bare).is_ok());
        assert!(parse("fe80::1", 255, &named).is_ok());
        assert!(parse("fe80::1", 254, &named).is_err(), "forwarded");
        assert!(
            parse("::", 255, &named).is_err(),
            "link-layer address without an address"
        );
        assert!(parse("fe80::1", 255, &bare[..7]).is_err(), "short");
        assert!(
            parse("fe80::1", 255, &[133, 1, 0, 0, 0, 0, 0, 0]).is_err(),
            "code"
        );
        assert!(
            parse("fe80::1", 255, &[134, 0, 0, 0, 0, 0, 0, 0]).is_err(),
            "type"
        );
        let with = |option: &[u8]| parse("fe80::1", 255, &[&bare[..], option].concat());
        assert!(with(&[1, 0, 0, 0, 0, 0, 0, 0]).is_err(), "length 0");
        assert!(with(&[1, 2, 0, 0, 0, 0, 0, 0]).is_err(), "beyond the end");
        assert!(with(&[1]).is_err(), "half an option");
        assert_eq!(
            with(&[14, 1, 1, 2, 3, 4, 5, 6])
                .unwrap()
                .source_link_address,
            None
        );
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(mac in proptest::option::of(any::<[u8; 6]>())) {
            let sent = RouterSolicit { source_link_address: mac.map(SourceLinkAddress) };
            let mut message = Vec::new();
            sent.emit(&mut message);
            prop_assert_eq!(parse("fe80::1", HOP_LIMIT, &message).unwrap(), sent);
        }

        #[test]
        fn parse_never_panics(source: u128, tail in proptest::collection::vec(any::<u8>(), 0..99)) {
            let source = Ipv6Addr::from(source).to_string();
            let _ = parse(&source, HOP_LIMIT, &tail);
            let _ = parse(&source, HOP_LIMIT, &[&[133, 0][..], &tail].concat());
        }
    }
}
