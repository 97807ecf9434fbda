//! What a doctor finds: kinds, which are rows of a table, and findings, which are places.
//!
//! Every doctor of hextet uses these types, so that all findings are shown, explained
//! (`docs/findings/ID.md`) and read by programs alike.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::show::shown;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Does not work over IPv6.
    Error,
    /// Works, but ties the cloud to IPv4 or leaves it open.
    Warning,
    /// Worth knowing before the move.
    Hint,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        }
    }
}

/// One kind of finding: a row of a doctor's table, from which its output and its page are made.
#[derive(Debug)]
pub struct Kind {
    /// Short, stable, for people: `bind-ipv4-any`. Pages are named by it.
    pub id: &'static str,
    pub severity: Severity,
    /// What is wrong, in general.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, in general. A finding says it exactly.
    pub fix: &'static str,
    /// Where this is written: documents, and source files at a tag.
    pub sources: &'static [&'static str],
}

/// Where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as its host names it; or what else it is about, in a word.
    pub file: String,
    /// From 1; none when something is missing from the file.
    pub line: Option<usize>,
    pub section: Option<String>,
    pub option: Option<String>,
}

/// A change that makes a finding go away and can harm nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// In this line, the first occurrence of `from` after column `start` (octets) becomes `to`.
    Replace {
        line: usize,
        start: usize,
        from: String,
        to: String,
    },
    /// A new line after this one.
    Insert { after: usize, text: String },
    /// A setting of the kernel that runs, its name written as below `/proc/sys`.
    Sysctl { name: String, value: String },
    /// Who may use the file.
    Mode { mode: u32 },
}

/// One thing that is wrong, somewhere.
#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: &'static Kind,
    /// What is wrong, with names and values. Never a password.
    pub what: String,
    /// The exact fix: the line to write.
    pub fix: String,
    /// What proves it, when that is more exact than the kind's sources.
    pub source: Option<&'static str>,
    pub place: Place,
    pub edit: Option<Edit>,
}

impl Finding {
    /// Where the claim can be checked.
    pub fn citation(&self) -> &'static str {
        self.source
            .or(self.kind.sources.first().copied())
            .unwrap_or_default()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("Finding", 11)?;
        out.serialize_field("id", self.kind.id)?;
        out.serialize_field("severity", &self.kind.severity)?;
        out.serialize_field("what", &shown(&self.what))?;
        out.serialize_field("why", self.kind.why)?;
        out.serialize_field("fix", &shown(&self.fix))?;
        out.serialize_field("file", &shown(&self.place.file))?;
        out.serialize_field("line", &self.place.line)?;
        out.serialize_field("section", &self.place.section.as_deref().map(shown))?;
        out.serialize_field("option", &self.place.option.as_deref().map(shown))?;
        out.serialize_field("source", self.citation())?;
        out.serialize_field("patch", &self.edit.is_some())?;
        out.end()
    }
}
