//! An IPv4 packet that holds one UDP datagram, whole.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::checksum::sum;
use crate::{Malformed, udp};

const IP_HEADER: usize = 20; // RFC 791, section 3.1, without options

/// A datagram with its addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp4<'a> {
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    /// At most 65,507 octets; `emit` cuts what exceeds that.
    pub payload: &'a [u8],
}

impl<'a> Udp4<'a> {
    /// The largest payload of an IPv4 packet.
    pub const PAYLOAD_MAX: usize = 65_535 - IP_HEADER - udp::HEADER;

    /// Reads a packet from its IPv4 header on; a link's padding may follow it.
    /// The datagram's checksum is not looked at (see `udp::parse`).
    ///
    /// ```text
    ///  0      4      8              16                         31
    /// | ver 4 | len | service       | total length               |
    /// | identification              | flags, fragment offset 0   |
    /// | time to live | protocol 17  | header checksum            |
    /// | source (4)                  | destination (4)            |
    /// ```
    pub fn parse(packet: &'a [u8]) -> Result<Udp4<'a>, Malformed> {
        let wrong = Malformed("ipv4 header");
        let header = packet.first_chunk::<IP_HEADER>().ok_or(wrong)?;
        let header_length = usize::from(header[0] & 0xf) * 4;
        if header[0] >> 4 != 4 || header_length < IP_HEADER || header[9] != udp::PROTOCOL {
            return Err(wrong);
        }
        // The lowest bits are the offset; the one above them says that more fragments follow.
        if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
            return Err(Malformed("ipv4 fragment"));
        }
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole_header = packet.get(..header_length).ok_or(wrong)?;
        let datagram = packet.get(header_length..total).ok_or(wrong)?;
        if sum(whole_header, 0) != 0xffff {
            return Err(Malformed("ipv4 checksum"));
        }
        let (from, to, payload) = udp::parse(datagram)?;
        let [a, b, c, d, e, f, g, h] = [12, 13, 14, 15, 16, 17, 18, 19].map(|i| header[i]);
        Ok(Udp4 {
            source: SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), from),
            destination: SocketAddrV4::new(Ipv4Addr::new(e, f, g, h), to),
            payload,
        })
    }

    /// Appends headers and payload, with both checksums set.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (payload, length) = udp::cut(self.payload, Self::PAYLOAD_MAX);
        let start = out.len();
        out.extend([0x45, 0]);
        out.extend((IP_HEADER as u16 + length).to_be_bytes());
        out.extend([0, 0, 0, 0, udp::HOP_LIMIT, udp::PROTOCOL, 0, 0]);
        let addresses = [self.source.ip().octets(), self.destination.ip().octets()].concat();
        out.extend(&addresses);
        let checksum = !sum(&out[start..], 0);
        out[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
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
        Udp4 {
            source: "192.0.2.1:67".parse().unwrap(),
            destination: "255.255.255.255:68".parse().unwrap(),
            payload: b"abc",
        }
        .emit(&mut out);
        out
    }

    #[test]
    fn golden() {
        let expected = [
            0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0xb8, 0xcd, 192, 0, 2, 1, 255, 255, 255, 255, 0,
            67, 0, 68, 0, 11, 0x78, 0xed, b'a', b'b', b'c',
        ];
        assert_eq!(sample(), expected);
    }

    #[test]
    fn what_is_no_whole_datagram_is_refused() {
        let spoilt = |at: usize, value: u8| {
            let mut bytes = sample();
            bytes[at] = value;
            Udp4::parse(&bytes).unwrap_err()
        };
        for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (9, 6), (3, 32)] {
            assert_eq!(spoilt(at, value), Malformed("ipv4 header"));
        }
        assert_eq!(spoilt(6, 0x20), Malformed("ipv4 fragment"));
        assert_eq!(spoilt(7, 1), Malformed("ipv4 fragment"));
        assert_eq!(spoilt(12, 0), Malformed("ipv4 checksum"));
        assert_eq!(spoilt(25, 7), Malformed("udp header"));
        assert_eq!(spoilt(25, 12), Malformed("udp header"));
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_same(
            (source, destination) in any::<(u32, u32)>(),
            (from, to) in any::<(u16, u16)>(),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let sent = Udp4 {
                source: SocketAddrV4::new(source.into(), from),
                destination: SocketAddrV4::new(destination.into(), to),
                payload: &payload,
            };
            let mut bytes = Vec::new();
            sent.emit(&mut bytes);
            bytes.push(0); // a link's padding
            prop_assert_eq!(Udp4::parse(&bytes), Ok(sent));
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Udp4::parse(&bytes);
        }
    }
}
