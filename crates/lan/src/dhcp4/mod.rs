//! The DHCPv4 server of a network (RFC 2131), as a function of the packet and the leases: it owns
//! no socket, and remembers no client.
//!
//! ```text
//!   DISCOVER ------------------------------> OFFER; of 0.0.0.0 to who would do without IPv4 (RFC 8925)
//!   REQUEST  selecting us, init-reboot,  --> ACK   its port's address
//!            renewing, rebinding         --> NAK   any other address
//!   INFORM   ------------------------------> ACK   without a lease
//!   RELEASE, DECLINE ----------------------> counted: an address is a port's for as long as the port is
//!   a MAC that is no port's, a relay's ----> silence
//! ```
//! The lease of a MAC is the address of its port, so nothing is stored, nothing expires and two
//! nodes never disagree. The server's own address is the service address of every network, so
//! that none of the subnet's is used up.
//!
//! A deviation: what is broadcast goes to 255.255.255.255 in a frame to its client alone, so that
//! no other guest is woken or learns of it (the same as RFC 6085 allows IPv6).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use ipnet::Ipv4Net;
use model::Mac;
use wire::MacBytes;
use wire::dhcp4::{CLIENT_PORT, Dhcp4, DhcpOption, Kind, Op, SERVER_PORT};
use wire::dns::Name;
use wire::udp4::Udp4;

use crate::links::{Frame, Speaker};
use crate::recent::Recent;
use crate::unix_ms;

/// Where every network's services answer on IPv4.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const LEASE_S: u32 = 86_400;
/// The option of the domain search list (RFC 3397).
const SEARCH: u8 = 119;
/// IPv6-Only Preferred (RFC 8925).
const V6_ONLY: u8 = 108;
/// How long a lease is, and when its client asks again: part of no answer but one with a lease.
const TIMES: [u8; 3] = [51, 58, 59];

/// Leases by their port's MAC.
pub type Leases = BTreeMap<Mac, Lease>;

/// What a port is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub prefix: Ipv4Net,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    /// Routes beside that to the gateway.
    pub routes: Vec<(Ipv4Net, Ipv4Addr)>,
    /// Octets of an IP packet that fit a frame.
    pub mtu: u16,
    pub hostname: Option<String>,
    /// What names of the network end in.
    pub domain: String,
    /// Further options by their codes: instead of those above, or for a client that asks for them.
    pub extra: Vec<(u8, Vec<u8>)>,
}

/// What was heard and said in a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhcpCounts {
    pub offers: u64,
    pub acks: u64,
    pub naks: u64,
    pub releases: u64,
    /// Clients that found their address in use by somebody else.
    pub declines: u64,
    /// Packets that were dropped: malformed, a relay's, or no port's.
    pub refused: u64,
}

/// Answers the clients of one network.
#[derive(Debug)]
pub(crate) struct Server {
    leases: Arc<Leases>,
    pub(crate) counts: DhcpCounts,
    /// When guests that have a lease last spoke.
    pub(crate) heard: Recent,
}

impl Server {
    pub(crate) fn new(leases: Arc<Leases>) -> Server {
        let (counts, heard) = Default::default();
        Server {
            leases,
            counts,
            heard,
        }
    }

    /// From now on it is these.
    pub(crate) fn change(&mut self, leases: Arc<Leases>) {
        self.heard.retain(|mac| leases.contains_key(mac));
        self.leases = leases;
    }
}

impl Speaker for Server {
    fn on_packet(&mut self, _: Instant, from: MacBytes, packet: &[u8]) -> Vec<Frame> {
        let refused = self.counts.refused;
        let answer = answer(&self.leases, from, packet, &mut self.counts);
        if self.counts.refused == refused {
            self.heard.note(Mac(from), unix_ms());
        }
        answer.into_iter().collect()
    }
}

/// Answers one packet that came in a frame from `from`.
fn answer(
    leases: &Leases,
    from: MacBytes,
    packet: &[u8],
    counts: &mut DhcpCounts,
) -> Option<Frame> {
    let heard = Udp4::parse(packet).and_then(|udp| Dhcp4::parse(udp.payload));
    let asked = heard
        .ok()
        .filter(|m| m.op == Op::Request && m.relay.is_unspecified() && m.mac == from);
    let known = asked.and_then(|m| Some((leases.get(&Mac(from))?, m.kind()?, m)));
    let Some((lease, kind, asked)) = known else {
        counts.refused += 1;
        return None;
    };
    let said = match kind {
        Kind::Discover => Kind::Offer,
        Kind::Request => verdict(lease, &asked)?,
        Kind::Inform => Kind::Ack,
        Kind::Decline => {
            counts.declines += 1;
            // A guest that says it over and over must not fill the log.
            if counts.declines.is_power_of_two() {
                let (mac, address, times) = (Mac(from), lease.address, counts.declines);
                tracing::warn!(%mac, %address, times, "a guest says that its address is in use");
            }
            return None;
        }
        Kind::Release => {
            counts.releases += 1;
            return None;
        }
        Kind::Offer | Kind::Ack | Kind::Nak => {
            counts.refused += 1;
            return None;
        }
    };
    match said {
        Kind::Offer => counts.offers += 1,
        Kind::Nak => counts.naks += 1,
        _ => counts.acks += 1,
    }
    Some(frame(&reply(lease, &asked, kind, said)))
}

/// What a REQUEST gets: in each state of its client (RFC 2131, section 4.3.2) it names the address
/// that it would have. `None` when it is another server's, or names none.
fn verdict(lease: &Lease, asked: &Dhcp4) -> Option<Kind> {
    let wish = asked.options.iter().find_map(|option| match option {
        DhcpOption::RequestedAddress(address) => Some(*address),
        _ => None,
    });
    let server = asked.options.iter().find_map(|option| match option {
        DhcpOption::ServerId(address) => Some(*address),
        _ => None,
    });
    if server.is_some_and(|server| server != SERVICE) {
        return None;
    }
    let has = Some(asked.client).filter(|address| !address.is_unspecified());
    match wish.or(has)? == lease.address {
        true => Some(Kind::Ack),
        false => Some(Kind::Nak),
    }
}

fn reply(lease: &Lease, asked: &Dhcp4, kind: Kind, said: Kind) -> Dhcp4 {
    let none = Ipv4Addr::UNSPECIFIED;
    // Section 3.3 of RFC 8925. Who asks for an address all the same gets it.
    let without = kind == Kind::Discover && asks(asked, V6_ONLY) && lease.has(V6_ONLY);
    let leased = said != Kind::Nak && kind != Kind::Inform && !without;
    let mut options = vec![DhcpOption::Kind(said), DhcpOption::ServerId(SERVICE)];
    if leased {
        options.push(DhcpOption::LeaseTime(LEASE_S));
        // As RFC 2131, section 4.4.5, has them when nobody says.
        options.push(DhcpOption::RenewalTime(LEASE_S / 2));
        options.push(DhcpOption::RebindingTime(LEASE_S / 8 * 7));
    }
    if said != Kind::Nak {
        options.extend(settings(lease));
        options.extend(search(lease, asked));
        extra(lease, asked, &mut options);
    }
    // RFC 6842: so that clients that share a MAC know their own.
    let id = asked
        .options
        .iter()
        .find(|o| matches!(o, DhcpOption::ClientId(_)));
    options.extend(id.cloned());
    Dhcp4 {
        op: Op::Reply,
        transaction: asked.transaction,
        seconds: 0,
        broadcast: asked.broadcast,
        client: if said == Kind::Nak {
            none
        } else {
            asked.client
        },
        yours: if leased { lease.address } else { none },
        next_server: none,
        relay: none,
        mac: asked.mac,
        options,
    }
}

/// Whether a client names an option as one that it would have.
fn asks(asked: &Dhcp4, code: u8) -> bool {
    asked.options.iter().any(|option| match option {
        DhcpOption::ParameterList(codes) => codes.contains(&code),
        _ => false,
    })
}

/// What a port is told instead of what is said to others, where that is said, and beside it.
fn extra(lease: &Lease, asked: &Dhcp4, options: &mut Vec<DhcpOption>) {
    for (code, value) in &lease.extra {
        let option = DhcpOption::Other {
            code: *code,
            value: value.clone(),
        };
        match options.iter().position(|o| o.code() == *code) {
            Some(at) => options[at] = option,
            None if !TIMES.contains(code) && asks(asked, *code) => options.push(option),
            None => {}
        }
    }
    // A client that is told nothing else derives the others from this one.
    if lease.has(TIMES[0]) {
        options.retain(|o| !TIMES[1..].contains(&o.code()));
    }
}

impl Lease {
    fn has(&self, code: u8) -> bool {
        self.extra.iter().any(|(c, _)| *c == code)
    }
}

fn settings(lease: &Lease) -> Vec<DhcpOption> {
    let mut options = vec![
        DhcpOption::SubnetMask(lease.prefix.netmask()),
        DhcpOption::Mtu(lease.mtu),
    ];
    if lease.prefix.prefix_len() <= 30 {
        options.push(DhcpOption::Broadcast(lease.prefix.broadcast()));
    }
    options.extend(
        lease
            .gateway
            .map(|gateway| DhcpOption::Routers(vec![gateway])),
    );
    if !lease.dns.is_empty() {
        options.push(DhcpOption::DnsServers(lease.dns.clone()));
    }
    let name = lease.hostname.as_ref();
    options.extend(name.map(|name| DhcpOption::HostName(name.clone().into_bytes())));
    let domain = lease.domain.trim_end_matches('.');
    options.push(DhcpOption::DomainName(domain.into()));
    // Who reads this option looks at no other for routes (RFC 3442): so it says the default too.
    let on_link = [(Ipv4Net::from(SERVICE), Ipv4Addr::UNSPECIFIED)];
    let default = lease.gateway.map(|gateway| (Ipv4Net::default(), gateway));
    let routes = on_link.into_iter().chain(lease.routes.iter().copied());
    options.push(DhcpOption::Routes(routes.chain(default).collect()));
    options
}

/// Where to look for short names, for clients that ask: others take the domain for it.
fn search(lease: &Lease, asked: &Dhcp4) -> Option<DhcpOption> {
    let domain: Name = lease.domain.parse().ok()?;
    asks(asked, SEARCH).then(|| DhcpOption::Other {
        code: SEARCH,
        value: domain.as_bytes().into(),
    })
}

/// Around the message (RFC 2131, section 4.1): to an address only when the client has it, or can
/// take a packet for one that it does not have yet.
fn frame(message: &Dhcp4) -> Frame {
    let to = match (message.client, message.yours) {
        (client, _) if !client.is_unspecified() => client,
        (_, yours) if !yours.is_unspecified() && !message.broadcast => yours,
        _ => Ipv4Addr::BROADCAST,
    };
    let (mut payload, mut packet) = (Vec::new(), Vec::new());
    message.emit(&mut payload);
    let udp = Udp4 {
        source: SocketAddrV4::new(SERVICE, SERVER_PORT),
        destination: SocketAddrV4::new(to, CLIENT_PORT),
        payload: &payload,
    };
    udp.emit(&mut packet);
    Frame {
        to: message.mac,
        packet,
    }
}

#[cfg(test)]
mod tests;
