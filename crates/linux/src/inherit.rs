//! Listening sockets that a service manager opened and passes on (`sd_listen_fds(3)`): they stay
//! open while one process ends and the next begins, so no connection is refused in between.

use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};

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
    let wrong = |what: &str| {
        io::Error::other(format!(
            "descriptor {number}, which the service manager passed, {what}: a socket unit says ListenStream=[ADDRESS]:PORT and BindIPv6Only=ipv6-only"
        ))
    };
    if fcntl_cloexec(number).is_err() {
        return Err(wrong("is not open"));
    }
    // SAFETY: it is open (just seen), the manager passed it to us alone (LISTEN_PID), and `TAKEN`
    // lets only one caller come here.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    let listens = getsockopt(&owned, sockopt::AcceptConn).unwrap_or(false);
    let only6 = getsockopt(&owned, sockopt::Ipv6V6Only).unwrap_or(false);
    let listener = TcpListener::from(owned);
    let address = listener.local_addr();
    match address {
        Ok(address) if listens && only6 && address.is_ipv6() => {
            listener.set_nonblocking(true)?;
            Ok(listener)
        }
        Ok(address) if listens && address.is_ipv6() => {
            Err(wrong(&format!("({address}) takes IPv4 too")))
        }
        Ok(address) if listens => Err(wrong(&format!("({address}) is of IPv4"))),
        _ => Err(wrong("is no listening TCP socket")),
    }
}

#[allow(unsafe_code)]
fn fcntl_cloexec(number: i32) -> nix::Result<()> {
    // SAFETY: the descriptor is only borrowed for the call, which fails when it is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop)
}
