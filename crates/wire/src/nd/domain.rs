//! Domain names as options carry them.

use std::fmt;
use std::str::FromStr;

use crate::Malformed;

/// A domain name of at least one label, without the root's dot: letters, digits, `-` and `_`.
///
/// Options hold names uncompressed (RFC 8106, section 5.2), so that one needs no packet around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

const WRONG: Malformed = Malformed("domain name");
const LABEL_MAX: usize = 63; // RFC 1035, section 2.3.4
const NAME_MAX: usize = 255; // likewise, on the wire

impl DomainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many octets [`DomainName::emit`] appends: one before each label, and the root.
    pub(crate) fn wire_len(&self) -> usize {
        self.0.len() + 2
    }

    /// Reads the name that `bytes` begin with, and gives back what follows it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(DomainName, &[u8]), Malformed> {
        let mut labels = Vec::new();
        let mut rest = bytes;
        loop {
            let (&length, after) = rest.split_first().ok_or(WRONG)?;
            if length == 0 {
                rest = after;
                break;
            }
            let (label, after) = after.split_at_checked(length.into()).ok_or(WRONG)?;
            labels.push(std::str::from_utf8(label).map_err(|_| WRONG)?);
            rest = after;
        }
        Ok((labels.join(".").parse()?, rest))
    }

    /// Appends the labels and the root.
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        for label in self.0.split('.') {
            out.push(label.len() as u8); // at most 63, see `from_str`
            out.extend(label.bytes());
        }
        out.push(0);
    }
}

impl FromStr for DomainName {
    type Err = Malformed;

    /// Takes a name with or without the root's dot.
    fn from_str(text: &str) -> Result<DomainName, Malformed> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let fits = |label: &str| (1..=LABEL_MAX).contains(&label.len());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() + 2 > NAME_MAX || !name.chars().all(plain) || !name.split('.').all(fits) {
            return Err(WRONG);
        }
        Ok(DomainName(name.to_owned()))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_sound_labels() {
        let name: DomainName = "cloud.example.".parse().unwrap();
        let mut out = Vec::new();
        name.emit(&mut out);
        assert_eq!(out, b"\x05cloud\x07example\x00");
        assert_eq!(out.len(), name.wire_len());
        out.push(7);
        assert_eq!(DomainName::parse(&out), Ok((name, &[7][..])));

        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63).as_str(); 4].join(".");
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "ä.example",
            &long_label,
            &long_name,
        ] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad}");
        }
        for bad in [
            &b"\x05clou"[..],
            b"\x01a",
            b"",
            b"\x00",
            b"\xc0\x0c",
            b"\x01.\x00",
        ] {
            assert!(DomainName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
