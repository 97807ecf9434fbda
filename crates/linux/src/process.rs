//! Processes that outlive us: named so that a later process with the same number is not taken
//! for them.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::sys::signal::Signal;

/// A process by its number and the moment it started, in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    pub pid: i32,
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: i32) -> io::Result<ProcessId> {
        let (_, started) = stat(pid)?;
        Ok(ProcessId { pid, started })
    }
}

/// Whether the process still runs. One that ended and waits for its parent does not.
pub fn alive(id: ProcessId) -> bool {
    matches!(stat(id.pid), Ok((state, started)) if started == id.started && !"ZX".contains(state))
}

/// Sends a signal. A process that has ended is none to fail over: `Ok(false)`.
pub fn kill(id: ProcessId, signal: Signal) -> io::Result<bool> {
    let handle = match open(id.pid) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        handle => handle?,
    };
    // The handle names one process for good; now see whether it is the one that was meant.
    if !alive(id) {
        return Ok(false);
    }
    match send(&handle, signal) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        sent => sent.map(|()| true),
    }
}

/// State and start time from `/proc/PID/stat` (proc_pid_stat(5), fields 3 and 22).
fn stat(pid: i32) -> io::Result<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat")))
}

fn parse_stat(text: &str) -> Option<(char, u64)> {
    // The name in field 2 may hold spaces and parentheses, but no field after it does.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn send(handle: &OwnedFd, signal: Signal) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null pointer asks for the default information.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            handle.as_raw_fd(),
            signal as i32,
            no_info,
            0,
        )
    };
    match sent {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b) R) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1000 5";
        assert_eq!(parse_stat(stat), Some(('S', 99)));
    }
}
