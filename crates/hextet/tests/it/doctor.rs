//! `hextet doctor openstack`: what it prints where, and its status.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::host::HEXTET;
use crate::names::Server;

/// A directory that stands for /etc, and goes with the value.
struct Etc(PathBuf);

impl Etc {
    fn new(name: &str) -> Etc {
        let root = std::env::temp_dir().join(format!("hxdoctor{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("etc/nova")).unwrap();
        Etc(root)
    }

    fn nova(&self, text: &str) {
        fs::write(self.0.join("etc/nova/nova.conf"), text).unwrap();
    }

    fn look(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(HEXTET);
        command
            .args(["doctor", "openstack", "--etc"])
            .arg(self.0.join("etc"));
        command.args(arguments).output().unwrap()
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn findings_go_to_stdout_and_the_status_says_them() {
    let etc = Etc::new("status");
    etc.nova("[DEFAULT]\nmetadata_listen = 0.0.0.0\n");
    let found = etc.look(&["--release", "yoga"]);
    let (out, said) = (
        String::from_utf8(found.stdout).unwrap(),
        String::from_utf8(found.stderr).unwrap(),
    );
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(
        out.starts_with("/etc/nova/nova.conf:2 [DEFAULT] metadata_listen: error [bind-ipv4-any]\n"),
        "{out}"
    );
    assert!(out.contains("fix: metadata_listen = ::\n"), "{out}");
    assert_eq!(said, "hextet: 1 finding\n");
    // The release is assumed, and that is said; the option is gone in the newest.
    let newest = etc.look(&[]);
    assert_eq!(newest.status.code(), Some(1));
    assert!(
        String::from_utf8(newest.stderr)
            .unwrap()
            .contains("assuming 2026.2 for nova")
    );
    etc.nova("[DEFAULT]\nmetadata_listen = ::\n");
    let clean = etc.look(&["--release", "yoga"]);
    assert_eq!(
        (clean.status.code(), clean.stdout.len(), clean.stderr.len()),
        (Some(0), 0, 0)
    );
}

#[test]
fn programs_read_json_and_patch_reads_the_diff() {
    let etc = Etc::new("patch");
    etc.nova("[DEFAULT]\nmetadata_listen = 0.0.0.0\n");
    let json = etc.look(&["--release", "yoga", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["findings"][0]["id"], "bind-ipv4-any");
    assert_eq!(value["findings"][0]["line"], 2);
    let diff = etc.look(&["--release", "yoga", "--patch"]);
    assert_eq!(diff.status.code(), Some(1));
    let mut patch = Command::new("patch")
        .args(["-p1", "-s", "-d"])
        .arg(etc.0.join("etc"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    patch.stdin.take().unwrap().write_all(&diff.stdout).unwrap();
    assert!(patch.wait().unwrap().success());
    assert_eq!(etc.look(&["--release", "yoga"]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_looked_at_is_status_2() {
    let etc = Etc::new("refused");
    for arguments in [&["--release", "icehouse"][..], &["--patch", "--json"]] {
        let refused = etc.look(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(refused.stdout.is_empty());
    }
    let gone = Command::new(HEXTET)
        .args(["doctor", "openstack", "--etc", "/nothing/here"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(2));
    assert!(
        String::from_utf8(gone.stderr)
            .unwrap()
            .starts_with("hextet: cannot read /nothing/here: ")
    );
    let huge = fs::File::create(etc.0.join("etc/hosts")).unwrap();
    huge.set_len(1 << 30).unwrap();
    assert_eq!(etc.look(&[]).status.code(), Some(2));
}

/// Names that only the DNS knows are judged by it; where it does not answer, one line says so.
#[test]
fn names_are_asked_of_the_dns() {
    let etc = Etc::new("dns");
    etc.nova(
        "[glance]\napi_servers = https://old.example:9292\n\
         [cinder]\nendpoint_template = https://both.example:8776/v3\n\
         [neutron]\nendpoint_override = https://none.example:9696\n",
    );
    let records = etc.0.join("records");
    let text = "192.0.2.1 old.example\n192.0.2.2 both.example\n2001:db8::2 both.example\n";
    fs::write(&records, text).unwrap();
    let server = Server::start(&records);
    let resolver = server.address.to_string();
    let ask = ["--release", "yoga", "--json", "--resolver", &resolver];
    let ids = |looked: &Output| -> Vec<String> {
        let value: serde_json::Value = serde_json::from_slice(&looked.stdout).unwrap();
        let found = value["findings"].as_array().unwrap();
        let text = |f: &serde_json::Value| format!("{} {}", f["id"], f["line"]);
        found.iter().map(text).collect()
    };
    // The server reads its records when it is up.
    let mut looked = etc.look(&ask);
    for _ in 0..200 {
        if !String::from_utf8_lossy(&looked.stderr).contains("not all names") {
            break;
        }
        looked = etc.look(&ask);
    }
    let said = String::from_utf8_lossy(&looked.stderr).into_owned();
    assert_eq!(ids(&looked), ["\"name-without-aaaa\" 2"], "{said}");
    assert_eq!(looked.status.code(), Some(1));
    drop(server);
    let silent = etc.look(&ask);
    let said = String::from_utf8_lossy(&silent.stderr).into_owned();
    assert_eq!((ids(&silent).len(), silent.status.code()), (0, Some(0)));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("hextet: not all names were judged: "),
        "{said}"
    );
    let asked = etc.look(&["--release", "yoga", "--no-dns"]);
    assert_eq!((asked.status.code(), asked.stderr.len()), (Some(0), 0));
    let wrong = etc.look(&["--resolver", "192.0.2.53"]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("is an IPv4 address"), "{said}");
}
