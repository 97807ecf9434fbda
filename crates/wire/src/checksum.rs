//! The checksum of IP, UDP and ICMPv6.

/// The one's complement sum of 16-bit words (RFC 1071), begun with what else belongs to it.
pub(crate) fn sum(bytes: &[u8], start: u64) -> u16 {
    let words = bytes.chunks(2);
    let words = words.map(|p| u64::from(p[0]) << 8 | u64::from(p.get(1).copied().unwrap_or(0)));
    let mut sum = start + words.sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
