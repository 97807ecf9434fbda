//! A real tgtd in a namespace of its own. Needs root, because tgtd gets a user of its own.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use model::{Chap, Volume, VolumeId};
use nix::sys::signal::Signal;
use volume::probe::probe;
use volume::{Daemon, DaemonSettings, Export, file, plan};

const WITHIN: Duration = Duration::from_secs(5);

/// A namespace with a loopback, a directory with a long name, and nothing left when it is dropped.
struct Host {
    ns: Netns,
    root: PathBuf,
    settings: DaemonSettings,
}

impl Host {
    fn new(portal: &str) -> Host {
        assert!(
            nix::unistd::Uid::effective().is_root(),
            "tgtd gets its own user: run these tests as root"
        );
        let id = VolumeId::random();
        let ns = Netns::ensure(&format!("hxvol-{}", id.short())).unwrap();
        ip(&ns, &["link", "set", "lo", "up"]);
        let root = std::env::temp_dir().join(format!("hextet-volume-{id}-{}", "x".repeat(80)));
        fs::create_dir(&root).unwrap();
        let settings = DaemonSettings {
            program: "tgtd".into(),
            uid: 1_900_000_000 + (id.0.as_u128() >> 104) as u32,
            base: ns.clone(),
            portals: vec![portal.parse().unwrap()],
            files: root.join("files"),
            run: root.join("run/tgtd"),
            ports: root.join("ports.json"),
            cgroup: None,
        };
        Host { ns, root, settings }
    }

    fn daemon(&self) -> Daemon {
        Daemon::find(self.settings.clone()).unwrap()
    }

    fn export(&self, gib: u32, users: &[&str]) -> Export {
        let id = VolumeId::random();
        let chap = |user: &&str| Chap {
            user: format!("{user}-{id}"),
            secret: "correct-horse".into(),
        };
        let volume = Volume {
            id,
            size_gib: gib,
            image: None,
            target: format!("iqn.2026-11.org.hextet:{id}"),
            chaps: users.iter().map(chap).collect(),
            made: false,
        };
        file::directory(&self.settings.files, self.settings.uid).unwrap();
        let new = file::begin(&self.settings.files, id).unwrap();
        new.finish(u64::from(gib) << 30, self.settings.uid).unwrap();
        Export::of(&volume)
    }

    fn sockets(&self) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", self.ns.name(), "ss", "-tlnHe"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.daemon().end();
        let _ = Netns::remove(self.ns.name());
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn ip(ns: &Netns, arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(["-n", ns.name()]).args(arguments);
    assert!(command.status().unwrap().success());
}

fn settle(daemon: &mut Daemon, wanted: &[Export]) {
    daemon.ensure().unwrap();
    let seen = daemon.observe().unwrap();
    for step in plan(wanted, &seen) {
        daemon.apply(&step).unwrap();
    }
    let seen = daemon.observe().unwrap();
    assert!(plan(wanted, &seen).is_empty(), "{seen:?}");
}

#[test]
fn volumes_are_served_to_who_knows_the_password() {
    let host = Host::new("[::1]:0");
    let mut daemon = host.daemon();
    let began = Instant::now();
    let mut exports = vec![host.export(1, &["a", "b"]), host.export(2, &[])];
    settle(&mut daemon, &exports);
    eprintln!("two volumes served after {:?}", began.elapsed());
    let portal = daemon.portals().unwrap()[0];
    let sockets = host.sockets();
    assert_eq!(sockets.lines().count(), 1, "{sockets}");
    assert!(
        sockets.contains(&format!("{portal}")) && sockets.contains("v6only:1"),
        "{sockets}"
    );

    let try_in =
        |export: &Export, chap: &Chap| probe(&host.ns, portal, &export.target, chap, WITHIN);
    let chap = exports[0].chaps[0].clone();
    try_in(&exports[0], &chap).unwrap();
    let wrong = Chap {
        secret: "wrong".into(),
        ..chap.clone()
    };
    let refused = format!("{portal}: the target refused the name and password (CHAP)");
    assert_eq!(try_in(&exports[0], &wrong).unwrap_err(), refused);
    // A volume without attachments lets nobody in, and nobody with another's password.
    assert_eq!(try_in(&exports[1], &chap).unwrap_err(), refused);
    let gone = Export {
        target: "iqn.2026-11.org.hextet:gone".into(),
        ..exports[0].clone()
    };
    let error = try_in(&gone, &chap).unwrap_err();
    assert_eq!(
        error,
        format!("{portal}: there is no target {}", gone.target)
    );

    // The first of two accounts ends: tgtd keeps the other, and lives.
    exports[0].chaps.remove(0);
    settle(&mut daemon, &exports);
    assert_eq!(try_in(&exports[0], &chap).unwrap_err(), refused);
    try_in(&exports[0], &exports[0].chaps[0]).unwrap();

    exports[1].size_bytes = 3 << 30;
    file::extend(&host.settings.files, exports[1].volume, 3 << 30).unwrap();
    settle(&mut daemon, &exports);
    settle(&mut daemon, &[]);
    let last = try_in(&exports[0], &chap).unwrap_err();
    assert!(last.starts_with(&portal.to_string()), "{last}");
}

#[test]
fn tgtd_has_no_rights_and_outlives_us() {
    let host = Host::new("[::1]:0");
    let mut daemon = host.daemon();
    let exports = [host.export(1, &["a"])];
    settle(&mut daemon, &exports);
    let portals = daemon.portals().unwrap();
    let processes = linux::spawn::of_user(host.settings.uid).unwrap();
    assert_eq!(processes.len(), 1);
    let status = fs::read_to_string(format!("/proc/{}/status", processes[0].pid)).unwrap();
    for expected in [
        "NoNewPrivs:\t1",
        "CapPrm:\t0000000000000000",
        "Groups:\t \n",
    ] {
        assert!(status.contains(expected), "{expected:?} in {status}");
    }
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", processes[0].pid)).unwrap();
    assert!(!arguments.contains("correct-horse"));
    let path = host.settings.files.join(&exports[0].path);
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    drop(daemon);

    let mut daemon = host.daemon();
    assert!(daemon.runs());
    assert_eq!(daemon.portals().unwrap(), portals);
    let seen = daemon.observe().unwrap();
    assert!(plan(&exports, &seen).is_empty());

    linux::process::kill(processes[0], Signal::SIGKILL).unwrap();
    let killed = Instant::now();
    while daemon.runs() {
        std::thread::sleep(Duration::from_millis(5));
    }
    settle(&mut daemon, &exports);
    eprintln!("restored {:?} after it was killed", killed.elapsed());
    assert_eq!(daemon.portals().unwrap(), portals);
    probe(
        &host.ns,
        portals[0],
        &exports[0].target,
        &exports[0].chaps[0],
        WITHIN,
    )
    .unwrap();

    daemon.end().unwrap();
    assert_eq!(linux::spawn::of_user(host.settings.uid).unwrap(), []);
    assert!(!host.settings.run.exists());
    assert_eq!(host.sockets(), "");
}

#[test]
fn what_keeps_volumes_from_being_served_is_said() {
    let host = Host::new("[2001:db8::5]:3260");
    let mut daemon = host.daemon();
    let error = daemon.ensure().unwrap_err().to_string();
    assert!(
        error.contains("does not have that address") && error.contains("[2001:db8::5]:3260"),
        "{error}"
    );
    ip(
        &host.ns,
        &["addr", "add", "2001:db8::5/128", "dev", "lo", "nodad"],
    );
    daemon.ensure().unwrap();
    daemon.end().unwrap();

    let listener = host
        .ns
        .run(|| std::net::TcpListener::bind("[2001:db8::5]:3260"))
        .unwrap();
    let error = daemon.ensure().unwrap_err().to_string();
    assert!(error.contains("another program listens"), "{error}");
    let chap = Chap {
        user: "u".into(),
        secret: "s".into(),
    };
    let portal = "[2001:db8::5]:3260".parse().unwrap();
    let error = probe(&host.ns, portal, "iqn.x:a", &chap, Duration::from_secs(1)).unwrap_err();
    assert_eq!(error, "[2001:db8::5]:3260 did not answer within 1 s");
    drop(listener);
    let error = probe(&host.ns, portal, "iqn.x:a", &chap, WITHIN).unwrap_err();
    assert_eq!(error, "[2001:db8::5]:3260 refused the connection");

    let settings = DaemonSettings {
        program: "no-such-tgtd".into(),
        ..host.settings.clone()
    };
    let error = Daemon::find(settings)
        .unwrap()
        .ensure()
        .unwrap_err()
        .to_string();
    assert!(error.contains("install the package tgt"), "{error}");
}
