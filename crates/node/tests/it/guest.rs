//! Guests in real QEMU processes, emulated. They need no operating system: each boots a sector of
//! 512 octets that speaks on the serial port. Needs root, because each QEMU gets its own user.

mod away;
mod boot;
mod host;
mod sector;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use linux::netns::Netns;
use model::{Boot, Ended, ImageId, Network, Power, PowerSeen, Reboot, Seen, ServerId};
use nix::sys::signal::Signal;
use node::Wanted;
use node::guest::{GuestSettings, OpenTap, purge};

pub(crate) use host::{Host, LONG, Node, port, until_nothing_found};
pub(crate) use sector::Sector;

#[tokio::test(flavor = "multi_thread")]
async fn starts_speaks_and_stops() {
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
async fn a_killed_qemu_is_a_stopped_guest() {
    let host = Host::new();
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
    let host = Host::new();
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
    let host = Host::new();
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
        vlan: None,
        dns_domain: "openstacklocal.".into(),
        resolver: Vec::new(),
        subnets: vec![],
        retired: Vec::new(),
    };
    let wanted = Wanted {
        networks: [(network.id, network)].into(),
        ports: [(port.id, port.clone())].into(),
        servers: [(server.id, server.clone())].into(),
        ..Wanted::default()
    };
    node.pass(&wanted, &BTreeSet::new());
    node.until(&server, PowerSeen::Preparing).await;
    assert_eq!(host.processes(&server), []);
    node.pass(&wanted, &BTreeSet::from([port.id]));
    node.until(&server, PowerSeen::Running).await;
    let busy = linux::tap::open(&ns.0, "tap0").unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
}

struct Namespace(Netns);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Netns::remove(self.0.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_loads_a_kernel_from_where_it_may_not_go() {
    let host = Host::new();
    let mut node = host.node();
    let mut server = host.server(Sector::Deaf);
    let (kernel, ramdisk) = (
        host.image(&sector::multiboot_kernel()),
        host.image(b"a ramdisk"),
    );
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
    let host = Host::new();
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
    let host = Host::new();
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

#[tokio::test(flavor = "multi_thread")]
async fn purging_needs_nobody_else() {
    let host = Host::new();
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
