//! `hextet doctor openstack`: what would break under IPv6, found before it does.

use std::net::SocketAddrV6;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use doctor::{HostsFile, Names, Report, render};

use crate::Failure;
use crate::cli::DoctorOpenstack;
use crate::dns::of_system;

use super::names::Dns;

/// Looks at an OpenStack's configuration. The status is 0 when nothing was found, 1 when something
/// was, 2 when not everything could be read.
pub(crate) fn openstack(wish: &DoctorOpenstack) -> ExitCode {
    match look(wish) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hextet: {}", cloud::chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn look(wish: &DoctorOpenstack) -> Result<u8, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let dns = match wish.no_dns {
        true => None,
        false => Some(Dns::new(resolvers(wish))?),
    };
    let nobody = HostsFile::default();
    let names: &dyn Names = dns.as_ref().map_or(&nobody, |dns| dns);
    let report = doctor::openstack(&wish.etc, wish.release, names, i64::try_from(now)?)
        .map_err(|e| format!("cannot read {}: {e}", wish.etc.display()))?;
    if let Some(trouble) = dns.as_ref().and_then(Dns::trouble) {
        eprintln!("hextet: not all names were judged: {trouble}");
    }
    let text = match (wish.patch, wish.json) {
        (true, _) => report.diff.clone(),
        (_, true) => render::json(&report.findings) + "\n",
        _ => render::text(&report.findings),
    };
    super::print(&text)?;
    Ok(tell(wish, &report))
}

/// Who is asked for names.
fn resolvers(wish: &DoctorOpenstack) -> Vec<SocketAddrV6> {
    match wish.resolver.is_empty() {
        true => of_system(),
        false => wish.resolver.clone(),
    }
}

/// Says what is for people, and the status.
fn tell(wish: &DoctorOpenstack, report: &Report) -> u8 {
    for line in report.notes.iter().chain(&report.unread) {
        eprintln!("hextet: {}", doctor::shown(line));
    }
    let found = report.findings.len();
    if wish.patch {
        let mended = report.findings.iter().filter(|f| f.edit.is_some()).count();
        eprintln!(
            "hextet: {mended} of {found} findings have a safe change: apply with patch -p1 -d {}",
            wish.etc.display()
        );
    } else if found > 0 {
        eprintln!("hextet: {}", super::counted(found));
    }
    super::status(found, report.unread.len())
}
