//! Finding processes by their arguments: nothing needs to be written down for it, so nothing is
//! forgotten when a demo is killed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use linux::process::{self, ProcessId};
use nix::sys::signal::Signal;

/// How long a killed process may take to go.
const KILLED: Duration = Duration::from_secs(20);

/// Every `hextet --root ROOT up` with this root.
pub(crate) fn up_of(root: &Path) -> Vec<ProcessId> {
    let root = root.to_string_lossy();
    let with = |arguments: &[String]| matches!(arguments, [_, a, b, c] if a == "--root" && *b == root && c == "up");
    find(with)
}

/// The QEMU that runs a server.
pub(super) fn qemu_of(server: &str) -> Option<ProcessId> {
    let named = |pair: &[String]| pair[0] == "-name" && pair[1] == server;
    find(|arguments| arguments.windows(2).any(named)).pop()
}

/// Kills and waits until it is gone.
///
/// # Errors
/// When it stays.
pub(crate) fn kill(id: ProcessId) -> io::Result<()> {
    process::kill(id, Signal::SIGKILL)?;
    let began = Instant::now();
    while process::alive(id) || has_threads(id.pid) {
        if began.elapsed() > KILLED {
            let text = format!("process {} does not end though it was killed", id.pid);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A process whose first thread has ended may still hold its files in others.
fn has_threads(pid: i32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

/// The numbers of all processes.
pub(crate) fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// A process's parent, from `/proc/PID/stat` (proc_pid_stat(5), field 4).
pub(super) fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

fn find(wanted: impl Fn(&[String]) -> bool) -> Vec<ProcessId> {
    let found = all().into_iter().filter_map(|pid| {
        // The number first: should it change hands, the two do not fit and nothing is killed.
        let id = ProcessId::of(pid).ok()?;
        wanted(&arguments(pid)?).then_some(id)
    });
    found.filter(|id| process::alive(*id)).collect()
}

fn arguments(pid: i32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(
        text.trim_end_matches('\0')
            .split('\0')
            .map(str::to_owned)
            .collect(),
    )
}
