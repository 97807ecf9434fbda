//! The DHCPv6 server of a network (RFC 9915, which replaces RFC 8415), as a state machine that owns
//! no socket.
//!
//! ```text
//!   SOLICIT --------------------> ADVERTISE, preference 255; with Rapid Commit REPLY
//!   REQUEST, RENEW, REBIND -----> REPLY: what is the port's; 0 s for what is not
//!   CONFIRM --------------------> REPLY: whether all of it is the port's
//!   RELEASE, DECLINE -----------> REPLY; counted: an address is a port's for as long as the port is
//!   INFORMATION-REQUEST --------> REPLY without a lease
//!   ADDR-REG-INFORM (RFC 9686) -> ADDR-REG-REPLY; remembered while it is valid
//!   a MAC that is no port's, a relay's, a malformed message: silence
//! ```
//! A binding is keyed by the port, which is the frame's sender: a guest that is installed anew, and
//! has another DUID, keeps its addresses, and two that share a DUID do not share them. So nothing is
//! stored and two nodes never disagree. The server's DUID is the network's id (DUID-UUID, section
//! 11.5), its address the service address of every network.

mod answer;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use model::{Mac, NetworkId};
use tokio::sync::Notify;
use wire::dhcp6::{CLIENT_PORT, Dhcp6, Dhcp6Option, Kind, Lease, SERVER_PORT, SERVERS};
use wire::udp6::Udp6;
use wire::{MacBytes, Malformed};

use crate::links::{Frame, Speaker};
use crate::unix_ms;
use answer::Said;

/// Where every network's services answer.
const SERVICE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe);
/// What is remembered of one port: more than a host makes of its prefixes.
const REMEMBERED_MAX: usize = 32;

/// What the ports of a network are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The prefixes of the link: hosts may tell us addresses of theirs in them.
    pub on_link: Vec<Ipv6Net>,
    pub ports: BTreeMap<Mac, Binding>,
}

/// What one port is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    pub addresses: Vec<Lease<Ipv6Addr>>,
    /// For what is behind the guest (IA_PD).
    pub prefixes: Vec<Lease<Ipv6Net>>,
    pub dns: Vec<Ipv6Addr>,
    pub domains: Vec<String>,
    pub ntp: Vec<Ipv6Addr>,
    /// What to boot from the network (RFC 5970).
    pub bootfile_url: Option<String>,
    /// Further options by their codes. They come after, and instead of, those above.
    pub extra: Vec<(u16, Vec<u8>)>,
}

/// What was heard and said in a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dhcp6Counts {
    pub advertises: u64,
    pub replies: u64,
    pub releases: u64,
    /// Clients that found their address in use by somebody else.
    pub declines: u64,
    /// Addresses that hosts told us (RFC 9686).
    pub registrations: u64,
    /// Packets that were dropped: malformed, against the rules, or no port's.
    pub refused: u64,
}

/// What a port's guest has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dhcp6Heard {
    /// When it last said anything sound, in milliseconds since 1970.
    pub last_ms: i64,
    /// Where it said that from.
    pub link_local: Option<Ipv6Addr>,
    /// Addresses that it found in use by somebody else.
    pub declined: Vec<Ipv6Addr>,
    /// Addresses that it made, and told us.
    pub registered: Vec<Ipv6Addr>,
}

/// Answers the clients of one network.
#[derive(Debug)]
pub(crate) struct Server {
    duid: Vec<u8>,
    bindings: Arc<Bindings>,
    counts: Dhcp6Counts,
    heard: BTreeMap<Mac, Heard>,
    /// Told when a guest with prefixes first says where it is.
    placed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Heard {
    port: Dhcp6Heard,
    /// When each registered address ends, in their order.
    registered_until: Vec<Instant>,
}

impl Server {
    pub(crate) fn new(network: NetworkId, bindings: Arc<Bindings>, placed: Arc<Notify>) -> Server {
        let (counts, heard) = Default::default();
        Server {
            duid: [&[0, 4][..], network.0.as_bytes()].concat(),
            bindings,
            counts,
            heard,
            placed,
        }
    }

    /// From now on it is these; what was heard of ports that stay is kept.
    pub(crate) fn change(&mut self, bindings: Arc<Bindings>) {
        self.heard.retain(|mac, _| bindings.ports.contains_key(mac));
        self.bindings = bindings;
    }

    pub(crate) fn counts(&self) -> Dhcp6Counts {
        self.counts
    }

    /// What a port's guest has told; `None` when it has told nothing.
    pub(crate) fn heard(&self, mac: Mac) -> Option<Dhcp6Heard> {
        let heard = self.heard.get(&mac)?;
        let now = Instant::now();
        let mut port = heard.port.clone();
        let mut until = heard.registered_until.iter();
        port.registered
            .retain(|_| until.next().is_some_and(|end| *end > now));
        Some(port)
    }

    fn answer(&mut self, now: Instant, from: MacBytes, packet: &[u8]) -> Result<Frame, Malformed> {
        let mac = Mac(from);
        let bindings = self.bindings.clone();
        let binding = bindings.ports.get(&mac).ok_or(Malformed("port"))?;
        let udp = Udp6::parse(packet)?;
        let asked = Dhcp6::parse(udp.payload)?;
        // Servers are not spoken to alone (RFC 9915 has no server unicast any more).
        if *udp.destination.ip() != SERVERS {
            return Err(Malformed("dhcpv6 destination"));
        }
        let source = *udp.source.ip();
        let said = match asked.kind {
            Kind::AddressInform => answer::registered(&bindings.on_link, source, &asked)?,
            _ if source.is_unicast_link_local() => answer::answer(binding, &self.duid, &asked)?,
            _ => return Err(Malformed("dhcpv6 source")),
        };
        self.remember(now, mac, source, &asked, &said);
        Ok(frame(from, source, &said.message))
    }

    /// Counts what was said, and keeps what an operator would know of the port.
    fn remember(&mut self, now: Instant, mac: Mac, from: Ipv6Addr, asked: &Dhcp6, said: &Said) {
        let heard = self.heard.entry(mac).or_default();
        heard.port.last_ms = unix_ms();
        if from.is_unicast_link_local() && heard.port.link_local.replace(from).is_none() {
            let binding = self.bindings.ports.get(&mac);
            if binding.is_some_and(|binding| !binding.prefixes.is_empty()) {
                self.placed.notify_one();
            }
        }
        match asked.kind {
            Kind::Decline => {
                self.counts.declines += 1;
                // A guest that says it over and over must not fill the log.
                if self.counts.declines.is_power_of_two() {
                    let times = self.counts.declines;
                    tracing::warn!(%mac, addresses = ?said.named, times, "a guest says that its address is in use");
                }
                for address in &said.named {
                    if !heard.port.declined.contains(address) {
                        heard.port.declined.push(*address);
                    }
                }
                heard.port.declined.truncate(REMEMBERED_MAX);
            }
            Kind::Release => self.counts.releases += 1,
            Kind::AddressInform => {
                self.counts.registrations += 1;
                for option in &asked.options {
                    if let Dhcp6Option::Address(lease) = option {
                        heard.register(now, lease);
                    }
                }
            }
            _ => {}
        }
        match said.message.kind {
            Kind::Advertise => self.counts.advertises += 1,
            _ => self.counts.replies += 1,
        }
    }
}

impl Heard {
    /// A valid lifetime of 0 takes it back. The oldest make room for new ones.
    fn register(&mut self, now: Instant, lease: &Lease<Ipv6Addr>) {
        let mut kept = std::mem::take(&mut self.port.registered)
            .into_iter()
            .zip(std::mem::take(&mut self.registered_until))
            .filter(|(address, until)| *address != lease.value && *until > now)
            .collect::<Vec<_>>();
        if lease.valid_s > 0 {
            let until = now + Duration::from_secs(lease.valid_s.into());
            kept.push((lease.value, until));
        }
        let surplus = kept.len().saturating_sub(REMEMBERED_MAX);
        (self.port.registered, self.registered_until) = kept.into_iter().skip(surplus).unzip();
    }
}

impl Speaker for Server {
    fn on_packet(&mut self, now: Instant, from: MacBytes, packet: &[u8]) -> Vec<Frame> {
        match self.answer(now, from, packet) {
            Ok(frame) => vec![frame],
            Err(Malformed(part)) => {
                self.counts.refused += 1;
                tracing::trace!(part, "dropped a DHCPv6 message");
                Vec::new()
            }
        }
    }
}

fn frame(to: MacBytes, destination: Ipv6Addr, message: &Dhcp6) -> Frame {
    let (mut payload, mut packet) = (Vec::new(), Vec::new());
    message.emit(&mut payload);
    let udp = Udp6 {
        source: SocketAddrV6::new(SERVICE, SERVER_PORT, 0, 0),
        destination: SocketAddrV6::new(destination, CLIENT_PORT, 0, 0),
        payload: &payload,
    };
    udp.emit(&mut packet);
    Frame { to, packet }
}

#[cfg(test)]
mod tests;
