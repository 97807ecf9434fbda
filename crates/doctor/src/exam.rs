//! What one look at a host gathers.

use std::collections::BTreeSet;

use crate::finding::{Edit, Finding, Kind, Place};
use crate::names::Names;
use crate::parse::Setting;
use crate::release::Releases;
use crate::show::without_secrets;
use crate::tree::{File, Tree};

/// Kinds whose edits open a socket on `::`.
const SOCKETS: [&str; 4] = [
    "bind-ipv4-any",
    "default-ipv4",
    "uwsgi-socket-ipv4",
    "haproxy-bind-ipv4",
];

/// A look under way.
pub(crate) struct Exam<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) releases: &'a Releases,
    pub(crate) names: &'a dyn Names,
    /// Seconds since 1970: certificates end.
    pub(crate) now_s: i64,
    /// Whether a socket on `::` takes clients of both families.
    pub(crate) takes_both: bool,
    findings: Vec<Finding>,
    seen: BTreeSet<(&'static str, Place)>,
    pub(crate) certificates: BTreeSet<(String, Place)>,
    pub(crate) authorities: BTreeSet<String>,
    pub(crate) hosts: BTreeSet<(String, Place)>,
}

impl<'a> Exam<'a> {
    pub(crate) fn new(
        tree: &'a Tree,
        releases: &'a Releases,
        names: &'a dyn Names,
        now_s: i64,
    ) -> Exam<'a> {
        Exam {
            tree,
            releases,
            names,
            now_s,
            takes_both: true,
            findings: Vec::new(),
            seen: BTreeSet::new(),
            certificates: BTreeSet::new(),
            authorities: BTreeSet::new(),
            hosts: BTreeSet::new(),
        }
    }

    /// Takes a finding, unless it is known: several daemons read the same file.
    pub(crate) fn take(&mut self, mut finding: Finding) {
        // A patch is for /etc: what packages bring is overridden there, not changed.
        let ours = finding.place.file.starts_with("/etc/");
        let safe = self.takes_both || !SOCKETS.contains(&finding.kind.id);
        finding.edit = finding.edit.filter(|_| ours && safe);
        let place = &finding.place;
        // The text is part of what makes it another: a line may name two hosts.
        let key = Place {
            section: Some(finding.what.clone()),
            ..place.clone()
        };
        if self.seen.insert((finding.kind.id, key)) {
            self.findings.push(finding);
        }
    }

    /// The findings by file and line, the worst of a line first.
    pub(crate) fn finished(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| {
            let (place, kind) = (&f.place, f.kind);
            (
                place.file.clone(),
                place.line,
                kind.severity,
                kind.id,
                place.option.clone(),
            )
        });
        self.findings
    }
}

/// A finding at a setting.
pub(crate) fn found(
    kind: &'static Kind,
    file: &File,
    setting: &Setting,
    what: String,
    fix: String,
) -> Finding {
    let place = place(file, setting);
    Finding {
        kind,
        what: without_secrets(&what),
        fix: without_secrets(&fix),
        source: None,
        place,
        edit: None,
    }
}

/// Where a setting is.
pub(crate) fn place(file: &File, setting: &Setting) -> Place {
    let section = Some(setting.section.clone()).filter(|s| !s.is_empty());
    Place {
        file: file.path.clone(),
        line: Some(setting.line),
        section,
        option: Some(setting.key.clone()),
    }
}

impl Finding {
    /// With the change that mends it, when what is to be replaced stands there as it is.
    pub(crate) fn mended(
        mut self,
        file: &File,
        setting: &Setting,
        from: &str,
        to: &str,
    ) -> Finding {
        let after_key = |text: &str| {
            text.find(setting.key.as_str())
                .map_or(0, |at| at + setting.key.len())
        };
        self.edit = (setting.line..=setting.last).find_map(|line| {
            let text = file.line(line);
            let start = if line == setting.line {
                after_key(text)
            } else {
                0
            };
            text.get(start..)?.contains(from).then(|| Edit::Replace {
                line,
                start,
                from: from.to_owned(),
                to: to.to_owned(),
            })
        });
        self
    }

    pub(crate) fn citing(mut self, source: &'static str) -> Finding {
        self.source = Some(source);
        self
    }
}
