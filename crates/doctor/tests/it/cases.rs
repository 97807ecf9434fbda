//! `tests/cases/*.case`: small hosts, each with what must be found in it, no more and no less.
//!
//! The head has `expect: ID FILE:LINE [OPTION]` lines (`FILE:-` where a line is missing), and may
//! have `release: NAME` and `name: NAME ADDRESS`. `stays: ID` names what the patch leaves; without
//! it nothing may be left. Then come the files, each below `=== NAME`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use doctor::{Finding, HostsFile, Names, Report};

use crate::dir::Dir;

#[derive(Default)]
struct Case {
    expect: Vec<String>,
    stays: Vec<String>,
    release: Option<String>,
    names: BTreeMap<String, Vec<IpAddr>>,
    files: Vec<(String, String)>,
}

impl Names for Case {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.names.get(name).cloned()
    }
}

fn read(text: &str) -> Case {
    let mut case = Case::default();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("=== ") {
            case.files.push((name.trim().to_owned(), String::new()));
        } else if let Some((_, file)) = case.files.last_mut() {
            file.push_str(line);
        } else if let Some((key, value)) = line.trim().split_once(": ") {
            match key {
                "expect" => case.expect.push(value.to_owned()),
                "stays" => case.stays.push(value.to_owned()),
                "release" => case.release = Some(value.to_owned()),
                "name" => {
                    let (name, address) = value.split_once(' ').unwrap();
                    let addresses = case.names.entry(name.to_owned()).or_default();
                    addresses.push(address.parse().unwrap());
                }
                other => panic!("what is {other}?"),
            }
        }
    }
    case
}

fn look(case: &Case, dir: &Dir) -> Report {
    let release = case.release.as_deref().map(|name| name.parse().unwrap());
    doctor::openstack(&dir.etc(), release, case, 1_800_000_000).unwrap()
}

/// `ID FILE:LINE OPTION`.
fn line(finding: &Finding) -> String {
    let place = &finding.place;
    let number = place.line.map_or("-".to_owned(), |line| line.to_string());
    let option = place.option.as_deref().unwrap_or("-");
    format!("{} {}:{number} {option}", finding.kind.id, place.file)
}

fn apply(dir: &Dir, diff: &str) {
    let mut patch = Command::new("patch")
        .args(["-p1", "--no-backup-if-mismatch", "--fuzz=0", "-s", "-d"])
        .arg(dir.etc())
        .stdin(Stdio::piped())
        .spawn()
        .expect("patch (Debian package patch) is needed for this test");
    patch
        .stdin
        .take()
        .unwrap()
        .write_all(diff.as_bytes())
        .unwrap();
    assert!(patch.wait().unwrap().success(), "patch refused:\n{diff}");
}

fn check(name: &str, text: &str) {
    let case = read(text);
    let dir = Dir::new();
    for (name, text) in &case.files {
        dir.write(name, text);
    }
    let report = look(&case, &dir);
    let seen: Vec<String> = report.findings.iter().map(line).collect();
    assert_eq!(
        seen, case.expect,
        "{name}: what is found (left) is not what should be"
    );
    assert_eq!(report.unread, Vec::<String>::new(), "{name}");
    let offered = report.findings.iter().filter(|f| f.edit.is_some()).count();
    assert_eq!(
        offered == 0,
        report.diff.is_empty(),
        "{name}:\n{}",
        report.diff
    );
    if offered > 0 {
        apply(&dir, &report.diff);
    }
    let left = look(&case, &dir).findings;
    let left: Vec<&str> = left.iter().map(|finding| finding.kind.id).collect();
    assert_eq!(
        left, case.stays,
        "{name}: what is left after the patch (left) is not what should be:\n{}",
        report.diff
    );
}

#[test]
fn every_case_is_found_and_mended() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut entries: Vec<_> = fs::read_dir(cases)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    assert!(entries.len() >= 30, "there are only {}", entries.len());
    // All are tried, so that one look shows all that is wrong.
    let wrong = entries.iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        std::panic::catch_unwind(|| check(name, &text)).is_err()
    });
    assert_eq!(wrong.count(), 0);
}

#[test]
fn every_kind_has_a_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let all: String = fs::read_dir(cases)
        .unwrap()
        .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    // Certificates are made anew by their own test.
    for kind in doctor::openstack_kinds()
        .iter()
        .filter(|kind| !kind.id.starts_with("certificate-"))
    {
        assert!(
            all.contains(&format!("expect: {} ", kind.id)),
            "no case has {}",
            kind.id
        );
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let dir = Dir::new();
    let gone = dir.path().join("nothing");
    assert!(doctor::openstack(&gone, None, &HostsFile::default(), 0).is_err());
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    assert!(report.findings.is_empty() && report.notes.is_empty() && report.diff.is_empty());
}
