//! Telling a link where an address is now.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use linux::arp;
use linux::netns::Netns;
use linux::socket::{MacBytes, send_packet};
use wire::icmpv6::Icmpv6;
use wire::nd::NeighbourAdvert;

/// All nodes on a link (RFC 4291, section 2.7.1).
const EVERYONE: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Says once, to everyone on the link, that a router's address is at this Ethernet address: neighbours
/// that knew another one take the new one (RFC 4861, section 7.2.6; RFC 5227, section 3).
///
/// # Errors
/// `ENODEV` without such an interface, `ENETDOWN` when it is down.
pub fn announce(ns: &Netns, interface: &str, mac: MacBytes, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(address) => arp::announce(ns, interface, mac, address),
        IpAddr::V6(address) => {
            let packet = announcement(mac, address);
            let to = [0x33, 0x33, 0, 0, 0, 1];
            // ETH_P_IPV6 of linux/if_ether.h
            send_packet(ns, interface, 0x86dd, to, &packet)
        }
    }
}

fn announcement(mac: MacBytes, address: Ipv6Addr) -> Vec<u8> {
    let (mut message, mut packet) = (Vec::new(), Vec::new());
    NeighbourAdvert::unsolicited(address, mac).emit(&mut message);
    let advert = Icmpv6 {
        source: address,
        destination: EVERYONE,
        hop_limit: 255,
        message: &message,
    };
    advert.emit(&mut packet);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_take_what_is_announced() {
        let address = "2001:db8::9".parse().unwrap();
        let packet = announcement([2, 0, 0, 0, 0, 1], address);
        let read = Icmpv6::parse(&packet).unwrap();
        assert_eq!((read.source, read.destination), (address, EVERYONE));
        let advert = NeighbourAdvert::parse(&read).unwrap();
        assert_eq!(
            advert,
            NeighbourAdvert::unsolicited(address, [2, 0, 0, 0, 0, 1])
        );
    }
}
