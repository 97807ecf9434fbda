//! A host with guests, and the lives of its node.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use linux::netns::Netns;
use linux::process::ProcessId;
use linux::spawn;
use model::{
    Boot, Finding, GuestSeen, ImageFile, ImageId, Mac, NetworkId, Port, PortId, Power, PowerSeen,
    ProjectId, Reboot, Seen, Server, ServerId,
};
use nix::sys::signal::Signal;
use node::Wanted;
use node::guest::{GuestSettings, Guests, OpenTap, cgroup_hierarchy};
use node::image::{CacheSettings, ImageCache, ImageSource};
use qemu::Accelerator;
use qemu::qmp::{Qmp, RunState};
use sha2::{Digest, Sha512};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::sector::Sector;

/// Longer than anything here takes on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// A host's files, in a directory whose name is too long for a Unix socket. When it is dropped, all
/// guests on it end.
pub(crate) struct Host {
    pub(super) root: PathBuf,
    /// What its nodes were told last.
    wanted: Arc<Mutex<Wanted>>,
    pub(crate) settings: GuestSettings,
}

impl Host {
    pub(crate) fn new() -> Host {
        assert!(
            nix::unistd::Uid::effective().is_root(),
            "guests get their own users: run these tests as root"
        );
        let name = format!("hextet-guest-{}-{}", ServerId::random(), "x".repeat(80));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("store")).unwrap();
        Host::at(root, &format!("hextet-{}", ServerId::random().short()))
    }

    pub(super) fn at(root: PathBuf, group: &str) -> Host {
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
            vendor_data: std::sync::Arc::new(serde_json::json!({})),
        };
        Host {
            root,
            wanted: Arc::default(),
            settings,
        }
    }

    pub(super) fn group(&self) -> String {
        let name = self
            .settings
            .cgroup
            .as_ref()
            .and_then(|path| path.file_name());
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn node(&self) -> Node {
        self.node_with(self.settings.clone())
    }

    pub(super) fn node_with(&self, settings: GuestSettings) -> Node {
        self.start(settings, no_taps())
    }

    pub(crate) fn node_opening(&self, open_tap: OpenTap) -> Node {
        self.start(self.settings.clone(), open_tap)
    }

    fn start(&self, settings: GuestSettings, open_tap: OpenTap) -> Node {
        let (reports, seen) = unbounded_channel();
        Node {
            guests: Guests::new(settings, self.images(), open_tap, reports),
            wanted: self.wanted.clone(),
            seen,
        }
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
            flavor: String::new(),
            reservation: String::new(),
            launch_index: 0,
            password: Default::default(),
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
    pub(super) fn kill(&self, server: &Server) {
        linux::process::kill(self.processes(server)[0], Signal::SIGKILL).unwrap();
        let end = Instant::now() + LONG;
        while !self.processes(server).is_empty() {
            assert!(Instant::now() < end, "QEMU outlives SIGKILL");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a guest that no node looks after has powered itself off, and its QEMU waits.
    pub(super) async fn until_off(&self, server: &Server) {
        let dir = self.settings.run.join(server.id.to_string());
        let (mut qmp, _events) = Qmp::connect(&dir).await.unwrap();
        let end = Instant::now() + LONG;
        while qmp.status().await.unwrap() != RunState::Shutdown {
            assert!(Instant::now() < end, "the guest stays on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether there is a filter for anybody's QEMU.
    pub(super) fn keeps_in(&self) -> bool {
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
        let found = until_nothing_found(|| {
            let wanted = self.wanted.lock().unwrap();
            node::guest::check(&self.settings, &wanted, &BTreeSet::new())
        });
        if let Err(e) = node::guest::purge(&self.settings) {
            eprintln!("{e}");
        }
        let _ = fs::remove_dir_all(&self.root);
        let _ = Netns::remove(self.settings.base.name());
        if !std::thread::panicking() {
            assert_eq!(found, [], "the checker finds something");
        }
    }
}

/// What the checker finds at each look for ten seconds, as `hextet manage check` beside a node that
/// works. Nothing for a test that has failed already.
pub(crate) fn until_nothing_found(
    mut look: impl FnMut() -> io::Result<Vec<Finding>>,
) -> Vec<Finding> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if std::thread::panicking() {
            return Vec::new();
        }
        let found = look().unwrap();
        if found.is_empty() || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
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
    wanted: Arc<Mutex<Wanted>>,
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
        let wanted = Wanted {
            servers,
            ..Wanted::default()
        };
        self.pass(&wanted, &BTreeSet::new());
    }

    pub(crate) fn want_nothing(&self) {
        self.pass(&Wanted::default(), &BTreeSet::new());
    }

    pub(crate) fn pass(&self, wanted: &Wanted, up: &BTreeSet<PortId>) {
        *self.wanted.lock().unwrap() = wanted.clone();
        self.guests.pass(wanted, up);
    }

    pub(super) async fn next(&mut self) -> Seen {
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
        allowed_macs: Vec::new(),
        rules: Vec::new(),
        server: Some(server),
        stateless: false,
        security_groups: Vec::new(),
        qos: model::Qos::default(),
        delegated: Vec::new(),
        dhcp_options: Vec::new(),
        subport: None,
    }
}

fn named_in_any_command_line(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines =
        processes.filter_map(|entry| fs::read(Path::join(&entry.path(), "cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}
