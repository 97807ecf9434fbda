//! Telling a link who has an IPv4 address.

use std::io;
use std::net::Ipv4Addr;

use crate::netns::Netns;
use crate::socket::{MacBytes, send_packet};

/// Says once, to everyone on the link, that the address is at this Ethernet address: neighbours
/// that knew another one take the new one (RFC 5227, section 3).
///
/// # Errors
/// `ENODEV` without such an interface, `ENETDOWN` when it is down.
pub fn announce(ns: &Netns, interface: &str, mac: MacBytes, address: Ipv4Addr) -> io::Result<()> {
    let packet = announcement(mac, address);
    send_packet(ns, interface, libc::ETH_P_ARP as u16, [0xff; 6], &packet)
}

/// A request for the address from the address itself (RFC 826; RFC 5227, section 2.3).
fn announcement(mac: MacBytes, address: Ipv4Addr) -> [u8; 28] {
    let mut packet = [0; 28];
    packet[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]); // Ethernet, IPv4, a request
    packet[8..14].copy_from_slice(&mac);
    packet[14..18].copy_from_slice(&address.octets());
    packet[24..].copy_from_slice(&address.octets());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let packet = announcement([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 0, 2, 9));
        let expected = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9,
        ];
        assert_eq!(packet, expected);
    }
}
