//! tgtd: one process a node that keeps volumes. It outlives us, and the next life of ours finds it
//! by its user. It has no rights: the socket's directory reaches it as a descriptor, the files lie
//! in its working directory and are its own.
//!
//! It is killed, never asked to end: it ignores SIGTERM, and a write that it answered is with the
//! kernel.

mod portals;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::SocketAddrV6;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linux::netns::Netns;
use linux::process::{self, ProcessId};
use linux::spawn::{self, Limits, Program};
use linux::stream;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use crate::listing::{Listing, parse_accounts, parse_portals, parse_targets};
use crate::protocol::{ANSWER, Request, parse_answer};
use crate::{Step, file};

pub use portals::Trouble;

/// tgtd's name for its socket: what it is told, and the number of its control port.
const SOCKET: &str = "tgtd.0";

/// How long tgtd may take to come up, or to answer. It does both in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of tgtd's complaints is kept.
const STDERR: u64 = 64 << 10;

/// Threads that read and write, for each volume; tgtd's own choice is 16.
const THREADS: &str = "4";

/// What the operator decided, and where everything is.
#[derive(Clone, Debug)]
pub struct DaemonSettings {
    /// `tgtd`
    pub program: PathBuf,
    /// tgtd's own user and group.
    pub uid: u32,
    /// Where its portals are.
    pub base: Netns,
    /// What it listens on; port 0 stands for one that is free, and kept from then on.
    pub portals: Vec<SocketAddrV6>,
    /// The volumes' files. For them alone.
    pub files: PathBuf,
    /// The control socket's directory. For it alone.
    pub run: PathBuf,
    /// The file that remembers which ports were free.
    pub ports: PathBuf,
    /// tgtd's cgroup, made when needed: without one of its own it ends with our unit.
    pub cgroup: Option<PathBuf>,
}

/// tgtd, running or not. When this is dropped, it goes on.
#[derive(Debug)]
pub struct Daemon {
    settings: DaemonSettings,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    id: ProcessId,
    exit: OwnedFd,
}

impl Daemon {
    /// Looks for a tgtd that an earlier life of ours started.
    pub fn find(settings: DaemonSettings) -> io::Result<Daemon> {
        let process = of_user(settings.uid)?;
        Ok(Daemon { settings, process })
    }

    pub fn settings(&self) -> &DaemonSettings {
        &self.settings
    }

    /// Makes sure that tgtd runs and listens at its portals and nowhere else.
    ///
    /// # Errors
    /// Why it cannot; it does not run then.
    pub fn ensure(&mut self) -> io::Result<()> {
        if !self.runs() {
            // One that was started and could not be watched.
            self.process = of_user(self.settings.uid)?;
        }
        let portals = self.portals().map_err(io::Error::other)?;
        if self.process.is_none() {
            self.start(&portals)?;
        }
        let heard = self.ask(&Request::ListPortals);
        let heard = heard.and_then(|text| parse_portals(&text).map_err(io::Error::other));
        let trouble = match heard {
            Ok(heard)
                if heard
                    .iter()
                    .eq(portals.iter().collect::<std::collections::BTreeSet<_>>()) =>
            {
                return Ok(());
            }
            // Where it finds none of its addresses it listens on all, for everybody.
            Ok(heard) => format!("it listens on {}", words(heard.iter())),
            Err(e) => e.to_string(),
        };
        let said = self.last_words().unwrap_or_default();
        self.end()?;
        Err(io::Error::other(format!(
            "tgtd does not serve volumes on {}: {trouble}; {said}",
            words(portals.iter())
        )))
    }

    /// Everything tgtd has.
    pub fn observe(&mut self) -> io::Result<Listing> {
        let targets = parse_targets(&self.ask(&Request::ListTargets)?).map_err(|why| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("tgtd's listing has {why}"),
            )
        })?;
        let accounts = parse_accounts(&self.ask(&Request::ListAccounts)?);
        Ok(Listing { targets, accounts })
    }

    /// Does one step; stops at the first request that fails.
    pub fn apply(&mut self, step: &Step) -> io::Result<()> {
        step.requests
            .iter()
            .try_for_each(|request| match self.ask(request) {
                Err(e) if request.is_done_when_missing() && e.kind() == io::ErrorKind::NotFound => {
                    Ok(())
                }
                answer => answer.map(drop),
            })
    }

    /// Whether tgtd runs. One that has ended is collected.
    pub fn runs(&mut self) -> bool {
        if let Some(process) = &self.process
            && spawn::has_ended(process.exit.as_fd())
        {
            spawn::reap(process.exit.as_fd());
            self.process = None;
        }
        self.process.is_some()
    }

    /// A descriptor that becomes readable when tgtd ends.
    pub fn exit(&self) -> Option<OwnedFd> {
        self.process.as_ref()?.exit.try_clone().ok()
    }

    /// Ends tgtd, and removes its socket.
    pub fn end(&mut self) -> io::Result<()> {
        self.process = None;
        for id in spawn::of_user(self.settings.uid)? {
            let exit = match spawn::watch(id) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                exit => exit?,
            };
            process::kill(id, Signal::SIGKILL)?;
            poll(
                &mut [PollFd::new(exit.as_fd(), PollFlags::POLLIN)],
                20_000_u16,
            )?;
            spawn::reap(exit.as_fd());
        }
        if let Some(cgroup) = &self.settings.cgroup
            && let Err(e) = fs::remove_dir(cgroup)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("removing {}: {e}", cgroup.display());
        }
        match fs::remove_dir_all(&self.settings.run) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn start(&mut self, portals: &[SocketAddrV6]) -> io::Result<()> {
        let settings = &self.settings;
        file::directory(&settings.files, settings.uid)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.run)?;
        chown(&settings.run, Some(settings.uid), Some(settings.uid))?;
        let run = File::open(&settings.run)?;
        let socket = format!(
            "/proc/self/fd/{}/{}",
            run.as_raw_fd(),
            SOCKET.trim_end_matches(".0")
        );
        let listen: Vec<_> = portals
            .iter()
            .map(|portal| format!("portal={portal}"))
            .collect();
        let arguments = ["-f", "-t", THREADS, "--iscsi", &listen.join(",")];
        let program = Program {
            path: settings.program.clone(),
            arguments: arguments.map(Into::into).into(),
            uid: settings.uid,
            groups: Vec::new(),
            descriptors: vec![run.into()],
            stderr: spawn::bounded_file(c"tgtd-stderr", STDERR)?,
            cgroup: cgroup(settings.cgroup.as_deref()),
            directory: settings.files.clone(),
            environment: vec![("TGT_IPC_SOCKET".into(), socket)],
            limits: Limits::default(),
        };
        let id = settings.base.run(|| program.start())?;
        self.process = Some(Process {
            id,
            exit: spawn::watch(id)?,
        });
        tracing::info!(pid = id.pid, portals = %words(portals.iter()), "started tgtd");
        self.wait()
    }

    /// Until tgtd answers, or has ended.
    fn wait(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.ask(&Request::ListPortals) {
                Ok(_) => return Ok(()),
                Err(e) if !self.runs() || Instant::now() > end => {
                    let said = self.last_words().unwrap_or_default();
                    return Err(io::Error::other(format!(
                        "tgtd did not come up: {e}; {said}"
                    )));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn ask(&self, request: &Request) -> io::Result<String> {
        let told =
            |e: io::Error| io::Error::new(e.kind(), format!("tgtd, {}: {e}", request.doing()));
        let answer = self.exchange(request).map_err(told)?;
        crash::point_of(|| format!("tgtd: {}", request.name()));
        Ok(answer)
    }

    fn exchange(&self, request: &Request) -> io::Result<String> {
        request.check().map_err(io::Error::other)?;
        let run = File::open(&self.settings.run)?;
        let mut stream = stream::connect_unix_as(self.settings.uid, &run, SOCKET)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&request.emit())?;
        let mut header = [0; ANSWER];
        stream.read_exact(&mut header)?;
        let length = parse_answer(header)?;
        let mut text = vec![0; length];
        stream.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn last_words(&self) -> Option<String> {
        let pid = self.process.as_ref()?.id.pid;
        let said = spawn::written(&File::open(format!("/proc/{pid}/fd/2")).ok()?);
        Some(said.lines().last()?.to_owned())
    }
}

/// A tgtd that was started as this user.
fn of_user(uid: u32) -> io::Result<Option<Process>> {
    let mut processes = spawn::of_user(uid)?.into_iter();
    Ok(processes.find_map(|id| {
        let exit = spawn::watch(id).ok()?;
        Some(Process { id, exit })
    }))
}

/// Makes the group. `None` when the host allows none: tgtd then goes without.
fn cgroup(dir: Option<&Path>) -> Option<PathBuf> {
    let dir = dir?;
    match fs::create_dir_all(dir) {
        Ok(()) => Some(dir.to_owned()),
        Err(e) => {
            tracing::warn!("no cgroup {}: {e}", dir.display());
            None
        }
    }
}

fn words<'a>(portals: impl Iterator<Item = &'a SocketAddrV6>) -> String {
    let portals: Vec<_> = portals.map(ToString::to_string).collect();
    match portals.is_empty() {
        true => "nothing".to_owned(),
        false => portals.join(" and "),
    }
}
