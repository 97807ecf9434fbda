//! A request, as handlers see it.

use std::str::FromStr;

use crate::microversion::Microversion;
use bytes::Bytes;
use cloud::Cloud;
use http::HeaderMap;
use model::{Caller, Kind, Result};

/// A request whose caller is known.
pub(crate) struct Context {
    pub cloud: Cloud,
    /// On open routes: nobody.
    pub caller: Caller,
    /// What it asked for, within its service's major version.
    pub version: Microversion,
    /// The path, without the query.
    pub path: String,
    /// Values of the path's names.
    pub params: Vec<(String, String)>,
    /// The query's names and values in their order.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Context {
    /// Whether the client speaks this microversion, or a later one.
    pub(crate) fn since(&self, minor: u32) -> bool {
        self.version >= Microversion(minor)
    }

    /// The value of a name in the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether a word is one of the path's segments.
    pub(crate) fn is_below(&self, segment: &str) -> bool {
        self.path.split('/').any(|s| s == segment)
    }

    /// An id in the path. What is no id names nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn id<T: FromStr>(&self, name: &str, kind: Kind) -> Result<T> {
        crate::json::named(kind, self.param(name))
    }

    /// The first value of a name in the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The names and values of a query string.
pub(crate) fn parse_query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&name.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// Percent-decoding (RFC 3986, section 2.1). What is no valid escape stays as it is, and octets
/// that are no UTF-8 become the replacement character.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%').then(|| after.get(..2)).flatten();
        // `from_str_radix` would take a sign.
        let escape = escape.filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let value =
            escape.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match value {
            Some(octet) => {
                octets.push(octet);
                rest = &after[2..];
            }
            None => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let pairs = parse_query(text);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            assert_eq!(pairs, expected, "{text}");
        };
        check("a=1&b=x%20y&c", &[("a", "1"), ("b", "x y"), ("c", "")]);
        check(
            "sort=name%3Aasc&&x=%zz%-1%4",
            &[("sort", "name:asc"), ("x", "%zz%-1%4")],
        );
        check("x=%ff+%C3%BC", &[("x", "\u{fffd} ü")]);
    }
}
