//! uWSGI's own files.

use crate::address::Host;
use crate::daemon::DAEMONS;
use crate::exam::{Exam, found, place};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

const SOCKETS: [&str; 9] = [
    "socket",
    "uwsgi-socket",
    "http",
    "http-socket",
    "https",
    "https-socket",
    "fastcgi-socket",
    "scgi-socket",
    "raw-socket",
];

pub(super) fn check(exam: &mut Exam) {
    let mut files = exam.tree.files("/etc/uwsgi/apps-enabled", ".ini");
    files.extend(exam.tree.files("/etc/uwsgi.d", ".ini"));
    for daemon in DAEMONS {
        // A script may leave the file that its package brings aside (Debian's glance-api).
        let script = daemon
            .script(exam.tree)
            .map(|script| parse::shell(&script.text));
        if script.is_none_or(|settings| settings.iter().any(|s| s.key == "UWSGI_INI_PATH")) {
            let path = format!("/etc/{}/{}-uwsgi.ini", daemon.project, daemon.name);
            files.extend(exam.tree.file(&path));
        }
    }
    for file in &files {
        for setting in parse::ini(&file.text) {
            let key = setting.key.replace('_', "-");
            if SOCKETS.contains(&key.as_str()) {
                socket(exam, file, &setting);
            }
            let closes = match key.as_str() {
                "rem-header" | "del-header" => setting.value.eq_ignore_ascii_case("content-length"),
                "add-header" => setting
                    .value
                    .replace(' ', "")
                    .eq_ignore_ascii_case("connection:close"),
                _ => false,
            };
            if closes {
                let what = format!("{} = {}", setting.key, setting.value);
                let fix = "take the line out".to_owned();
                exam.take(found(&table::UWSGI_CLOSES, file, &setting, what, fix));
            }
        }
    }
}

/// `ADDRESS:PORT[,CERTIFICATE,KEY]`, or a path.
fn socket(exam: &mut Exam, file: &File, setting: &Setting) {
    let text = setting.value.split(',').next().unwrap_or_default();
    let certificate = setting.value.split(',').nth(1);
    if let Some(path) = certificate.filter(|path| path.starts_with('/')) {
        exam.certificates
            .insert((path.to_owned(), place(file, setting)));
    }
    let Some((address, port)) = text.rsplit_once(':').filter(|_| !text.contains('/')) else {
        return;
    };
    let what = format!("{} is {text}", setting.key);
    let line = |to: &str| format!("{} = {}", setting.key, setting.value.replacen(text, to, 1));
    let any = format!("[::]:{port}");
    let bracketed = format!("[{address}]:{port}");
    let (kind, to, safe) = match Host::parse(address) {
        Host::V4(a) if a.is_loopback() => (
            &table::BIND_IPV4_LOOPBACK,
            "[::1]:".to_owned() + port,
            false,
        ),
        Host::V4(a) if !a.is_unspecified() => (
            &table::BIND_IPV4_ADDRESS,
            "[ADDRESS]:".to_owned() + port,
            false,
        ),
        Host::V4(_) => (&table::UWSGI_SOCKET_IPV4, any, true),
        Host::Name(name) if name.is_empty() || name == "*" => {
            (&table::UWSGI_SOCKET_IPV4, any, true)
        }
        Host::V6(_) => (&table::UWSGI_SOCKET_IPV4, bracketed, true),
        _ => return,
    };
    let finding = found(kind, file, setting, what, line(&to));
    exam.take(if safe {
        finding.mended(file, setting, text, &to)
    } else {
        finding
    });
}
