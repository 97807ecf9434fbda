//! An IPv6 packet that holds one UDP datagram and no extension header.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::{Malformed, udp};

const IP_HEADER: usize = 40; // RFC 8200, section 3

/// A datagram with its addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp6<'a> {
    /// Neither a flow label nor a scope: no packet names one.
    pub source: SocketAddrV6,
    pub destination: SocketAddrV6,
    /// At most 65,527 octets; `emit` cuts what exceeds that.
    pub payload: &'a [u8],
}

impl<'a> Udp6<'a> {
    /// The largest payload of an IPv6 packet.
    pub const PAYLOAD_MAX: usize = 65_535 - udp::HEADER;

    /// Reads a packet from its IPv6 header on; a link's padding may follow it.
    /// The checksum is not looked at (see `udp::parse`).
    ///
    /// ```text
    ///  0      4            12                  24              31
    /// | ver 6 | traffic cl. |          flow label               |
    /// | payload length              | next hdr 17 | hop limit   |
    /// | source (16)                 | destination (16)          |
    /// ```
    pub fn parse(packet: &'a [u8]) -> Result<Udp6<'a>, Malformed> {
        let wrong = Malformed("ipv6 header");
        let (header, rest) = packet.split_first_chunk::<IP_HEADER>().ok_or(wrong)?;
        if header[0] >> 4 != 6 || header[6] != udp::PROTOCOL {
            return Err(wrong);
        }
        let total = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let datagram = rest.get(..total).ok_or(wrong)?;
        let (from, to, payload) = udp::parse(datagram)?;
        let address = |at: usize| {
            let octets = header[at..].first_chunk::<16>();
            octets.map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
        };
        Ok(Udp6 {
            source: SocketAddrV6::new(address(8), from, 0, 0),
            destination: SocketAddrV6::new(address(24), to, 0, 0),
            payload,
        })
    }

    /// Appends headers and payload, with the checksum set.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (payload, length) = udp::cut(self.payload, Self::PAYLOAD_MAX);
        out.extend([0x60, 0, 0, 0]);
        out.extend(length.to_be_bytes());
        out.extend([udp::PROTOCOL, udp::HOP_LIMIT]);
        let addresses = [self.source.ip().octets(), self.destination.ip().octets()].concat();
        out.extend(&addresses);
        let ports = [self.source.port(), self.destination.port()];
        udp::emit(&addresses, ports, payload, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        Udp6 {
            source: "[fe80::1]:546".parse().unwrap(),
            destination: "[ff02::1:2]:547".parse().unwrap(),
            payload: b"abc",
        }
        .emit(&mut out);
        out
    }

    #[test]
    fn golden() {
        let packet = sample();
        assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 11, 17, 64]);
        let datagram = [2, 0x22, 2, 0x23, 0, 11, 0x39, 0xa9, b'a', b'b', b'c'];
        assert_eq!(packet[40..], datagram);
    }

    #[test]
    fn what_is_no_whole_datagram_is_refused() {
        let spoilt = |at: usize, value: u8| {
            let mut bytes = sample();
            bytes[at] = value;
            Udp6::parse(&bytes).unwrap_err()
        };
        for (at, value) in [(0, 0x45), (6, 44), (6, 0), (5, 12)] {
            assert_eq!(spoilt(at, value), Malformed("ipv6 header"));
        }
        for (at, value) in [(45, 7), (45, 12), (5, 7)] {
            assert_eq!(spoilt(at, value), Malformed("udp header"));
        }
        assert!(Udp6::parse(&sample()[..39]).is_err());
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(
            (source, destination) in any::<(u128, u128)>(),
            (from, to) in any::<(u16, u16)>(),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let sent = Udp6 {
                source: SocketAddrV6::new(source.into(), from, 0, 0),
                destination: SocketAddrV6::new(destination.into(), to, 0, 0),
                payload: &payload,
            };
            let mut bytes = Vec::new();
            sent.emit(&mut bytes);
            bytes.push(0); // a link's padding
            prop_assert_eq!(Udp6::parse(&bytes), Ok(sent));
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Udp6::parse(&bytes);
        }
    }
}
