//! Streams whose ends are elsewhere: in another network namespace, or with a program that talks to
//! its own user only.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, SocketAddrV6, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn6, bind, getsockname,
    sendmsg, setsockopt, socket, sockopt,
};

use crate::netns::Netns;

/// Whether a program could listen at an address of a namespace now; the port it would get.
///
/// # Errors
/// `AddrNotAvailable` when the namespace does not have the address, or has yet to find out whether
/// another host uses it (RFC 4862, section 5.4); `AddrInUse` when somebody listens there.
pub fn can_listen_v6(ns: &Netns, address: SocketAddrV6) -> io::Result<u16> {
    ns.run(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet6, SockType::Stream, flags, None)?;
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
        Ok(getsockname::<SockaddrIn6>(fd.as_raw_fd())?.port())
    })
}

/// Connects from a namespace; waits no longer than this.
pub fn connect_v6(ns: &Netns, to: SocketAddrV6, within: Duration) -> io::Result<TcpStream> {
    ns.run(|| TcpStream::connect_timeout(&SocketAddr::V6(to), within))
}

/// Connects to a Unix socket in a directory as another user and its group of the same number, for
/// a listener that asks the kernel who that is (`SO_PEERCRED`, unix(7)).
pub fn connect_unix_as(uid: u32, dir: &File, name: &str) -> io::Result<UnixStream> {
    // The path has room for 107 octets, and the directory's may be longer.
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    let connect = || {
        become_user(uid)?;
        UnixStream::connect(path)
    };
    std::thread::scope(|scope| match scope.spawn(connect).join() {
        Ok(connected) => connected,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Sends octets over a Unix socket, and a descriptor with the first of them. How many it took.
pub fn send_with(socket: impl AsFd, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    let rights = [descriptor.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&rights)];
    let bytes = [io::IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let socket = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<()>(socket, &bytes, &rights, flags, None)?)
}

/// Changes the calling thread's user and group and no other thread's, which is what the system
/// calls do and the C library's functions of the same name do not.
fn become_user(uid: u32) -> io::Result<()> {
    for call in [libc::SYS_setresgid, libc::SYS_setresuid] {
        // SAFETY: both take three integers; -1 leaves the real and the saved one as they are.
        let done = unsafe { libc::syscall(call, u32::MAX, uid, u32::MAX) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_address_must_be_there_and_free() {
        let ns = Netns::current().unwrap();
        let port = can_listen_v6(&ns, "[::1]:0".parse().unwrap()).unwrap();
        assert_ne!(port, 0);
        let missing = can_listen_v6(&ns, "[2001:db8::77]:0".parse().unwrap()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::AddrNotAvailable);
        let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
        let SocketAddr::V6(taken) = listener.local_addr().unwrap() else {
            unreachable!()
        };
        let error = can_listen_v6(&ns, taken).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        connect_v6(&ns, taken, Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_listener_sees_another_user_and_we_stay_who_we_are() {
        let root = nix::unistd::Uid::effective().is_root();
        assert!(root, "becoming another user needs root");
        let dir = std::env::temp_dir().join(format!("hextet-stream-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let listener = UnixListener::bind(dir.join("s")).unwrap();
        nix::unistd::chown(&dir.join("s"), Some(1_999_000_001.into()), None).unwrap();
        nix::unistd::chown(&dir, Some(1_999_000_001.into()), None).unwrap();
        let _stream = connect_unix_as(1_999_000_001, &File::open(&dir).unwrap(), "s").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let peer = nix::sys::socket::getsockopt(&accepted, sockopt::PeerCredentials).unwrap();
        assert_eq!((peer.uid(), peer.gid()), (1_999_000_001, 1_999_000_001));
        assert!(nix::unistd::Uid::effective().is_root());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
