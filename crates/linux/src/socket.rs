//! Sockets that serve one link of one network namespace.
//!
//! Router Solicitations are received, and Router Advertisements sent, on one packet socket for
//! each link ([`PacketSocket`]) and not on a raw ICMPv6 socket, because
//! - a solicitation from `::` names its sender nowhere but in the Ethernet header, and its answer
//!   goes to ff02::1 inside a frame to that sender alone (RFC 6085): no ICMPv6 socket does either;
//! - the answer to any other goes to the Ethernet source too, so it never waits for the kernel to
//!   resolve a neighbour (which a guest could make it fail at, RFC 6583);
//! - no address of the sender needs to exist, or to have passed duplicate address detection.
//!
//! The price is that IPv6 header and checksum are ours: see `wire::icmpv6`. The kernel writes the
//! Ethernet header, with the interface's own address as source.
//!
//! DHCPv4 is spoken on such a socket too: its clients have no address yet, and it needs no socket
//! of IPv4. And DHCPv6: the frame's sender is the port, whatever the client calls itself.

use std::ffi::c_int;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6,
    SockaddrLike, bind, getsockopt, listen, recvfrom, sendto, setsockopt, socket, sockopt,
};

use crate::netns::Netns;

/// An Ethernet address.
pub type MacBytes = [u8; 6];

/// Octets that may wait in a socket, with what the kernel adds to each packet: room for what a thousand
/// guests say that start at once. The default would hold 256 packets.
const QUEUE: usize = 1 << 20;

/// Receives one kind of packets of one link, and sends whole packets to it.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    interface: String,
    index: u32,
    /// `ETH_P_IPV6` or `ETH_P_IP` of linux/if_ether.h.
    protocol: u16,
}

impl PacketSocket {
    /// Opens a socket for Router Solicitations on an interface of a namespace; it does not block.
    ///
    /// # Errors
    /// `NotFound` (`ENODEV`) when the interface does not exist.
    pub fn solicitations(ns: &Netns, interface: &str) -> io::Result<PacketSocket> {
        let protocol = libc::ETH_P_IPV6 as u16;
        open(
            ns,
            interface,
            protocol,
            &mut solicitations_only(),
            |fd, index| join(fd, index, [0x33, 0x33, 0, 0, 0, 2]), // ff02::2
        )
    }

    /// Opens a socket for what clients of DHCPv4 send to servers; it does not block.
    ///
    /// # Errors
    /// `NotFound` (`ENODEV`) when the interface does not exist.
    pub fn dhcp4(ns: &Netns, interface: &str) -> io::Result<PacketSocket> {
        let protocol = libc::ETH_P_IP as u16;
        open(ns, interface, protocol, &mut to_dhcp4_server(), |_, _| {
            Ok(())
        })
    }

    /// Opens a socket for what clients of DHCPv6 send to servers; it does not block.
    ///
    /// # Errors
    /// `NotFound` (`ENODEV`) when the interface does not exist.
    pub fn dhcp6(ns: &Netns, interface: &str) -> io::Result<PacketSocket> {
        let protocol = libc::ETH_P_IPV6 as u16;
        open(
            ns,
            interface,
            protocol,
            &mut to_dhcp6_server(),
            |fd, index| join(fd, index, [0x33, 0x33, 0, 1, 0, 2]), // ff02::1:2
        )
    }

    /// Reads one packet, from its IP header on, and who sent the frame. What exceeds the buffer
    /// is cut off.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `ENETDOWN` once when the interface went down or away.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, MacBytes)> {
        let (length, from) = recvfrom::<LinkAddr>(self.fd.as_raw_fd(), buffer)?;
        let mac = from.and_then(|from| from.addr()).unwrap_or_default();
        Ok((length, mac))
    }

    /// Sends one packet, from its IP header on, in a frame to `to`.
    pub fn send(&self, to: MacBytes, packet: &[u8]) -> io::Result<()> {
        let address = link_address(self.index, self.protocol, to)?;
        sendto(
            self.fd.as_raw_fd(),
            packet,
            &address,
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(())
    }

    /// Whether the interface is still there. One made anew under the same name is another.
    pub fn attached(&self) -> bool {
        interface_index(&self.fd, &self.interface).is_ok_and(|index| index == self.index)
    }

    /// The interface's name when the socket was opened.
    pub fn interface(&self) -> &str {
        &self.interface
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(
    ns: &Netns,
    interface: &str,
    protocol: u16,
    filter: &mut [libc::sock_filter],
    prepare: impl Fn(&OwnedFd, u32) -> io::Result<()> + Send + Sync,
) -> io::Result<PacketSocket> {
    ns.run(|| {
        // Protocol 0 receives nothing: so nothing unfiltered is queued before the bind below.
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
        let index = interface_index(&fd, interface)?;
        attach_filter(&fd, filter)?;
        setsockopt(&fd, sockopt::RcvBufForce, &QUEUE)?;
        prepare(&fd, index)?;
        bind(fd.as_raw_fd(), &link_address(index, protocol, [0; 6])?)?;
        let interface = interface.to_owned();
        Ok(PacketSocket {
            fd,
            interface,
            index,
            protocol,
        })
    })
}

/// Sends one packet by an interface of a namespace, in a frame to `to`. `protocol` is one of
/// linux/if_ether.h: `ETH_P_ARP`, `ETH_P_IPV6`.
///
/// # Errors
/// `ENODEV` without such an interface, `ENETDOWN` when it is down.
pub fn send_packet(
    ns: &Netns,
    interface: &str,
    protocol: u16,
    to: MacBytes,
    packet: &[u8],
) -> io::Result<()> {
    ns.run(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        // Protocol 0 receives nothing.
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
        let index = interface_index(&fd, interface)?;
        let address = link_address(index, protocol, to)?;
        sendto(fd.as_raw_fd(), packet, &address, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    })
}

/// A TCP socket that listens inside a namespace, on IPv6 only, and does not block.
///
/// The address need not exist yet. A link-local one needs its interface; with any other, an
/// interface limits the socket to what comes in by it.
pub fn tcp_listen_v6(
    ns: &Netns,
    addr: Ipv6Addr,
    interface: Option<&str>,
    port: u16,
) -> io::Result<OwnedFd> {
    ns.run(|| {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(
            AddressFamily::Inet6,
            SockType::Stream,
            flags,
            SockProtocol::Tcp,
        )?;
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, &1)?;
        let mut scope = 0;
        if let Some(interface) = interface {
            scope = interface_index(&fd, interface)?;
            setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
        }
        bind(
            fd.as_raw_fd(),
            &SockaddrIn6::from(SocketAddrV6::new(addr, port, 0, scope)),
        )?;
        listen(&fd, Backlog::new(128)?)?;
        Ok(fd)
    })
}

/// The mark of a socket. One accepted where `net.ipv4.tcp_fwmark_accept` is 1 has its peer's: the
/// mark of the packet that opened the connection.
pub fn peer_mark(fd: impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(&fd.as_fd(), sockopt::Mark)?)
}

/// An interface's number in the namespace in which the socket `within` was opened.
///
/// # Errors
/// `ENODEV` when there is none of that name.
pub fn interface_index(within: impl AsFd, name: &str) -> io::Result<u32> {
    // `if_nametoindex` would open a socket of a family of its own choice.
    // SAFETY: all-zero is a valid request.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is what this ioctl takes; its name ends in a zero.
    check(unsafe {
        libc::ioctl(
            within.as_fd().as_raw_fd(),
            libc::SIOCGIFINDEX as _,
            &raw mut request,
        )
    })?;
    // SAFETY: SIOCGIFINDEX wrote this member.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex }.unsigned_abs())
}

/// A program that passes Router Solicitations (ICMPv6 type 133, without extension headers) that
/// came by this link to us or to a group.
fn solicitations_only() -> [libc::sock_filter; 9] {
    const HOST: u32 = 0; // PACKET_HOST of linux/if_packet.h
    const MULTICAST: u32 = 2; // PACKET_MULTICAST: likewise
    const DROP: u8 = 8;
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    let load_octet = |at: u32| instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at, 0, 0);
    let accept_if = |is: u32, here: u8, yes: u8, no: u8| {
        let jump = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        instruction(jump, is, yes - here - 1, no - here - 1)
    };
    let ret = |length: u32| instruction(libc::BPF_RET | libc::BPF_K, length, 0, 0);
    [
        load_octet(kind),
        accept_if(HOST, 1, 3, 2),
        accept_if(MULTICAST, 2, 3, DROP),
        load_octet(6), // next header (RFC 8200, section 3)
        accept_if(58, 4, 5, DROP),
        load_octet(40), // the message's type
        accept_if(133, 6, 7, DROP),
        ret(0xffff),
        ret(0),
    ]
}

/// A program that passes UDP to port 547, without extension headers, that came by this link to us
/// or to a group.
fn to_dhcp6_server() -> [libc::sock_filter; 9] {
    const HOST: u32 = 0; // PACKET_HOST of linux/if_packet.h
    const MULTICAST: u32 = 2; // PACKET_MULTICAST: likewise
    let load = |size: u32, at: u32| instruction(libc::BPF_LD | size | libc::BPF_ABS, at, 0, 0);
    let jump = |k: u32, yes: u8, no: u8| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, yes, no)
    };
    let ret = |length: u32| instruction(libc::BPF_RET | libc::BPF_K, length, 0, 0);
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    [
        load(libc::BPF_B, kind),
        jump(HOST, 1, 0),
        jump(MULTICAST, 0, 5),
        load(libc::BPF_B, 6), // next header (RFC 8200, section 3)
        jump(17, 0, 3),
        load(libc::BPF_H, 42), // the destination port behind the header
        jump(547, 0, 1),
        ret(0xffff),
        ret(0),
    ]
}

/// A program that passes UDP to port 67 that came by this link to us or to everyone.
fn to_dhcp4_server() -> [libc::sock_filter; 12] {
    const HOST: u32 = 0; // PACKET_HOST of linux/if_packet.h
    const BROADCAST: u32 = 1; // PACKET_BROADCAST: likewise
    let load = |size: u32, mode: u32, at: u32| instruction(libc::BPF_LD | size | mode, at, 0, 0);
    let jump = |how: u32, k: u32, yes: u8, no: u8| {
        instruction(libc::BPF_JMP | how | libc::BPF_K, k, yes, no)
    };
    let ret = |length: u32| instruction(libc::BPF_RET | libc::BPF_K, length, 0, 0);
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    [
        load(libc::BPF_B, libc::BPF_ABS, kind),
        jump(libc::BPF_JEQ, HOST, 1, 0),
        jump(libc::BPF_JEQ, BROADCAST, 0, 7),
        load(libc::BPF_B, libc::BPF_ABS, 9), // protocol (RFC 791, section 3.1)
        jump(libc::BPF_JEQ, 17, 0, 5),
        load(libc::BPF_H, libc::BPF_ABS, 6), // flags and fragment offset
        jump(libc::BPF_JSET, 0x3fff, 3, 0),
        // The length of the IP header into X, then the destination port behind it.
        instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
        load(libc::BPF_H, libc::BPF_IND, 2),
        jump(libc::BPF_JEQ, 67, 1, 0),
        ret(0),
        ret(0xffff),
    ]
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

fn attach_filter(fd: &OwnedFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Asks the interface to take frames for a group in, which a hardware filter might drop.
fn join(fd: &OwnedFd, index: u32, group: MacBytes) -> io::Result<()> {
    const ADD_MEMBERSHIP: c_int = 1; // PACKET_ADD_MEMBERSHIP of linux/if_packet.h
    #[repr(C)]
    struct PacketMreq {
        index: u32,
        kind: u16,
        length: u16,
        address: [u8; 8],
    }
    const MULTICAST: u16 = 0; // PACKET_MR_MULTICAST: likewise
    let [a, b, c, d, e, f] = group;
    let request = PacketMreq {
        index,
        kind: MULTICAST,
        length: 6,
        address: [a, b, c, d, e, f, 0, 0],
    };
    set(fd, libc::SOL_PACKET, ADD_MEMBERSHIP, &request)
}

pub(crate) fn link_address(index: u32, protocol: u16, mac: MacBytes) -> io::Result<LinkAddr> {
    let [a, b, c, d, e, f] = mac;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    };
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the length is the address's, and the family in it is a link address's.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) };
    address.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

pub(crate) fn set<T>(fd: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` octets of a value that lives until the call returns.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            length,
        )
    })
}

fn check(returned: c_int) -> io::Result<()> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_takes_ipv6_only_and_needs_no_address() {
        let ns = Netns::current().unwrap();
        let fd = tcp_listen_v6(&ns, "2001:db8::1".parse().unwrap(), None, 0).unwrap();
        assert!(getsockopt(&fd, sockopt::Ipv6V6Only).unwrap());
        assert_eq!(peer_mark(&fd).unwrap(), 0);
        let link_local = tcp_listen_v6(&ns, "fe80::1".parse().unwrap(), None, 0);
        assert!(
            link_local.is_err(),
            "a link-local address without its interface"
        );
    }

    #[test]
    fn interfaces_are_found_by_name() {
        let ns = Netns::current().unwrap();
        let fd = tcp_listen_v6(&ns, Ipv6Addr::LOCALHOST, Some("lo"), 0).unwrap();
        assert_eq!(interface_index(&fd, "lo").unwrap(), 1);
        for missing in ["", "hxl-none", "a-name-that-is-too-long"] {
            let error = interface_index(&fd, missing).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{missing}");
        }
    }
}
