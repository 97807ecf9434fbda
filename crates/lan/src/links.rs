//! The thin shell around what speaks on links ([`Speaker`]): one thread with epoll and a queue of
//! timers for all links of the node. No task or process for each network, so a thousand cost a
//! thousand sockets and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
use wire::MacBytes;

use crate::{NsIdentity, stopped};

/// The token of the event that wakes the thread; links count from 1.
const WAKE: u64 = 0;
/// How many packets of one link are read before the others have their turn.
const BATCH: usize = 32;
/// More than any link's packet; what exceeds it is cut, and so malformed.
const PACKET_MAX: usize = 2048;

/// A packet to send, in a frame to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) to: MacBytes,
    pub(crate) packet: Vec<u8>,
}

/// What speaks on one link: a state machine that is told the time and owns no socket.
pub(crate) trait Speaker: Send + 'static {
    /// Answers a packet that came in a frame from `from`.
    fn on_packet(&mut self, now: Instant, from: MacBytes, packet: &[u8]) -> Vec<Frame>;

    /// When [`Speaker::on_timer`] is to be called next.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// What is to be said of its own accord.
    fn on_timer(&mut self, _now: Instant) -> Vec<Frame> {
        Vec::new()
    }

    /// Hears what became of each frame.
    fn sent(&mut self, _done: bool) {}
}

/// Owns the thread, and the speakers by their keys.
#[derive(Debug)]
pub(crate) struct Links<K, S> {
    shared: Arc<Shared<K, S>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared<K, S> {
    epoll: Epoll,
    wake: EventFd,
    stopped: AtomicBool,
    table: Mutex<Table<K, S>>,
}

#[derive(Debug)]
struct Table<K, S> {
    by_key: BTreeMap<K, u64>,
    by_token: HashMap<u64, Link<S>>,
    timers: BTreeSet<(Instant, u64)>,
    last_token: u64,
}

#[derive(Debug)]
struct Link<S> {
    ns: NsIdentity,
    socket: PacketSocket,
    speaker: S,
}

/// Where a speaker speaks, and the kind of socket that it needs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) ns: &'a Netns,
    pub(crate) interface: &'a str,
    pub(crate) open: fn(&Netns, &str) -> io::Result<PacketSocket>,
}

impl<K: Ord + Copy + Send + 'static, S: Speaker> Links<K, S> {
    /// Starts the thread, which bears this name.
    pub(crate) fn start(name: &str) -> io::Result<Links<K, S>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let shared = Arc::new(Shared {
            epoll,
            wake,
            stopped: AtomicBool::default(),
            table: Mutex::default(),
        });
        let owned = shared.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || owned.run())?;
        Ok(Links {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Changes the speaker at a place where one speaks, or has a `new` one speak there.
    pub(crate) fn serve(
        &self,
        key: K,
        place: Place<'_>,
        change: impl FnOnce(&mut S) -> io::Result<()>,
        new: impl FnOnce() -> io::Result<S>,
    ) -> io::Result<()> {
        let ns = NsIdentity::of(place.ns)?;
        let mut table = self.shared.table();
        // Asked under the lock, so that nothing is added after `stop` has cleared the table.
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(stopped());
        }
        match table.token_at(key, ns, place.interface) {
            Some(token) => table.change(token, change)?,
            None => {
                let (speaker, socket) = (new()?, (place.open)(place.ns, place.interface)?);
                let token = table.last_token + 1;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
                self.shared.epoll.add(&socket, event)?;
                let link = Link {
                    ns,
                    socket,
                    speaker,
                };
                table.insert(key, token, link);
            }
        }
        drop(table);
        self.shared.wake();
        Ok(())
    }

    /// Ends a speaker; the last thing it says goes out before this returns.
    pub(crate) fn end(&self, key: &K, last: impl FnOnce(&mut S) -> Vec<Frame>) {
        // Closing the socket takes it out of epoll's set.
        if let Some(mut link) = self.shared.table().remove(key) {
            let frames = last(&mut link.speaker);
            link.send(frames);
        }
    }

    /// Where somebody speaks, sorted. A link that was taken away under us is not among them.
    pub(crate) fn serving(&self) -> Vec<K> {
        let table = self.shared.table();
        let attached = |token: &u64| table.by_token[token].socket.attached();
        let keys = table.by_key.iter().filter(|(_, token)| attached(token));
        keys.map(|(key, _)| *key).collect()
    }

    /// Asks a speaker something.
    pub(crate) fn ask<R>(&self, key: &K, question: impl FnOnce(&S) -> R) -> Option<R> {
        let table = self.shared.table();
        let link = table.by_token.get(table.by_key.get(key)?)?;
        Some(question(&link.speaker))
    }
}

impl<K: Ord, S> Links<K, S> {
    /// Asks the speakers something whose keys begin with this one, for as long as `these` holds.
    pub(crate) fn ask_from<R>(
        &self,
        first: &K,
        these: impl Fn(&K) -> bool,
        question: impl Fn(&S) -> R,
    ) -> Vec<R> {
        let table = self.shared.table();
        let keys = table
            .by_key
            .range(first..)
            .take_while(|(key, _)| these(key));
        let links = keys.filter_map(|(_, token)| table.by_token.get(token));
        links.map(|link| question(&link.speaker)).collect()
    }
}

impl<K, S> Links<K, S> {
    /// Ends everything, in silence.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.wake();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "a thread that speaks on links had panicked");
            }
        }
        *self.shared.table() = Table::default();
    }
}

impl<K, S> Drop for Links<K, S> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<K, S> Shared<K, S> {
    fn table(&self) -> MutexGuard<'_, Table<K, S>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the thread look at its timers again.
    fn wake(&self) {
        if let Err(error) = self.wake.write(1) {
            tracing::error!(%error, "waking a thread that speaks on links");
        }
    }
}

impl<K: Ord + Copy, S: Speaker> Shared<K, S> {
    fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.stopped.load(Ordering::SeqCst) {
            let timeout = self.table().timeout(Instant::now());
            let ready = match self.epoll.wait(&mut events, timeout) {
                Ok(ready) => &events[..ready],
                Err(Errno::EINTR) => continue,
                Err(error) => return tracing::error!(%error, "waiting for packets of links"),
            };
            let mut table = self.table();
            let now = Instant::now();
            for event in ready {
                match event.data() {
                    WAKE => drop(self.wake.read()), // its count means nothing
                    token => table.hear(now, token),
                }
            }
            table.speak(now);
        }
    }
}

impl<K, S> Default for Table<K, S> {
    fn default() -> Self {
        Table {
            by_key: BTreeMap::new(),
            by_token: HashMap::new(),
            timers: BTreeSet::new(),
            last_token: WAKE,
        }
    }
}

impl<K: Ord + Copy, S: Speaker> Table<K, S> {
    /// The link of a key, if it is this one still.
    fn token_at(&self, key: K, ns: NsIdentity, interface: &str) -> Option<u64> {
        let token = *self.by_key.get(&key)?;
        let link = self.by_token.get(&token)?;
        let same = link.ns == ns && link.socket.interface() == interface && link.socket.attached();
        same.then_some(token)
    }

    /// Has a link's speaker do something, and looks at when it is due then.
    fn change<R>(
        &mut self,
        token: u64,
        change: impl FnOnce(&mut S) -> io::Result<R>,
    ) -> io::Result<()> {
        let Some(link) = self.by_token.get_mut(&token) else {
            return Ok(());
        };
        let before = link.speaker.due();
        let changed = change(&mut link.speaker);
        let after = link.speaker.due();
        if before != after {
            before.map(|due| self.timers.remove(&(due, token)));
            after.map(|due| self.timers.insert((due, token)));
        }
        changed.map(drop)
    }

    fn insert(&mut self, key: K, token: u64, link: Link<S>) {
        self.remove(&key);
        self.last_token = token;
        self.by_key.insert(key, token);
        let due = link.speaker.due();
        due.map(|due| self.timers.insert((due, token)));
        self.by_token.insert(token, link);
    }

    fn remove(&mut self, key: &K) -> Option<Link<S>> {
        let token = self.by_key.remove(key)?;
        let link = self.by_token.remove(&token)?;
        let due = link.speaker.due();
        due.map(|due| self.timers.remove(&(due, token)));
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
    fn hear(&mut self, now: Instant, token: u64) {
        let mut buffer = [0; PACKET_MAX];
        for _ in 0..BATCH {
            // A link may have gone between the event and the lock.
            let Some(link) = self.by_token.get_mut(&token) else {
                return;
            };
            match link.socket.receive(&mut buffer) {
                Ok((length, from)) => {
                    let packet = &buffer[..length];
                    let mut frames = Vec::new();
                    let answer = |speaker: &mut S| {
                        frames = speaker.on_packet(now, from, packet);
                        Ok(())
                    };
                    let _ = self.change(token, answer);
                    self.send(token, frames);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let interface = link.socket.interface();
                    return tracing::debug!(%error, interface, "receiving from a link");
                }
            }
        }
    }

    /// Sends what is due.
    fn speak(&mut self, now: Instant) {
        while let Some(&(due, token)) = self.timers.first()
            && due <= now
        {
            let mut frames = Vec::new();
            let _ = self.change(token, |speaker| {
                frames = speaker.on_timer(now);
                Ok(())
            });
            // A speaker that is due still would be asked for ever.
            self.timers.remove(&(due, token));
            self.send(token, frames);
        }
    }

    fn send(&mut self, token: u64, frames: Vec<Frame>) {
        if let Some(link) = self.by_token.get_mut(&token) {
            link.send(frames);
        }
    }
}

impl<S: Speaker> Link<S> {
    /// A frame that cannot go is lost, as on any link: the next timer or packet is the retry.
    fn send(&mut self, frames: Vec<Frame>) {
        for Frame { to, packet } in frames {
            let sent = self.socket.send(to, &packet);
            self.speaker.sent(sent.is_ok());
            if let Err(error) = sent {
                let interface = self.socket.interface();
                tracing::debug!(%error, interface, "sending on a link");
            }
        }
    }
}
