//! Configuration files of all kinds as settings with their lines. No I/O.
//!
//! Every parser takes any text and never panics; what a program would refuse to read is an error
//! with its line where the program is strict, and passed over where it is lenient.

mod apache;
mod hosts;
mod lines;
mod oslo;
mod python;
mod radvd;
mod shell;

pub use apache::parse as apache;
pub use hosts::parse as hosts;
pub use lines::{dnsmasq, erlang, haproxy, ini, options, pairs, words};
pub use oslo::parse as oslo;
pub use python::parse as python;
pub use radvd::parse as radvd;
pub use shell::parse as shell;

/// One setting, where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// From 1.
    pub line: usize,
    /// Its last line, when it goes over several.
    pub last: usize,
    /// What encloses it: `[section]`, `frontend x`, `<VirtualHost ...>`, `interface eth0`.
    pub section: String,
    pub key: String,
    pub value: String,
}

/// A line that the program would not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Malformed {
    pub line: usize,
    pub why: &'static str,
}

impl Setting {
    fn new(line: usize, section: &str, key: &str, value: &str) -> Setting {
        Setting {
            line,
            last: line,
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    /// The value's words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.value.split_whitespace()
    }
}
