use std::io;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread;

use linux::datagram::receive_marked;
use linux::inet4::Inet4;
use linux::netns::Netns;
use linux::seccomp;

use crate::space::Space;

/// Runs on a thread of its own: a filter is never taken off again.
fn filtered(work: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        seccomp::deny_inet4().unwrap();
        work();
    });
    thread.join().unwrap();
}

#[test]
fn only_ipv4_sockets_are_denied() {
    filtered(|| {
        let denied = |e: io::Error| assert_eq!(e.raw_os_error(), Some(libc::EAFNOSUPPORT));
        denied(TcpListener::bind("127.0.0.1:0").unwrap_err());
        denied(UdpSocket::bind("0.0.0.0:0").unwrap_err());
        TcpListener::bind("[::1]:0").unwrap();
        std::os::unix::net::UnixStream::pair().unwrap();
        let junk_above = 0xdead_0000_0000_0000_u64 | libc::AF_INET as u64;
        // SAFETY: socket takes three integers.
        let made = unsafe { libc::syscall(libc::SYS_socket, junk_above, libc::SOCK_DGRAM, 0) };
        assert_eq!(made, -1, "the domain is an int");
        denied(io::Error::last_os_error());
    });
    TcpListener::bind("127.0.0.1:0").expect("other threads keep theirs");
}

#[test]
fn one_thread_may_where_guests_are() {
    let space = Space::new();
    space.shell("ip link set lo up");
    let (ns, other) = (space.0.clone(), Space::new());
    let inet4 = Inet4::start(ns.name(), std::slice::from_ref(&other.0)).unwrap();
    let address = "127.0.0.1:80".parse().unwrap();
    let (port, listening) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        listening.recv().unwrap();
        space.shell("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 80))'");
    });
    filtered(move || {
        let asked = inet4.clone();
        let refused = move |ns: &Netns| {
            let udp = asked.udp(ns, "lo", address).unwrap_err().kind();
            assert_eq!(asked.listen(ns, "lo", address).unwrap_err().kind(), udp);
            udp
        };
        let own = Netns::current().unwrap();
        assert_eq!(refused(&own), io::ErrorKind::PermissionDenied);
        assert_eq!(refused(&other.0), io::ErrorKind::PermissionDenied);
        let opened = inet4.listen(&ns, "lo", address).unwrap();
        let listener = TcpListener::from(opened);
        listener.set_nonblocking(false).unwrap();
        port.send(()).unwrap();
        listener.accept().expect("to accept is no new socket");
        assert!(TcpListener::bind("127.0.0.1:0").is_err());
        let udp = UdpSocket::from(inet4.udp(&ns, "lo", address).unwrap());
        udp.send_to(b"to itself", address).unwrap();
        let (length, from, _) = receive_marked(&udp, &mut [0; 16]).unwrap();
        assert_eq!((length, from), (9, address.into()));
        let missing = inet4.listen(&ns, "nowhere", address).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
    });
    client.join().unwrap();
}

#[test]
fn what_it_starts_inherits_it() {
    filtered(|| {
        let script = "import socket\n\
            socket.socket(socket.AF_INET6).close()\n\
            try: socket.socket(socket.AF_INET)\n\
            except OSError as e: print(e.errno)";
        let output = Command::new("python3")
            .args(["-c", script])
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim(), libc::EAFNOSUPPORT.to_string());
        let inner = thread::spawn(|| TcpListener::bind("127.0.0.1:0").is_err());
        assert!(inner.join().unwrap());
    });
}

#[test]
fn root_still_changes_user() {
    use std::os::unix::process::CommandExt;
    filtered(|| {
        let output = Command::new("id")
            .arg("-u")
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"65534\n");
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn other_ways_are_closed() {
    filtered(|| {
        const X32: i64 = 0x4000_0000;
        // SAFETY: socket takes three integers.
        let made =
            unsafe { libc::syscall(libc::SYS_socket | X32, libc::AF_INET, libc::SOCK_DGRAM, 0) };
        assert_eq!(made, -1);
        assert_eq!(
            io::Error::last_os_error().raw_os_error(),
            Some(libc::EAFNOSUPPORT)
        );
        // SAFETY: the filter answers before the kernel looks at the null pointer.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null::<u8>()) };
        assert_eq!(ring, -1);
        assert_eq!(
            io::Error::last_os_error().raw_os_error(),
            Some(libc::EAFNOSUPPORT)
        );
    });
}

/// A call through the i386 table ends the process, so it is made in a process of its own.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_i386_table_is_closed() {
    use std::os::unix::process::ExitStatusExt;
    const ENV: &str = "HEXTET_I386_CHILD";
    if std::env::var_os(ENV).is_some() {
        seccomp::deny_inet4().unwrap();
        // SAFETY: int 0x80 with getpid's i386 number touches no memory.
        unsafe { std::arch::asm!("int 0x80", inout("eax") 20 => _, options(nostack)) };
        std::process::exit(0);
    }
    let own = std::env::current_exe().unwrap();
    let status = Command::new(own)
        .args(["--exact", "seccomp::the_i386_table_is_closed"])
        .env(ENV, "1")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
}
