//! The thin shell around [`Advertiser`]: one thread with epoll and a queue of timers speaks on
//! every link of the node. No task or process for each network, so a thousand cost a thousand
//! sockets and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use linux::netns::Netns;
use linux::socket::PacketSocket;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::advertiser::{Advertiser, Counts, Frame};
use crate::{Advert, AdvertKey, NsIdentity, stopped};

/// The token of the event that wakes the thread; links count from 1.
const WAKE: u64 = 0;
/// How many packets of one link are read before the others have their turn.
const BATCH: usize = 32;
/// More than any solicitation needs; what exceeds it is cut, and so malformed.
const PACKET_MAX: usize = 2048;

/// Owns the thread.
#[derive(Debug)]
pub(crate) struct Speaker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    wake: EventFd,
    stopped: AtomicBool,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    by_key: BTreeMap<AdvertKey, u64>,
    by_token: HashMap<u64, Link>,
    timers: BTreeSet<(Instant, u64)>,
    last_token: u64,
}

#[derive(Debug)]
struct Link {
    ns: NsIdentity,
    socket: PacketSocket,
    advertiser: Advertiser,
}

impl Speaker {
    pub(crate) fn start() -> io::Result<Speaker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let (stopped, links) = Default::default();
        let shared = Arc::new(Shared {
            epoll,
            wake,
            stopped,
            links,
        });
        let owned = shared.clone();
        let thread = std::thread::Builder::new()
            .name("lan".into())
            .spawn(move || owned.run())?;
        Ok(Speaker {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn advertise(
        &self,
        key: AdvertKey,
        ns: &Netns,
        interface: &str,
        advert: Advert,
    ) -> io::Result<()> {
        let (shared, now) = (&self.shared, Instant::now());
        let identity = NsIdentity::of(ns)?;
        let changed = shared
            .links()
            .change(now, &key, identity, interface, &advert)?;
        if !changed {
            let seed = RandomState::new().hash_one(key);
            let link = Link {
                ns: identity,
                advertiser: Advertiser::new(now, advert, seed)?,
                socket: PacketSocket::solicitations(ns, interface)?,
            };
            shared.add(key, link)?;
        }
        shared.wake();
        Ok(())
    }

    pub(crate) fn silence(&self, key: &AdvertKey, farewell: bool) {
        // Closing the socket takes it out of epoll's set.
        if let Some(mut link) = self.shared.links().remove(key)
            && farewell
        {
            let last = link.advertiser.farewell();
            link.send(last);
        }
    }

    pub(crate) fn advertising(&self) -> Vec<AdvertKey> {
        let links = self.shared.links();
        let attached = |token: &u64| links.by_token[token].socket.attached();
        let keys = links.by_key.iter().filter(|(_, token)| attached(token));
        keys.map(|(key, _)| *key).collect()
    }

    pub(crate) fn counts(&self, key: &AdvertKey) -> Option<Counts> {
        let links = self.shared.links();
        let token = links.by_key.get(key)?;
        Some(links.by_token.get(token)?.advertiser.counts)
    }

    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.wake();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends router advertisements had panicked");
        }
        *self.shared.links() = Links::default();
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.stopped.load(Ordering::SeqCst) {
            let timeout = self.links().timeout(Instant::now());
            let ready = match self.epoll.wait(&mut events, timeout) {
                Ok(ready) => &events[..ready],
                Err(Errno::EINTR) => continue,
                Err(error) => return tracing::error!(%error, "waiting for solicitations"),
            };
            let mut links = self.links();
            for event in ready {
                match event.data() {
                    WAKE => drop(self.wake.read()), // its count means nothing
                    token => links.hear(token),
                }
            }
            links.speak(Instant::now());
        }
    }

    fn add(&self, key: AdvertKey, link: Link) -> io::Result<()> {
        let mut links = self.links();
        // Asked under the lock, so that nothing is added after `stop` has cleared the links.
        if self.stopped.load(Ordering::SeqCst) {
            return Err(stopped());
        }
        let token = links.last_token + 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        self.epoll.add(&link.socket, event)?;
        links.insert(key, token, link);
        Ok(())
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the thread look at its timers again.
    fn wake(&self) {
        if let Err(error) = self.wake.write(1) {
            tracing::error!(%error, "waking the thread that sends router advertisements");
        }
    }
}

impl Links {
    /// Changes what a link is told; `false` when there is no such link to change.
    fn change(
        &mut self,
        now: Instant,
        key: &AdvertKey,
        ns: NsIdentity,
        interface: &str,
        advert: &Advert,
    ) -> io::Result<bool> {
        let Some(&token) = self.by_key.get(key) else {
            return Ok(false);
        };
        let Some(link) = self.by_token.get_mut(&token) else {
            return Ok(false);
        };
        if link.ns != ns || link.socket.interface() != interface || !link.socket.attached() {
            return Ok(false);
        }
        self.timers.remove(&(link.advertiser.due(), token));
        let changed = link.advertiser.change(now, advert.clone());
        self.timers.insert((link.advertiser.due(), token));
        changed.map(|()| true)
    }

    fn insert(&mut self, key: AdvertKey, token: u64, link: Link) {
        self.remove(&key);
        self.last_token = token;
        self.by_key.insert(key, token);
        self.timers.insert((link.advertiser.due(), token));
        self.by_token.insert(token, link);
    }

    fn remove(&mut self, key: &AdvertKey) -> Option<Link> {
        let token = self.by_key.remove(key)?;
        let link = self.by_token.remove(&token)?;
        self.timers.remove(&(link.advertiser.due(), token));
        Some(link)
    }

    /// Until the next timer; rounded up, or the thread would spin through the last millisecond.
    fn timeout(&self, now: Instant) -> EpollTimeout {
        let Some((due, _)) = self.timers.first() else {
            return EpollTimeout::NONE;
        };
        let wait = due
            .saturating_duration_since(now)
            .as_nanos()
            .div_ceil(1_000_000);
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }

    /// Answers what came in by one link.
    fn hear(&mut self, token: u64) {
        // A link may have gone between the event and the lock.
        let Some(link) = self.by_token.get_mut(&token) else {
            return;
        };
        let mut buffer = [0; PACKET_MAX];
        for _ in 0..BATCH {
            match link.socket.receive(&mut buffer) {
                Ok((length, from)) => {
                    let frames = link.advertiser.on_packet(from, &buffer[..length]);
                    link.send(frames);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let interface = link.socket.interface();
                    return tracing::debug!(%error, interface, "receiving solicitations");
                }
            }
        }
    }

    /// Sends what is due.
    fn speak(&mut self, now: Instant) {
        while let Some(&(due, token)) = self.timers.first()
            && due <= now
        {
            self.timers.pop_first();
            let Some(link) = self.by_token.get_mut(&token) else {
                continue;
            };
            let frames = link.advertiser.on_timer(now);
            self.timers.insert((link.advertiser.due(), token));
            link.send(frames);
        }
    }
}

impl Link {
    /// A frame that cannot go is lost, as on any link: the next timer or solicitation is the retry.
    fn send(&mut self, frames: Vec<Frame>) {
        for Frame { to, packet } in frames {
            match self.socket.send(to, &packet) {
                Ok(()) => self.advertiser.counts.sent += 1,
                Err(error) => {
                    self.advertiser.counts.failed += 1;
                    let interface = self.socket.interface();
                    tracing::debug!(%error, interface, "sending a router advertisement");
                }
            }
        }
    }
}
