//! `hextet doctor` on a host of its own: a namespace, and a root.

mod node;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::host::{HEXTET, Host, ip, openstack};
use crate::names::Server;

/// A namespace with a cloud's root; both go with it.
struct Sick {
    namespace: String,
    root: PathBuf,
}

/// What a look found.
struct Found {
    status: i32,
    findings: Vec<serde_json::Value>,
    said: String,
}

impl Sick {
    fn new(name: &str) -> Sick {
        let namespace = format!("hxdoc{}{name}", std::process::id());
        let root = std::env::temp_dir().join(&namespace);
        ip(&["netns", "add", &namespace]);
        let sick = Sick { namespace, root };
        for link in [
            &["set", "lo", "up"][..],
            &["add", "eth0", "type", "veth", "peer", "eth1"],
        ] {
            ip(&[&["-n", &sick.namespace, "link"], link].concat());
        }
        for link in ["eth0", "eth1"] {
            ip(&["-n", &sick.namespace, "link", "set", link, "up"]);
        }
        let made = sick.run(&["init", "--listen", "[::1]:8443"]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        sick
    }

    fn within(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut hextet = self.within(HEXTET);
        hextet
            .arg("--root")
            .arg(&self.root)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn sysctl(&self, knob: &str) -> String {
        let read = self
            .within("cat")
            .arg(format!("/proc/sys/{knob}"))
            .output()
            .unwrap();
        String::from_utf8(read.stdout).unwrap().trim().to_owned()
    }

    fn set(&self, knob: &str, value: &str) {
        let write = format!("echo {value} > /proc/sys/{knob}");
        assert!(
            self.within("sh")
                .args(["-c", &write])
                .status()
                .unwrap()
                .success()
        );
    }

    fn look(&self, arguments: &[&str]) -> Found {
        found(self.run(&[&["doctor", "--json"], arguments].concat()))
    }

    fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc/hextet").join(file)
    }
}

impl Drop for Sick {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.namespace]);
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Says something to a cloud's database behind its back.
fn sql(root: &Path, statement: &str) {
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                  db.execute(sys.argv[2]); db.commit()";
    let python = Path::new(&openstack()).with_file_name("python");
    let mut run = Command::new(python);
    run.args(["-c", script])
        .arg(root.join("var/lib/hextet/hextet.db"));
    assert!(run.arg(statement).status().unwrap().success());
}

fn found(output: Output) -> Found {
    let said = String::from_utf8(output.stderr).unwrap();
    let value: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    Found {
        status: output.status.code().unwrap(),
        findings: value["findings"].as_array().unwrap().clone(),
        said,
    }
}

impl Found {
    /// The findings but for what may be true of any machine that tests run on, as `ID FILE`.
    fn ids(&self) -> Vec<String> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let all = self
            .findings
            .iter()
            .map(|f| (text(&f["id"]), text(&f["file"])));
        let ours = all.filter(|(id, _)| !OF_THE_MACHINE.contains(&id.as_str()));
        ours.map(|(id, file)| format!("{id} {file}")).collect()
    }

    fn has(&self, id: &str, file: &str) {
        let there = self.ids().contains(&format!("{id} {file}"));
        assert!(
            there,
            "{id} {file} is not in {:#?}\n{}",
            self.findings, self.said
        );
    }
}

/// What may be true of a machine that tests run on.
const OF_THE_MACHINE: &[&str] = &[
    "sysctl-bindv6only",
    "sysctl-gc-thresh",
    "resolver-ipv4-only",
    "resolver-none",
    "resolver-silent",
    "kvm-unusable",
    "qemu-without-iscsi",
    "tgt-missing",
    "clock-adrift",
    "disk-short",
];

#[test]
fn a_host_that_is_well_has_no_findings() {
    let sick = Sick::new("w");
    let found = sick.look(&[]);
    assert_eq!(found.ids(), Vec::<String>::new(), "{}", found.said);
    assert_eq!(
        found.status,
        i32::from(!found.findings.is_empty()),
        "{}",
        found.said
    );
    let nowhere = Command::new(HEXTET)
        .args(["--root", "/nothing/here", "doctor"])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("hextet.toml is not there"), "{said}");
}

#[test]
fn what_is_wrong_is_found_where_it_is() {
    let sick = Sick::new("s");
    for (knob, value) in [
        ("net/ipv6/conf/eth0/forwarding", "1"),
        ("net/ipv6/conf/eth0/accept_ra", "1"),
        ("net/ipv6/conf/lo/disable_ipv6", "1"),
    ] {
        sick.set(knob, value);
    }
    let authority = net::Authority::new("another").unwrap();
    let stranger = authority.issue(&["::1".to_owned()]).unwrap();
    fs::write(sick.etc("certificate.pem"), stranger.certificate).unwrap();
    fs::set_permissions(sick.etc("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    let found = sick.look(&[]);
    let etc = |file: &str| sick.etc(file).display().to_string();
    found.has("sysctl-accept-ra", "/proc/sys/net/ipv6/conf/eth0/accept_ra");
    found.has(
        "sysctl-disable-ipv6",
        "/proc/sys/net/ipv6/conf/lo/disable_ipv6",
    );
    found.has("key-exposed", &etc("key.pem"));
    found.has("key-mismatch", &etc("key.pem"));
    // ::1 is nobody's while lo has no IPv6.
    found.has("listener-address-absent", &etc("hextet.toml"));
    found.has("name-elsewhere", &etc("hextet.toml"));
    assert_eq!(found.status, 1, "{}", found.said);
    let text = String::from_utf8(sick.run(&["doctor"]).stdout).unwrap();
    let listen = format!(
        "{}:3 listen: error [listener-address-absent]",
        etc("hextet.toml")
    );
    assert!(text.contains(&listen), "{text}");
}

#[test]
fn only_what_is_safe_is_fixed() {
    let sick = Sick::new("f");
    for (knob, value) in [
        ("net/ipv6/conf/eth0/forwarding", "1"),
        ("net/ipv6/conf/eth1/forwarding", "1"),
        ("net/ipv6/conf/eth1/accept_ra", "0"),
        ("net/ipv6/conf/all/disable_ipv6", "1"),
    ] {
        sick.set(knob, value);
    }
    fs::set_permissions(sick.etc("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    let all = || {
        let listed = sick
            .within("grep")
            .args(["-rs", "", "/proc/sys/net/ipv6/conf"])
            .output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    };
    let before = all();
    let looked = sick.look(&[]);
    looked.has("sysctl-accept-ra", "/proc/sys/net/ipv6/conf/eth0/accept_ra");
    assert_eq!(all(), before, "a look changes nothing");
    let fixed = sick.look(&["--fix"]);
    assert!(
        fixed.said.contains("accept_ra: 2 now, and was 1"),
        "{}",
        fixed.said
    );
    assert!(
        fixed.said.contains("key.pem: its mode is 600 now"),
        "{}",
        fixed.said
    );
    assert!(
        !fixed
            .ids()
            .iter()
            .any(|id| id.contains("accept_ra") || id.contains("key-"))
    );
    fixed.has(
        "sysctl-disable-ipv6",
        "/proc/sys/net/ipv6/conf/all/disable_ipv6",
    );
    assert_eq!(sick.sysctl("net/ipv6/conf/eth0/accept_ra"), "2");
    let changed = before.replace("/eth0/accept_ra:1\n", "/eth0/accept_ra:2\n");
    assert_eq!(all(), changed, "that and nothing else");
}

#[test]
fn who_is_in_the_way_is_named() {
    let sick = Sick::new("p");
    let script = "import socket,sys\ns=socket.socket(socket.AF_INET6)\ns.bind(('::',8443))\ns.listen()\nprint('there',flush=True)\nsys.stdin.read()";
    let python = Path::new(&openstack()).with_file_name("python");
    let mut stranger = sick
        .within(python.to_str().unwrap())
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(stranger.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let found = sick.look(&[]);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    found.has(
        "listener-taken",
        &sick.etc("hextet.toml").display().to_string(),
    );
    let what = found
        .findings
        .iter()
        .find(|f| f["id"] == "listener-taken")
        .unwrap();
    let who = format!("process {} (python", stranger.id());
    assert!(what["what"].as_str().unwrap().starts_with(&who), "{what}");
}

#[test]
fn a_socket_of_ipv4_is_found_in_a_hextet() {
    let sick = Sick::new("4");
    // Whoever holds the lock is the cloud's process: here it is the test.
    let lock = fs::File::create(sick.root.join("run/hextet/lock")).unwrap();
    lock.try_lock().unwrap();
    let mut hextet = Command::new(HEXTET);
    hextet
        .arg("--root")
        .arg(&sick.root)
        .args(["doctor", "--json"]);
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let both = TcpListener::bind("[::]:0").unwrap();
    let looked = found(hextet.output().unwrap());
    for (id, listener) in [("socket-ipv4", &old), ("socket-takes-ipv4", &both)] {
        let at = listener.local_addr().unwrap().to_string();
        let there = looked
            .findings
            .iter()
            .any(|f| f["id"] == id && f["what"].as_str().unwrap().ends_with(&at));
        assert!(there, "{id} {at}: {:#?}", looked.findings);
    }
}

#[test]
fn a_cloud_that_runs_has_no_findings() {
    let mut host = Host::new();
    host.up();
    let looked = found(host.hextet(&["doctor", "--json"]));
    assert_eq!(looked.ids(), Vec::<String>::new(), "{}", looked.said);
    assert!(looked.status < 2, "{}", looked.said);
    // A node on record that is no more.
    sql(
        &host.root,
        "INSERT INTO node (id, name, facts, reached, seen_ms, number)
         SELECT 'f00df00d-0000-4000-8000-000000000000', 'gone', facts, reached, 0, 99 FROM node",
    );
    let looked = found(host.hextet(&["doctor", "--json"]));
    looked.has("node-silent", "nodes");
    let silent = looked
        .findings
        .iter()
        .find(|f| f["id"] == "node-silent")
        .unwrap();
    assert!(
        silent["what"]
            .as_str()
            .unwrap()
            .starts_with("1 of 2 nodes are connected")
    );
    sql(&host.root, "DELETE FROM node WHERE name = 'gone'");
}

/// With a real resolver, and with one that is away.
#[test]
fn resolvers_are_asked() {
    let sick = Sick::new("r");
    let records = sick.root.join("records");
    fs::write(&records, "::1 localhost\n").unwrap();
    let server = Server::start(&records);
    let settings = fs::read_to_string(sick.etc("hextet.toml")).unwrap();
    let with = |upstreams: &str| {
        let text = format!("{settings}[dns]\nupstreams = {upstreams}\n");
        fs::write(sick.etc("hextet.toml"), text).unwrap();
        let mut hextet = Command::new(HEXTET);
        hextet
            .arg("--root")
            .arg(&sick.root)
            .args(["doctor", "--json"]);
        let looked = found(hextet.output().unwrap());
        let of_dns = looked
            .findings
            .iter()
            .filter(|f| f["id"].as_str().unwrap().starts_with("resolver-"));
        let text = |f: &serde_json::Value| format!("{} {}", f["option"], f["what"]);
        of_dns.map(text).collect::<Vec<_>>()
    };
    let there = format!("['{}']", server.address);
    let mut said = with(&there);
    for _ in 0..200 {
        if said.is_empty() {
            break;
        }
        said = with(&there);
    }
    assert_eq!((said, with("[]")), (vec![], vec![]));
    drop(server);
    let said = with(&there);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("\"upstreams\" \"the resolver [::1]:"),
        "{said:?}"
    );
}
