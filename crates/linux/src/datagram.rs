//! UDP sockets: those that serve guests, which tell who sent each packet by its mark, and those that
//! ask others.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn6, SockaddrLike, SockaddrStorage,
    bind, connect, setsockopt, socket, sockopt,
};

use crate::netns::Netns;
use crate::socket::set;

/// `SO_RCVMARK` of asm-generic/socket.h, since Linux 5.19.
const SO_RCVMARK: libc::c_int = 75;

/// Room for one control message of four octets, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// A UDP socket inside a namespace, on IPv6 only, for what comes in by one interface. It does not
/// block. The address need not exist yet.
pub fn udp_v6(ns: &Netns, interface: &str, address: Ipv6Addr, port: u16) -> io::Result<OwnedFd> {
    ns.run(|| {
        let fd = open()?;
        // A successor may have to come before the runtime has closed its predecessor.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, &1)?;
        setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
        tell_marks(&fd)?;
        let address = SocketAddrV6::new(address, port, 0, 0);
        bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
        Ok(fd)
    })
}

/// A UDP socket in the calling thread's namespace from a port that the kernel draws, which hears
/// `peer` alone. It does not block.
pub fn udp_to(peer: SocketAddrV6) -> io::Result<OwnedFd> {
    let fd = open()?;
    connect(fd.as_raw_fd(), &SockaddrIn6::from(peer))?;
    Ok(fd)
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let (kind, protocol) = (SockType::Datagram, SockProtocol::Udp);
    let fd = socket(AddressFamily::Inet6, kind, flags, protocol)?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    Ok(fd)
}

/// Has [`receive_marked`] told the marks of packets.
pub(crate) fn tell_marks(fd: &OwnedFd) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, SO_RCVMARK, &1)
}

/// Reads one packet: its length, who sent it, and its mark (0 when it has none). What exceeds the
/// buffer is cut off.
///
/// # Errors
/// `WouldBlock` when there is none.
pub fn receive_marked(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, u32)> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero is a valid address, and a valid header.
    let (mut from, mut header): (libc::sockaddr_storage, libc::msghdr) = unsafe { zeroed() };
    header.msg_name = (&raw mut from).cast();
    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: all that the header points to lives until the call returns, with these lengths.
    let length =
        unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let name_length = Some(header.msg_namelen);
    // SAFETY: the kernel wrote an address of this length.
    let from = unsafe { SockaddrStorage::from_raw((&raw const from).cast(), name_length) };
    let from = from.and_then(|from| {
        let v6 = from.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into()));
        v6.or(from.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into())))
    });
    let from = from.ok_or(io::ErrorKind::InvalidData)?;
    Ok((length, from, mark(&header)))
}

/// The mark among the control messages that the kernel wrote.
fn mark(header: &libc::msghdr) -> u32 {
    // SAFETY: the header is as the kernel left it, and its control buffer is still there.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = message.as_ref() {
            if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SO_MARK) {
                return libc::CMSG_DATA(message).cast::<u32>().read_unaligned();
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn packets_come_with_their_sender_and_mark() {
        let ns = Netns::current().unwrap();
        // `lo` needs the right to bind to a device, which these tests have.
        let fd = udp_v6(&ns, "lo", Ipv6Addr::LOCALHOST, 0).unwrap();
        let socket = UdpSocket::from(fd.try_clone().unwrap());
        let SocketAddr::V6(address) = socket.local_addr().unwrap() else {
            panic!("an address of IPv4");
        };
        let asking = UdpSocket::from(udp_to(address).unwrap());
        let mut buffer = [0; 4];
        let nothing = receive_marked(&fd, &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        for (mark, text) in [(0_u32, "one"), (7, "much too long")] {
            setsockopt(&asking, sockopt::Mark, &mark).unwrap();
            asking.send(text.as_bytes()).unwrap();
            let (length, from, marked) = receive_marked(&fd, &mut buffer).unwrap();
            assert_eq!((from, marked), (asking.local_addr().unwrap(), mark));
            assert_eq!(&buffer[..length], &text.as_bytes()[..text.len().min(4)]);
        }
    }
}
