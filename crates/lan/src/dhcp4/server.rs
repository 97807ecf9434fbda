//! The thin shell around [`answer`]: one thread with epoll hears every network of the node.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use linux::netns::Netns;
use linux::socket::PacketSocket;
use model::NetworkId;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{DhcpCounts, Leases, answer};
use crate::{NsIdentity, stopped};

/// The token of the event that ends the thread; networks count from 1.
const WAKE: u64 = 0;
/// How many packets of one network are read before the others have their turn.
const BATCH: usize = 32;
/// A whole packet of a link: what exceeds it is cut, and so malformed.
const PACKET_MAX: usize = 2048;

/// Owns the thread.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    wake: EventFd,
    stopped: AtomicBool,
    networks: Mutex<Networks>,
}

#[derive(Debug, Default)]
struct Networks {
    tokens: BTreeMap<NetworkId, u64>,
    by_token: HashMap<u64, Served>,
    last_token: u64,
}

#[derive(Debug)]
struct Served {
    ns: NsIdentity,
    socket: PacketSocket,
    leases: Arc<Leases>,
    counts: DhcpCounts,
}

impl Server {
    pub(crate) fn start() -> io::Result<Server> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let (stopped, networks) = Default::default();
        let shared = Arc::new(Shared {
            epoll,
            wake,
            stopped,
            networks,
        });
        let owned = shared.clone();
        let thread = std::thread::Builder::new()
            .name("dhcp4".into())
            .spawn(move || owned.run())?;
        Ok(Server {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn serve(
        &self,
        network: NetworkId,
        ns: &Netns,
        interface: &str,
        leases: Arc<Leases>,
    ) -> io::Result<()> {
        let identity = NsIdentity::of(ns)?;
        let mut networks = self.shared.networks();
        // Asked under the lock, so that nothing is added after `stop` has cleared the networks.
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(stopped());
        }
        if let Some(served) = networks.get(&network)
            && served.ns == identity
            && served.socket.interface() == interface
            && served.socket.attached()
        {
            served.leases = leases;
            return Ok(());
        }
        networks.remove(&network);
        let served = Served {
            ns: identity,
            socket: PacketSocket::dhcp4(ns, interface)?,
            leases,
            counts: DhcpCounts::default(),
        };
        let token = networks.last_token + 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        self.shared.epoll.add(&served.socket, event)?;
        networks.last_token = token;
        networks.tokens.insert(network, token);
        networks.by_token.insert(token, served);
        Ok(())
    }

    pub(crate) fn end(&self, network: &NetworkId) {
        // Closing the socket takes it out of epoll's set.
        self.shared.networks().remove(network);
    }

    pub(crate) fn serving(&self) -> Vec<NetworkId> {
        let networks = self.shared.networks();
        let attached = |token: &u64| networks.by_token[token].socket.attached();
        let there = networks.tokens.iter().filter(|(_, token)| attached(token));
        there.map(|(network, _)| *network).collect()
    }

    pub(crate) fn counts(&self, network: &NetworkId) -> Option<DhcpCounts> {
        self.shared
            .networks()
            .get(network)
            .map(|served| served.counts)
    }

    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Err(error) = self.shared.wake.write(1) {
            tracing::error!(%error, "waking the thread that answers DHCPv4");
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that answers DHCPv4 had panicked");
        }
        *self.shared.networks() = Networks::default();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.stopped.load(Ordering::SeqCst) {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => &events[..ready],
                Err(Errno::EINTR) => continue,
                Err(error) => return tracing::error!(%error, "waiting for DHCPv4"),
            };
            let mut networks = self.networks();
            for event in ready {
                // A network may have gone between the event and the lock.
                if let Some(served) = networks.by_token.get_mut(&event.data()) {
                    served.hear();
                }
            }
        }
    }

    fn networks(&self) -> MutexGuard<'_, Networks> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Networks {
    fn get(&mut self, network: &NetworkId) -> Option<&mut Served> {
        self.by_token.get_mut(self.tokens.get(network)?)
    }

    fn remove(&mut self, network: &NetworkId) {
        if let Some(token) = self.tokens.remove(network) {
            self.by_token.remove(&token);
        }
    }
}

impl Served {
    fn hear(&mut self) {
        let mut buffer = [0; PACKET_MAX];
        for _ in 0..BATCH {
            let heard = self.socket.receive(&mut buffer);
            let interface = self.socket.interface();
            match heard {
                Ok((length, from)) => {
                    let packet = &buffer[..length];
                    let Some(frame) = answer(&self.leases, from, packet, &mut self.counts) else {
                        continue;
                    };
                    // What is lost is asked for again.
                    if let Err(error) = self.socket.send(frame.to, &frame.packet) {
                        tracing::debug!(%error, interface, "sending a DHCPv4 answer");
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return tracing::debug!(%error, interface, "receiving DHCPv4"),
            }
        }
    }
}
