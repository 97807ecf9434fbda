//! The doctor of a hextet host: what was seen there becomes findings.
//!
//! Nothing here looks: who asks fills [`Facts`] in, each part as it was seen, and [`findings`] is
//! a plain function of them. `hextet/src/doctor` looks.

pub mod certificates;
pub mod clock;
pub mod disk;
pub mod dns;
pub mod links;
pub mod listeners;
pub mod name;
pub mod nodes;
pub mod programs;
pub mod sysctls;

use crate::finding::{Edit, Finding, Kind, Place};

/// What was seen of a host. What could not be looked at stays empty, and is told elsewhere.
#[derive(Debug, Default)]
pub struct Facts {
    pub sysctls: sysctls::Sysctls,
    pub certificates: certificates::Seen,
    pub name: Option<name::Name>,
    pub listeners: listeners::Listeners,
    pub dns: dns::Dns,
    pub links: links::Links,
    pub programs: programs::Programs,
    pub disks: disk::Disks,
    pub clock: clock::Clock,
    pub nodes: nodes::Nodes,
}

/// What is wrong, the worst first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(sysctls::check(&facts.sysctls));
    found.extend(certificates::check(&facts.certificates));
    found.extend(facts.name.iter().flat_map(name::check));
    found.extend(listeners::check(&facts.listeners));
    found.extend(dns::check(&facts.dns));
    found.extend(links::check(&facts.links));
    found.extend(programs::check(&facts.programs));
    found.extend(disk::check(&facts.disks));
    found.extend(clock::check(&facts.clock));
    found.extend(nodes::check(&facts.nodes));
    found.sort_by(|a, b| {
        let key = |f: &Finding| (f.kind.severity, f.kind.id, f.place.clone());
        key(a).cmp(&key(b))
    });
    found
}

/// A place that is no line of a file: a file as a whole, or what it is about in a word.
pub fn at(what: impl Into<String>) -> Place {
    Place {
        file: what.into(),
        ..Place::default()
    }
}

fn found(kind: &'static Kind, place: Place, what: String, fix: String) -> Finding {
    Finding {
        kind,
        what,
        fix,
        source: None,
        place,
        edit: None,
    }
}

/// The same with the change that `--fix` makes.
fn mended(mut finding: Finding, edit: Edit) -> Finding {
    finding.edit = Some(edit);
    finding
}
