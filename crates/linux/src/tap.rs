//! Taps: the host's end of a guest's network card.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::netlink::Netlink;
use crate::netns::Netns;

nix::ioctl_write_int!(tun_set_persist, b'T', 203);
nix::ioctl_write_ptr_bad!(tun_set_iff, TUNSETIFF, libc::ifreq);

/// `_IOW('T', 202, int)`, though its argument is a pointer to `struct ifreq`.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
/// The flags QEMU uses for one queue with offloads; they must be the same at each opening.
const FLAGS: libc::c_int = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;

/// A tap that stays when nobody has it open.
pub fn ensure(ns: &Netns, name: &str) -> io::Result<()> {
    let exists = |e: &io::Error| e.raw_os_error() == Some(libc::EBUSY);
    let tap = match attach(ns, name) {
        Ok(tap) => tap,
        // Somebody has it open: so it is there.
        Err(e) if exists(&e) => return Ok(()),
        Err(e) => return Err(named("making", name, e)),
    };
    // SAFETY: the descriptor is open and the argument is a plain integer.
    unsafe { tun_set_persist(tap.as_raw_fd(), 1) }.map_err(|e| named("keeping", name, e.into()))?;
    Ok(())
}

/// Opens an existing tap, to be handed to QEMU.
///
/// # Errors
/// `NotFound` when it is not there, `ResourceBusy` when a guest has it open.
pub fn open(ns: &Netns, name: &str) -> io::Result<OwnedFd> {
    // TUNSETIFF would make a tap of this name that vanishes with the descriptor.
    if Netlink::open(ns)?.link(name)?.is_none() {
        return Err(named("opening", name, io::ErrorKind::NotFound.into()));
    }
    attach(ns, name)
        .map(OwnedFd::from)
        .map_err(|e| named("opening", name, e))
}

fn attach(ns: &Netns, name: &str) -> io::Result<File> {
    ns.run(|| {
        let request = request(name)?;
        let tap = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun")?;
        // SAFETY: the descriptor is open and `request` is a whole `struct ifreq`.
        unsafe { tun_set_iff(tap.as_raw_fd(), &request) }?;
        Ok(tap)
    })
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `struct ifreq` is plain data, for which zeroes are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        let text = format!("'{name}' is no name for a link: 1 to 15 octets");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = FLAGS as libc::c_short;
    Ok(request)
}

fn named(doing: &str, name: &str, e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{doing} tap {name}: {e}"))
}
