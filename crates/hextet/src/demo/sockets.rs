//! A witness for "IPv6 first, provably": ten times a second it looks at every process of a cloud
//! and at the kernel's socket tables. None may hold an IPv4 socket but for metadata's and names' inside guests'
//! networks' namespaces, each socket that listens on TCP over IPv6 must be `IPV6_V6ONLY`, and none
//! may have a v4-mapped address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use doctor::host::listeners::{Space, wrong};
use linux::netns::Netns;
use linux::process::ProcessId;
use linux::sockets::{self, Socket};
use tokio::sync::oneshot;

use super::processes;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whom to look at.
#[derive(Clone, Debug)]
pub(super) struct Suspects {
    /// Every `up` on this root, and what descends from it, also when its parent is gone.
    pub(super) root: PathBuf,
    /// How the names of namespaces begin in which they may have sockets.
    pub(super) namespaces: Vec<String>,
    /// How those of guests' networks begin.
    pub(super) networks: String,
}

/// What was looked at, when nothing was wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) looks: usize,
    /// Different sockets of IPv6, and how many of them listened.
    pub(super) inet6: usize,
    pub(super) listeners: usize,
    /// Different sockets of IPv4: metadata's and resolvers'.
    pub(super) inet4: usize,
    /// Different processes.
    pub(super) processes: usize,
}

/// The witness at work. It ends when this is dropped.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Count, String>>>,
}

/// Resolves when something went against the rule; [`Watch::end`] says what.
pub(super) type Alarm = oneshot::Receiver<()>;

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count {
            looks,
            inet6,
            listeners,
            inet4,
            processes,
        } = self;
        write!(
            f,
            "sockets: {looks} looks at {processes} processes of the cloud found {inet6} sockets of IPv6 ({listeners} of them listening, all v6only), and "
        )?;
        match inet4 {
            0 => write!(f, "none of IPv4"),
            _ => write!(
                f,
                "{inet4} of IPv4: metadata's and resolvers', inside guests' networks"
            ),
        }
    }
}

impl Watch {
    pub(super) fn start(suspects: Suspects) -> io::Result<(Watch, Alarm)> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ring, alarm) = oneshot::channel();
        let stopped = stop.clone();
        let look = move || {
            let seen = Witness::new(suspects).watch(&stopped);
            if seen.is_err() {
                let _ = ring.send(());
            }
            seen
        };
        let thread = std::thread::Builder::new()
            .name("sockets".into())
            .spawn(look)?;
        let thread = Some(thread);
        Ok((Watch { stop, thread }, alarm))
    }

    /// Ends it, after a last look.
    ///
    /// # Errors
    /// The socket that goes against the rule, and whose it is.
    pub(super) fn end(mut self) -> Result<Count, String> {
        self.stop.store(true, Ordering::SeqCst);
        let joined = self.thread.take().map(JoinHandle::join);
        match joined {
            Some(Ok(seen)) => seen,
            _ => Err("the witness of sockets panicked".into()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

struct Witness {
    suspects: Suspects,
    known: BTreeMap<i32, ProcessId>,
    processes: BTreeSet<(i32, u64)>,
    inet6: BTreeSet<u64>,
    inet4: BTreeSet<u64>,
    listeners: BTreeSet<u64>,
    looks: usize,
}

impl Witness {
    fn new(suspects: Suspects) -> Witness {
        let (known, processes) = Default::default();
        let (inet6, inet4, listeners) = Default::default();
        Witness {
            suspects,
            known,
            processes,
            inet6,
            inet4,
            listeners,
            looks: 0,
        }
    }

    fn watch(mut self, stopped: &AtomicBool) -> Result<Count, String> {
        loop {
            let (began, last) = (Instant::now(), stopped.load(Ordering::SeqCst));
            self.look()?;
            if last {
                return Ok(self.count());
            }
            std::thread::sleep(LOOK_EVERY.saturating_sub(began.elapsed()));
        }
    }

    fn count(&self) -> Count {
        Count {
            looks: self.looks,
            inet6: self.inet6.len(),
            inet4: self.inet4.len(),
            listeners: self.listeners.len(),
            processes: self.processes.len(),
        }
    }

    /// One look. The error is what goes against the rule.
    fn look(&mut self) -> Result<(), String> {
        self.find_processes();
        if self.known.is_empty() {
            return Ok(());
        }
        // Descriptors first: a socket that is closed in between is then in no table, and one that
        // is opened in between is seen the next time.
        let held = self.held();
        let tables = self
            .tables()
            .map_err(|e| format!("reading the kernel's socket tables: {e}"))?;
        self.looks += 1;
        for (inode, pid) in held {
            let Some((socket, space)) = tables.get(&inode) else {
                continue; // not of the Internet's families, or gone
            };
            if let Some(kind) = wrong(socket, *space) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let Socket { table, local, .. } = socket;
                return Err(format!(
                    "process {pid} ({}) holds {table} {local}. {}",
                    name.trim(),
                    kind.title
                ));
            }
            match socket.inet4 {
                true => self.inet4.insert(inode),
                false => self.inet6.insert(inode),
            };
            if socket.listens && !socket.inet4 {
                self.listeners.insert(inode);
            }
        }
        Ok(())
    }

    /// Children are found by their parents, and remembered when those go.
    fn find_processes(&mut self) {
        self.known.retain(|_, id| linux::process::alive(*id));
        for id in processes::up_of(&self.suspects.root) {
            self.known.insert(id.pid, id);
        }
        let parents: Vec<(i32, i32)> = processes::all()
            .into_iter()
            .filter_map(|pid| Some((pid, processes::parent(pid)?)))
            .collect();
        loop {
            let before = self.known.len();
            for (pid, parent) in &parents {
                if self.known.contains_key(parent)
                    && !self.known.contains_key(pid)
                    && let Ok(id) = ProcessId::of(*pid)
                {
                    self.known.insert(*pid, id);
                }
            }
            if self.known.len() == before {
                break;
            }
        }
        let all = self.known.values().map(|id| (id.pid, id.started));
        self.processes.extend(all);
    }

    /// The sockets they hold, by inode.
    fn held(&self) -> BTreeMap<u64, i32> {
        let mut held = BTreeMap::new();
        for pid in self.known.keys() {
            held.extend(sockets::held(*pid).into_iter().map(|inode| (inode, *pid)));
        }
        held
    }

    /// The sockets of each namespace in which one of theirs may be.
    fn tables(&self) -> io::Result<HashMap<u64, (Socket, Space)>> {
        let mut tables = HashMap::new();
        let mut read = |ns: &Netns, space| -> io::Result<()> {
            let listed = sockets::list(ns)?.into_iter();
            tables.extend(listed.map(|(inode, socket)| (inode, (socket, space))));
            Ok(())
        };
        read(&Netns::current()?, Space::Host)?;
        for prefix in &self.suspects.namespaces {
            for name in Netns::list(prefix)? {
                let space = match name.starts_with(&self.suspects.networks) {
                    true => Space::Network,
                    false => Space::Host,
                };
                match Netns::open(&name) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    ns => read(&ns?, space)?,
                }
            }
        }
        Ok(tables)
    }
}
