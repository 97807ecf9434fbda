//! Sockets of IPv4 and IPv6 as the kernel lists them: as text below `/proc/net` (proc_pid_net(5))
//! and, for what stands nowhere in text, by sock_diag(7).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_sys::{Socket as Netlink, SocketAddr as NetlinkAddr};

use crate::netns::Netns;

/// Tables of IPv4, then of IPv6.
const TABLES: [(&str, bool); 10] = [
    ("tcp", true),
    ("udp", true),
    ("udplite", true),
    ("raw", true),
    ("icmp", true),
    ("tcp6", false),
    ("udp6", false),
    ("udplite6", false),
    ("raw6", false),
    ("icmp6", false),
];

/// A socket as a table shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub table: &'static str,
    /// Of a raw socket the port is the protocol's number.
    pub local: SocketAddr,
    pub inet4: bool,
    /// One of its addresses stands for an IPv4 address.
    pub mapped: bool,
    /// It takes TCP connections.
    pub listens: bool,
    /// Known of those that listen on IPv6.
    pub v6only: Option<bool>,
}

/// The sockets of a namespace, by inode.
///
/// # Errors
/// Those of reading the kernel's tables.
pub fn list(ns: &Netns) -> io::Result<HashMap<u64, Socket>> {
    let (texts, v6only) = ns.run(|| Ok((texts()?, listeners()?)))?;
    let mut found = HashMap::new();
    for (table, inet4, text) in texts {
        let lines = text.lines().skip(1);
        found.extend(lines.filter_map(|line| parse(table, inet4, line)));
    }
    for (inode, only) in v6only {
        if let Some(socket) = found.get_mut(&inode) {
            socket.v6only = Some(only);
        }
    }
    Ok(found)
}

/// The inodes of the sockets that a process holds; none when it has ended, or may not be looked at.
pub fn held(pid: i32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter_map(|link| {
            let text = link.to_str()?.strip_prefix("socket:[")?;
            text.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

fn texts() -> io::Result<Vec<(&'static str, bool, String)>> {
    let mut texts = Vec::new();
    for (table, inet4) in TABLES {
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            // A kernel may have been built without a protocol.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            text => texts.push((table, inet4, text?)),
        }
    }
    Ok(texts)
}

/// `sl local remote state queues timer retransmits uid timeout inode ...`
fn parse(table: &'static str, inet4: bool, line: &str) -> Option<(u64, Socket)> {
    /// TCP_LISTEN
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = address(fields.get(1)?)?;
    let remote = address(fields.get(2)?)?;
    let socket = Socket {
        table,
        local,
        inet4,
        mapped: [local, remote].iter().any(mapped),
        listens: matches!(table, "tcp" | "tcp6") && *fields.get(3)? == LISTEN,
        v6only: None,
    };
    Some((fields.get(9)?.parse().ok()?, socket))
}

/// `ADDRESS:PORT` in hexadecimal. Each four octets of an address are a number of this machine.
fn address(field: &str) -> Option<SocketAddr> {
    let (digits, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| -> Option<[u8; 4]> {
        let number = u32::from_str_radix(digits.get(at..at + 8)?, 16).ok()?;
        Some(number.to_ne_bytes())
    };
    match digits.len() {
        8 => Some((Ipv4Addr::from(word(0)?), port).into()),
        32 => {
            let octets = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            let octets: [u8; 16] = octets.try_into().ok()?;
            Some((Ipv6Addr::from(octets), port).into())
        }
        _ => None,
    }
}

/// Whether it is of ::ffff:0:0/96.
fn mapped(address: &SocketAddr) -> bool {
    match address {
        SocketAddr::V6(six) => six.ip().to_ipv4_mapped().is_some(),
        SocketAddr::V4(_) => false,
    }
}

/// The TCP sockets that listen on IPv6, and whether each is `IPV6_V6ONLY`.
fn listeners() -> io::Result<HashMap<u64, bool>> {
    /// NETLINK_SOCK_DIAG of linux/netlink.h
    const SOCK_DIAG: isize = 4;
    let mut socket = Netlink::new(SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.send_to(&request(), &NetlinkAddr::new(0, 0), 0)?;
    let mut found = HashMap::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => return Err(io::Error::other("sock_diag refuses")),
                _ => found.extend(listener(body)),
            }
            rest = next;
        }
    }
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A dump of SOCK_DIAG_BY_FAMILY with `struct inet_diag_req_v2`.
fn request() -> Vec<u8> {
    const BY_FAMILY: u16 = 20;
    const REQUEST_DUMP: u16 = 0x301;
    const INET6: u8 = 10;
    const TCP: u8 = 6;
    const LISTEN: u32 = 1 << 10;
    const LENGTH: u32 = 16 + 56;
    let mut out = Vec::new();
    out.extend(LENGTH.to_ne_bytes());
    out.extend(BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST_DUMP.to_ne_bytes());
    out.extend([0; 8]); // sequence and port
    out.extend([INET6, TCP, 0, 0]);
    out.extend(LISTEN.to_ne_bytes());
    out.extend([0; 48]); // struct inet_diag_sockid: any
    out
}

/// The first message: its type, its body, and what follows.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

/// `struct inet_diag_msg`, and among its attributes INET_DIAG_SKV6ONLY.
fn listener(body: &[u8]) -> Option<(u64, bool)> {
    const INODE: usize = 68;
    const ATTRIBUTES: usize = 72;
    const V6ONLY: u16 = 11;
    let inode = u32::from_ne_bytes(body.get(INODE..ATTRIBUTES)?.try_into().ok()?);
    let mut rest = body.get(ATTRIBUTES..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        if u16::from_ne_bytes([rest[2], rest[3]]) == V6ONLY {
            return Some((u64::from(inode), *rest.get(4)? != 0));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn inode(socket: &impl AsRawFd) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let text = link.to_str().unwrap().to_owned();
        text["socket:[".len()..text.len() - 1].parse().unwrap()
    }

    #[test]
    fn each_kind_is_told_from_the_other() {
        let both = std::net::TcpListener::bind("[::]:0").unwrap();
        let old = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let new = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        let _caller = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mapped, _) = both.accept().unwrap();
        let found = list(&Netns::current().unwrap()).unwrap();
        let of = |inode| &found[&inode];
        assert!(of(inode(&both)).listens && of(inode(&both)).v6only == Some(false));
        assert_eq!(of(inode(&both)).local, both.local_addr().unwrap());
        assert!(of(inode(&mapped)).mapped);
        assert!(of(inode(&old)).inet4);
        assert_eq!(of(inode(&old)).local, old.local_addr().unwrap());
        let six = of(inode(&new));
        assert!(!six.inet4 && !six.mapped && !six.listens);
        let ours = held(std::process::id() as i32);
        assert!(ours.contains(&inode(&both)) && ours.contains(&inode(&old)));
    }

    #[test]
    fn addresses_are_read_in_the_machines_order() {
        let of = |ip: [u8; 4]| format!("{:08X}:0035", u32::from_ne_bytes(ip));
        let shown = address(&of([192, 0, 2, 1])).map(|a| a.to_string());
        assert_eq!(shown.as_deref(), Some("192.0.2.1:53"));
        for bad in ["", ":", "0:0", "0G000000:0035", "00000000:", "00000000"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
