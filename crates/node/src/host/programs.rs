//! The programs that a node starts, and what they can do.

use std::io;
use std::process::Command;

use qemu::Accelerator;

use crate::NodeSettings;

/// Each with the Debian package that brings it.
const PROGRAMS: [(&str, &str); 3] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("nft", "nftables"),
];

/// A program that is not on this host's PATH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub program: &'static str,
    pub package: &'static str,
}

/// The programs without which no node starts, and that are not here.
pub fn missing() -> Vec<Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    PROGRAMS
        .into_iter()
        .filter(|(program, _)| !there(program))
        .map(|(program, package)| Missing { program, package })
        .collect()
}

/// Whether QEMU can log in to volumes by itself: whether it knows the driver at all.
///
/// # Errors
/// When qemu-img cannot be run.
pub fn has_iscsi() -> io::Result<bool> {
    // Without an address it fails before it asks anybody, and says whether it knew what to do.
    let asked = Command::new("qemu-img")
        .args(["info", r#"json:{"driver":"iscsi"}"#])
        .output()?;
    Ok(!String::from_utf8_lossy(&asked.stderr).contains("Unknown driver"))
}

/// Why guests do not run under KVM, if they do not: found out by a trial, which takes up to 1.5 s.
pub async fn without_kvm(settings: &NodeSettings) -> Option<String> {
    let guests = settings.guests();
    match qemu::accelerator(&guests.qemu, guests.uid_base).await {
        Accelerator::Kvm => None,
        Accelerator::Tcg { why } => Some(why),
    }
}
