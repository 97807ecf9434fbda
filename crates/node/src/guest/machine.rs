//! A guest's QEMU while it lives: its process, and the connection to it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::Duration;

use linux::netns::Netns;
use linux::process::ProcessId;
use linux::spawn::{self, Limits, Program};
use model::{Ended, Hardware, ServerId};
use nix::sys::signal::Signal;
use qemu::qmp::{self, Event, Qmp, RunState};
use qemu::{Accelerator, Kernel, VolumeDisk};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::disk::Root;
use super::plug::Plugged;
use super::task::Nic;
use super::{chain, plan};
use crate::image::Held;

/// How long a QEMU that is up may take to greet us.
const RECONNECT: Duration = Duration::from_secs(3);

/// How long QEMU may take to write out its disks when told to quit.
const QUIT: Duration = Duration::from_secs(10);

/// How long a killed process may take to go.
const KILLED: Duration = Duration::from_secs(20);

/// How long a reset may take; it is done between two instructions.
const RESET: Duration = Duration::from_secs(10);

/// How much of QEMU's complaints is kept.
const STDERR: u64 = 16 << 10;

/// A QEMU process. Dropping this leaves it alone.
#[derive(Debug)]
pub(super) struct Machine {
    process: ProcessId,
    exit: AsyncFd<OwnedFd>,
    stderr: Option<File>,
    link: Option<Link>,
    /// What ended it, once it has: its parent alone is told, and only once.
    status: OnceLock<ExitStatus>,
}

#[derive(Debug)]
struct Link {
    qmp: Qmp,
    events: UnboundedReceiver<Event>,
}

/// All that QEMU is started with, opened when it is.
pub(super) struct Parts {
    pub server: ServerId,
    pub uid: u32,
    pub qemu: PathBuf,
    /// Where it runs.
    pub base: Netns,
    pub accelerator: Accelerator,
    pub vcpus: u32,
    pub ram_mib: u32,
    pub hardware: Hardware,
    /// OVMF's variables, for a guest that it starts.
    pub variables: Option<PathBuf>,
    pub disk: Option<Root>,
    pub volumes: Vec<VolumeParts>,
    pub config_drive: Option<PathBuf>,
    pub kernel: Option<KernelParts>,
    pub taps: Vec<(OwnedFd, Nic)>,
    pub run_dir: PathBuf,
    pub cgroup: Option<PathBuf>,
}

/// A volume, and the secret that is never in an argument.
pub(super) struct VolumeParts {
    pub disk: VolumeDisk,
    pub secret: String,
    pub root: bool,
}

pub(super) struct KernelParts {
    pub image: Held,
    pub ramdisk: Option<Held>,
    pub arguments: String,
}

impl Parts {
    /// Starts QEMU. Blocks for as long as a fork takes.
    pub(super) fn start(self) -> io::Result<Started> {
        let listener = qmp::listen(&self.run_dir)?;
        let stderr = spawn::bounded_file(c"qemu-stderr", STDERR)?;
        let mut machine = qemu::Machine {
            server: self.server,
            accelerator: self.accelerator.clone(),
            vcpus: self.vcpus,
            ram_mib: self.ram_mib,
            hardware: self.hardware,
            variables: None,
            disk: None,
            beneath: None,
            volumes: Vec::new(),
            config_drive: None,
            kernel: None,
            nics: Vec::new(),
            qmp: listener.as_raw_fd(),
        };
        let mut descriptors = vec![listener.into()];
        let mut opened = |path: Option<PathBuf>, write| -> io::Result<Option<RawFd>> {
            let Some(path) = path else { return Ok(None) };
            descriptors.push(open(&path, write)?.into());
            Ok(descriptors.last().map(AsRawFd::as_raw_fd))
        };
        machine.variables = opened(self.variables, true)?;
        let (disk, beneath) = self.disk.map(|root| (root.disk, root.beneath)).unzip();
        machine.disk = opened(disk, true)?;
        machine.beneath = opened(beneath.flatten(), false)?;
        machine.config_drive = opened(self.config_drive, false)?;
        if let Some(parts) = self.kernel {
            machine.kernel = Some(parts.open(&mut descriptors)?);
        }
        for volume in self.volumes {
            let secret = spawn::memory_file(c"chap", volume.secret.as_bytes())?;
            machine.volumes.push(qemu::Volume {
                disk: volume.disk,
                secret: secret.as_raw_fd(),
                root: volume.root,
            });
            descriptors.push(secret.into());
        }
        for (tap, nic) in self.taps {
            machine.nics.push(qemu::Nic {
                port: nic.port,
                tap: tap.as_raw_fd(),
                mac: nic.mac,
                mtu: nic.mtu,
            });
            descriptors.push(tap);
        }
        let program = Program {
            path: self.qemu,
            arguments: machine.arguments().into_iter().map(Into::into).collect(),
            uid: self.uid,
            groups: self.accelerator.groups(),
            descriptors,
            stderr: stderr.try_clone()?,
            cgroup: self.cgroup,
            directory: "/".into(),
            environment: Vec::new(),
            limits: Limits::default(),
        };
        Ok(Started {
            process: self.base.run(|| program.start())?,
            stderr,
            run_dir: self.run_dir,
        })
    }
}

impl KernelParts {
    fn open(self, descriptors: &mut Vec<OwnedFd>) -> io::Result<Kernel> {
        let image = open(&self.image, false)?;
        let ramdisk = self.ramdisk.map(|path| open(&path, false)).transpose()?;
        let kernel = Kernel {
            image: image.as_raw_fd(),
            ramdisk: ramdisk.as_ref().map(AsRawFd::as_raw_fd),
            command_line: self.arguments,
        };
        descriptors.push(image.into());
        descriptors.extend(ramdisk.map(OwnedFd::from));
        Ok(kernel)
    }
}

/// A QEMU that was started and may not yet answer.
pub(super) struct Started {
    process: ProcessId,
    stderr: File,
    run_dir: PathBuf,
}

impl Started {
    /// Waits until QEMU answers.
    ///
    /// # Errors
    /// What QEMU said before it ended, or why it does not answer; it does not run then.
    pub(super) async fn answers(self) -> io::Result<Machine> {
        let exit = asynchronous(spawn::watch(self.process)?)?;
        let (process, stderr) = (self.process, Some(self.stderr));
        let mut machine = Machine {
            process,
            exit,
            stderr,
            link: None,
            status: OnceLock::new(),
        };
        let connected = tokio::select! {
            connected = Qmp::connect(&self.run_dir) => connected,
            () = machine.exited() => Err(qmp::Error::Closed),
        };
        match connected {
            Ok((qmp, events)) => {
                machine.link = Some(Link { qmp, events });
                Ok(machine)
            }
            Err(e) => {
                // A QEMU that closes its socket is about to exit, and says why before.
                let gone = timeout(Duration::from_secs(1), machine.exited())
                    .await
                    .is_ok();
                let said = machine.last_words();
                machine.kill().await?;
                let why = if gone { said } else { None };
                Err(io::Error::other(why.unwrap_or_else(|| {
                    format!("QEMU did not come up: {}", chain(&e))
                })))
            }
        }
    }
}

impl Machine {
    /// A QEMU that an earlier life of ours started. `None` when it is gone.
    pub(super) async fn adopt(process: ProcessId, run_dir: &Path) -> io::Result<Option<Machine>> {
        let exit = match spawn::watch(process) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            exit => asynchronous(exit?)?,
        };
        let stderr = File::open(format!("/proc/{}/fd/2", process.pid)).ok();
        let mut machine = Machine {
            process,
            exit,
            stderr,
            link: None,
            status: OnceLock::new(),
        };
        machine.reconnect(run_dir).await;
        Ok(if machine.has_exited() {
            None
        } else {
            Some(machine)
        })
    }

    pub(super) fn process(&self) -> ProcessId {
        self.process
    }

    /// What the guest does, in the words of [`plan`], and in QEMU's when it is stalled.
    pub(super) async fn look(&mut self, run_dir: &Path) -> (plan::Machine, Option<String>) {
        if self.link.is_none() {
            self.reconnect(run_dir).await;
        }
        let status = match &mut self.link {
            Some(link) => link.qmp.status().await,
            None => Err(qmp::Error::Closed),
        };
        match status {
            Ok(RunState::Running) => (plan::Machine::Running, None),
            Ok(RunState::Shutdown) => (plan::Machine::PoweredOff, None),
            Ok(RunState::Prelaunch) => (plan::Machine::Prelaunch, None),
            Ok(RunState::Other(state)) => (plan::Machine::Stalled, Some(state)),
            Err(e) => {
                self.link = None;
                match timeout(Duration::from_secs(1), self.exited()).await {
                    Ok(()) => (plan::Machine::Off, None),
                    Err(_) => (plan::Machine::Silent, Some(chain(&e))),
                }
            }
        }
    }

    /// Returns when something happened to the guest, or QEMU ended.
    pub(super) async fn news(&mut self) {
        let Machine { exit, link, .. } = self;
        let event = async {
            match link {
                Some(link) => link.events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = event => tracing::debug!(?event, "QEMU"),
            _ = exit.readable() => {}
        }
    }

    pub(super) async fn press(&mut self) -> io::Result<()> {
        self.qmp()?
            .system_powerdown()
            .await
            .map_err(io::Error::other)
    }

    pub(super) async fn reset(&mut self) -> io::Result<()> {
        Ok(self.qmp()?.system_reset().await?)
    }

    /// Resets the machine and waits until that is done.
    pub(super) async fn reset_and_wait(&mut self) -> io::Result<()> {
        let link = self.link()?;
        while link.events.try_recv().is_ok() {}
        link.qmp.system_reset().await?;
        let done = async {
            loop {
                match link.events.recv().await {
                    Some(Event::Reset { .. }) => return Ok(()),
                    Some(_) => {}
                    None => return Err(qmp::Error::Closed),
                }
            }
        };
        let slow = |_| qmp::Error::Slow("system_reset");
        Ok(timeout(RESET, done).await.map_err(slow)??)
    }

    pub(super) async fn cont(&mut self) -> io::Result<()> {
        Ok(self.qmp()?.cont().await?)
    }

    /// Takes what the guest wrote to its console since the last time.
    pub(super) async fn take_console(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.qmp()?.ringbuf_read(qemu::CONSOLE).await?)
    }

    /// Ends QEMU: by its own hand, so that its disks are written out, or else by force.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        if let Some(link) = &mut self.link
            && link.qmp.quit().await.is_ok()
            && timeout(QUIT, self.exited()).await.is_ok()
        {
            return Ok(());
        }
        self.kill().await
    }

    /// The last line that QEMU wrote to its standard error.
    pub(super) fn last_words(&self) -> Option<String> {
        let said = spawn::written(self.stderr.as_ref()?);
        said.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .map(str::to_owned)
    }

    /// What ended QEMU, once it has.
    pub(super) fn how_it_ended(&self) -> Ended {
        let status = self.status.get();
        let signal = status.and_then(ExitStatusExt::signal).map(Ended::Signal);
        let code = status.and_then(ExitStatus::code).map(Ended::Exit);
        signal.or(code).unwrap_or(Ended::Unknown)
    }

    /// What the guest has that can be plugged out.
    pub(super) async fn plugged(&mut self) -> qmp::Result<Plugged> {
        let qmp = self.qmp()?;
        Ok(Plugged {
            devices: qmp.devices().await?,
            nodes: qmp.block_nodes().await?,
            objects: qmp.objects().await?,
        })
    }

    pub(super) fn qmp(&mut self) -> qmp::Result<&mut Qmp> {
        Ok(&mut self.link()?.qmp)
    }

    fn link(&mut self) -> qmp::Result<&mut Link> {
        self.link.as_mut().ok_or(qmp::Error::Closed)
    }

    async fn reconnect(&mut self, run_dir: &Path) {
        let connected = tokio::select! {
            connected = timeout(RECONNECT, Qmp::connect(run_dir)) => connected,
            () = self.exited() => return,
        };
        match connected.unwrap_or(Err(qmp::Error::Slow("greeting"))) {
            Ok((qmp, events)) => self.link = Some(Link { qmp, events }),
            Err(e) => tracing::warn!(
                "QEMU in {} does not answer: {}",
                run_dir.display(),
                chain(&e)
            ),
        }
    }

    async fn kill(&mut self) -> io::Result<()> {
        linux::process::kill(self.process, Signal::SIGKILL)?;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "a killed QEMU does not end");
        timeout(KILLED, self.exited()).await.map_err(late)
    }

    async fn exited(&self) {
        // Readiness stays: nothing ever clears it.
        let _ = self.exit.readable().await;
        if let Some(status) = spawn::reap(self.exit.get_ref().as_fd()) {
            let _ = self.status.set(status);
        }
    }

    fn has_exited(&self) -> bool {
        !linux::process::alive(self.process)
    }
}

/// Ends every process of a guest's user. Blocks until they are gone.
pub(super) fn kill_all_of(uid: u32) -> io::Result<()> {
    use nix::poll::{PollFd, PollFlags, poll};
    for process in spawn::of_user(uid)? {
        let exit = match spawn::watch(process) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            exit => exit?,
        };
        linux::process::kill(process, Signal::SIGKILL)?;
        poll(
            &mut [PollFd::new(exit.as_fd(), PollFlags::POLLIN)],
            20_000_u16,
        )?;
        spawn::reap(exit.as_fd());
    }
    Ok(())
}

#[allow(
    deprecated,
    reason = "its successor is unsafe for types that lie about their descriptor"
)]
fn asynchronous(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    fs::OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .map_err(named)
}
