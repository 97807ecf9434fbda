//! An IPv6 packet that holds one ICMPv6 message and no extension header.
//!
//! No host puts extension headers before Neighbour Discovery, and those that could hide it
//! (a fragment header, RFC 6980) must be refused anyway; so a packet with any is malformed here.

use std::net::Ipv6Addr;

use crate::{MacBytes, Malformed, checksum};

/// All nodes on the link (RFC 4291, section 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on the link (RFC 4291, section 2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

const IP_HEADER: usize = 40; // RFC 8200, section 3
const NEXT_HEADER: u8 = 58; // RFC 4443, section 1

/// The Ethernet address of a multicast group (RFC 2464, section 7).
pub fn multicast_mac(group: Ipv6Addr) -> MacBytes {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// An ICMPv6 message with what its IPv6 header says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6<'a> {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub hop_limit: u8,
    /// From the type on. What stands in the checksum's place does not matter to `emit`.
    pub message: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// Reads a packet from its IPv6 header on; a link's padding may follow it.
    ///
    /// ```text
    ///  0      4            12                  24              31
    /// | ver 6 | traffic cl. |          flow label               |
    /// | payload length              | next hdr 58 | hop limit   |
    /// | source (16)                 | destination (16)          |
    /// | type          | code        | checksum                  |  message
    /// ```
    pub fn parse(packet: &'a [u8]) -> Result<Icmpv6<'a>, Malformed> {
        let (header, rest) = packet
            .split_first_chunk::<IP_HEADER>()
            .ok_or(Malformed("ipv6 header"))?;
        let &[first, _, _, _, length_high, length_low, next, hop_limit, ..] = header;
        if first >> 4 != 6 || next != NEXT_HEADER {
            return Err(Malformed("ipv6 header"));
        }
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let message = rest.get(..length).ok_or(Malformed("ipv6 payload length"))?;
        let packet = Icmpv6 {
            source: address(&header[8..24]),
            destination: address(&header[24..]),
            hop_limit,
            message,
        };
        if packet.source.is_multicast() {
            return Err(Malformed("ipv6 source"));
        }
        if message.len() < 4 || packet.sum(message) != 0xffff {
            return Err(Malformed("icmpv6 checksum"));
        }
        Ok(packet)
    }

    /// Appends header and message, with the checksum set (RFC 4443, section 2.3).
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.message.len()).unwrap_or(u16::MAX);
        let message = &self.message[..usize::from(length)];
        out.extend([0x60, 0, 0, 0]);
        out.extend(length.to_be_bytes());
        out.extend([NEXT_HEADER, self.hop_limit]);
        out.extend(self.source.octets());
        out.extend(self.destination.octets());
        let start = out.len();
        out.extend(message);
        if let Some([_, _, high, low]) = out[start..].first_chunk_mut() {
            (*high, *low) = (0, 0);
            let checksum = !self.sum(&out[start..]);
            out[start + 2..start + 4].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// The one's complement sum over the pseudo-header (RFC 8200, section 8.1) and the message.
    fn sum(&self, message: &[u8]) -> u16 {
        let addresses = [self.source.octets(), self.destination.octets()].concat();
        let pseudo =
            u64::from(checksum::sum(&addresses, 0)) + message.len() as u64 + u64::from(NEXT_HEADER);
        checksum::sum(message, pseudo)
    }
}

/// The address in 16 octets; shorter slices, which no caller has, would be filled with zeros.
fn address(octets: &[u8]) -> Ipv6Addr {
    octets
        .first_chunk::<16>()
        .map_or(Ipv6Addr::UNSPECIFIED, |o| Ipv6Addr::from(*o))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_have_their_ethernet_addresses() {
        assert_eq!(multicast_mac(ALL_NODES), [0x33, 0x33, 0, 0, 0, 1]);
        let group = "ff02::1:ff01:203".parse().unwrap();
        assert_eq!(multicast_mac(group), [0x33, 0x33, 0xff, 1, 2, 3]);
    }

    #[test]
    fn a_bad_header_or_checksum_is_refused() {
        let good = Icmpv6 {
            source: "fe80::1".parse().unwrap(),
            destination: ALL_NODES,
            hop_limit: 255,
            message: &[128, 0, 0, 0, 1, 2, 3],
        };
        let mut bytes = Vec::new();
        good.emit(&mut bytes);
        bytes.extend([0; 5]); // a link's padding
        assert_eq!(Icmpv6::parse(&bytes).unwrap().hop_limit, 255);

        let spoilt = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            Icmpv6::parse(&bytes).unwrap_err()
        };
        assert_eq!(spoilt(0, 0x40), Malformed("ipv6 header"));
        assert_eq!(spoilt(6, 0), Malformed("ipv6 header"));
        assert_eq!(spoilt(5, 13), Malformed("ipv6 payload length"));
        assert_eq!(spoilt(5, 3), Malformed("icmpv6 checksum"));
        assert_eq!(spoilt(8, 0xff), Malformed("ipv6 source"));
        assert_eq!(spoilt(44, 9), Malformed("icmpv6 checksum"));
        assert_eq!(Icmpv6::parse(&bytes[..39]), Err(Malformed("ipv6 header")));
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(
            source in any::<u128>().prop_map(|a| Ipv6Addr::from(a & !(1 << 127))),
            destination in any::<u128>().prop_map(Ipv6Addr::from),
            hop_limit: u8,
            body in proptest::collection::vec(any::<u8>(), 4..200),
        ) {
            let sent = Icmpv6 { source, destination, hop_limit, message: &body };
            let mut bytes = Vec::new();
            sent.emit(&mut bytes);
            let got = Icmpv6::parse(&bytes).unwrap();
            prop_assert_eq!((got.source, got.destination), (source, destination));
            prop_assert_eq!(got.hop_limit, hop_limit);
            prop_assert_eq!((&got.message[..2], &got.message[4..]), (&body[..2], &body[4..]));
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Icmpv6::parse(&bytes);
        }
    }
}
