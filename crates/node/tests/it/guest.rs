//! Guests in real QEMU processes, emulated. They need no operating system: each boots a sector of
//! 512 octets that speaks on the serial port. Needs root, because each QEMU gets its own user.

mod boot;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use linux::process::ProcessId;
use linux::spawn;
use model::{
    Boot, Ended, GuestSeen, ImageFile, ImageId, Mac, Network, NetworkId, Port, PortId, Power,
    PowerSeen, ProjectId, Reboot, Seen, Server, ServerId,
};
use nix::sys::signal::Signal;
use node::Wanted;
use node::guest::{GuestSettings, Guests, OpenTap, cgroup_hierarchy, purge};
use node::image::{CacheSettings, ImageCache, ImageSource};
use qemu::Accelerator;
use sha2::{Digest, Sha512};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Longer than anything here takes on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn starts_speaks_and_stops() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let mut server = host.server(Sector::Deaf);
    node.want(&server);
    let seen = node.until(&server, PowerSeen::Running).await;
    assert_eq!((seen.started_epoch, seen.failure), (1, None));
    assert!(seen.launched_ms.is_some());
    node.until_console(&server, "hello").await;

    // It does not listen to its power button, so it is ended when its time is over.
    server.power = Power::Stopped;
    node.want(&server);
    let seen = node.until(&server, PowerSeen::Stopped).await;
    assert_eq!((seen.started_epoch, seen.failure), (1, None));
    assert_eq!(seen.ended, None, "it was asked to end");
    assert!(
        node.guests
            .console(server.id, None)
            .await
            .unwrap()
            .contains("hello")
    );

    (server.power, server.start_epoch) = (Power::Running, 2);
    node.want(&server);
    assert_eq!(
        node.until(&server, PowerSeen::Running).await.started_epoch,
        2
    );
    assert_eq!(node.guests.seen().len(), 1);

    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_itself_off_stays_off() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let mut server = host.server(Sector::Brief);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    let seen = node.until(&server, PowerSeen::Stopped).await;
    assert_eq!((seen.started_epoch, seen.failure), (1, None));
    assert_eq!(seen.ended.unwrap().how, Ended::PoweredOff);
    node.want(&server);
    assert_eq!(host.processes(&server), []);
    assert_eq!(
        node.guests.console(server.id, Some(1)).await.unwrap(),
        "hello\r\n"
    );

    server.start_epoch = 2;
    node.want(&server);
    assert_eq!(
        node.until(&server, PowerSeen::Running).await.started_epoch,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_listens_to_its_button_is_rebooted_and_stopped() {
    let Some(host) = Host::new() else { return };
    let patient = GuestSettings {
        stop_timeout: LONG,
        ..host.settings.clone()
    };
    let mut node = host.node_with(patient);
    let mut server = host.server(Sector::Polite);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    node.until_console(&server, "hello").await;
    let before = host.processes(&server);

    (server.reboot_epoch, server.reboot) = (1, Reboot::Soft);
    node.want(&server);
    let seen = node
        .until_that(&server, |seen| seen.rebooted_epoch == 1)
        .await;
    assert_eq!(seen.power, PowerSeen::Running);
    node.until_console(&server, "hello\r\nhello").await;
    assert_eq!(host.processes(&server), before);

    let asked = Instant::now();
    server.power = Power::Stopped;
    node.want(&server);
    node.until(&server, PowerSeen::Stopped).await;
    assert!(asked.elapsed() < LONG / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reboots_that_the_guest_does_not_help_with() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let mut server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    node.until_console(&server, "hello").await;
    for (epoch, reboot) in [(1, Reboot::Hard), (2, Reboot::Soft)] {
        (server.reboot_epoch, server.reboot) = (epoch, reboot);
        node.want(&server);
        let seen = node
            .until_that(&server, |seen| seen.rebooted_epoch == epoch)
            .await;
        assert_eq!((seen.power, seen.started_epoch), (PowerSeen::Running, 1));
        node.until_console(&server, &"hello\r\n".repeat(1 + epoch as usize))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_or_deletion_takes_over_from_a_soft_reboot() {
    let Some(host) = Host::new() else { return };
    let patient = GuestSettings {
        stop_timeout: LONG * 10,
        ..host.settings.clone()
    };
    let mut node = host.node_with(patient);
    let mut server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    (server.reboot_epoch, server.reboot) = (1, Reboot::Soft);
    node.want(&server);
    server.power = Power::Stopped;
    node.want(&server);
    node.want_nothing();
    node.until_gone(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_outlive_us_and_are_adopted() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    let before = host.processes(&server);
    assert_eq!(before.len(), 1);
    drop(node);

    let mut node = host.node();
    node.want(&server);
    let seen = node.until(&server, PowerSeen::Running).await;
    assert_eq!(seen.started_epoch, 1);
    assert_eq!(host.processes(&server), before);
    node.until_console(&server, "hello").await;
    drop(node);

    // We were killed after QEMU started and before that was written down.
    let path = host
        .settings
        .state
        .join(server.id.to_string())
        .join("state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["launching"] = state["done"].take();
    state["done"] = serde_json::json!({"start": 0, "reboot": 0});
    state["process"] = serde_json::Value::Null;
    fs::write(&path, state.to_string()).unwrap();
    let mut node = host.node();
    node.want(&server);
    assert_eq!(
        node.until(&server, PowerSeen::Running).await.started_epoch,
        1
    );
    assert_eq!(host.processes(&server), before);
    drop(node);

    // Its server was deleted while we were away.
    let mut node = host.node();
    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_we_were_away() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let (brief, killed) = (host.server(Sector::Brief), host.server(Sector::Deaf));
    node.want_all(&[&brief, &killed]);
    for server in [&brief, &killed] {
        node.until(server, PowerSeen::Running).await;
    }
    drop(node);
    linux::process::kill(host.processes(&killed)[0], Signal::SIGKILL).unwrap();
    // The brief guest powers itself off now, and its QEMU waits for us.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(host.processes(&brief).len(), 1);

    let mut node = host.node();
    node.want_all(&[&brief, &killed]);
    for (server, how) in [(&brief, Ended::PoweredOff), (&killed, Ended::Unknown)] {
        let seen = node.until(server, PowerSeen::Stopped).await;
        assert_eq!((seen.started_epoch, seen.failure), (1, None));
        assert_eq!(seen.ended.unwrap().how, how);
        assert_eq!(host.processes(server), []);
    }
    assert!(
        node.guests
            .console(brief.id, None)
            .await
            .unwrap()
            .contains("hello")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_ended_and_was_deleted_while_we_were_away_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    assert!(host.keeps_in());
    drop(node);
    host.kill(&server);

    let mut node = host.node();
    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
    assert!(!host.keeps_in());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_qemu_is_a_stopped_guest() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    linux::process::kill(host.processes(&server)[0], Signal::SIGKILL).unwrap();
    let seen = node.until(&server, PowerSeen::Stopped).await;
    assert_eq!((seen.started_epoch, seen.failure), (1, None));
    assert_eq!(seen.ended.unwrap().how, Ended::Signal(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_start_says_why() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let mut server = host.server(Sector::Deaf);
    server.ram_mib = u32::MAX;
    node.want(&server);
    let seen = node
        .until_that(&server, |seen| seen.failure.is_some())
        .await;
    let why = seen.failure.unwrap();
    assert!(
        why.contains("qemu-system-x86_64") && why.contains("memory"),
        "{why}"
    );
    assert_eq!((seen.power, seen.started_epoch), (PowerSeen::Stopped, 0));

    // Whoever stops it has done with the failure.
    server.power = Power::Stopped;
    node.want(&server);
    let done = |seen: &model::GuestSeen| seen.failure.is_none();
    let seen = node.until_that(&server, done).await;
    assert_eq!((seen.power, seen.started_epoch), (PowerSeen::Stopped, 0));

    server.power = Power::Running;
    (server.ram_mib, server.start_epoch) = (16, 2);
    node.want(&server);
    let seen = node.until(&server, PowerSeen::Running).await;
    assert_eq!((seen.started_epoch, seen.failure), (2, None));

    let mut wrong = host.server(Sector::Deaf);
    let image = wrong.boot.disk.as_mut().unwrap();
    image.sha512 = "0123456789abcdef".into();
    image.id = ImageId::random();
    fs::write(host.store().join(image.id.to_string()), b"x").unwrap();
    node.want_all(&[&server, &wrong]);
    let seen = node.until_that(&wrong, |seen| seen.failure.is_some()).await;
    assert!(seen.failure.unwrap().contains("SHA-512"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_waits_for_its_port_and_gets_its_tap() {
    let Some(host) = Host::new() else { return };
    let name = format!("hxguest-{}", ServerId::random().short());
    let ns = Namespace(Netns::ensure(&name).unwrap());
    linux::tap::ensure(&ns.0, "tap0").unwrap();
    let inside = ns.0.clone();
    let open_tap: OpenTap = Arc::new(move |_| linux::tap::open(&inside, "tap0"));
    let mut node = host.node_opening(open_tap);
    let mut server = host.server(Sector::Deaf);
    let port = port(server.id);
    server.ports = vec![port.id];
    let network = Network {
        id: port.network,
        mtu: 1430,
        physical_network: None,
        subnets: vec![],
    };
    let wanted = Wanted {
        networks: [(network.id, network)].into(),
        ports: [(port.id, port.clone())].into(),
        servers: [(server.id, server.clone())].into(),
        ..Wanted::default()
    };
    node.guests.pass(&wanted, &BTreeSet::new());
    node.until(&server, PowerSeen::Preparing).await;
    assert_eq!(host.processes(&server), []);
    node.guests.pass(&wanted, &BTreeSet::from([port.id]));
    node.until(&server, PowerSeen::Running).await;
    let busy = linux::tap::open(&ns.0, "tap0").unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_loads_a_kernel_from_where_it_may_not_go() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let mut server = host.server(Sector::Deaf);
    let (kernel, ramdisk) = (host.image(&multiboot_kernel()), host.image(b"a ramdisk"));
    for image in [&kernel, &ramdisk] {
        let path = host.store().join(image.id.to_string());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    server.boot = Boot {
        kernel: Some(kernel),
        ramdisk: Some(ramdisk),
        kernel_args: "and=more".into(),
        ..server.boot
    };
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    node.until_console(&server, &format!("{} and=more", qemu::KERNEL_ARGUMENTS))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_qemu_is_a_stranger_in_its_own_group() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let servers = [host.server(Sector::Deaf), host.server(Sector::Deaf)];
    node.want_all(&[&servers[0], &servers[1]]);
    let mut users = BTreeSet::new();
    for server in &servers {
        node.until(server, PowerSeen::Running).await;
        users.insert(host.uid(server).unwrap());
        let pid = host.processes(server)[0].pid;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for expected in [
            "NoNewPrivs:\t1",
            "CapEff:\t0000000000000000",
            "Groups:\t \n",
        ] {
            assert!(status.contains(expected), "{expected:?} in {status}");
        }
        assert!(status.contains("Seccomp:\t2"), "{status}");
        if let Some(cgroup) = &host.settings.cgroup {
            let path = cgroup.join(server.id.to_string()).join("cgroup.procs");
            assert_eq!(fs::read_to_string(path).unwrap().trim(), pid.to_string());
        }
        let sockets = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let paths = sockets.filter_map(|fd| fs::read_link(fd.path()).ok());
        let disks = paths.filter(|path| path.ends_with("disk.raw")).count();
        assert!(disks > 0);
    }
    assert_eq!(users.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_and_all_gone() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let servers: Vec<_> = (0..10).map(|_| host.server(Sector::Deaf)).collect();
    let asked = Instant::now();
    node.want_all(&servers.iter().collect::<Vec<_>>());
    let mut running = BTreeSet::new();
    while running.len() < servers.len() {
        if let Seen::Guest(seen) = node.next().await {
            assert_eq!(seen.failure, None);
            if seen.power == PowerSeen::Running && running.insert(seen.server) {
                eprintln!("{} running after {:?}", running.len(), asked.elapsed());
            }
        }
    }
    node.guests.remove_all().await;
    for server in &servers {
        host.assert_nothing_left(server);
    }
    assert!(!host.settings.state.exists() && !host.settings.run.exists());
}

/// Lives of ours that end a little later each time, somewhere between "nothing" and "running".
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_next_life_goes_on() {
    let Some(host) = Host::new() else { return };
    for moment_ms in (0..60).step_by(2) {
        let server = host.server(Sector::Deaf);
        let mut life = Life::start(&host, &server);
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        life.0.kill().unwrap();
        life.0.wait().unwrap();
        let early = host.processes(&server);

        let mut node = host.node();
        node.want(&server);
        let seen = node.until(&server, PowerSeen::Running).await;
        assert_eq!(
            (seen.started_epoch, seen.failure),
            (1, None),
            "{moment_ms} ms"
        );
        let now = host.processes(&server);
        assert_eq!(now.len(), 1, "{moment_ms} ms");
        assert!(
            early.iter().all(|process| now.contains(process)),
            "{moment_ms} ms"
        );
        eprintln!("{moment_ms} ms: {} adopted", early.len());
        node.want_nothing();
        node.until_gone(&server).await;
        host.assert_nothing_left(&server);
    }
}

/// Our own program again, running nothing but [`a_life`].
struct Life(std::process::Child);

impl Life {
    fn start(host: &Host, server: &Server) -> Life {
        let path = host.root.join("server.json");
        fs::write(&path, serde_json::to_vec(server).unwrap()).unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "guest::a_life", "--ignored", "--nocapture"]);
        command
            .env("HEXTET_LIFE", &host.root)
            .env("HEXTET_LIFE_CGROUP", host.group());
        command.stdout(std::process::Stdio::null());
        Life(command.spawn().unwrap())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other test starts it, and kills it"]
async fn a_life() {
    let Some(root) = std::env::var_os("HEXTET_LIFE") else {
        return;
    };
    let root = PathBuf::from(root);
    let server = fs::read(root.join("server.json")).unwrap();
    let group = std::env::var("HEXTET_LIFE_CGROUP").unwrap();
    let host = std::mem::ManuallyDrop::new(Host::at(root, &group));
    let node = host.node();
    node.want(&serde_json::from_slice(&server).unwrap());
    tokio::time::sleep(LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_needs_nobody_else() {
    let Some(host) = Host::new() else { return };
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    drop(node);
    let settings = host.settings.clone();
    tokio::task::spawn_blocking(move || purge(&settings))
        .await
        .unwrap()
        .unwrap();
    host.assert_nothing_left(&server);
}

/// What a guest does after it said hello.
#[derive(Clone, Copy)]
pub(crate) enum Sector {
    /// Runs, and does not hear its power button.
    Deaf,
    /// Powers itself off after half a second.
    Brief,
    /// Powers itself off when its button is pressed.
    Polite,
}

/// `si = text; dx = 0x3f8; while (al = *si++) out dx, al`
const HELLO: &[u8] =
    b"\x31\xc0\x8e\xd8\xbe\x60\x7c\xba\xf8\x03\xfc\xac\x84\xc0\x74\x03\xee\xeb\xf8";
/// `sti; forever hlt`
const HALT: &[u8] = b"\xfb\xf4\xeb\xfc";
/// `sti; 9 times hlt` (the timer wakes it 18 times a second)
const PAUSE: &[u8] = b"\xfb\xb9\x09\x00\xf4\xe2\xfd";
/// `outw 0x602, 0x100; sti; do hlt while !(inw(0x600) & 0x100)`: the power button's enable and
/// status bits of ACPI's PM1 registers.
const BUTTON: &[u8] = b"\xba\x02\x06\xb8\x00\x01\xef\xfb\xba\x00\x06\xf4\xed\xf6\xc4\x01\x74\xf9";
/// `outw 0x604, 0x2000; forever hlt`: ACPI's soft off.
const OFF: &[u8] = b"\xba\x04\x06\xb8\x00\x20\xef\xf4\xeb\xfd";
/// Where the text is, after the program.
const TEXT: usize = 0x60;

impl Sector {
    /// A disk of 1 MiB, because the firmware boots none without a whole cylinder.
    pub(crate) fn disk(self) -> Vec<u8> {
        let program = match self {
            Sector::Deaf => [HELLO, HALT].concat(),
            Sector::Brief => [HELLO, PAUSE, OFF].concat(),
            Sector::Polite => [HELLO, BUTTON, OFF].concat(),
        };
        let mut disk = vec![0; 1 << 20];
        disk[..program.len()].copy_from_slice(&program);
        disk[TEXT..][..8].copy_from_slice(b"hello\r\n\0");
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk
    }
}

/// A kernel after the Multiboot specification, 3.1, that says its command line.
fn multiboot_kernel() -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    const WITH_ADDRESSES: u32 = 1 << 16;
    const AT: u32 = 0x10_0000;
    const HEADER: u32 = 32;
    // esi = info->cmdline; dx = 0x3f8; while (al = *esi++) out dx, al; forever hlt
    const PROGRAM: &[u8] =
        b"\x8b\x73\x10\x66\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd";
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(WITH_ADDRESSES);
    let end = AT + HEADER + PROGRAM.len() as u32;
    let header = [
        MAGIC,
        WITH_ADDRESSES,
        checksum,
        AT,
        AT,
        end,
        end,
        AT + HEADER,
    ];
    let mut kernel: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    kernel.extend_from_slice(PROGRAM);
    kernel.resize(8192, 0);
    kernel
}

/// A host's files, in a directory whose name is too long for a Unix socket. When it is dropped, all
/// guests on it end.
pub(crate) struct Host {
    root: PathBuf,
    pub(crate) settings: GuestSettings,
}

impl Host {
    pub(crate) fn new() -> Option<Host> {
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("SKIPPED: guests get their own users, which needs root");
            return None;
        }
        let name = format!("hextet-guest-{}-{}", ServerId::random(), "x".repeat(80));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("store")).unwrap();
        Some(Host::at(
            root,
            &format!("hextet-{}", ServerId::random().short()),
        ))
    }

    fn at(root: PathBuf, group: &str) -> Host {
        let settings = GuestSettings {
            state: root.join("var/guests"),
            run: root.join("run/guests"),
            qemu: "qemu-system-x86_64".into(),
            uid_base: 2_000_000_000,
            accelerator: Some(Accelerator::Tcg {
                why: "a test".into(),
            }),
            cgroup: cgroup_hierarchy().map(|mount| mount.join(group)),
            base: Netns::ensure(&namespace(&root)).unwrap(),
            fence: "hxtest-guests".into(),
            stop_timeout: Duration::from_secs(1),
        };
        Host { root, settings }
    }

    fn group(&self) -> String {
        let name = self
            .settings
            .cgroup
            .as_ref()
            .and_then(|path| path.file_name());
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn node(&self) -> Node {
        self.node_with(self.settings.clone())
    }

    fn node_with(&self, settings: GuestSettings) -> Node {
        let (reports, seen) = unbounded_channel();
        let guests = Guests::new(settings, self.images(), no_taps(), reports);
        Node { guests, seen }
    }

    pub(crate) fn node_opening(&self, open_tap: OpenTap) -> Node {
        let (reports, seen) = unbounded_channel();
        let guests = Guests::new(self.settings.clone(), self.images(), open_tap, reports);
        Node { guests, seen }
    }

    fn images(&self) -> ImageCache {
        ImageCache::new(CacheSettings {
            dir: self.root.join("var/cache"),
            source: ImageSource::Directory(self.store()),
            limit_bytes: 1 << 30,
            uid: self.settings.uid_base - 1,
        })
    }

    pub(crate) fn image(&self, content: &[u8]) -> ImageFile {
        let id = ImageId::random();
        fs::write(self.store().join(id.to_string()), content).unwrap();
        let sha512 = Sha512::digest(content)
            .iter()
            .map(|o| format!("{o:02x}"))
            .collect();
        ImageFile {
            id,
            size_bytes: content.len() as u64,
            sha512,
            disk_format: "raw".into(),
        }
    }

    pub(crate) fn server(&self, sector: Sector) -> Server {
        let disk = self.image(&sector.disk());
        Server {
            id: ServerId::random(),
            name: "test".into(),
            hostname: "test".into(),
            project: ProjectId::random(),
            power: Power::Running,
            start_epoch: 1,
            reboot_epoch: 0,
            reboot: Reboot::Soft,
            vcpus: 1,
            ram_mib: 16,
            disk_gib: 1,
            boot: Boot {
                disk: Some(disk),
                kernel: None,
                ramdisk: None,
                kernel_args: String::new(),
                hardware: Default::default(),
            },
            ports: Vec::new(),
            availability_zone: "nova".into(),
            public_keys: Vec::new(),
            user_data: None,
            metadata: Vec::new(),
            created_ms: 0,
            attachments: Vec::new(),
            config_drive: false,
        }
    }

    pub(crate) fn uid(&self, server: &Server) -> Option<u32> {
        let path = self
            .settings
            .state
            .join(server.id.to_string())
            .join("state.json");
        let state: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).unwrap();
        state["uid"].as_u64()?.try_into().ok()
    }

    pub(crate) fn processes(&self, server: &Server) -> Vec<ProcessId> {
        self.uid(server)
            .map(|uid| spawn::of_user(uid).unwrap())
            .unwrap_or_default()
    }

    /// Kills a guest's QEMU, and waits until it is gone.
    fn kill(&self, server: &Server) {
        linux::process::kill(self.processes(server)[0], Signal::SIGKILL).unwrap();
        let end = Instant::now() + LONG;
        while !self.processes(server).is_empty() {
            assert!(Instant::now() < end, "QEMU outlives SIGKILL");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether there is a filter for anybody's QEMU.
    fn keeps_in(&self) -> bool {
        let list = ["list", "table", "inet", &self.settings.fence];
        linux::nft::ask(&self.settings.base, &list).is_ok()
    }

    pub(crate) fn assert_nothing_left(&self, server: &Server) {
        let name = server.id.to_string();
        for parent in [
            Some(&self.settings.state),
            Some(&self.settings.run),
            self.settings.cgroup.as_ref(),
        ] {
            let left = parent
                .map(|dir| dir.join(&name))
                .filter(|path| path.exists());
            assert_eq!(left, None);
        }
        assert!(!named_in_any_command_line(&name), "QEMU is still there");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(e) = purge(&self.settings) {
            eprintln!("{e}");
        }
        let _ = fs::remove_dir_all(&self.root);
        let _ = Netns::remove(self.settings.base.name());
    }
}

/// The namespace of a host, by the id in its directory's name.
fn namespace(root: &Path) -> String {
    let name = root.file_name().unwrap().to_str().unwrap();
    format!("hxguests-{}", &name["hextet-guest-".len()..][..8])
}

/// One life of a node.
pub(crate) struct Node {
    pub(crate) guests: Guests,
    seen: UnboundedReceiver<Seen>,
}

impl Node {
    pub(crate) fn want(&self, server: &Server) {
        self.want_all(&[server]);
    }

    pub(crate) fn want_all(&self, servers: &[&Server]) {
        let servers = servers
            .iter()
            .map(|server| (server.id, (*server).clone()))
            .collect();
        self.guests.pass(
            &Wanted {
                servers,
                ..Wanted::default()
            },
            &BTreeSet::new(),
        );
    }

    pub(crate) fn want_nothing(&self) {
        self.guests.pass(&Wanted::default(), &BTreeSet::new());
    }

    async fn next(&mut self) -> Seen {
        timeout(LONG, self.seen.recv())
            .await
            .expect("something happens")
            .unwrap()
    }

    pub(crate) async fn until(&mut self, server: &Server, power: PowerSeen) -> GuestSeen {
        self.until_that(server, |seen| seen.power == power).await
    }

    pub(crate) async fn until_that(
        &mut self,
        server: &Server,
        is: impl Fn(&GuestSeen) -> bool,
    ) -> GuestSeen {
        // What was told while the test waited for another guest is in the picture.
        let picture = self.guests.seen().into_iter().find_map(|seen| match seen {
            Seen::Guest(seen) if seen.server == server.id && is(&seen) => Some(seen),
            _ => None,
        });
        if let Some(seen) = picture {
            return seen;
        }
        loop {
            match self.next().await {
                Seen::Guest(seen) if seen.server == server.id && is(&seen) => return seen,
                Seen::Guest(seen) => eprintln!("{seen:?}"),
                _ => {}
            }
        }
    }

    pub(crate) async fn until_gone(&mut self, server: &Server) {
        while self.next().await != Seen::GuestGone(server.id) {}
    }

    pub(crate) async fn until_console(&self, server: &Server, text: &str) {
        let end = Instant::now() + LONG;
        loop {
            let console = self.guests.console(server.id, None).await.unwrap();
            if console.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "{text:?} is not in {console:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

struct Namespace(Netns);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Netns::remove(self.0.name());
    }
}

fn no_taps() -> OpenTap {
    Arc::new(|_| Err(io::ErrorKind::Unsupported.into()))
}

pub(crate) fn port(server: ServerId) -> Port {
    Port {
        id: PortId::random(),
        network: NetworkId::random(),
        mac: Mac([0xfa, 0x16, 0x3e, 1, 2, 3]),
        enabled: true,
        addresses: Vec::new(),
        port_security: true,
        allowed_prefixes: Vec::new(),
        rules: Vec::new(),
        server: Some(server),
    }
}

fn named_in_any_command_line(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines =
        processes.filter_map(|entry| fs::read(Path::join(&entry.path(), "cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}
