//! A resolver for each network, on addresses of the network.
//!
//! ```text
//!   guest --UDP, TCP--> listen: a socket on the network's bridge; the mark says which port asks
//!                         |
//!                       resolver: limits, zone (pure)
//!                         |-- a name or an address of this network --> answered
//!                         '-- any other --> forward: the operator's resolvers, over IPv6 only,
//!                                           from the node's own namespace
//! ```
//! There is no cache: an upstream has one, and what is not kept cannot be poisoned. Nor does it
//! recurse by itself. Only ports of the network are answered, whoever else reaches the address.

mod forward;
mod limits;
mod listen;
mod resolver;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::inet4::Inet4;
use linux::netns::Netns;
use model::NetworkId;
use tokio::runtime::Handle;

use crate::{NsIdentity, stopped};
use forward::Forwarder;
pub use forward::Upstreams;
use listen::{Listening, Place};
use resolver::Resolver;
pub use zone::{Decision, Zone};

const PORT: u16 = 53;

/// What was asked of a network's resolver, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsCounts {
    /// Messages that came, whatever they were.
    pub queries: u64,
    /// Answered from the network's own names.
    pub answered: u64,
    /// Answered with what an upstream said.
    pub forwarded: u64,
    /// Nothing came from any upstream.
    pub failed: u64,
    /// Malformed, not for us, or one too many.
    pub refused: u64,
}

/// Owns the listeners.
#[derive(Debug)]
pub(crate) struct Dns {
    runtime: Handle,
    inet4: Inet4,
    forwarder: Arc<Forwarder>,
    /// `None` once stopped.
    networks: Mutex<Option<BTreeMap<NetworkId, Serving>>>,
}

#[derive(Debug)]
struct Serving {
    resolver: Arc<Resolver>,
    listening: Listening,
}

impl Dns {
    pub(crate) fn start(runtime: Handle, inet4: Inet4, upstreams: Upstreams) -> io::Result<Dns> {
        Ok(Dns {
            runtime,
            inet4,
            forwarder: Arc::new(Forwarder::start(upstreams)?),
            networks: Mutex::new(Some(BTreeMap::new())),
        })
    }

    pub(crate) fn serve(
        &self,
        network: NetworkId,
        ns: &Netns,
        interface: &str,
        addresses: &[IpAddr],
        zone: Arc<Zone>,
    ) -> io::Result<()> {
        let mut networks = self.networks();
        let networks = networks.as_mut().ok_or_else(stopped)?;
        let place = Place {
            ns: NsIdentity::of(ns)?,
            interface: interface.to_owned(),
            addresses: addresses.to_vec(),
        };
        // Its sockets are closed first, or the addresses would be taken.
        let resolver = match networks.remove(&network) {
            Some(there) if there.listening.is_at(&place) => {
                there.resolver.change(zone);
                networks.insert(network, there);
                return Ok(());
            }
            Some(there) => {
                there.resolver.change(zone);
                there.resolver
            }
            None => Arc::new(Resolver::new(zone)),
        };
        let listening = self.listen(ns, place, &resolver)?;
        let serving = Serving {
            resolver,
            listening,
        };
        networks.insert(network, serving);
        Ok(())
    }

    fn listen(&self, ns: &Netns, place: Place, resolver: &Arc<Resolver>) -> io::Result<Listening> {
        let mut sockets = Vec::new();
        for address in &place.addresses {
            sockets.push(listen::open(ns, &place.interface, *address, &self.inet4)?);
        }
        let _runtime = self.runtime.enter();
        Listening::begin(place, sockets, resolver, &self.forwarder)
    }

    pub(crate) fn end(&self, network: &NetworkId) {
        if let Some(networks) = self.networks().as_mut() {
            networks.remove(network);
        }
    }

    pub(crate) fn serving(&self) -> Vec<NetworkId> {
        let networks = self.networks();
        let there = networks.iter().flatten();
        let there = there.filter(|(_, serving)| serving.listening.attached());
        there.map(|(network, _)| *network).collect()
    }

    pub(crate) fn counts(&self, network: &NetworkId) -> Option<DnsCounts> {
        let networks = self.networks();
        Some(networks.as_ref()?.get(network)?.resolver.counts())
    }

    pub(crate) fn stop(&self) {
        self.networks().take();
        self.forwarder.stop();
    }

    fn networks(&self) -> MutexGuard<'_, Option<BTreeMap<NetworkId, Serving>>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
