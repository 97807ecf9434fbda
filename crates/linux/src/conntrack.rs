//! The kernel's table of connections: which there are, and ending them.
//!
//! A rule that goes says nothing of what it let in before: connection tracking knows those flows,
//! and lets them pass, until they are taken out of the table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use crate::netns::Netns;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// By number; 6 is TCP.
    pub protocol: u8,
    /// 0, as the next one, where the protocol has none.
    pub source_port: u16,
    pub destination_port: u16,
}

/// A connection. With address translation the two directions name different addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub original: Tuple,
    pub reply: Tuple,
    /// The attributes by which the kernel finds it again.
    name: Vec<u8>,
}

impl Flow {
    /// Whether one of its ends, translated or not, has this address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.ends().contains(&address)
    }

    /// The addresses of its ends, as they are and as they were translated.
    pub fn ends(&self) -> [IpAddr; 4] {
        let [original, reply] = [self.original, self.reply];
        [
            original.source,
            original.destination,
            reply.source,
            reply.destination,
        ]
    }
}

/// Ends every connection of a namespace for which `ends` holds, and says how many those were. The
/// next packet of one is judged like the first of a new one.
///
/// # Errors
/// The kernel's.
pub fn end(ns: &Netns, ends: impl Fn(&Flow) -> bool + Send + Sync) -> io::Result<usize> {
    ns.run(|| {
        let mut ended = 0;
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            for flow in list(family)?.iter().filter(|flow| ends(flow)) {
                remove(family, flow)?;
                ended += 1;
            }
        }
        Ok(ended)
    })
}

/// Every connection of a namespace, of both families.
///
/// # Errors
/// The kernel's.
pub fn flows(ns: &Netns) -> io::Result<Vec<Flow>> {
    ns.run(|| {
        let mut all = list(libc::AF_INET as u8)?;
        all.extend(list(libc::AF_INET6 as u8)?);
        Ok(all)
    })
}

const GET: u8 = 1; // IPCTNL_MSG_CT_GET of linux/netfilter/nfnetlink_conntrack.h, as those below
const DELETE: u8 = 2; // IPCTNL_MSG_CT_DELETE
const TUPLE_ORIG: u16 = 1; // CTA_TUPLE_ORIG
const TUPLE_REPLY: u16 = 2; // CTA_TUPLE_REPLY
const ID: u16 = 12; // CTA_ID
const ZONE: u16 = 18; // CTA_ZONE
/// Of `struct nlmsghdr` and `struct nfgenmsg`.
const HEADER: usize = 16;
const GENERAL: usize = 4;

fn list(family: u8) -> io::Result<Vec<Flow>> {
    let mut found = Vec::new();
    exchange(
        &request(GET, libc::NLM_F_DUMP as u16, family, &[]),
        |body| {
            found.extend(parse(body));
        },
    )?;
    Ok(found)
}

fn remove(family: u8, flow: &Flow) -> io::Result<()> {
    let ask = request(DELETE, libc::NLM_F_ACK as u16, family, &flow.name);
    match exchange(&ask, |_| {}) {
        // It ended by itself.
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

fn request(kind: u8, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER + GENERAL + attributes.len()) as u32;
    let kind = ((libc::NFNL_SUBSYS_CTNETLINK as u16) << 8) | u16::from(kind);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    bytes.extend([0; 8]); // sequence number, port
    bytes.extend([family, 0, 0, 0]); // struct nfgenmsg
    bytes.extend(attributes);
    bytes
}

/// Sends a request and shows every message of the answer, from behind its headers.
fn exchange(request: &[u8], mut heard: impl FnMut(&[u8])) -> io::Result<()> {
    const ERROR: u16 = libc::NLMSG_ERROR as u16;
    const DONE: u16 = libc::NLMSG_DONE as u16;
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return outcome(body),
                _ => heard(body.get(GENERAL..).unwrap_or_default()),
            }
            rest = next;
        }
    }
}

/// The first message: its type, what follows its header, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

/// `struct nlmsgerr`: 0, or an error number below it.
fn outcome(body: &[u8]) -> io::Result<()> {
    let code = body.get(..4).and_then(|b| b.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn parse(body: &[u8]) -> Option<Flow> {
    let (mut original, mut reply, mut name) = (None, None, Vec::new());
    for (kind, value, whole) in attributes(body) {
        match kind {
            TUPLE_ORIG => original = Some(tuple(value)?),
            TUPLE_REPLY => reply = Some(tuple(value)?),
            _ => {}
        }
        if matches!(kind, TUPLE_ORIG | ID | ZONE) {
            name.extend(whole);
            name.resize(name.len().next_multiple_of(4), 0);
        }
    }
    Some(Flow {
        original: original?,
        reply: reply?,
        name,
    })
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    const IP: u16 = 1; // CTA_TUPLE_IP
    const PROTO: u16 = 2; // CTA_TUPLE_PROTO
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut source_port, mut destination_port) = (0, 0);
    for (kind, value, _) in attributes(bytes) {
        match kind {
            // CTA_IP_V4_SRC, _V4_DST, _V6_SRC, _V6_DST
            IP => attributes(value).for_each(|(kind, value, _)| match kind {
                1 | 3 => source = address(value),
                2 | 4 => destination = address(value),
                _ => {}
            }),
            // CTA_PROTO_NUM, _SRC_PORT, _DST_PORT
            PROTO => attributes(value).for_each(|(kind, value, _)| match kind {
                1 => protocol = value.first().copied(),
                2 => source_port = port(value),
                3 => destination_port = port(value),
                _ => {}
            }),
            _ => {}
        }
    }
    Some(Tuple {
        source: source?,
        destination: destination?,
        protocol: protocol?,
        source_port,
        destination_port,
    })
}

fn port(bytes: &[u8]) -> u16 {
    bytes.try_into().map_or(0, u16::from_be_bytes)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = |b: [u8; 4]| IpAddr::V4(Ipv4Addr::from(b));
    let v6 = |b: [u8; 16]| IpAddr::V6(Ipv6Addr::from(b));
    let ipv4 = bytes.try_into().ok().map(v4);
    ipv4.or_else(|| bytes.try_into().ok().map(v6))
}

/// Attributes: type without its flags, value, and the whole with its header.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8], &[u8])> {
    const FLAGS: u16 = 0xc000; // NLA_F_NESTED, NLA_F_NET_BYTEORDER
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & !FLAGS;
        let (whole, value) = (rest.get(..length)?, rest.get(4..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value, whole))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn tuple(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let ip = [attribute(1, &source), attribute(2, &destination)].concat();
        let proto = [
            attribute(1, &[6]),
            attribute(2, &[0, 22]),
            attribute(3, &[1, 0]),
        ]
        .concat();
        [attribute(0x8001, &ip), attribute(0x8002, &proto)].concat()
    }

    #[test]
    fn both_directions_are_read() {
        let (guest, outer, far) = ([10, 0, 0, 5], [192, 0, 2, 2], [198, 51, 100, 1]);
        let original = attribute(0x8001, &tuple(guest, far));
        let id = attribute(12, &[0, 0, 0, 9]);
        let body = [
            original.clone(),
            attribute(0x8002, &tuple(far, outer)),
            attribute(7, &[0, 0, 0, 60]),
            id.clone(),
        ]
        .concat();
        let flow = parse(&body).unwrap();
        assert_eq!(flow.original.protocol, 6);
        let ports = (flow.original.source_port, flow.original.destination_port);
        assert_eq!(ports, (22, 256));
        assert!(flow.has(IpAddr::from(guest)) && flow.has(IpAddr::from(outer)));
        assert!(!flow.has(IpAddr::from([10, 0, 0, 6])));
        assert_eq!(flow.name, [original, id].concat());
        for length in 0..body.len() {
            let _ = parse(&body[..length]);
        }
    }
}
