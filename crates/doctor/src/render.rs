//! Findings as text and as JSON: the same for every doctor.

use std::fmt::Write;

use serde_json::json;

use crate::finding::{Finding, Place};
use crate::show::shown;

/// One paragraph a finding, the worst first.
pub fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let Finding {
            kind, what, fix, ..
        } = finding;
        let _ = writeln!(
            out,
            "{}: {} [{}]\n  {}\n  why: {}\n  fix: {}\n  see: docs/findings/{}.md, {}\n",
            place(&finding.place),
            kind.severity.name(),
            kind.id,
            shown(what),
            kind.why,
            shown(fix).trim_end(),
            kind.id,
            finding.citation(),
        );
    }
    out
}

/// An object with all findings.
pub fn json(findings: &[Finding]) -> String {
    let value = json!({ "findings": findings });
    serde_json::to_string_pretty(&value).expect("it has no map with other keys than strings")
}

fn place(place: &Place) -> String {
    let mut out = shown(&place.file);
    if let Some(line) = place.line {
        let _ = write!(out, ":{line}");
    }
    if let Some(section) = &place.section {
        let _ = write!(out, " [{}]", shown(section));
    }
    if let Some(option) = &place.option {
        let _ = write!(out, " {}", shown(option));
    }
    out
}
