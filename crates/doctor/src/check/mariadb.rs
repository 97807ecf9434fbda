//! MariaDB and MySQL: my.cnf with all that it includes.

use super::bind::{Bind, judge};
use super::value;
use crate::exam::{Exam, place};
use crate::parse::{self, Setting};
use crate::tree::File;

/// An include within an include within ... ends here.
const DEEPEST: usize = 8;
const GROUPS: [&str; 6] = [
    "mysqld", "server", "mariadb", "mariadbd", "galera", "embedded",
];

pub(super) fn check(exam: &mut Exam) {
    let mut files = Vec::new();
    for path in ["/etc/my.cnf", "/etc/mysql/my.cnf", "/etc/mysql/mariadb.cnf"] {
        include(exam, path, 0, &mut files);
    }
    let mut binds = Vec::new();
    let settings: Vec<(&File, Vec<Setting>)> = files
        .iter()
        .map(|file| (file, parse::ini(&file.text)))
        .collect();
    // The last one counts.
    let all = || {
        settings
            .iter()
            .flat_map(|(file, list)| list.iter().map(move |s| (*file, s)))
    };
    let server = |s: &Setting| GROUPS.iter().any(|group| s.section.starts_with(group));
    let last = |name: &str| all().rfind(|(_, s)| server(s) && is(s, name));
    if let Some((file, setting)) = last("bind-address") {
        for text in setting.value.split(',').map(str::trim) {
            binds.push(Bind {
                file,
                setting,
                text: text.to_owned(),
                any: "::".to_owned(),
                loopback: "::1".to_owned(),
            });
        }
    }
    judge(exam, &binds);
    for name in [
        "wsrep-cluster-address",
        "wsrep-node-address",
        "wsrep-sst-receive-address",
    ] {
        if let Some((file, setting)) = last(name) {
            value::general(exam, file, setting, &setting.value, None);
        }
    }
    if let Some((file, setting)) = last("ssl-cert") {
        exam.certificates
            .insert((setting.value.clone(), place(file, setting)));
    }
}

/// `-` and `_` are one in names of options.
fn is(setting: &Setting, name: &str) -> bool {
    setting.key.replace('_', "-") == name
}

fn include(exam: &Exam, path: &str, depth: usize, out: &mut Vec<File>) {
    let Some(file) = exam.tree.file(path).filter(|_| depth < DEEPEST) else {
        return;
    };
    if out.iter().any(|known: &File| known.path == file.path) {
        return;
    }
    out.push(file.clone());
    for setting in parse::ini(&file.text) {
        match setting.key.as_str() {
            "!include" => include(exam, &setting.value, depth + 1, out),
            "!includedir" => {
                let directory = setting.value.trim_end_matches('/');
                for name in exam
                    .tree
                    .names(directory)
                    .iter()
                    .filter(|n| n.ends_with(".cnf"))
                {
                    include(exam, &format!("{directory}/{name}"), depth + 1, out);
                }
            }
            _ => {}
        }
    }
}
