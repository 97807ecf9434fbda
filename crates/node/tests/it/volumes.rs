//! Volumes kept by a real tgtd, in a namespace of the test's own. Needs root.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use linux::netns::Netns;
use model::{Chap, ImageFile, ImageId, Seen, Volume, VolumeId, VolumeSeen};
use nix::sys::signal::Signal;
use node::Wanted;
use node::guest::cgroup_hierarchy;
use node::image::{CacheSettings, ImageCache, ImageSource};
use node::volumes::{Volumes, purge};
use sha2::{Digest, Sha512};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use volume::DaemonSettings;
use volume::probe::probe;

use crate::guest::until_nothing_found;

const LONG: Duration = Duration::from_secs(60);

/// A namespace, and a directory for everything. Nothing is left when it is dropped.
pub(crate) struct Store {
    pub(crate) ns: Netns,
    root: PathBuf,
    pub(crate) settings: DaemonSettings,
    /// What its nodes were told last.
    wanted: Arc<Mutex<Wanted>>,
}

impl Store {
    pub(crate) fn new() -> Store {
        assert!(
            nix::unistd::Uid::effective().is_root(),
            "tgtd gets its own user: run these tests as root"
        );
        let name = format!("hxstore-{}", VolumeId::random().short());
        Store::within(Netns::ensure(&name).unwrap())
    }

    /// In a namespace that exists, and goes with this.
    pub(crate) fn within(ns: Netns) -> Store {
        let id = VolumeId::random();
        let up = ["-n", ns.name(), "link", "set", "lo", "up"];
        assert!(
            std::process::Command::new("ip")
                .args(up)
                .status()
                .unwrap()
                .success()
        );
        let root = std::env::temp_dir().join(format!("hextet-store-{id}-{}", "x".repeat(80)));
        fs::create_dir_all(root.join("images")).unwrap();
        let group = format!("hextet-store-{}", id.short());
        let settings = DaemonSettings {
            program: "tgtd".into(),
            uid: 1_910_000_000 + (id.0.as_u128() >> 104) as u32,
            base: ns.clone(),
            portals: vec!["[::1]:0".parse().unwrap()],
            files: root.join("files"),
            run: root.join("run/tgtd"),
            ports: root.join("ports.json"),
            cgroup: cgroup_hierarchy().map(|mount| mount.join(group).join("tgtd")),
        };
        Store {
            ns,
            root,
            settings,
            wanted: Arc::default(),
        }
    }

    pub(crate) fn life(&self) -> Life {
        let (reports, seen) = unbounded_channel();
        let images = ImageCache::new(CacheSettings {
            dir: self.root.join("cache"),
            source: ImageSource::Directory(self.root.join("images")),
            limit_bytes: 1 << 30,
            uid: self.settings.uid - 1,
        });
        let volumes = Volumes::start(self.settings.clone(), images, reports);
        Life {
            volumes,
            wanted: self.wanted.clone(),
            seen,
        }
    }

    pub(crate) fn image(&self, content: &[u8]) -> ImageFile {
        let id = ImageId::random();
        fs::write(self.root.join("images").join(id.to_string()), content).unwrap();
        let sum = Sha512::digest(content);
        ImageFile {
            id,
            size_bytes: content.len() as u64,
            sha512: sum.iter().map(|octet| format!("{octet:02x}")).collect(),
            disk_format: "raw".into(),
        }
    }

    pub(crate) fn tgtd(&self) -> Vec<linux::process::ProcessId> {
        linux::spawn::of_user(self.settings.uid).unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let found = until_nothing_found(|| {
            let wanted = self.wanted.lock().unwrap();
            let made = wanted.volumes.values().filter(|volume| volume.made);
            let made = made.map(|volume| volume.id).collect();
            node::volumes::check(self.settings.clone(), &wanted, &made)
        });
        let _ = purge(self.settings.clone());
        let _ = Netns::remove(self.ns.name());
        let _ = fs::remove_dir_all(&self.root);
        if !std::thread::panicking() {
            assert_eq!(found, [], "the checker finds something");
        }
    }
}

/// One life of a node.
pub(crate) struct Life {
    pub(crate) volumes: Volumes,
    wanted: Arc<Mutex<Wanted>>,
    pub(crate) seen: UnboundedReceiver<Seen>,
}

impl Life {
    pub(crate) fn want(&self, volumes: &[&Volume]) {
        self.want_as(volumes, true);
    }

    fn want_as(&self, volumes: &[&Volume], heard: bool) {
        let volumes = volumes
            .iter()
            .map(|volume| (volume.id, (*volume).clone()))
            .collect();
        let wanted = Wanted {
            volumes,
            ..Wanted::default()
        };
        self.volumes.pass(&wanted, heard);
        *self.wanted.lock().unwrap() = wanted;
    }

    /// The controller has one deleted, and wants these.
    fn want_without(&self, gone: &Volume, volumes: &[&Volume]) {
        self.volumes.ending(gone.id);
        self.want(volumes);
    }

    pub(crate) async fn until(
        &mut self,
        volume: &Volume,
        is: impl Fn(&VolumeSeen) -> bool,
    ) -> VolumeSeen {
        loop {
            match self.next().await {
                Seen::Volume(seen) if seen.volume == volume.id && is(&seen) => return seen,
                other => eprintln!("{other:?}"),
            }
        }
    }

    pub(crate) async fn until_ready(&mut self, volume: &Volume) {
        let size_gib = volume.size_gib;
        self.until(volume, |seen| seen.ready && seen.size_gib == size_gib)
            .await;
    }

    async fn until_gone(&mut self, volume: &Volume) {
        while self.next().await != Seen::VolumeGone(volume.id) {}
    }

    async fn next(&mut self) -> Seen {
        timeout(LONG, self.seen.recv())
            .await
            .expect("something happens")
            .unwrap()
    }
}

pub(crate) fn blank(size_gib: u32) -> Volume {
    let id = VolumeId::random();
    Volume {
        id,
        size_gib,
        image: None,
        target: format!("iqn.2026-11.org.hextet:{id}"),
        chaps: Vec::new(),
        made: false,
    }
}

fn chap(user: &str) -> Chap {
    Chap {
        user: user.into(),
        secret: "correct-horse".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_made_served_extended_and_removed() {
    let store = Store::new();
    let mut life = store.life();
    let portal = life.volumes.portals().await[0];
    assert!(
        portal.port() != 0 && store.tgtd().is_empty(),
        "nothing runs for no volume"
    );
    let (mut first, mut second) = (blank(1), blank(2));
    second.image = Some(store.image(b"what the image holds"));
    first.chaps.push(chap("user-1"));
    let began = Instant::now();
    life.want(&[&first, &second]);
    life.until_ready(&first).await;
    eprintln!("a blank volume is served after {:?}", began.elapsed());
    let path = |volume: &Volume| store.settings.files.join(format!("{}.raw", volume.id));
    while !path(&second).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    use std::os::unix::fs::FileExt;
    let mut start = [0; 20];
    fs::File::open(path(&second))
        .unwrap()
        .read_exact_at(&mut start, 0)
        .unwrap();
    assert_eq!(&start, b"what the image holds");
    assert_eq!(fs::metadata(path(&second)).unwrap().len(), 2 << 30);
    let enter = |volume: &Volume, chap: &Chap| {
        probe(
            &store.ns,
            portal,
            &volume.target,
            chap,
            Duration::from_secs(5),
        )
    };
    enter(&first, &chap("user-1")).unwrap();

    second.size_gib = 3;
    life.want(&[&first, &second]);
    life.until_ready(&second).await;
    assert_eq!(fs::metadata(path(&second)).unwrap().len(), 3 << 30);

    life.want_without(&first, &[&second]);
    life.until_gone(&first).await;
    assert!(!path(&first).exists());
    assert!(
        enter(&first, &chap("user-1"))
            .unwrap_err()
            .contains("no target")
    );
    // A controller that knows it no more has not deleted it.
    life.want(&[]);
    while !store.tgtd().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(path(&second).exists());
    life.want(&[&second]);
    while store.tgtd().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    life.want_without(&second, &[]);
    life.until_gone(&second).await;
    assert!(!path(&second).exists());
    while !store.tgtd().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One that never was here has its end all the same.
    let never = blank(1);
    life.want_without(&never, &[]);
    life.until_gone(&never).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tgtd_outlives_us_and_is_restored_when_it_is_killed() {
    let store = Store::new();
    let mut life = store.life();
    let volume = Volume {
        chaps: vec![chap("user")],
        ..blank(1)
    };
    life.want(&[&volume]);
    life.until_ready(&volume).await;
    let portal = life.volumes.portals().await[0];
    let before = store.tgtd();
    assert_eq!(before.len(), 1);
    if let Some(group) = &store.settings.cgroup {
        // Or it ends with the group that we are in.
        let within = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        assert_eq!(within.trim(), before[0].pid.to_string());
    }
    drop(life);

    // Nothing goes that a node does not know of before it has heard from its controller.
    let mut life = store.life();
    life.want_as(&[], false);
    assert_eq!(life.volumes.portals().await, [portal]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let enter = || {
        probe(
            &store.ns,
            portal,
            &volume.target,
            &volume.chaps[0],
            Duration::from_secs(5),
        )
    };
    enter().unwrap();
    life.want(&[&volume]);
    life.until_ready(&volume).await;
    assert_eq!(store.tgtd(), before);

    linux::process::kill(before[0], Signal::SIGKILL).unwrap();
    let killed = Instant::now();
    while enter().is_err() {
        assert!(killed.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("served again {:?} after tgtd was killed", killed.elapsed());
    assert_ne!(store.tgtd(), before);

    // One that does not answer is ended when nobody needs it.
    linux::process::kill(store.tgtd()[0], Signal::SIGSTOP).unwrap();
    life.want_without(&volume, &[]);
    life.until_gone(&volume).await;
    assert_eq!(store.tgtd(), []);
    let group = store.settings.cgroup.as_ref();
    assert!(!group.is_some_and(|group| group.exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_volume_cannot_be_is_said() {
    let mut store = Store::new();
    store.settings.program = "no-such-tgtd".into();
    let mut life = store.life();
    assert_eq!(life.volumes.portals().await, []);
    let volume = blank(1);
    life.want(&[&volume]);
    let seen = life.until(&volume, |seen| seen.failure.is_some()).await;
    assert!(!seen.ready);
    assert!(seen.failure.unwrap().contains("install the package tgt"));
    life.want(&[]);
    drop(life);

    store.settings.program = "tgtd".into();
    let mut life = store.life();
    let missing = ImageFile {
        id: ImageId::random(),
        ..store.image(b"x")
    };
    let from_nothing = Volume {
        image: Some(missing),
        ..blank(1)
    };
    life.want(&[&volume, &from_nothing]);
    let seen = life
        .until(&from_nothing, |seen| seen.failure.is_some())
        .await;
    assert!(seen.failure.unwrap().contains("its data cannot be made"));
    // What was there once is not made anew.
    let lost = Volume {
        made: true,
        ..blank(1)
    };
    life.want(&[&lost]);
    let seen = life.until(&lost, |seen| seen.failure.is_some()).await;
    assert!(seen.failure.unwrap().contains("mount the disk again"));
    assert!(
        !store
            .settings
            .files
            .join(format!("{}.raw", lost.id))
            .exists()
    );
    life.want(&[]);
    drop(life);
    let settings = store.settings.clone();
    tokio::task::spawn_blocking(move || purge(settings))
        .await
        .unwrap()
        .unwrap();
    assert!(!store.settings.files.exists() && store.tgtd().is_empty());
}
