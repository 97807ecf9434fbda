//! Values of options, by what they are for and what they look like.

use crate::address::{Host, Mention, bracketed, host_port, mentions};
use crate::exam::{Exam, found, place};
use crate::finding::Kind;
use crate::options::{Opt, Role};
use crate::parse::Setting;
use crate::table;
use crate::tree::File;

/// Judges an address to listen on, which stands without a port. Where a script puts one behind it
/// (`brackets`) it must have brackets all the same.
pub(crate) fn listen(
    exam: &mut Exam,
    file: &File,
    setting: &Setting,
    source: Option<&'static str>,
    brackets: bool,
) {
    let (raw, key) = (setting.value.as_str(), &setting.key);
    let any = if brackets { "[::]" } else { "::" };
    let (kind, what, to) = match Host::parse(raw) {
        Host::V4(a) if a.is_unspecified() => {
            (&table::BIND_IPV4_ANY, format!("{key} is {a}"), Some(any))
        }
        Host::V4(a) if a.is_loopback() => {
            (&table::BIND_IPV4_LOOPBACK, format!("{key} is {a}"), None)
        }
        Host::V4(a) => (&table::BIND_IPV4_ADDRESS, format!("{key} is {a}"), None),
        Host::Bracketed(_) if !brackets => (
            &table::BRACKETED_ADDRESS,
            format!("{key} is {raw}"),
            Some(inner(raw)),
        ),
        _ => return,
    };
    let wanted = to.unwrap_or(match Host::parse(raw).is_loopback() {
        true => "::1",
        false => "the host's IPv6 address",
    });
    let mut finding = found(kind, file, setting, what, format!("{key} = {wanted}"));
    finding.source = source;
    let finding = match to {
        Some(to) => finding.mended(file, setting, raw, to),
        None => finding,
    };
    exam.take(finding);
}

/// Judges an address of this host that others are told.
pub(crate) fn own(exam: &mut Exam, file: &File, setting: &Setting, source: Option<&'static str>) {
    let (raw, key) = (setting.value.as_str(), &setting.key);
    let mut finding = match Host::parse(raw) {
        Host::V4(a) => {
            let fix = format!("{key} = the host's IPv6 address");
            found(
                &table::OWN_ADDRESS_IPV4,
                file,
                setting,
                format!("{key} is {a}"),
                fix,
            )
        }
        Host::Bracketed(_) => {
            let fix = format!("{key} = {}", inner(raw));
            found(
                &table::BRACKETED_ADDRESS,
                file,
                setting,
                format!("{key} is {raw}"),
                fix,
            )
            .mended(file, setting, raw, inner(raw))
        }
        _ => return,
    };
    finding.source = source;
    exam.take(finding);
}

fn inner(raw: &str) -> &str {
    raw.trim_start_matches('[').trim_end_matches(']')
}

/// Judges servers of memcached as python-memcached reads them, or pymemcache.
pub(crate) fn memcached(exam: &mut Exam, file: &File, setting: &Setting, pymemcache: bool) {
    let servers = setting.value.split([',', '\n']).map(str::trim);
    for server in servers.filter(|server| !server.is_empty()) {
        let Some((kind, to, safe)) = memcached_server(server, pymemcache) else {
            continue;
        };
        let key = &setting.key;
        let fix = format!("{key} = {}", setting.value.replacen(server, &to, 1));
        let finding = found(kind, file, setting, format!("{key} names {server}"), fix);
        exam.take(if safe {
            finding.mended(file, setting, server, &to)
        } else {
            finding
        });
    }
}

/// What is wrong with one server, how to write it, and whether that can be done unasked.
fn memcached_server(server: &str, pymemcache: bool) -> Option<(&'static Kind, String, bool)> {
    let tagged = server.strip_prefix("inet6:");
    let mention = host_port(tagged.unwrap_or(server).trim_start_matches("inet:"), None);
    let port = mention
        .text
        .rsplit_once(':')
        .map_or("11211", |(_, port)| port);
    Some(match (&mention.host, tagged) {
        (Host::V4(_), _) => (
            &table::PEER_IPV4,
            tag(&format!("[ADDRESS]:{port}"), pymemcache),
            false,
        ),
        (Host::Bracketed(_), Some(text)) if pymemcache => {
            (&table::MEMCACHED_SERVERS_PYMEMCACHE, text.to_owned(), true)
        }
        (Host::Bracketed(_), None) if !pymemcache => {
            (&table::MEMCACHED_SERVERS_INET6, tag(server, false), true)
        }
        (Host::V6(_), _) => match bracketed(&mention.text) {
            Some(text) => (&table::UNBRACKETED_IPV6, tag(&text, pymemcache), true),
            None => (
                &table::UNBRACKETED_IPV6,
                tag("[ADDRESS]:PORT", pymemcache),
                false,
            ),
        },
        // A name that has no AAAA record yet would be lost with `inet6`.
        (Host::Name(name), None) if !pymemcache && plain(name) => (
            &table::MEMCACHED_SERVERS_INET6,
            format!("inet6:[{name}]:{port}"),
            false,
        ),
        _ => return None,
    })
}

fn tag(text: &str, pymemcache: bool) -> String {
    if pymemcache {
        text.to_owned()
    } else {
        format!("inet6:{text}")
    }
}

/// A host's name: not a path, not a substitution that nothing resolved.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// Judges any other value by the hosts it names. `value` is the setting's with its substitutions.
pub(crate) fn general(
    exam: &mut Exam,
    file: &File,
    setting: &Setting,
    value: &str,
    opt: Option<&Opt>,
) {
    let peer = opt.is_some_and(|opt| opt.role == Role::Peer);
    for mention in mentions(value) {
        let written = setting.value.contains(&mention.text);
        match &mention.host {
            // What a `$` brings has a finding where it is set.
            Host::V4(_) if !written => {}
            Host::V4(address) => {
                let url = mention.scheme.is_some() || peer;
                let kind = if url {
                    &table::PEER_IPV4
                } else {
                    &table::IPV4_LITERAL
                };
                let fix = instead(file, setting, &mention);
                exam.take(found(
                    kind,
                    file,
                    setting,
                    format!("{} names {address}", setting.key),
                    fix,
                ));
            }
            Host::V6(_) if mention.ambiguous => unbracketed(exam, file, setting, value, &mention),
            Host::Name(name) if mention.scheme.is_some() && plain(name) => {
                exam.hosts
                    .insert((name.to_lowercase(), place(file, setting)));
            }
            _ => {}
        }
        plain_http(exam, file, setting, &mention);
    }
}

/// The line to write: the one that stands there, with one thing put in another's place.
fn rewritten(file: &File, setting: &Setting, from: &str, to: &str) -> String {
    let mut lines = (setting.line..=setting.last).map(|line| file.line(line));
    match lines.find(|line| line.contains(from)) {
        Some(line) => line.trim().replacen(from, to, 1),
        None => format!("{} = {}", setting.key, setting.value.replacen(from, to, 1)),
    }
}

/// The line with a better host, its port kept.
fn instead(file: &File, setting: &Setting, mention: &Mention) -> String {
    let port = mention
        .text
        .rsplit_once(':')
        .map_or(String::new(), |(_, port)| format!(":{port}"));
    let line = rewritten(file, setting, &mention.text, &format!("NAME{port}"));
    format!("{line} (NAME with an AAAA record, or [ADDRESS])")
}

fn unbracketed(exam: &mut Exam, file: &File, setting: &Setting, value: &str, mention: &Mention) {
    let text = &mention.text;
    let what = format!("{} names {text}", setting.key);
    let kind = &table::UNBRACKETED_IPV6;
    let finding = if setting.value.contains(text.as_str()) {
        let to = bracketed(text);
        let shown = to.clone().unwrap_or_else(|| "[ADDRESS]:PORT".to_owned());
        let fix = format!(
            "{} = {}",
            setting.key,
            value.replacen(text.as_str(), &shown, 1)
        );
        let finding = found(kind, file, setting, what, fix);
        match to {
            Some(to) => finding.mended(file, setting, text, &to),
            None => finding,
        }
    } else {
        substituted(file, setting, what)
    };
    exam.take(finding);
}

/// The address comes from an option that `$` names: the brackets go around that name.
fn substituted(file: &File, setting: &Setting, what: String) -> crate::finding::Finding {
    let raw = &setting.value;
    let name = raw.find("://$").map(|at| &raw[at + 3..]).map(|tail| {
        let end = tail[1..].find(|c: char| !(c.is_alphanumeric() || "_.{}".contains(c)));
        &tail[..end.map_or(tail.len(), |end| end + 1)]
    });
    let name = name.unwrap_or("$NAME");
    let fix = format!(
        "{} = {}",
        setting.key,
        raw.replacen(name, &format!("[{name}]"), 1)
    );
    found(&table::UNBRACKETED_IPV6, file, setting, what, fix).mended(
        file,
        setting,
        &format!("://{name}"),
        &format!("://[{name}]"),
    )
}

fn plain_http(exam: &mut Exam, file: &File, setting: &Setting, mention: &Mention) {
    let http = matches!(mention.scheme.as_deref(), Some("http" | "ws"));
    let any = matches!(&mention.host, Host::Name(name) if name.starts_with('$') || name.contains('%') || name.contains('('));
    if !http || any || mention.host.is_loopback() {
        return;
    }
    // Namespaces of XML and addresses of documents are no services.
    if matches!(&mention.host, Host::Name(name) if name.ends_with("w3.org") || name.ends_with("openstack.org"))
    {
        return;
    }
    let what = format!("{} goes to {} by plain HTTP", setting.key, mention.text);
    let (from, to) = match mention.scheme.as_deref() {
        Some("ws") => ("ws://", "wss://"),
        _ => ("http://", "https://"),
    };
    let fix = rewritten(file, setting, from, to);
    exam.take(found(&table::ENDPOINT_HTTP, file, setting, what, fix));
}

/// Remembers a host's name, to be looked up at the end.
pub(crate) fn name(exam: &mut Exam, file: &File, setting: &Setting, text: &str) {
    if let Host::Name(name) = host_port(text, None).host
        && plain(&name)
    {
        exam.hosts
            .insert((name.to_lowercase(), place(file, setting)));
    }
}
