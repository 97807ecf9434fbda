//! Listening sockets that a service manager opened and passes on (`sd_listen_fds(3)`): they stay
//! open while one process ends and the next begins, so no connection is refused in between.

use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{SockaddrStorage, getsockname, getsockopt, sockopt};

/// The first descriptor that is passed on.
const FIRST: i32 = 3;
/// More than anybody has listeners: a number beyond it is a mistake.
const MOST: i32 = 64;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The listeners that were passed to this process; none at the second call. What we start does not
/// have them.
///
/// # Errors
/// A sentence about one that is no listener of IPv6 alone.
pub fn listeners() -> io::Result<Vec<TcpListener>> {
    let number = |name| std::env::var(name).ok()?.parse::<i32>().ok();
    let for_us = number("LISTEN_PID") == Some(std::process::id() as i32);
    let count = number("LISTEN_FDS").unwrap_or(0);
    if !for_us || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    if !(0..=MOST).contains(&count) {
        return Err(io::Error::other(format!(
            "LISTEN_FDS says that {count} sockets were passed, which cannot be"
        )));
    }
    (FIRST..FIRST + count).map(listener).collect()
}

#[allow(unsafe_code)]
fn listener(number: i32) -> io::Result<TcpListener> {
    let wrong = |of: &str, what: &str| {
        io::Error::other(format!(
            "descriptor {number}{of}, which the service manager passed, {what}: a socket unit says ListenStream=[ADDRESS]:PORT and BindIPv6Only=ipv6-only"
        ))
    };
    // SAFETY: the descriptor is only borrowed for calls, which fail when it is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_err() {
        return Err(wrong("", "is not open"));
    }
    let listens = getsockopt(&fd, sockopt::AcceptConn).unwrap_or(false);
    let address = getsockname::<SockaddrStorage>(number).ok();
    let six = address.as_ref().and_then(SockaddrStorage::as_sockaddr_in6);
    let four = address.as_ref().and_then(SockaddrStorage::as_sockaddr_in);
    match (listens, six, four) {
        (true, Some(_), _) if getsockopt(&fd, sockopt::Ipv6V6Only).unwrap_or(false) => {
            // SAFETY: it is a listener, of which this process has opened none yet: the manager
            // passed it to us alone (LISTEN_PID), and `TAKEN` lets only one caller come here. What
            // is none may be a file of ours, where the manager passed fewer than it said.
            let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(number) });
            listener.set_nonblocking(true)?;
            Ok(listener)
        }
        (true, Some(address), _) => Err(wrong(&format!(" ({address})"), "takes IPv4 too")),
        (true, _, Some(address)) => Err(wrong(&format!(" ({address})"), "is of IPv4")),
        _ => Err(wrong("", "is no listening TCP socket")),
    }
}
