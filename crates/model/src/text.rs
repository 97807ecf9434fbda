//! Addresses as text. Brackets are written in exactly two places, both here.

use std::net::{IpAddr, Ipv6Addr};

/// A host as it stands in a URL: an IPv6 literal gets brackets (RFC 3986, section 3.2.2).
pub fn host_in_url(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// An address written with or without brackets.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().ok()
}

/// `[ADDRESS]:PORT`, `ADDRESS` or `NAME:PORT` as host and port; a bare IPv6 literal has no port.
pub fn parse_host_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if after.is_empty() => None,
            None => return None,
        };
        return Some((host.to_owned(), port));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text.to_owned(), None));
    }
    match text.split_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host.to_owned(), Some(port.parse().ok()?))),
        Some(_) => None,
        None if text.is_empty() => None,
        None => Some((text.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_taken_and_given() {
        assert_eq!(host_in_url("2001:DB8::1"), "[2001:db8::1]");
        assert_eq!(host_in_url("cloud.example"), "cloud.example");
        assert_eq!(parse_ip("[::1]"), parse_ip("::1"));
        assert_eq!(
            parse_host_port("[::1]:8443"),
            Some(("::1".into(), Some(8443)))
        );
        assert_eq!(parse_host_port("::1"), Some(("::1".into(), None)));
        assert_eq!(
            parse_host_port("cloud.example:443"),
            Some(("cloud.example".into(), Some(443)))
        );
        for bad in ["", ":1", "[::1", "[::1]x", "[zz]:1", "a:b"] {
            assert_eq!(parse_host_port(bad), None, "{bad}");
        }
    }
}
