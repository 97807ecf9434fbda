//! The datagram of UDP (RFC 768), inside a packet of either family.
//!
//! ```text
//! | source port                 | destination port          |
//! | length                      | checksum                  |
//! ```

use crate::Malformed;
use crate::checksum::sum;

pub(crate) const PROTOCOL: u8 = 17;
pub(crate) const HEADER: usize = 8;
/// The hop limit of what we send.
pub(crate) const HOP_LIMIT: u8 = 64;

/// Source port, destination port and payload. A link's padding may follow the datagram.
///
/// The checksum is not looked at: a guest on this host may have left it to a network card (checksum
/// offload), which no packet between two of its kind meets.
pub(crate) fn parse(datagram: &[u8]) -> Result<(u16, u16, &[u8]), Malformed> {
    let wrong = Malformed("udp header");
    let (&[a, b, c, d, e, f, _, _], _) = datagram.split_first_chunk::<HEADER>().ok_or(wrong)?;
    let length = usize::from(u16::from_be_bytes([e, f]));
    let payload = datagram.get(HEADER..length).ok_or(wrong)?;
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ok((from, to, payload))
}

/// The length of a datagram with this payload, which is cut to `max` octets.
pub(crate) fn cut(payload: &[u8], max: usize) -> (&[u8], u16) {
    let payload = &payload[..payload.len().min(max)];
    (payload, (HEADER + payload.len()) as u16)
}

/// Appends a datagram with its checksum set. `addresses` are the packet's source and destination,
/// one behind the other.
pub(crate) fn emit(addresses: &[u8], ports: [u16; 2], payload: &[u8], out: &mut Vec<u8>) {
    let (start, length) = (out.len(), (HEADER + payload.len()) as u16);
    for word in [ports[0], ports[1], length, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(payload);
    // The pseudo-header, the same in RFC 768 and RFC 8200, section 8.1: addresses, protocol, length.
    let pseudo = u64::from(sum(addresses, 0)) + u64::from(PROTOCOL) + u64::from(length);
    let checksum = match !sum(&out[start..], pseudo) {
        0 => 0xffff, // 0 says that there is none, which IPv6 forbids
        checksum => checksum,
    };
    out[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
}
