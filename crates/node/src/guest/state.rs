//! What must be known of a guest after we were killed: one small file each, replaced by a rename.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddrV6;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use linux::process::ProcessId;
use model::{AttachmentId, GuestEnd, PortId, ServerId};
use serde::{Deserialize, Serialize};

use super::GuestSettings;
use super::plan::Epochs;
use crate::image::private_dir;

const FILE: &str = "state.json";

/// The record. What can be seen (does the disk exist, does QEMU run) is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The guest's own user. Its processes are found by it.
    pub uid: u32,
    /// The newest epochs that were carried out.
    pub done: Epochs,
    pub launched_ms: Option<i64>,
    /// Written before QEMU is started, and gone when it was seen running. A QEMU found with this
    /// set was started under these epochs by an earlier life of ours.
    pub launching: Option<Epochs>,
    pub process: Option<Process>,
    pub failure: Option<Failure>,
    /// The ports whose taps QEMU was given: it cannot be asked.
    #[serde(default)]
    pub taps: BTreeSet<PortId>,
    /// The portals that it may reach.
    #[serde(default)]
    pub portals: BTreeSet<SocketAddrV6>,
    /// The attachments that could not be, and why. They are not tried again.
    #[serde(default)]
    pub failed: BTreeMap<AttachmentId, String>,
    /// How it last ended by itself.
    #[serde(default)]
    pub ended: Option<GuestEnd>,
}

/// A process as the file knows it: a number alone may be another's after a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Process {
    pid: i32,
    started: u64,
}

/// Why the guest could not be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub epochs: Epochs,
    pub text: String,
}

impl State {
    pub(super) fn new(uid: u32) -> State {
        let (launched_ms, launching, process, failure) = (None, None, None, None);
        State {
            uid,
            done: Epochs::default(),
            launched_ms,
            launching,
            process,
            failure,
            taps: BTreeSet::new(),
            portals: BTreeSet::new(),
            failed: BTreeMap::new(),
            ended: None,
        }
    }

    /// The record in a guest's directory; `None` when there is none, or none that can be read.
    pub(super) fn load(dir: &Path) -> Option<State> {
        let text = fs::read(dir.join(FILE)).ok()?;
        let state = serde_json::from_slice(&text);
        state
            .inspect_err(|e| tracing::warn!("{}: {e}", dir.join(FILE).display()))
            .ok()
    }

    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        private_dir(dir)?;
        let (new, path) = (dir.join(".state.json"), dir.join(FILE));
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(&new, &path)
    }
}

impl From<ProcessId> for Process {
    fn from(id: ProcessId) -> Process {
        Process {
            pid: id.pid,
            started: id.started,
        }
    }
}

impl From<Process> for ProcessId {
    fn from(process: Process) -> ProcessId {
        ProcessId {
            pid: process.pid,
            started: process.started,
        }
    }
}

/// The servers that have a directory here.
pub(super) fn list(settings: &GuestSettings) -> io::Result<Vec<ServerId>> {
    let mut found = Vec::new();
    for parent in [&settings.state, &settings.run] {
        let entries = match fs::read_dir(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        found
            .extend(entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<ServerId>().ok()));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// What the QEMUs that an earlier life of ours started may reach, by their users.
pub(super) fn portals(settings: &GuestSettings) -> BTreeMap<u32, BTreeSet<SocketAddrV6>> {
    let servers = list(settings).unwrap_or_default();
    let states = servers
        .into_iter()
        .filter_map(|server| State::load(&state_dir(settings, server)));
    states
        .filter(|state| state.process.is_some() || state.launching.is_some())
        .map(|state| (state.uid, state.portals))
        .collect()
}

/// Where a guest's lasting files are.
pub(super) fn state_dir(settings: &GuestSettings, server: ServerId) -> PathBuf {
    settings.state.join(server.to_string())
}

/// Where a guest's sockets are.
pub(super) fn run_dir(settings: &GuestSettings, server: ServerId) -> PathBuf {
    settings.run.join(server.to_string())
}

/// The users that guests have, so that no two share one.
#[derive(Debug, Default)]
pub(super) struct Users(Mutex<BTreeMap<ServerId, u32>>);

/// How many numbers above the base are used.
pub(super) const USERS: u32 = 1 << 24;

impl Users {
    /// Those of the guests that are here already.
    pub(super) fn load(settings: &GuestSettings) -> Users {
        let servers = list(settings).unwrap_or_default();
        let known = servers.into_iter().filter_map(|server| {
            let state = State::load(&state_dir(settings, server))?;
            Some((server, state.uid))
        });
        Users(Mutex::new(known.collect()))
    }

    /// The guest's user: made of its id, so that clouds side by side on one host hardly meet, and
    /// the next one when another guest has that.
    pub(super) fn take(&self, base: u32, server: ServerId) -> u32 {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(uid) = users.get(&server) {
            return *uid;
        }
        let first = (server.0.as_u128() >> 104) as u32;
        let mut candidates = (0..USERS).map(|i| base.saturating_add((first + i) % USERS));
        let free = candidates.find(|uid| users.values().all(|taken| taken != uid));
        let uid = free.expect("a node never has sixteen million guests");
        users.insert(server, uid);
        uid
    }

    pub(super) fn release(&self, server: ServerId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::scratch::Scratch;

    #[test]
    fn a_record_comes_back() {
        let scratch = Scratch::new();
        let dir = scratch.0.join("guest");
        assert_eq!(State::load(&dir), None);
        let mut state = State::new(2_000_000_001);
        state.process = Some(Process { pid: 7, started: 8 });
        state.failure = Some(Failure {
            epochs: Epochs {
                start: 1,
                reboot: 2,
            },
            text: "x".into(),
        });
        state.save(&dir).unwrap();
        assert_eq!(State::load(&dir), Some(state));
        fs::write(dir.join(FILE), "{").unwrap();
        assert_eq!(State::load(&dir), None);
    }

    #[test]
    fn no_two_guests_share_a_user() {
        let users = Users::default();
        let near = |low: u128| ServerId(uuid::Uuid::from_u128(0xffff_ff00 << 96 | low));
        let taken: Vec<_> = (0..3)
            .map(|low| users.take(2_000_000_000, near(low)))
            .collect();
        assert_eq!(taken, [2_016_777_215, 2_000_000_000, 2_000_000_001]);
        assert_eq!(users.take(2_000_000_000, near(0)), 2_016_777_215);
        users.release(near(0));
        assert_eq!(users.take(2_000_000_000, near(9)), 2_016_777_215);
    }
}
