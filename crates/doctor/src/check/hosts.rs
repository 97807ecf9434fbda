//! Names: those in /etc/hosts, and those that the configuration says.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::exam::{Exam, found};
use crate::finding::Finding;
use crate::names::{HostsFile, Names};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

const HOSTS: &str = "/etc/hosts";

pub(super) fn check(exam: &mut Exam) {
    let file = exam.tree.file(HOSTS);
    let known = HostsFile::parse(file.as_ref().map_or("", |file| &file.text));
    if let Some(file) = &file {
        lines(exam, file, &known);
    }
    for (name, place) in std::mem::take(&mut exam.hosts) {
        // What /etc/hosts knows was judged there.
        if known.addresses(&name).is_some() {
            continue;
        }
        let Some(addresses) = exam.names.addresses(&name).filter(|a| lacks_ipv6(a)) else {
            continue;
        };
        exam.take(Finding {
            kind: &table::NAME_WITHOUT_AAAA,
            what: format!("{name} is {} and has no AAAA record", joined(&addresses)),
            fix: format!("add an AAAA record for {name}"),
            source: None,
            place,
            edit: None,
        });
    }
}

fn lines(exam: &mut Exam, file: &File, known: &HostsFile) {
    let mut told = BTreeSet::new();
    for line in parse::hosts(&file.text) {
        if line
            .key
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv4())
        {
            let lacking: Vec<&str> = line
                .words()
                .filter(|name| known.addresses(name).is_some_and(|a| lacks_ipv6(&a)))
                .filter(|name| told.insert(name.to_lowercase()))
                .collect();
            if !lacking.is_empty() {
                exam.take(lacks(file, &line, &lacking));
            }
        }
    }
}

fn lacks(file: &File, line: &Setting, names: &[&str]) -> Finding {
    let names = names.join(" ");
    let what = format!("{names} is {} here, and has no IPv6 address", line.key);
    let localhost = names.split(' ').any(|name| name == "localhost");
    let address = if localhost {
        "::1"
    } else {
        "the host's IPv6 address"
    };
    let mut finding = found(
        &table::NAME_WITHOUT_AAAA,
        file,
        line,
        what,
        format!("{address} {names}"),
    );
    if localhost && names.split(' ').all(|name| name.starts_with("localhost")) {
        let text = format!("::1\t{names}");
        finding.edit = Some(crate::finding::Edit::Insert {
            after: line.line,
            text,
        });
    }
    finding
}

fn lacks_ipv6(addresses: &[IpAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv4)
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
