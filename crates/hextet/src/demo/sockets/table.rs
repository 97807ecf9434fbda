//! The kernel's tables of IPv4 and IPv6 sockets, as text below `/proc/net` (proc_pid_net(5)) and,
//! for what stands nowhere in text, by sock_diag(7).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::Ipv6Addr;

use linux::netns::Netns;
use netlink_sys::{Socket as Netlink, SocketAddr};

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
pub(super) struct Socket {
    pub(super) table: &'static str,
    /// Address and port in the kernel's hexadecimal.
    pub(super) local: String,
    pub(super) place: Place,
    pub(super) inet4: bool,
    /// One of its addresses stands for an IPv4 address.
    pub(super) mapped: bool,
    /// It takes TCP connections.
    pub(super) listens: bool,
    /// Known of those that listen.
    pub(super) v6only: Option<bool>,
}

/// Whose namespace a socket is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    /// A guests' network's.
    Network,
}

impl Socket {
    /// Whether it serves guests by IPv4: metadata at 169.254.169.254:80, or names at port 53 of an
    /// address of the network's own.
    pub(super) fn is_service(&self) -> bool {
        let address = u32::from_ne_bytes([169, 254, 169, 254]);
        let metadata = self.table == "tcp" && self.local == format!("{address:08X}:0050");
        let names = matches!(self.table, "tcp" | "udp")
            && self.local.ends_with(":0035")
            && self.local != "00000000:0035";
        self.place == Place::Network && (metadata || names)
    }
}

/// Sockets by inode.
#[derive(Debug, Default)]
pub(super) struct Tables(HashMap<u64, Socket>);

impl Tables {
    pub(super) fn get(&self, inode: u64) -> Option<&Socket> {
        self.0.get(&inode)
    }

    /// Adds the sockets of a namespace.
    pub(super) fn read(&mut self, ns: &Netns, place: Place) -> io::Result<()> {
        let (texts, v6only) = ns.run(|| Ok((texts()?, listeners()?)))?;
        for (table, inet4, text) in texts {
            let lines = text.lines().skip(1);
            self.0
                .extend(lines.filter_map(|line| parse(table, inet4, place, line)));
        }
        for (inode, only) in v6only {
            if let Some(socket) = self.0.get_mut(&inode) {
                socket.v6only = Some(only);
            }
        }
        Ok(())
    }
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
fn parse(table: &'static str, inet4: bool, place: Place, line: &str) -> Option<(u64, Socket)> {
    /// TCP_LISTEN
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, remote) = (*fields.get(1)?, *fields.get(2)?);
    let socket = Socket {
        table,
        local: local.to_owned(),
        place,
        inet4,
        mapped: !inet4 && [local, remote].into_iter().any(mapped),
        listens: table == "tcp6" && *fields.get(3)? == LISTEN,
        v6only: None,
    };
    Some((fields.get(9)?.parse().ok()?, socket))
}

/// Whether `ADDRESS:PORT` is of ::ffff:0:0/96. Each four octets are a number of this machine.
fn mapped(field: &str) -> bool {
    let Some(digits) = field.split(':').next().filter(|d| d.len() == 32) else {
        return false;
    };
    let mut octets = [0; 16];
    for (index, word) in octets.chunks_exact_mut(4).enumerate() {
        let number = u32::from_str_radix(&digits[index * 8..index * 8 + 8], 16);
        word.copy_from_slice(&number.unwrap_or_default().to_ne_bytes());
    }
    Ipv6Addr::from(octets).to_ipv4_mapped().is_some()
}

/// The TCP sockets that listen on IPv6, and whether each is `IPV6_V6ONLY`.
fn listeners() -> io::Result<HashMap<u64, bool>> {
    /// NETLINK_SOCK_DIAG of linux/netlink.h
    const SOCK_DIAG: isize = 4;
    let mut socket = Netlink::new(SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.send_to(&request(), &SocketAddr::new(0, 0), 0)?;
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
        let mut tables = Tables::default();
        tables
            .read(&Netns::current().unwrap(), Place::Host)
            .unwrap();
        let of = |inode| tables.get(inode).unwrap();
        assert!(of(inode(&both)).listens && of(inode(&both)).v6only == Some(false));
        assert!(of(inode(&mapped)).mapped);
        assert!(of(inode(&old)).inet4);
        let new = of(inode(&new));
        assert!(!new.inet4 && !new.mapped && !new.listens);
    }

    #[test]
    fn a_mapped_address_is_recognised() {
        assert!(mapped("0000000000000000FFFF00000100007F:0050"));
        assert!(!mapped("00000000000000000000000001000000:0050"));
        assert!(!mapped("0100007F:0050"));
    }
}
