//! The disk that a qcow2 image stands for, as a raw file with holes.
//!
//! qemu-img does it, because it knows the format whole. It reads octets that anyone may have made, so
//! it has a user of its own, no right to any path, no network, and bounds to its memory, time and
//! output; it is ended when the disk runs short.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use disk::HEAD_SIZE;
use linux::process;
use linux::spawn::{self, Limits, Program};
use model::ImageFile;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use super::{Shared, room};

/// Of address space: the stacks of its 64 threads take 0.5 GiB, the largest clusters 0.3 GiB.
const MEMORY: u64 = 2 << 30;

/// Seconds of a processor's time, and for each GiB of the disk.
const PATIENCE_S: u64 = 60;
const PATIENCE_PER_GIB_S: u64 = 60;

/// How often is looked whether the disk has room.
const LOOK_EVERY_MS: u16 = 1000;

/// How much of its complaints is kept.
const STDERR: u64 = 16 << 10;

impl Shared {
    /// Makes `path`, the disk in a qcow2 image whose data is here.
    pub(super) fn convert(&self, image: &ImageFile, data: &Path, path: &Path) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        self.appear(image, path, |new| {
            let from = File::open(data)?;
            let size_bytes = virtual_size(&from, image)?;
            let to = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(new)?;
            to.set_len(size_bytes)?;
            let uid = self.settings.uid;
            fchown(&to, Some(uid), Some(uid))?;
            to.set_permissions(Permissions::from_mode(0o600))?;
            run(&from, &to, size_bytes, uid)?;
            fchown(&to, Some(0), Some(0))?;
            to.sync_all()?;
            // Nothing of it may hang on the user that made it.
            match fs::metadata(new)?.len() == size_bytes {
                true => Ok(()),
                false => Err(io::Error::other("qemu-img changed its size")),
            }
        })
    }
}

/// What the image was checked for when it was uploaded is checked where it is used, too.
fn virtual_size(mut from: &File, image: &ImageFile) -> io::Result<u64> {
    let mut head = Vec::new();
    from.by_ref()
        .take(HEAD_SIZE as u64)
        .read_to_end(&mut head)?;
    let size = disk::check(&image.disk_format, &head, from.metadata()?.len());
    size.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn run(from: &File, to: &File, size_bytes: u64, uid: u32) -> io::Result<()> {
    let disk = to;
    let (from, to) = (from.try_clone()?, to.try_clone()?);
    let file = |fd: &File| format!("/proc/self/fd/{}", fd.as_raw_fd());
    // The output is new, so what is not written is zero; 4 KiB of zeros become a hole.
    let mut arguments: Vec<_> = "convert -f qcow2 -O raw -n --target-is-zero -S 4k -W"
        .split(' ')
        .map(Into::into)
        .collect();
    arguments.extend([file(&from).into(), file(&to).into()]);
    let stderr = spawn::bounded_file(c"qemu-img-stderr", STDERR)?;
    let id = Program {
        path: "qemu-img".into(),
        arguments,
        uid,
        groups: Vec::new(),
        descriptors: vec![from.into(), to.into()],
        stderr: stderr.try_clone()?,
        cgroup: None,
        directory: "/".into(),
        // Or the C library reserves 64 MiB for each of its threads.
        environment: vec![("MALLOC_ARENA_MAX".into(), "1".into())],
        limits: Limits {
            memory_bytes: Some(MEMORY),
            cpu_s: Some(PATIENCE_S + PATIENCE_PER_GIB_S * (size_bytes >> 30)),
            file_bytes: Some(size_bytes),
            ends_with_us: true,
            no_network: true,
        },
    }
    .start()
    .map_err(|e| {
        io::Error::new(
            e.kind(),
            format!("qemu-img: {e}; is the package qemu-utils installed?"),
        )
    })?;
    let exit = spawn::watch(id)?;
    let mut short = false;
    while !has_ended(&exit)? {
        // Guests write to the same disk, and take a full one badly.
        if !short && room::is_short(disk)? {
            short = true;
            process::kill(id, Signal::SIGKILL)?;
        }
    }
    let code = spawn::reap(exit.as_fd()).and_then(|status| status.code());
    if short {
        return Err(io::Error::other(
            "the disk is almost full: make room where images are kept",
        ));
    }
    if code == Some(0) {
        return Ok(());
    }
    let said = spawn::written(&stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let why = match (last, code) {
        (Some(line), _) => line.to_owned(),
        (None, Some(code)) => format!("it ended with {code}"),
        (None, None) => "it was ended; it needed too much memory or time".to_owned(),
    };
    Err(io::Error::other(format!("qemu-img cannot read it: {why}")))
}

/// Waits for the end of a process, for a second.
fn has_ended(exit: &OwnedFd) -> io::Result<bool> {
    let mut exit = [PollFd::new(exit.as_fd(), PollFlags::POLLIN)];
    match poll(&mut exit, LOOK_EVERY_MS) {
        Err(Errno::EINTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}
