//! What a node is: its size, and what its guests run on.

use std::io;
use std::path::Path;

use model::NodeFacts;
use qemu::Accelerator;

use crate::agent::NodeSettings;

/// The facts that a node introduces itself with.
pub(crate) async fn gather(
    settings: &NodeSettings,
    accelerator: &Accelerator,
) -> io::Result<NodeFacts> {
    let (accelerator, why) = match accelerator {
        Accelerator::Kvm => ("kvm", None),
        Accelerator::Tcg { why } => ("tcg", Some(why.clone())),
    };
    let version = tokio::process::Command::new(settings.guests().qemu)
        .arg("--version")
        .output()
        .await;
    let version = version
        .map(|out| version_of(&String::from_utf8_lossy(&out.stdout)))
        .unwrap_or_default();
    Ok(NodeFacts {
        id: settings.id,
        name: settings.name.clone(),
        vcpus: std::thread::available_parallelism()
            .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        ram_mib: memory_mib(&std::fs::read_to_string("/proc/meminfo")?),
        disk_gib: disk_gib(&settings.state)?,
        accelerator: accelerator.to_owned(),
        accelerator_why: why,
        qemu_version: version,
        physical_networks: settings.physical.keys().cloned().collect(),
        portals: Vec::new(),
    })
}

/// `7.2.22` out of `QEMU emulator version 7.2.22 (Debian ...)`.
fn version_of(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "version");
    place
        .and_then(|p| words.get(p + 1))
        .map(|v| (*v).to_owned())
        .unwrap_or_default()
}

fn memory_mib(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = line
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse().ok());
    kib.unwrap_or(0) / 1024
}

fn disk_gib(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok((stat.blocks() * stat.fragment_size()) >> 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_system_are_understood() {
        assert_eq!(
            version_of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"),
            "7.2.22"
        );
        assert_eq!(version_of(""), "");
        assert_eq!(
            memory_mib("MemTotal:       24611234 kB\nMemFree: 1 kB\n"),
            24_034
        );
    }
}
