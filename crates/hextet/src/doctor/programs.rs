//! Programs, and trials of what the kernel does: guests' networks, KVM.

use doctor::host::programs::{Lack, Missing, Programs, Volumes};
use node::host;
use volume::{Daemon, Trouble};

use super::{Host, Look};
use crate::Failure;

pub(super) fn look(look: &mut Look<'_>) {
    let seen = programs(&look.host);
    look.facts.programs = look.seen("programs", seen);
    if look.host.node.is_none() {
        return;
    }
    match nix::unistd::geteuid().is_root() {
        true => look.facts.programs.lacks = host::trial().into_iter().map(lack).collect(),
        false => look.seen::<(), _>("what guests' networks need", Err("only root may try")),
    }
}

fn programs(host: &Host<'_>) -> Result<Programs, Failure> {
    let Some(node) = &host.node else {
        return Ok(Programs::default());
    };
    let mut seen = Programs::default();
    seen.missing.extend(host::missing().iter().map(|m| Missing {
        program: m.program.into(),
        package: m.package.into(),
    }));
    if !seen.missing.iter().any(|m| m.program == "qemu-img") {
        seen.without_iscsi = !host::has_iscsi()?;
    }
    let place = host.settings.place(&["node", "volumes", "portals"]);
    seen.volumes = match Daemon::find(node.volumes())?.trouble() {
        None => None,
        Some(Trouble::NoProgram(_)) => Some(Volumes::NoProgram),
        Some(Trouble::NoPortal(why)) => Some(Volumes::Portal { why, place }),
    };
    Ok(seen)
}

fn lack(lack: host::Lack) -> Lack {
    Lack {
        what: lack.what.into(),
        error: lack.error,
        fix: lack.fix.into(),
    }
}

/// Why guests do not run under KVM; nothing where there is no QEMU to try it with.
pub(super) async fn without_kvm(host: &Host<'_>) -> Result<Option<String>, &'static str> {
    match &host.node {
        Some(_) if !nix::unistd::geteuid().is_root() => Err("only root may try"),
        Some(node)
            if host::missing()
                .iter()
                .all(|m| m.package != "qemu-system-x86") =>
        {
            Ok(host::without_kvm(node).await)
        }
        _ => Ok(None),
    }
}
