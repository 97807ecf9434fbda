//! What was seen of a host, and what must be found in it, no more and no less.

mod door;
mod node;

use std::collections::BTreeSet;

use doctor::host::listeners::{Process, Trouble};
use doctor::host::{Facts, findings};
use doctor::{Edit, Finding, Place};
use net::TlsError;

use door::{deaf, door, file, refused};
use node::nodes;

/// What was seen, and `ID PLACE` of each finding in their order.
type Case = (fn(&mut Facts), &'static [&'static str]);

fn cases() -> impl Iterator<Item = &'static Case> {
    door::CASES.iter().chain(node::CASES)
}

fn setting(option: &str, line: usize) -> Place {
    Place {
        file: "/etc/hextet/hextet.toml".into(),
        line: Some(line),
        section: None,
        option: Some(option.into()),
    }
}

fn look(see: fn(&mut Facts)) -> Vec<Finding> {
    let mut facts = Facts::default();
    see(&mut facts);
    findings(&facts)
}

fn line(finding: &Finding) -> String {
    let Place {
        file, line, option, ..
    } = &finding.place;
    let line = line.map(|l| format!(":{l}")).unwrap_or_default();
    let option = option.as_ref().map(|o| format!(" {o}")).unwrap_or_default();
    format!("{} {file}{line}{option}", finding.kind.id)
}

#[test]
fn what_is_wrong_is_found_and_nothing_else() {
    for (number, (see, expected)) in cases().enumerate() {
        let found = look(*see);
        let lines: Vec<String> = found.iter().map(line).collect();
        assert_eq!(lines, *expected, "case {number}");
        for finding in found {
            assert!(!finding.what.is_empty() && !finding.fix.is_empty());
            assert_eq!(finding.what.lines().count(), 1, "{}", finding.what);
        }
    }
}

#[test]
fn every_kind_has_a_case() {
    let seen: BTreeSet<&str> = cases()
        .flat_map(|(see, _)| look(*see))
        .map(|f| f.kind.id)
        .collect();
    let known: BTreeSet<&str> = doctor::host_kinds().iter().map(|kind| kind.id).collect();
    assert_eq!(seen, known);
}

#[test]
fn fixes_are_lines_to_run() {
    let fix = |see: fn(&mut Facts)| {
        let found = look(see).remove(0);
        (found.fix, found.edit)
    };
    let (said, edit) = fix(|f| f.sysctls.deaf = vec![deaf(true, false)]);
    assert!(
        said.starts_with("`sysctl -w net.ipv6.conf.eth0/7.accept_ra=2`"),
        "{said}"
    );
    assert!(
        said.contains("`net.ipv6.conf.eth0/7.accept_ra = 2` in /etc/sysctl.d/"),
        "{said}"
    );
    let (within, _) = fix(|f| {
        f.sysctls.deaf = vec![deaf(true, false)];
        f.sysctls.netns = "outside".into();
    });
    assert!(
        within.starts_with("`ip netns exec outside sysctl -w net.ipv6"),
        "{within}"
    );
    let name = "net/ipv6/conf/eth0.7/accept_ra".into();
    assert_eq!(
        edit,
        Some(Edit::Sysctl {
            name,
            value: "2".into()
        })
    );
    let (said, edit) = fix(|f| {
        refused(
            f,
            TlsError::Exposed {
                file: file("/etc/hextet/key.pem"),
                mode: 0o604,
            },
        )
    });
    assert!(
        said.starts_with("`chmod 600 /etc/hextet/key.pem`"),
        "{said}"
    );
    assert_eq!(edit, Some(Edit::Mode { mode: 0o600 }));
    let said = look(|f| nodes(f, Some(1))).remove(0).what;
    assert!(
        said.contains("1 of 2") && said.contains("n2, 10 days ago"),
        "{said}"
    );
    let (said, edit) = fix(|f| {
        let by = Process {
            pid: 42,
            name: "nginx".into(),
        };
        door(f, Trouble::Taken(Some(by)));
    });
    assert!(said.contains("kill 42") && edit.is_none(), "{said}");
}
