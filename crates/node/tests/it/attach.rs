//! Volumes and network cards plugged into real guests: tgtd and QEMU in a namespace of the test's
//! own. The guests that take part in it run Linux, from the directory HEXTET_GUEST.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddrV6;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use model::{
    Attachment, AttachmentId, AttachmentSeen, Boot, Chap, Network, PowerSeen, Server, Volume,
};
use nix::sys::signal::Signal;
use node::Wanted;

use crate::guest::{Host, LONG, Node, Sector, port};
use crate::volumes::{Life, Store, blank};

const SECRET: &str = "correct-horse-battery";

/// A host that keeps volumes and runs guests.
struct Place {
    // Lives end before what they live on.
    node: Node,
    life: Life,
    host: Host,
    store: Store,
    portal: SocketAddrV6,
}

impl Place {
    async fn new() -> Place {
        let host = Host::new();
        let store = Store::within(host.settings.base.clone());
        let (life, node) = (store.life(), host.node());
        let portal = life.volumes.portals().await[0];
        Place {
            store,
            host,
            life,
            node,
            portal,
        }
    }

    /// A server that runs Linux.
    fn linux(&self) -> Server {
        let dir = std::env::var_os("HEXTET_GUEST")
            .expect("HEXTET_GUEST must name the directory of the test guest: `make test` sets it");
        let dir = PathBuf::from(dir);
        let image = |name| self.host.image(&fs::read(dir.join(name)).unwrap());
        let server = self.host.server(Sector::Deaf);
        Server {
            ram_mib: 192,
            boot: Boot {
                kernel: Some(image("vmlinuz")),
                ramdisk: Some(image("initrd")),
                ..server.boot
            },
            ..server
        }
    }

    async fn until_booted(&self, server: &Server) {
        self.node.until_console(server, "power button").await;
    }

    fn file(&self, volume: &Volume) -> File {
        let path = self.store.settings.files.join(format!("{}.raw", volume.id));
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// The number that the guest has written last.
    fn count(&self, volume: &Volume) -> u64 {
        let mut block = [0; 64];
        self.file(volume).read_exact_at(&mut block, 512).unwrap();
        let text = String::from_utf8_lossy(&block);
        let number = text
            .strip_prefix("count ")
            .and_then(|rest| rest.lines().next()?.parse().ok());
        number.unwrap_or(0)
    }

    fn attachment(&self, volume: &mut Volume) -> Attachment {
        let id = AttachmentId::random();
        let chap = Chap {
            user: id.to_string(),
            secret: SECRET.into(),
        };
        volume.chaps = vec![chap.clone()];
        Attachment {
            id,
            volume: volume.id,
            portals: vec![self.portal],
            target: volume.target.clone(),
            chap,
            root: false,
            read_only: false,
            device: String::new(),
        }
    }

    async fn until_attached(&mut self, server: &Server) {
        let expected: Vec<_> = server.attachments.iter().map(|a| had(a.id)).collect();
        let seen = |seen: &model::GuestSeen| seen.attachments == expected;
        self.node.until_that(server, seen).await;
    }

    /// What `ss` says of the namespace.
    fn sockets(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", self.store.ns.name(), "ss", "-H"])
            .args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

fn had(id: AttachmentId) -> AttachmentSeen {
    AttachmentSeen { id, failure: None }
}

fn serial(volume: &Volume) -> String {
    volume.id.to_string().chars().take(20).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_moves_from_one_guest_to_another() {
    let mut place = Place::new().await;
    let mut server = place.linux();
    let mut volume = blank(1);
    place.node.want(&server);
    place.life.want(&[&volume]);
    place.life.until_ready(&volume).await;
    place.file(&volume).write_all_at(b"count\n", 0).unwrap();
    place.until_booted(&server).await;

    server.attachments = vec![place.attachment(&mut volume)];
    let asked = Instant::now();
    // The account is on its way while the guest is told already.
    place.node.want(&server);
    place.life.want(&[&volume]);
    place.until_attached(&server).await;
    eprintln!("attached after {:?}", asked.elapsed());
    let told = format!("disk vdb {} count", serial(&volume));
    place.node.until_console(&server, &told).await;
    place.node.until_console(&server, "disk vdb count 3").await;
    assert_eq!(place.sockets(&["-4", "-a"]), "");
    let qemu = place.host.processes(&server)[0].pid;
    let arguments = fs::read_to_string(format!("/proc/{qemu}/cmdline")).unwrap();
    assert!(!arguments.contains(SECRET));

    server.attachments.clear();
    let asked = Instant::now();
    place.node.want(&server);
    place.until_attached(&server).await;
    eprintln!("detached after {:?}", asked.elapsed());
    place.node.until_console(&server, "no disk vdb").await;
    let written = place.count(&volume);
    assert!(written >= 3, "{written}");

    place.file(&volume).write_all_at(b"hello\n", 0).unwrap();
    let mut other = place.linux();
    other.attachments = vec![place.attachment(&mut volume)];
    place.life.want(&[&volume]);
    place.node.want_all(&[&server, &other]);
    place.until_attached(&other).await;
    let told = format!("disk vdb {} hello", serial(&volume));
    place.node.until_console(&other, &told).await;
    assert_eq!(place.count(&volume), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_a_killed_tgtd_and_our_restart() {
    let mut place = Place::new().await;
    let mut server = place.linux();
    let mut volume = blank(1);
    let attachment = place.attachment(&mut volume);
    place.life.want(&[&volume]);
    place.life.until_ready(&volume).await;
    place.file(&volume).write_all_at(b"count\n", 0).unwrap();
    server.attachments = vec![attachment.clone()];
    place.node.want(&server);
    place.until_attached(&server).await;
    place.node.until_console(&server, "disk vdb count 5").await;

    let before = place.count(&volume);
    linux::process::kill(place.store.tgtd()[0], Signal::SIGKILL).unwrap();
    let killed = Instant::now();
    // The write that is under way may have been done already; the one after it needs the new tgtd.
    while place.count(&volume) < before + 10 {
        assert!(
            killed.elapsed() < LONG,
            "{}",
            place.node.guests.console(server.id, Some(5)).await.unwrap()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!(
        "ten more writes {:?} after tgtd was killed",
        killed.elapsed()
    );

    drop(place.node);
    place.node = place.host.node();
    place.node.want(&server);
    place.until_attached(&server).await;
    let now = place.count(&volume);
    while place.count(&volume) < now + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.attachments.clear();
    place.node.want(&server);
    place.until_attached(&server).await;
    place.node.want_nothing();
    place.node.until_gone(&server).await;
    place.host.assert_nothing_left(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attach_that_cannot_work_says_which_portal_and_why() {
    let mut place = Place::new().await;
    let mut server = place.host.server(Sector::Deaf);
    let mut volume = blank(1);
    let good = place.attachment(&mut volume);
    place.life.want(&[&volume]);
    place.life.until_ready(&volume).await;
    place.node.want(&server);
    place.node.until(&server, PowerSeen::Running).await;

    let portal = place.portal;
    let closed: SocketAddrV6 = "[::1]:1".parse().unwrap();
    let missing: SocketAddrV6 = "[2001:db8::77]:3260".parse().unwrap();
    let wrong = Chap {
        secret: "wrong".into(),
        ..good.chap.clone()
    };
    let gone = "iqn.2026-11.org.hextet:gone".to_owned();
    let other = || Attachment {
        id: AttachmentId::random(),
        ..good.clone()
    };
    let bad = [
        Attachment {
            portals: vec![closed, missing],
            ..other()
        },
        Attachment {
            chap: wrong,
            ..other()
        },
        Attachment {
            target: gone.clone(),
            ..other()
        },
        Attachment {
            portals: vec![],
            ..other()
        },
    ];
    let expected = [
        "[::1]:1 refused the connection; [2001:db8::77]:3260 cannot be reached".to_owned(),
        format!("{portal}: the target refused the name and password (CHAP)"),
        format!("{portal}: there is no target {gone}"),
        "served nowhere".to_owned(),
    ];
    for (attachment, expected) in bad.into_iter().zip(expected) {
        server.attachments = vec![attachment];
        let asked = Instant::now();
        place.node.want(&server);
        let failed = |seen: &model::GuestSeen| seen.attachments.iter().any(|a| a.failure.is_some());
        let seen = place.node.until_that(&server, failed).await;
        assert!(
            asked.elapsed() < Duration::from_secs(15),
            "{:?}",
            asked.elapsed()
        );
        let why = seen.attachments[0].failure.clone().unwrap();
        assert!(
            why.starts_with(&expected) || why.contains(&expected),
            "{why}"
        );
        assert_eq!((seen.power, seen.failure), (PowerSeen::Running, None));
        server.attachments.clear();
        place.node.want(&server);
        place.until_attached(&server).await;
    }
    // The first portal that works is enough, and nothing of the failures is in the way.
    server.attachments = vec![Attachment {
        portals: vec![closed, portal],
        ..good
    }];
    place.node.want(&server);
    place.until_attached(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_boots_from_a_volume_and_reaches_nothing_else() {
    let mut place = Place::new().await;
    let mut server = place.host.server(Sector::Deaf);
    let mut volume = Volume {
        image: Some(place.store.image(&Sector::Deaf.disk())),
        ..blank(1)
    };
    let root = Attachment {
        root: true,
        ..place.attachment(&mut volume)
    };
    server.boot.disk = None;
    place.node.want(&server);
    place.node.until(&server, PowerSeen::Preparing).await;
    place.life.want(&[&volume]);
    place.life.until_ready(&volume).await;
    server.attachments = vec![root];
    place.node.want(&server);
    place.until_attached(&server).await;
    place.node.until_console(&server, "hello").await;

    let uid = place.host.uid(&server).unwrap().to_string();
    let connect = |user: &[&str], port: u16| {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", place.store.ns.name()])
            .args(user);
        command.args(["bash", "-c", &format!("exec 3<>/dev/tcp/::1/{port}")]);
        command.output().unwrap().status.success()
    };
    let as_qemu = [
        "setpriv",
        "--reuid",
        &uid,
        "--regid",
        &uid,
        "--clear-groups",
    ];
    let listener = place
        .store
        .ns
        .run(|| std::net::TcpListener::bind("[::1]:0"))
        .unwrap();
    let elsewhere = listener.local_addr().unwrap().port();
    assert!(connect(&[], elsewhere) && connect(&as_qemu, place.portal.port()));
    assert!(!connect(&as_qemu, elsewhere));
    // Somebody else's `nft flush ruleset` opens the door until the next look.
    linux::nft::apply(&place.store.ns, "flush ruleset").unwrap();
    assert!(connect(&as_qemu, elsewhere));
    place.node.guests.keep_in();
    assert!(connect(&as_qemu, place.portal.port()) && !connect(&as_qemu, elsewhere));
    place.node.want_nothing();
    place.node.until_gone(&server).await;
    let tables = linux::nft::ask(&place.store.ns, &["list", "tables"]).unwrap();
    assert_eq!(tables, "");
}

/// Each of its ports takes one device: the first is taken at the start.
#[tokio::test(flavor = "multi_thread")]
async fn q35_takes_volumes_at_its_start_and_later() {
    let mut place = Place::new().await;
    let mut server = place.host.server(Sector::Deaf);
    server.boot.hardware.machine = model::MachineType::Q35;
    let mut volumes = [blank(1), blank(1), blank(1)];
    let attachments: Vec<_> = volumes.iter_mut().map(|v| place.attachment(v)).collect();
    place.life.want(&volumes.iter().collect::<Vec<_>>());
    let ready = |seen: &&model::Seen| matches!(seen, model::Seen::Volume(seen) if seen.ready);
    while place.life.volumes.seen().iter().filter(ready).count() < volumes.len() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for count in 1..=attachments.len() {
        server.attachments = attachments[..count].to_vec();
        server.attachments.sort_by_key(|attachment| attachment.id);
        place.node.want(&server);
        place.until_attached(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_card_comes_and_goes() {
    let mut place = Place::new().await;
    let mut server = place.linux();
    let ns: Netns = place.store.ns.clone();
    for tap in ["tap1", "tap2"] {
        linux::tap::ensure(&ns, tap).unwrap();
    }
    let (first, second) = (port(server.id), port(server.id));
    let (inside, one) = (ns.clone(), first.id);
    let open = move |port| linux::tap::open(&inside, if port == one { "tap1" } else { "tap2" });
    place.node = place.host.node_opening(Arc::new(open));
    let network = |port: &model::Port| Network {
        id: port.network,
        mtu: 1430,
        physical_network: None,
        vlan: None,
        dns_domain: "openstacklocal.".into(),
        resolver: Vec::new(),
        subnets: vec![],
        retired: vec![],
    };
    let networks = [&first, &second]
        .map(|port| (port.network, network(port)))
        .into();
    let mut wanted = Wanted {
        networks,
        ports: [&first, &second].map(|port| (port.id, port.clone())).into(),
        ..Wanted::default()
    };
    let up = BTreeSet::from([first.id, second.id]);
    let mut want = |server: &Server, node: &Node| {
        wanted.servers = [(server.id, server.clone())].into();
        node.pass(&wanted, &up);
    };
    server.ports = vec![first.id];
    want(&server, &place.node);
    place.until_booted(&server).await;
    let busy = |tap: &str| {
        let opened = linux::tap::open(&ns, tap);
        opened.is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy)
    };
    assert!(busy("tap1") && !busy("tap2"));
    for (ports, both) in [(vec![first.id, second.id], true), (vec![second.id], false)] {
        server.ports = ports;
        want(&server, &place.node);
        let asked = Instant::now();
        while !busy("tap2") || busy("tap1") != both {
            assert!(asked.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        eprintln!("cards as wanted after {:?}", asked.elapsed());
    }
}
