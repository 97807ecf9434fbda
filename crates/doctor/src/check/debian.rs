//! Debian's init scripts, which start APIs under uWSGI.
//!
//! They put `--http-socket ADDRESS:PORT` together themselves. Without a place to read an address
//! from they leave it empty, which is IPv4 to uWSGI; with one (`UWSGI_BIND_CONFIG_FILE`) what
//! stands there must have brackets, against all custom. /etc/default/NAME is read later and can
//! put other arguments in their place.

use crate::address::Host;
use crate::daemon::DAEMONS;
use crate::exam::{Exam, found};
use crate::finding::{Edit, Finding};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::{File, Tree};

pub(super) fn check(exam: &mut Exam) {
    for daemon in DAEMONS {
        let Some(script) = daemon.script(exam.tree) else {
            continue;
        };
        let settings = parse::shell(&script.text);
        let get = |name: &str| settings.iter().find(|s| s.key == name);
        let (Some(port), Some(ini)) = (get("UWSGI_PORT"), get("UWSGI_INI_PATH")) else {
            continue;
        };
        if replaced(exam, daemon.name)
            || !exam
                .tree
                .exists(&ini.value.replace("${PROJECT_NAME}", daemon.project))
        {
            continue;
        }
        match (
            get("UWSGI_BIND_CONFIG_FILE"),
            get("UWSGI_BIND_CONFIG_IP_DIRECTIVE"),
        ) {
            (Some(file), Some(option)) => {
                let section =
                    get("UWSGI_BIND_CONFIG_SECTION").map_or("DEFAULT", |s| s.value.as_str());
                from_option(exam, (&script, port), (&file.value, section, &option.value));
            }
            _ => exam.take(fixed(&script, port, daemon.name, &ini.value)),
        }
    }
}

/// Whether a script puts what this option says before `:PORT`.
pub(super) fn wants_brackets(tree: &Tree, path: &str, option: &str) -> bool {
    DAEMONS.iter().any(|daemon| {
        let script = daemon.script(tree);
        let settings = script
            .map(|script| parse::shell(&script.text))
            .unwrap_or_default();
        let says =
            |name: &str, value: &str| settings.iter().any(|s| s.key == name && s.value == value);
        says("UWSGI_BIND_CONFIG_FILE", path) && says("UWSGI_BIND_CONFIG_IP_DIRECTIVE", option)
    })
}

/// Whether /etc/default says another socket.
fn replaced(exam: &Exam, name: &str) -> bool {
    let file = exam.tree.file(&format!("/etc/default/{name}"));
    let settings = file
        .map(|file| parse::shell(&file.text))
        .unwrap_or_default();
    settings
        .iter()
        .any(|s| s.key == "DAEMON_ARGS" && s.value.contains("socket"))
}

fn fixed(script: &File, port: &Setting, name: &str, ini: &str) -> Finding {
    let what = format!("the script starts uWSGI with --http-socket :{}", port.value);
    let fix = format!(
        "DAEMON_ARGS=\"--http-socket [::]:{} --ini {ini}\" in /etc/default/{name}",
        port.value
    );
    found(&table::UWSGI_SOCKET_IPV4, script, port, what, fix)
        .citing("Debian openstack-pkg-tools, init-script-template: UWSGI_BIND_IP is empty without UWSGI_BIND_CONFIG_FILE")
}

fn from_option(
    exam: &mut Exam,
    (script, port): (&File, &Setting),
    (path, section, option): (&str, &str, &str),
) {
    let Some(file) = exam.tree.file(path) else {
        return;
    };
    let settings = parse::oslo(&file.text).unwrap_or_default();
    let set = settings
        .iter()
        .rfind(|s| s.key == option && s.section == section);
    let source = "Debian openstack-pkg-tools, init-script-template: UWSGI_BIND_IP is put before :PORT as it is";
    let Some(set) = set else {
        let what = format!(
            "{option} is not set in {path}; the script then starts uWSGI with --http-socket :{}",
            port.value
        );
        let mut finding = found(
            &table::UWSGI_SOCKET_IPV4,
            script,
            port,
            what,
            format!("{option} = [::] in [{section}] of {path}"),
        );
        // The place of the change, not of the script that makes it necessary.
        finding.place = crate::finding::Place {
            file: file.path.clone(),
            line: None,
            section: Some(section.to_owned()),
            option: Some(option.to_owned()),
        };
        let header = file
            .text
            .lines()
            .position(|l| l.trim_end() == format!("[{section}]"));
        finding.edit = header.map(|at| Edit::Insert {
            after: at + 1,
            text: format!("{option} = [::]"),
        });
        exam.take(finding.citing(source));
        return;
    };
    if let Host::V6(_) = Host::parse(&set.value) {
        let what = format!(
            "{option} is {}; Debian's script starts uWSGI with --http-socket {}:{}",
            set.value, set.value, port.value
        );
        let to = format!("[{}]", set.value);
        let finding = found(
            &table::UWSGI_SOCKET_IPV4,
            &file,
            set,
            what,
            format!("{option} = {to}"),
        );
        exam.take(finding.mended(&file, set, &set.value, &to).citing(source));
    }
}
