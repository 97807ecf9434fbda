//! HAProxy: sockets, certificates, and the servers behind it.

use std::collections::BTreeSet;

use super::value;
use crate::address::{Host, host_port};
use crate::exam::{Exam, found, place};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam) {
    let mut files: Vec<File> = exam
        .tree
        .file("/etc/haproxy/haproxy.cfg")
        .into_iter()
        .collect();
    files.extend(exam.tree.files("/etc/haproxy/conf.d", ".cfg"));
    for file in &files {
        let settings = parse::haproxy(&file.text);
        let served: BTreeSet<String> = settings
            .iter()
            .filter(|s| s.key == "bind")
            .flat_map(|s| {
                sockets(s)
                    .filter(|text| is_ipv6(text))
                    .map(|text| port(text).to_owned())
            })
            .collect();
        for setting in &settings {
            match setting.key.as_str() {
                "bind" => bind(exam, file, setting, &served, plain_http(setting, &settings)),
                "server" | "nameserver" | "peer" => server(exam, file, setting),
                _ => {}
            }
        }
    }
}

/// The addresses of a bind line: its first word, a list.
fn sockets(setting: &Setting) -> impl Iterator<Item = &str> {
    setting
        .value
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .split(',')
        .filter(|text| {
            // Sockets of the file system and inherited ones.
            !text.starts_with('/')
                && !["unix@", "abns@", "fd@", "sockpair@"]
                    .iter()
                    .any(|p| text.starts_with(p))
        })
}

fn is_ipv6(text: &str) -> bool {
    let text = text.strip_prefix("ipv6@").unwrap_or(text);
    matches!(address(text), Host::V6(_) | Host::Bracketed(_))
}

/// What stands before the last colon; HAProxy wants no brackets, and takes them.
fn address(text: &str) -> Host {
    Host::parse(text.rsplit_once(':').map_or(text, |(address, _)| address))
}

fn port(text: &str) -> &str {
    text.rsplit_once(':').map_or("", |(_, port)| port)
}

/// Whether a frontend speaks HTTP and does more than to send its clients to HTTPS.
fn plain_http(bind: &Setting, settings: &[Setting]) -> bool {
    let of = |section: &str, key: &str| {
        settings
            .iter()
            .filter(|s| s.section == section && s.key == key)
            .map(|s| s.value.clone())
            .collect::<Vec<_>>()
    };
    let mut mode = of(&bind.section, "mode");
    if mode.is_empty() {
        // Named `defaults` are rare; the last one before counts.
        let named = |s: &&Setting| {
            s.section.starts_with("defaults") && s.key == "mode" && s.line < bind.line
        };
        mode = settings
            .iter()
            .filter(named)
            .map(|s| s.value.clone())
            .collect();
    }
    let redirects = of(&bind.section, "redirect")
        .iter()
        .any(|v| v.starts_with("scheme https"))
        || of(&bind.section, "http-request")
            .iter()
            .any(|v| v.starts_with("redirect scheme https"));
    mode.last().is_some_and(|mode| mode == "http") && !redirects
}

fn bind(exam: &mut Exam, file: &File, setting: &Setting, served: &BTreeSet<String>, plain: bool) {
    let words: Vec<&str> = setting.words().collect();
    for text in sockets(setting) {
        let forced = text.strip_prefix("ipv4@");
        let bare = forced.unwrap_or(text);
        let port = port(bare);
        let any = format!(":::{port} v4v6");
        let (kind, to) = match address(bare) {
            Host::V4(a) if a.is_loopback() => (&table::BIND_IPV4_LOOPBACK, format!("::1:{port}")),
            Host::V4(a) if !a.is_unspecified() => {
                (&table::BIND_IPV4_ADDRESS, format!("ADDRESS:{port}"))
            }
            Host::V4(_) => (&table::HAPROXY_BIND_IPV4, any),
            Host::Name(name) if name.is_empty() || name == "*" => (&table::HAPROXY_BIND_IPV4, any),
            _ => continue,
        };
        if served.contains(port) {
            continue;
        }
        let fix = format!("bind {}", setting.value.replacen(text, &to, 1));
        let finding = found(
            kind,
            file,
            setting,
            format!("bind {text} is IPv4 only"),
            fix,
        );
        // In a list `v4v6` would have to stand at the end: those are left to people.
        let simple = kind.id == table::HAPROXY_BIND_IPV4.id
            && words.first() == Some(&text)
            && !port.is_empty();
        exam.take(if simple {
            finding.mended(file, setting, text, &to)
        } else {
            finding
        });
    }
    tls(exam, file, setting, &words, plain);
}

fn tls(exam: &mut Exam, file: &File, setting: &Setting, words: &[&str], plain: bool) {
    let local = sockets(setting).all(|text| address(text).is_loopback());
    if words.contains(&"ssl") {
        for pair in words
            .windows(2)
            .filter(|pair| pair[0] == "crt" && pair[1].starts_with('/'))
        {
            exam.certificates
                .insert((pair[1].to_owned(), place(file, setting)));
        }
    } else if plain && !local {
        let what = format!(
            "bind {} takes HTTP without TLS",
            words.first().unwrap_or(&"")
        );
        let fix = format!("bind {} ssl crt FILE", setting.value);
        exam.take(found(&table::HAPROXY_BIND_PLAIN, file, setting, what, fix));
    }
}

/// `server NAME ADDRESS[:PORT] ...`
fn server(exam: &mut Exam, file: &File, setting: &Setting) {
    let Some(text) = setting.words().nth(1) else {
        return;
    };
    match host_port(text, None).host {
        Host::V4(address) => {
            let what = format!(
                "{} {} is {address}",
                setting.key,
                setting.words().next().unwrap_or_default()
            );
            let fix = format!(
                "{} {}",
                setting.key,
                setting.value.replacen(text, "[ADDRESS]:PORT", 1)
            );
            exam.take(found(&table::PEER_IPV4, file, setting, what, fix));
        }
        Host::Name(_) => value::name(exam, file, setting, text),
        _ => {}
    }
}
