//! Horizon's local_settings.py.

use super::value;
use crate::address::Host;
use crate::exam::{Exam, found};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam) {
    let directory = "/etc/openstack-dashboard";
    let mut files: Vec<File> = exam
        .tree
        .file(&format!("{directory}/local_settings.py"))
        .into_iter()
        .collect();
    // RHEL's name for it.
    files.extend(exam.tree.file(&format!("{directory}/local_settings")));
    files.extend(
        exam.tree
            .files(&format!("{directory}/local_settings.d"), ".py"),
    );
    for file in &files {
        let settings = parse::python(&file.text);
        for setting in &settings {
            match (setting.section.as_str(), setting.key.as_str()) {
                ("", "ALLOWED_HOSTS") => allowed(exam, file, setting),
                ("", "OPENSTACK_HOST") => host(exam, file, setting),
                ("" | "AVAILABLE_REGIONS", key)
                    if key.ends_with("_URL") || key == "AVAILABLE_REGIONS" =>
                {
                    value::general(exam, file, setting, &setting.value, None);
                }
                ("CACHES", "LOCATION") => caches(exam, file, setting, &settings),
                ("DATABASES", "HOST") => host(exam, file, setting),
                _ => {}
            }
        }
    }
}

/// The strings in a value.
fn strings(value: &str) -> impl Iterator<Item = &str> {
    value.split(['\'', '"']).skip(1).step_by(2)
}

fn host(exam: &mut Exam, file: &File, setting: &Setting) {
    for text in strings(&setting.value) {
        match Host::parse(text) {
            Host::V4(address) => {
                let fix = format!("{} = \"a name with an AAAA record\"", setting.key);
                let what = format!("{} is {address}", setting.key);
                exam.take(found(&table::PEER_IPV4, file, setting, what, fix));
            }
            // It is put into `http://%s/identity/v3` as it is.
            Host::V6(_) if setting.key == "OPENSTACK_HOST" => {
                let to = format!("[{text}]");
                let what = format!("{} is {text}, and becomes part of a URL", setting.key);
                let finding = found(
                    &table::UNBRACKETED_IPV6,
                    file,
                    setting,
                    what,
                    format!("{} = \"{to}\"", setting.key),
                );
                exam.take(finding.mended(file, setting, text, &to));
            }
            _ => {}
        }
    }
}

fn allowed(exam: &mut Exam, file: &File, setting: &Setting) {
    for text in strings(&setting.value) {
        if let Host::V6(_) = Host::parse(text) {
            let to = format!("[{text}]");
            let what = format!("{} holds {text}", setting.key);
            let finding = found(
                &table::HORIZON_ALLOWED_HOSTS,
                file,
                setting,
                what,
                format!("'{to}'"),
            );
            exam.take(finding.mended(file, setting, text, &to));
        }
    }
}

/// Django has two backends for memcached: pymemcache's servers are written as it wants them.
fn caches(exam: &mut Exam, file: &File, setting: &Setting, all: &[Setting]) {
    let pymemcache = all
        .iter()
        .any(|s| s.key == "BACKEND" && s.value.contains("PyMemcacheCache"));
    for text in strings(&setting.value) {
        let one = Setting {
            value: text.to_owned(),
            ..setting.clone()
        };
        value::memcached(exam, file, &one, pymemcache);
    }
}
