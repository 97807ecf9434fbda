//! A filter under which no thread gets an IPv4 socket.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// From here on the calling thread, and every thread and process it starts, gets `EAFNOSUPPORT`
/// for `socket(AF_INET, ..)`, as on a kernel that has no IPv4.
///
/// Ways around are closed too: io_uring, which makes sockets past every seccomp filter, fails the
/// same way; a call through another architecture's table (i386 on x86_64) ends the process; so do
/// x32 calls by failing. The filter asks for `no_new_privs`: set-user-id programs no longer gain
/// rights, while root may still change to another user and start programs.
pub fn deny_inet4() -> io::Result<()> {
    let program = program().map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::from([
        (libc::SYS_socket, vec![inet4()?]),
        (libc::SYS_socketpair, vec![inet4()?]),
        (libc::SYS_io_uring_setup, vec![]),
    ]);
    if cfg!(target_arch = "x86_64") {
        const X32: i64 = 0x4000_0000; // __X32_SYSCALL_BIT
        for call in [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_io_uring_setup,
        ] {
            rules.insert(call | X32, vec![]);
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EAFNOSUPPORT as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

/// The domain is an `int`: what a caller left in the register's upper half does not count.
fn inet4() -> Result<SeccompRule, seccompiler::BackendError> {
    let domain = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        libc::AF_INET as u64,
    )?;
    SeccompRule::new(vec![domain])
}
