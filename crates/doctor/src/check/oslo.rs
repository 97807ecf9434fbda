//! OpenStack's services: each daemon's effective configuration.

use std::collections::BTreeMap;

use super::{debian, defaults, rules, value};
use crate::address::Host;
use crate::daemon::{DAEMONS, Daemon};
use crate::exam::{Exam, found, place};
use crate::finding::{Finding, Place};
use crate::options::{Opt, RENAMED, Role, option};
use crate::oslo::{Config, of_daemon};
use crate::parse::Setting;
use crate::release::Release;
use crate::table;
use crate::tree::File;

/// One daemon with what it was told.
pub(super) struct Told<'a> {
    pub(super) daemon: &'a Daemon,
    pub(super) config: &'a Config,
    pub(super) release: Release,
    /// Whether this host runs it.
    pub(super) here: bool,
    pub(super) files: &'a BTreeMap<String, File>,
}

pub(super) fn check(exam: &mut Exam) {
    for daemon in DAEMONS {
        let (config, broken) = of_daemon(exam.tree, daemon);
        for (path, wrong) in broken {
            let place = Place {
                file: path,
                line: Some(wrong.line),
                ..Place::default()
            };
            exam.take(Finding {
                kind: &table::CONFIG_UNREADABLE,
                what: format!("{} cannot be read: {}", place.file, wrong.why),
                fix: "correct the line, or make a comment of it".to_owned(),
                source: None,
                place,
                edit: None,
            });
        }
        let files = config
            .files()
            .iter()
            .filter_map(|path| Some((path.clone(), exam.tree.file(path)?)));
        let told = Told {
            daemon,
            config: &config,
            release: exam.releases.of(daemon.project),
            here: daemon.is_here(exam.tree),
            files: &files.collect(),
        };
        settings(exam, &told);
        rules::check(exam, &told);
        if told.here {
            defaults::check(exam, &told);
        }
    }
}

/// Judges everything the files say that counts.
fn settings(exam: &mut Exam, told: &Told) {
    for (path, setting) in told.config.all() {
        let Some(file) = told.files.get(path) else {
            continue;
        };
        let opt = option(told.daemon.project, &setting.section, &setting.key);
        if renamed(exam, told, file, setting)
            || opt.is_some_and(|opt| gone(exam, told, file, setting, opt))
        {
            continue;
        }
        let source = opt.map(|opt| opt.source);
        let value = told
            .config
            .get(&setting.section, &setting.key)
            .unwrap_or_default();
        match opt.map(|opt| opt.role) {
            Some(Role::Listen) => {
                let brackets = debian::wants_brackets(exam.tree, path, &setting.key);
                value::listen(exam, file, setting, source, brackets);
            }
            Some(Role::Own) => value::own(exam, file, setting, source),
            Some(Role::Portal) => rules::portal(exam, told, file, setting, &value),
            Some(Role::Memcached) => {
                let backend = told
                    .config
                    .get(&setting.section, "backend")
                    .unwrap_or_default();
                value::memcached(exam, file, setting, backend.ends_with("pymemcache"));
            }
            Some(Role::Ruled) => {}
            Some(Role::Peer) | None => value::general(exam, file, setting, &value, opt),
        }
        file_named(exam, file, setting, &value);
    }
}

/// An option under a name its release no longer reads. Says whether it is one.
fn renamed(exam: &mut Exam, told: &Told, file: &File, setting: &Setting) -> bool {
    let row = RENAMED.iter().find(|row| {
        row.project == told.daemon.project
            && row.old.1 == setting.key
            && (row.old.0 == "*" || row.old.0.eq_ignore_ascii_case(&setting.section))
    });
    let Some(row) = row.filter(|row| told.release >= row.gone) else {
        return false;
    };
    // A new name beside it makes the old one idle, and harmless.
    if told.config.setting(&setting.section, row.new.1).is_none() {
        let what = format!(
            "{} is not read in {}: it is called {} since {}",
            setting.key, told.release, row.new.1, row.since
        );
        let fix = format!("{} = {}", row.new.1, setting.value);
        let mut finding =
            found(&table::OPTION_RENAMED, file, setting, what, fix).citing(row.source);
        // What an IPv4 address would do once it is read again is not ours to say.
        if !matches!(Host::parse(&setting.value), Host::V4(_)) {
            finding.edit = Some(crate::finding::Edit::Replace {
                line: setting.line,
                start: 0,
                from: setting.key.clone(),
                to: row.new.1.to_owned(),
            });
        }
        exam.take(finding);
    }
    true
}

/// An option that its release no longer has. Says whether it is one.
fn gone(exam: &mut Exam, told: &Told, file: &File, setting: &Setting, opt: &Opt) -> bool {
    if told.release < opt.until {
        return false;
    }
    if let Host::V4(address) = Host::parse(&setting.value) {
        let what = format!(
            "{} = {address} is not read since {}",
            setting.key, opt.until
        );
        let finding = found(
            &table::OPTION_GONE,
            file,
            setting,
            what,
            "take the line out".to_owned(),
        );
        exam.take(finding.citing(opt.source));
    }
    true
}

/// Certificates and authorities are files: they are looked at later.
fn file_named(exam: &mut Exam, file: &File, setting: &Setting, value: &str) {
    match setting.key.as_str() {
        // `certfile` is a client's, which needs no name of a host.
        "cert_file" if value.starts_with('/') => {
            exam.certificates
                .insert((value.to_owned(), place(file, setting)));
        }
        "cafile" if value.starts_with('/') => {
            exam.authorities.insert(value.to_owned());
        }
        _ => {}
    }
}
