//! What guests, their networks and their volumes run on.

use super::{at, found};
use crate::finding::{Finding, Place};
use crate::table;

/// What was tried.
#[derive(Debug, Default)]
pub struct Programs {
    pub missing: Vec<Missing>,
    /// What guests' networks need and this host does not do.
    pub lacks: Vec<Lack>,
    /// Why guests do not run under KVM.
    pub without_kvm: Option<String>,
    /// QEMU does not know how to log in to volumes.
    pub without_iscsi: bool,
    /// Why no volumes are served here.
    pub volumes: Option<Volumes>,
}

/// A program that is not there.
#[derive(Clone, Debug)]
pub struct Missing {
    pub program: String,
    /// The Debian package that brings it.
    pub package: String,
}

/// What failed in a trial.
#[derive(Clone, Debug)]
pub struct Lack {
    pub what: String,
    pub error: String,
    pub fix: String,
}

/// Why no volumes are served.
#[derive(Clone, Debug)]
pub enum Volumes {
    NoProgram,
    /// What is wrong with a portal, as tgtd's keeper says it.
    Portal {
        why: String,
        place: Place,
    },
}

pub(super) fn check(seen: &Programs) -> Vec<Finding> {
    let mut all: Vec<Finding> = seen.missing.iter().map(missing).collect();
    all.extend(seen.lacks.iter().map(lack));
    all.extend(seen.without_kvm.iter().map(|why| without_kvm(why)));
    if seen.without_iscsi {
        all.push(without_iscsi());
    }
    all.extend(seen.volumes.iter().map(volumes));
    all
}

fn missing(missing: &Missing) -> Finding {
    let Missing { program, package } = missing;
    let what = format!("{program} is not on this host's PATH");
    let fix = format!("`apt install {package}`");
    found(&table::PROGRAM_MISSING, at(program), what, fix)
}

fn lack(lack: &Lack) -> Finding {
    let Lack { what, error, fix } = lack;
    // An error of nft shows the line that it does not like.
    let error = error.lines().next().unwrap_or_default();
    let said = format!("a trial of {what} failed: {error}");
    found(&table::TRIAL_FAILED, at(what), said, fix.clone())
}

fn without_kvm(why: &str) -> Finding {
    let why = why.lines().last().unwrap_or_default();
    let what = format!("guests run under emulation: {why}");
    let fix = "switch virtualisation on in the firmware (VT-x or AMD-V), `modprobe kvm_intel` or `modprobe kvm_amd`; on a virtual host, have nested virtualisation switched on outside; then restart `hextet up`";
    found(&table::KVM_UNUSABLE, at("/dev/kvm"), what, fix.into())
}

fn without_iscsi() -> Finding {
    let what = "QEMU here does not know iSCSI: \"Unknown driver 'iscsi'\"";
    let fix = "`apt install qemu-block-extra`; guests that run now need a restart to have volumes";
    found(
        &table::QEMU_WITHOUT_ISCSI,
        at("qemu-system-x86_64"),
        what.into(),
        fix.into(),
    )
}

fn volumes(seen: &Volumes) -> Finding {
    match seen {
        Volumes::NoProgram => found(
            &table::TGT_MISSING,
            at("tgtd"),
            "tgtd is not on this host's PATH, so no volumes are kept here".into(),
            "`apt install tgt`".into(),
        ),
        Volumes::Portal { why, place } => {
            let (what, fix) = why
                .rsplit_once("; ")
                .unwrap_or((why, "change portals in [node.volumes]"));
            found(
                &table::VOLUME_PORTAL,
                place.clone(),
                what.into(),
                fix.into(),
            )
        }
    }
}
