//! Whether something keeps the kernel's clock right.

use std::io;

/// Whether the clock is synchronised, as adjtimex(2) says; changes nothing.
///
/// # Errors
/// The kernel's.
pub fn is_synchronised() -> io::Result<bool> {
    // SAFETY: `struct timex` is plain data, for which zeroes are a value; with `modes` 0 the kernel
    // only fills it in.
    let (state, told) = unsafe {
        let mut told: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut told), told)
    };
    match state {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(state != libc::TIME_ERROR && told.status & libc::STA_UNSYNC == 0),
    }
}
