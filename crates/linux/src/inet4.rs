//! The one thread that may open IPv4 sockets.
//!
//! It starts before [`crate::seccomp::deny_inet4`], so that filter does not lie on it, and does one
//! thing: it opens a socket that serves an address inside a guests' network's namespace and hands it
//! over. To accept, read and write needs no new socket, so all other threads do with the filter.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt,
};
use nix::sys::stat::fstat;

use crate::datagram::tell_marks;
use crate::netns::Netns;

/// Asks the thread. Clones ask the same one, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Inet4 {
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Ask {
    ns: Netns,
    interface: String,
    address: SocketAddrV4,
    kind: SockType,
    answer: mpsc::Sender<io::Result<OwnedFd>>,
}

/// Where the thread may open a socket.
struct Allowed {
    /// How names of guests' networks' namespaces begin.
    prefix: String,
    /// The thread's own, to which it returns so that it keeps no other alive.
    home: Netns,
    never: Vec<Netns>,
}

impl Inet4 {
    /// Starts the thread. It opens sockets only in namespaces whose names begin so, and in none of
    /// `never` nor in that of the caller, whatever they are called.
    ///
    /// # Errors
    /// `InvalidInput` when the prefix is empty; those of starting a thread.
    pub fn start(prefix: &str, never: &[Netns]) -> io::Result<Inet4> {
        if prefix.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let allowed = Allowed {
            prefix: prefix.to_owned(),
            home: Netns::current()?,
            never: never.to_vec(),
        };
        let (asks, asked) = mpsc::channel::<Ask>();
        std::thread::Builder::new()
            .name("inet4".into())
            .spawn(move || {
                for ask in asked {
                    // Who asked may have gone meanwhile.
                    let _ = ask.answer.send(allowed.visit(&ask));
                }
            })?;
        Ok(Inet4 { asks })
    }

    /// A TCP socket that listens inside a namespace on one interface, and does not block. The
    /// address need not exist yet.
    ///
    /// # Errors
    /// `PermissionDenied` for a namespace that is not a guests' network's; the kernel's own.
    pub fn listen(
        &self,
        ns: &Netns,
        interface: &str,
        address: SocketAddrV4,
    ) -> io::Result<OwnedFd> {
        self.open(ns, interface, address, SockType::Stream)
    }

    /// A UDP socket inside a namespace, for what comes in by one interface; it does not block, and
    /// [`crate::datagram::receive_marked`] tells the marks. The address need not exist yet.
    ///
    /// # Errors
    /// As [`Inet4::listen`].
    pub fn udp(&self, ns: &Netns, interface: &str, address: SocketAddrV4) -> io::Result<OwnedFd> {
        self.open(ns, interface, address, SockType::Datagram)
    }

    fn open(
        &self,
        ns: &Netns,
        interface: &str,
        address: SocketAddrV4,
        kind: SockType,
    ) -> io::Result<OwnedFd> {
        let gone = || io::Error::other("the thread that opens IPv4 sockets has ended");
        let (answer, opened) = mpsc::channel();
        let ask = Ask {
            ns: ns.clone(),
            interface: interface.to_owned(),
            address,
            kind,
            answer,
        };
        self.asks.send(ask).map_err(|_| gone())?;
        opened.recv().map_err(|_| gone())?
    }
}

impl Allowed {
    fn visit(&self, ask: &Ask) -> io::Result<OwnedFd> {
        self.check(&ask.ns)?;
        setns(ask.ns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let opened = open(&ask.interface, ask.address, ask.kind);
        setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET)?;
        opened
    }

    fn check(&self, ns: &Netns) -> io::Result<()> {
        let identity = identity(ns)?;
        let mut forbidden = self.never.iter().chain([&self.home]);
        let refused = !ns.name().starts_with(&self.prefix)
            || forbidden.any(|other| self::identity(other).is_ok_and(|i| i == identity));
        match refused {
            true => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "no IPv4 socket is opened in namespace '{}': it is no guests' network's",
                    ns.name()
                ),
            )),
            false => Ok(()),
        }
    }
}

fn identity(ns: &Netns) -> io::Result<(u64, u64)> {
    let stat = fstat(ns)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn open(interface: &str, address: SocketAddrV4, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, kind, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::IpFreebind, &true)?;
    setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
    if kind == SockType::Datagram {
        tell_marks(&fd)?;
    }
    bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    if kind == SockType::Stream {
        listen(&fd, Backlog::new(128)?)?;
    }
    Ok(fd)
}
