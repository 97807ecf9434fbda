//! Options that nobody set, and whose default is IPv4.

use super::oslo::Told;
use crate::exam::Exam;
use crate::finding::{Edit, Finding, Place};
use crate::options::{OPTIONS, Opt, Role};
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam, told: &Told) {
    let hosted = told.daemon.is_hosted(exam.tree);
    for opt in OPTIONS {
        let due = opt.project == told.daemon.project
            && !opt.default.is_empty()
            && opt.daemons.contains(&told.daemon.name)
            && told.release < opt.until
            && told.config.setting(opt.section, opt.name).is_none()
            && !(hosted && opt.role == Role::Listen);
        if due && !is_set_elsewhere(told, opt) {
            report(exam, told, opt);
        }
    }
}

/// Under an old name that still counts, or in a section that still stands for this one; or it is
/// part of what is switched off.
fn is_set_elsewhere(told: &Told, opt: &Opt) -> bool {
    let old = crate::options::RENAMED
        .iter()
        .find(|row| row.project == opt.project && row.new.1 == opt.name && told.release < row.gone);
    let old = old.is_some_and(|row| told.config.setting(opt.section, row.old.1).is_some());
    let in_default = opt.section == "vnc" && told.config.setting("DEFAULT", opt.name).is_some();
    // Consoles that are switched off listen nowhere; of the three only VNC is on by default.
    let on = match (told.config.get(opt.section, "enabled"), opt.section) {
        (Some(on), "vnc" | "spice" | "serial_console") => on.eq_ignore_ascii_case("true"),
        (None, "spice" | "serial_console") => false,
        _ => true,
    };
    old || in_default || !on
}

fn report(exam: &mut Exam, told: &Told, opt: &Opt) {
    let path = told.config.files().last().cloned();
    // The last file counts most, but people look for an option in the file that has its section.
    let file = told
        .files
        .values()
        .find(|file| header(file, opt.section).is_some());
    let place = Place {
        file: file
            .map(|file| file.path.clone())
            .or(path)
            .unwrap_or_else(|| format!("/etc/{0}/{0}.conf", told.daemon.project)),
        line: None,
        section: Some(opt.section.to_owned()),
        option: Some(opt.name.to_owned()),
    };
    let wanted = match (opt.role, opt.default) {
        (Role::Listen, "0.0.0.0") => "::",
        (Role::Peer, _) => "a name with an AAAA record",
        _ => "the host's IPv6 address",
    };
    let line = format!("{} = {wanted}", opt.name);
    let edit = file
        .filter(|_| wanted == "::")
        .and_then(|file| header(file, opt.section));
    exam.take(Finding {
        kind: &table::DEFAULT_IPV4,
        what: format!(
            "{} is not set; {} then uses {}",
            opt.name, told.daemon.name, opt.default
        ),
        fix: format!("{line} in [{}]", opt.section),
        source: Some(opt.source),
        place,
        edit: edit.map(|after| Edit::Insert { after, text: line }),
    });
}

/// The line of a section's header.
fn header(file: &File, section: &str) -> Option<usize> {
    let wanted = format!("[{section}]");
    file.text
        .lines()
        .position(|line| line.trim_end().eq_ignore_ascii_case(&wanted))
        .map(|at| at + 1)
}
