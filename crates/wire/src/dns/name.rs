//! Names in messages.

use std::fmt;
use std::str::FromStr;

use crate::Malformed;

/// A domain name as it goes over the wire, in lower case: two that differ only in case are one
/// (RFC 4343). Labels may hold any octet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

const WRONG: Malformed = Malformed("domain name");
const LABEL_MAX: u8 = 63; // RFC 1035, section 2.3.4
const NAME_MAX: usize = 255; // likewise, with the root's octet

impl Name {
    /// Reads the uncompressed name that `bytes` begin with, and gives back what follows it.
    pub fn parse(bytes: &[u8]) -> Result<(Name, &[u8]), Malformed> {
        let mut at = 0;
        loop {
            let length = *bytes.get(at).ok_or(WRONG)?;
            at += 1 + usize::from(length);
            if length > LABEL_MAX || at > NAME_MAX || at > bytes.len() {
                return Err(WRONG);
            }
            if length == 0 {
                let (name, rest) = bytes.split_at(at);
                return Ok((Name(name.to_ascii_lowercase().into()), rest));
            }
        }
    }

    /// Octets on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(length.into())?;
            rest = after;
            (length > 0).then_some(label)
        })
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let first = usize::from(self.0[0]);
        (first > 0).then(|| Name(self.0[first + 1..].into()))
    }

    /// The name with one label before it; `None` when that is too long, or no label.
    pub fn child(&self, label: &str) -> Option<Name> {
        let length = u8::try_from(label.len()).ok()?;
        let fits = (1..=LABEL_MAX).contains(&length) && label.len() + 1 + self.0.len() <= NAME_MAX;
        let mut wire = vec![length];
        wire.extend(label.bytes().map(|c| c.to_ascii_lowercase()));
        wire.extend(&self.0);
        fits.then(|| Name(wire.into()))
    }

    /// Whether this is the other name or below it.
    pub fn is_within(&self, other: &Name) -> bool {
        let mut rest = &self.0[..];
        while rest.len() > other.0.len() {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        *rest == *other.0
    }
}

impl FromStr for Name {
    type Err = Malformed;

    /// Takes a name with or without the root's dot; `.` is the root. There are no escapes.
    fn from_str(text: &str) -> Result<Name, Malformed> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let root = Name([0].into());
        if text.is_empty() {
            return Ok(root);
        }
        let mut labels = text.rsplit('.');
        labels.try_fold(root, |name, label| name.child(label).ok_or(WRONG))
    }
}

/// With the root's dot. What is not printable stands as `\DDD`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_without_case() {
        let (read, rest) = Name::parse(b"\x03WWW\x07example\x00rest").unwrap();
        assert_eq!(
            (read.to_string().as_str(), rest),
            ("www.example.", &b"rest"[..])
        );
        assert_eq!(read, name("www.Example"));
        assert_eq!(Name::parse(b"\x00").unwrap().0, name("."));
        assert_eq!(
            Name::parse(b"\x02a.\x01 \x00").unwrap().0.to_string(),
            "a\\..\\032."
        );
        let long = [[63; 64].as_slice(); 4].concat();
        for bad in [&b""[..], b"\x01", b"\x01a", b"\xc0\x0c", b"\x40", &long] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_have_a_greatest_length() {
        let label = "a".repeat(63);
        let three = [label.as_str(); 3].join(".");
        assert!(
            format!("{three}.{}", "b".repeat(61))
                .parse::<Name>()
                .is_ok()
        );
        for bad in [
            format!("{three}.{}", "b".repeat(62)),
            format!("{label}a.b"),
            "a..b".into(),
            ".a".into(),
            "a..".into(),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_lie_within_names() {
        for (below, above, is) in [
            ("a.example", "example", true),
            ("example", "EXAMPLE.", true),
            ("b.a.example", "example", true),
            ("example", ".", true),
            ("aexample", "example", false),
            ("example", "a.example", false),
        ] {
            assert_eq!(name(below).is_within(&name(above)), is, "{below} {above}");
        }
        assert_eq!(name("a.b").parent(), Some(name("b")));
        assert_eq!(name(".").parent(), None);
        assert_eq!(name("b").child("A"), Some(name("a.b")));
    }
}
