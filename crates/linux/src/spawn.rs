//! Starting programs that outlive us: a session, a user and a cgroup of their own, and exactly the
//! descriptors that were meant for them.

use std::ffi::{CStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, setsid};

use crate::process::ProcessId;

/// A program to start.
#[derive(Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// Its user, and its group of the same number.
    pub uid: u32,
    /// Further groups, for what it may open by itself.
    pub groups: Vec<u32>,
    /// Kept open in it under the numbers they have here, which its arguments name.
    pub descriptors: Vec<OwnedFd>,
    pub stderr: File,
    /// The directory of an existing cgroup.
    pub cgroup: Option<PathBuf>,
    /// Where it works; it need not be able to enter it.
    pub directory: PathBuf,
    /// All it is told besides `PATH`.
    pub environment: Vec<(String, String)>,
    pub limits: Limits,
}

/// What a program may use; `None` is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Of address space.
    pub memory_bytes: Option<u64>,
    /// Of processor time.
    pub cpu_s: Option<u64>,
    /// Of any file that it writes.
    pub file_bytes: Option<u64>,
    /// It does not outlive us, nor the thread that started it.
    pub ends_with_us: bool,
    /// It has a network namespace of its own, with nothing in it.
    pub no_network: bool,
}

impl Limits {
    /// Binds the calling process.
    fn set(&self) -> io::Result<()> {
        for (resource, bound) in [
            (Resource::RLIMIT_AS, self.memory_bytes),
            (Resource::RLIMIT_CPU, self.cpu_s),
            (Resource::RLIMIT_FSIZE, self.file_bytes),
        ] {
            if let Some(bound) = bound {
                setrlimit(resource, bound, bound)?;
            }
        }
        // The kernel forgets this when the user changes, so it comes after that.
        if self.ends_with_us {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        }
        Ok(())
    }
}

impl Program {
    /// Starts it. Once this returns, nothing that happens to us happens to it; when it ends while
    /// we live, [`reap`] has to collect it.
    pub fn start(self) -> io::Result<ProcessId> {
        let cgroup = self
            .cgroup
            .as_ref()
            .map(|dir| writable(dir.join("cgroup.procs")));
        let cgroup = cgroup.transpose()?;
        let keep: Vec<RawFd> = self.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.uid));
        let limits = self.limits;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).current_dir(&self.directory);
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(self.environment);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.stderr);
        let in_child = move || {
            setsid()?;
            if let Some(mut procs) = cgroup.as_ref() {
                procs.write_all(b"0")?;
            }
            keep.iter().try_for_each(|fd| inherit(*fd))?;
            setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            if limits.no_network {
                unshare(CloneFlags::CLONE_NEWNET)?;
            }
            setgroups(&groups)?;
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
            limits.set()?;
            nix::sys::prctl::set_no_new_privs()?;
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe { command.pre_exec(in_child) };
        let child = command.spawn()?;
        ProcessId::of(child.id().cast_signed())
    }
}

/// A descriptor that becomes readable when the process ends, whosever child it is.
///
/// # Errors
/// `NotFound` when it has ended and was collected.
pub fn watch(id: ProcessId) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, id.pid, 0) };
    if fd < 0 {
        return Err(match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            e => e,
        });
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let watch = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    // The number may be another's by now; what the handle names can no longer change.
    match ProcessId::of(id.pid) {
        Ok(now) if now == id => Ok(watch),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Whether a watched process has ended, every thread of it: only then is what it held free.
pub fn has_ended(exit: BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    poll(
        &mut [PollFd::new(exit, PollFlags::POLLIN)],
        PollTimeout::ZERO,
    )
    .is_ok_and(|n| n > 0)
}

/// Collects a watched process that has ended: what ended it, if it was our child.
pub fn reap(watch: BorrowedFd<'_>) -> Option<ExitStatus> {
    let ended = waitid(
        Id::PIDFd(watch),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    );
    match ended {
        // As wait(2) writes them: the code in the second octet, the signal in the first.
        Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw((code & 0xff) << 8)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
        _ => None,
    }
}

/// The living processes of a user.
pub fn of_user(uid: u32) -> io::Result<Vec<ProcessId>> {
    let pids = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| user_of(*pid) == Some(uid));
    Ok(pids
        .filter_map(|pid| ProcessId::of(pid).ok())
        .filter(|id| crate::process::alive(*id))
        .collect())
}

/// A file in memory with this content, from its start.
pub fn memory_file(name: &CStr, content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(
        name,
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// A file in memory that takes this many octets and no more: for the error output of a program
/// that nobody may be there to read.
pub fn bounded_file(name: &CStr, size_bytes: u64) -> io::Result<File> {
    let file = memory_file(name, b"")?;
    file.set_len(size_bytes)?;
    fcntl(
        &file,
        FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK),
    )?;
    Ok(file)
}

/// What was written to a [`bounded_file`] so far.
pub fn written(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    let mut content = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = file.read_at(&mut piece, content.len() as u64) {
        content.extend_from_slice(&piece[..read]);
    }
    let end = content
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(content.len());
    String::from_utf8_lossy(&content[..end]).into_owned()
}

fn writable(path: PathBuf) -> io::Result<File> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("opening {}: {e}", path.display()));
    File::options().write(true).open(&path).map_err(named)
}

/// Lets a descriptor of the calling process live on after exec.
fn inherit(fd: RawFd) -> io::Result<()> {
    // SAFETY: the parent keeps the descriptor open until the child is on its way.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// The effective user, from the second number of the line `Uid:` in proc_pid_status(5).
fn user_of(pid: i32) -> Option<u32> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/status"))
        .ok()?
        .read_to_string(&mut text)
        .ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_file_stays_so() {
        let mut file = bounded_file(c"test", 8).unwrap();
        file.write_all(b"four").unwrap();
        assert_eq!(written(&file), "four");
        assert!(file.write_all(b"and more").is_err());
        assert_eq!(written(&file), "four");
    }

    #[test]
    fn a_process_is_watched_found_and_collected() {
        let root = Uid::effective().is_root();
        assert!(root, "starting a program as another user needs root");
        let uid = 1_999_000_000 + std::process::id() % 1_000_000;
        let (read, write) = nix::unistd::pipe().unwrap();
        let id = Program {
            // Debian's sh takes descriptors up to 9 alone, and other tests have files open too.
            path: "bash".into(),
            arguments: vec![
                "-c".into(),
                format!(
                    "read x <&{}; echo $x $(grep -c : /proc/net/dev) >&2",
                    read.as_raw_fd()
                )
                .into(),
            ],
            uid,
            groups: Vec::new(),
            descriptors: vec![read],
            stderr: bounded_file(c"test", 100).unwrap(),
            cgroup: None,
            directory: "/".into(),
            environment: Vec::new(),
            limits: Limits {
                no_network: true,
                ..Limits::default()
            },
        };
        let stderr = id.stderr.try_clone().unwrap();
        let id = id.start().unwrap();
        let exit = watch(id).unwrap();
        assert_eq!(of_user(uid).unwrap(), [id]);
        File::from(write).write_all(b"hello\n").unwrap();
        let mut ready = [nix::poll::PollFd::new(
            exit.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        assert_eq!(nix::poll::poll(&mut ready, 10_000_u16).unwrap(), 1);
        assert_eq!(reap(exit.as_fd()).unwrap().code(), Some(0));
        // The loopback device, which is down.
        assert_eq!(written(&stderr), "hello 1\n");
        assert_eq!(of_user(uid).unwrap(), []);
        assert!(watch(id).is_err());
    }
}
