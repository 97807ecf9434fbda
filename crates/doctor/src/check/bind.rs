//! Sockets of servers that may have several: one of IPv4 beside one of IPv6 is no finding.

use crate::address::{Host, host_port};
use crate::exam::{Exam, found};
use crate::finding::Finding;
use crate::parse::Setting;
use crate::table;
use crate::tree::File;

/// One address a server listens on.
#[derive(Clone, Debug)]
pub(super) struct Bind<'a> {
    pub(super) file: &'a File,
    pub(super) setting: &'a Setting,
    /// As written, with its port if one stands there.
    pub(super) text: String,
    /// What to write instead of 0.0.0.0 (with the port), and of 127.0.0.1.
    pub(super) any: String,
    pub(super) loopback: String,
}

/// Judges all sockets of one server together.
pub(super) fn judge(exam: &mut Exam, binds: &[Bind]) {
    for bind in binds {
        let mention = host_port(&bind.text, None);
        let Host::V4(address) = mention.host else {
            continue;
        };
        let beside = binds
            .iter()
            .any(|other| serves_ipv6(other, bind, address.is_loopback()));
        if !beside {
            exam.take(finding(bind, address));
        }
    }
}

/// Whether another socket gives IPv6 clients what this one gives those of IPv4.
fn serves_ipv6(other: &Bind, of: &Bind, loopback: bool) -> bool {
    let host = host_port(&other.text, None).host;
    let v6 = match host {
        Host::V6(a) | Host::Bracketed(a) => loopback || !a.is_loopback(),
        Host::Name(ref name) => name == "*",
        Host::V4(_) => false,
    };
    v6 && port(&other.text) == port(&of.text)
}

/// The port, if one stands there. Without brackets (RabbitMQ: `::1:5672`) what has four decimal
/// digits or more behind an address is one.
fn port(text: &str) -> &str {
    let (bare, after) = text
        .rsplit_once(']')
        .map_or((true, text), |(_, after)| (false, after));
    let Some((head, port)) = after.rsplit_once(':') else {
        return "";
    };
    let decimal = port.len() >= 4 && port.bytes().all(|digit| digit.is_ascii_digit());
    let several = bare && head.contains(':');
    if several && !(decimal && matches!(Host::parse(head), Host::V6(_))) {
        ""
    } else {
        port
    }
}

fn finding(bind: &Bind, address: std::net::Ipv4Addr) -> Finding {
    let (kind, to) = match () {
        () if address.is_unspecified() => (&table::BIND_IPV4_ANY, bind.any.as_str()),
        () if address.is_loopback() => (&table::BIND_IPV4_LOOPBACK, bind.loopback.as_str()),
        () => (&table::BIND_IPV4_ADDRESS, "the host's IPv6 address"),
    };
    let (key, text) = (&bind.setting.key, &bind.text);
    // The line as it stands, so that it can be pasted.
    let line = bind
        .file
        .line(bind.setting.line)
        .trim()
        .replacen(text.as_str(), to, 1);
    let finding = found(
        kind,
        bind.file,
        bind.setting,
        format!("{key} is {text}"),
        line,
    );
    // Clients of 127.0.0.1 would miss it, so only the wildcard is changed unasked.
    match address.is_unspecified() {
        true => finding.mended(bind.file, bind.setting, text, to),
        false => finding,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_told_from_addresses() {
        let check = |text: &str, expected: &str| assert_eq!(super::port(text), expected, "{text}");
        check("0.0.0.0:5672", "5672");
        check("[::]:80", "80");
        check(":::5672", "5672");
        check("::1:5672", "5672");
        check("2001:db8::1", "");
        check("::1", "");
        check("127.0.0.1", "");
    }
}
