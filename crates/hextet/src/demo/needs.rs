//! What the demo needs of the machine, looked for before anything is made.

use std::path::{Path, PathBuf};

use crate::Failure;
use crate::cli::Demo;

/// Programs by name, and the package that brings each.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "package qemu-system-x86"),
    ("nft", "package nftables"),
    ("ssh", "package openssh-client"),
    ("ssh-keygen", "package openssh-client"),
    ("ping", "package iputils-ping"),
];

/// What was found.
#[derive(Debug)]
pub(super) struct Tools {
    /// OpenStack's command.
    pub(super) openstack: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) ramdisk: PathBuf,
}

/// Looks for everything at once, so that one answer names all that is missing.
///
/// # Errors
/// The list of what is missing, each with what brings it.
pub(super) fn check(wish: &Demo) -> Result<Tools, Failure> {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root: it makes network namespaces; run it with sudo".to_owned());
    }
    for (name, origin) in PROGRAMS {
        if find(Path::new(name)).is_none() {
            missing.push(format!("{name}: {origin}"));
        }
    }
    let openstack = find(&wish.openstack);
    if openstack.is_none() {
        missing.push(format!(
            "{}: `pip install python-openstackclient`, or package python3-openstackclient; or name it with --openstack",
            wish.openstack.display()
        ));
    }
    let guest = std::path::absolute(&wish.guest)?;
    let [kernel, ramdisk] = ["vmlinuz", "initrd"].map(|name| guest.join(name));
    for file in [&kernel, &ramdisk] {
        if !file.is_file() {
            missing.push(format!(
                "{}: `guest/build {}` makes it; or name its directory with --guest",
                file.display(),
                wish.guest.display()
            ));
        }
    }
    match (openstack, missing.is_empty()) {
        (Some(openstack), true) => Ok(Tools {
            openstack,
            kernel,
            ramdisk,
        }),
        _ => Err(format!("the demo needs\n  {}", missing.join("\n  ")).into()),
    }
}

/// A program as a shell would find it.
fn find(program: &Path) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        return std::path::absolute(program).ok().filter(runs);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(runs)
}
