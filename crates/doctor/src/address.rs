//! Addresses and URLs as people write them into configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    V4(Ipv4Addr),
    /// Without brackets, as it stands where an address is wanted.
    V6(Ipv6Addr),
    /// With brackets, as it stands in URLs.
    Bracketed(Ipv6Addr),
    Name(String),
}

impl Host {
    pub(crate) fn parse(text: &str) -> Host {
        let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(address) = inside.and_then(v6) {
            return Host::Bracketed(address);
        }
        match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Host::V4(address),
            Ok(IpAddr::V6(address)) => Host::V6(address),
            Err(_) => v6(text).map_or_else(|| Host::Name(text.to_owned()), Host::V6),
        }
    }

    /// Whether it means this host itself.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) | Host::Bracketed(address) => address.is_loopback(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// An IPv6 address, with its zone or without.
fn v6(text: &str) -> Option<Ipv6Addr> {
    text.split('%').next()?.parse().ok()
}

/// A host somebody is told to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// As written, with its port and without user and password.
    pub(crate) text: String,
    pub(crate) host: Host,
    /// The scheme, when it stands in a URL.
    pub(crate) scheme: Option<String>,
    /// It is an IPv6 literal beside a port, and has no brackets.
    pub(crate) ambiguous: bool,
}

/// All hosts in a value: of its URLs, or addresses in a list.
pub(crate) fn mentions(value: &str) -> Vec<Mention> {
    if value.contains("://") {
        return in_urls(value);
    }
    let ends = |c: char| c == ',' || c == ';' || c.is_whitespace() || c == '"' || c == '\'';
    value
        .split(ends)
        .filter(|word| !word.is_empty())
        .filter_map(in_word)
        .collect()
}

/// `192.0.2.1`, `192.0.2.1:80`, `[::1]:80`, `::1`, or with OVSDB's `tcp:` or `ssl:` before it.
fn in_word(word: &str) -> Option<Mention> {
    let ovsdb = ["tcp:", "ssl:", "ptcp:", "pssl:"]
        .iter()
        .find_map(|p| word.strip_prefix(p));
    let mention = host_port(ovsdb.unwrap_or(word), None);
    let ambiguous = mention.ambiguous || (ovsdb.is_some() && matches!(mention.host, Host::V6(_)));
    match mention.host {
        Host::Name(_) => None,
        _ => Some(Mention {
            ambiguous,
            ..mention
        }),
    }
}

fn in_urls(value: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = value[at..].find("://") {
        let (colon, start) = (at + next, at + next + 3);
        let scheme = value[..colon]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
            .next()
            .unwrap_or_default();
        let tail = &value[start..];
        let end = tail
            .find(|c: char| "/?#\"'<>\\".contains(c) || c.is_whitespace())
            .unwrap_or(tail.len());
        // `http://a,http://b`: what stands last before `//` is the next scheme.
        let listed = tail[end..].starts_with("//");
        let mut hosts: Vec<&str> = tail[..end].split(',').collect();
        if listed && hosts.last().is_some_and(|last| last.ends_with(':')) {
            hosts.pop();
        }
        for host in hosts {
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            if !host.is_empty() {
                let mention = host_port(host, Some(scheme.to_owned()));
                // In a URL even a literal without a port needs brackets (RFC 3986, section 3.2.2).
                let ambiguous = mention.ambiguous || matches!(mention.host, Host::V6(_));
                found.push(Mention {
                    ambiguous,
                    ..mention
                });
            }
        }
        at = start;
    }
    found
}

/// Splits `host:port`.
pub(crate) fn host_port(text: &str, scheme: Option<String>) -> Mention {
    let whole = |host, ambiguous| Mention {
        text: text.to_owned(),
        host,
        scheme,
        ambiguous,
    };
    if text.starts_with('[') {
        let end = text.find(']').map_or(text.len(), |end| end + 1);
        return whole(Host::parse(&text[..end]), false);
    }
    match text.matches(':').count() {
        0 => whole(Host::parse(text), false),
        1 => whole(
            Host::parse(text.split(':').next().unwrap_or_default()),
            false,
        ),
        _ => match (Host::parse(text), text.rsplit_once(':')) {
            (host @ Host::V6(_), _) => whole(host, false),
            (_, Some((head, _))) if matches!(Host::parse(head), Host::V6(_)) => {
                whole(Host::parse(head), true)
            }
            _ => whole(Host::Name(text.to_owned()), false),
        },
    }
}

/// The same with brackets, where it is plain what is address and what is port: a URL's last group
/// could be either, so only ports of services that are well known here are believed to be ports.
pub(crate) fn bracketed(text: &str) -> Option<String> {
    const PORTS: [&str; 20] = [
        "80", "443", "3306", "4567", "5000", "5432", "5671", "5672", "6379", "6080", "6082",
        "6083", "8000", "8004", "8443", "8774", "8775", "8776", "9292", "9696",
    ];
    let also = [
        "8778", "8777", "11211", "3260", "35357", "6641", "6642", "4444", "8040", "8041",
    ];
    if let Some((head, port)) = text.rsplit_once(':') {
        let known = PORTS.contains(&port) || also.contains(&port);
        if known && matches!(Host::parse(head), Host::V6(_)) {
            return Some(format!("[{head}]:{port}"));
        }
    }
    let all_groups = text.matches(':').count() == 7;
    let last_is_hex = text
        .rsplit(':')
        .next()
        .is_some_and(|g| g.parse::<u16>().is_err());
    let address = matches!(Host::parse(text), Host::V6(_));
    (address && (all_groups || last_is_hex || text.ends_with(":1"))).then(|| format!("[{text}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &[(&str, bool)]) {
        let found = mentions(value);
        let seen: Vec<(&str, bool)> = found
            .iter()
            .map(|m| (m.text.as_str(), m.ambiguous))
            .collect();
        assert_eq!(seen, expected, "{value}");
    }

    #[test]
    fn hosts_are_found_in_values() {
        check("http://192.0.2.1:5000/v3", &[("192.0.2.1:5000", false)]);
        check("http://[fd00::1]:5000", &[("[fd00::1]:5000", false)]);
        check("http://fd00::1:5000/", &[("fd00::1:5000", true)]);
        check("http://fd00::1", &[("fd00::1", true)]);
        check(
            "rabbit://u:p@a:5672,u:p@192.0.2.2:5672/",
            &[("a:5672", false), ("192.0.2.2:5672", false)],
        );
        check("http://a:1,http://b:2", &[("a:1", false), ("b:2", false)]);
        check(
            "192.0.2.1:11211, [::1]:11211",
            &[("192.0.2.1:11211", false), ("[::1]:11211", false)],
        );
        check("tcp:127.0.0.1:6641", &[("127.0.0.1:6641", false)]);
        check("ssl:fd00::1:6641", &[("fd00::1:6641", true)]);
        check("10.0.0.0/8,1:1000,1.2,noauth", &[]);
        check("sqlite:////var/lib/nova.db", &[]);
        check("://", &[]);
    }

    #[test]
    fn brackets_are_put_only_where_it_is_plain() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(bracketed(text).as_deref(), expected, "{text}")
        };
        check("fd00::1:5000", Some("[fd00::1]:5000"));
        check("fd00::1:5001", None);
        check("fd00::abcd", Some("[fd00::abcd]"));
        check("::1", Some("[::1]"));
        check("fd00:1:2:3:4:5:6:7:9292", Some("[fd00:1:2:3:4:5:6:7]:9292"));
        check("name:80", None);
    }
}
