//! Volumes that this node keeps: their files, and tgtd, which serves them.
//!
//! One task looks, decides and acts (`pass`) when its orders change, a file is done, tgtd has
//! ended, or time has come. Files that take long to make are made beside it.

mod check;
mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Seen, Volume, VolumeId, VolumeSeen};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;
use volume::{Daemon, DaemonSettings, file};

use crate::Wanted;
use crate::image::{ImageCache, copy};
use pass::{Outcome, Situation, pass};

pub use check::check;

/// How often is looked when nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon a pass in which something failed is done again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// When it is tried again to make a file that could not be made: the disk may have room by then.
const MAKE_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Where volumes are served, or why they are not.
pub type Portals = Result<Vec<SocketAddrV6>, String>;

/// The volumes of this node. When it is dropped, tgtd goes on, and the next one adopts it.
pub struct Volumes {
    orders: watch::Sender<Option<Orders>>,
    portals: watch::Receiver<Option<Portals>>,
    shared: Arc<Shared>,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Orders {
    volumes: BTreeMap<VolumeId, Volume>,
    /// What is not wanted goes.
    removal: bool,
}

#[derive(Default)]
struct Shared {
    picture: Mutex<BTreeMap<VolumeId, VolumeSeen>>,
    /// Volumes whose end the controller waits to hear of.
    ending: Mutex<BTreeSet<VolumeId>>,
}

impl Volumes {
    /// Nothing is done before the first [`Volumes::pass`], but finding out where volumes can be
    /// served.
    pub fn start(
        settings: DaemonSettings,
        images: ImageCache,
        seen: UnboundedSender<Seen>,
    ) -> Volumes {
        let (orders, ordered) = watch::channel(None);
        let (tell, portals) = watch::channel(None);
        let shared = Arc::<Shared>::default();
        let keeper = Keeper {
            settings,
            images,
            orders: ordered,
            portals: tell,
            shared: shared.clone(),
            reports: seen,
            making: JoinSet::new(),
            busy: BTreeSet::new(),
            failed: BTreeMap::new(),
            strays: BTreeSet::new(),
        };
        tokio::spawn(keeper.run());
        Volumes {
            orders,
            portals,
            shared,
        }
    }

    /// Tells which volumes are wanted; never waits. Before the controller has told its whole
    /// picture nothing goes: what is not wanted cannot be told from what is not remembered.
    pub fn pass(&self, wanted: &Wanted, heard: bool) {
        let orders = Orders {
            volumes: wanted.volumes.clone(),
            removal: heard,
        };
        self.orders.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&orders) || !lock(&self.shared.ending).is_empty();
            *now = Some(orders);
            changed
        });
    }

    /// The controller waits to hear that a volume is gone.
    pub fn ending(&self, volume: VolumeId) {
        lock(&self.shared.ending).insert(volume);
    }

    /// Where volumes are served here. Waits until that is known.
    pub async fn portals(&self) -> Vec<SocketAddrV6> {
        let mut portals = self.portals.clone();
        let known = portals.wait_for(Option::is_some).await;
        let known = known.ok().and_then(|portals| portals.clone());
        known.and_then(Result::ok).unwrap_or_default()
    }

    /// Changes with what [`Volumes::portals`] answers.
    pub fn portals_watch(&self) -> watch::Receiver<Option<Portals>> {
        self.portals.clone()
    }

    /// The whole picture, for a controller that has just connected.
    pub fn seen(&self) -> Vec<Seen> {
        let picture = lock(&self.shared.picture);
        picture.values().cloned().map(Seen::Volume).collect()
    }
}

/// Ends tgtd and removes every volume's data, for a host that is taken out of its cloud. Blocks.
pub fn purge(settings: DaemonSettings) -> io::Result<()> {
    let files = settings.files.clone();
    let ports = settings.ports.clone();
    let group = settings.cgroup.clone();
    Daemon::find(settings)?.end()?;
    for (volume, _) in file::list(&files)? {
        file::remove(&files, volume)?;
    }
    // A directory that holds something else is not ours alone, and stays.
    let _ = std::fs::remove_dir(&files);
    let _ = std::fs::remove_file(&ports);
    // The group that was tgtd's and the guests', when they have gone too.
    let _ = group.and_then(|group| group.parent().map(std::fs::remove_dir));
    Ok(())
}

/// A volume that could not be made.
#[derive(Clone, Debug)]
struct Failed {
    asked: Volume,
    why: String,
    again: Instant,
}

/// The task.
struct Keeper {
    settings: DaemonSettings,
    images: ImageCache,
    orders: watch::Receiver<Option<Orders>>,
    portals: watch::Sender<Option<Portals>>,
    shared: Arc<Shared>,
    reports: UnboundedSender<Seen>,
    making: JoinSet<(Volume, io::Result<()>)>,
    /// The volumes whose files are being made.
    busy: BTreeSet<VolumeId>,
    /// What could not be made.
    failed: BTreeMap<VolumeId, Failed>,
    /// Volumes here of which the log has said that nobody knows them.
    strays: BTreeSet<VolumeId>,
}

impl Keeper {
    async fn run(mut self) {
        let mut daemon = None;
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let (kept, outcome) = self.look(daemon.take(), orders.as_ref()).await;
            daemon = kept;
            let pause = match outcome {
                Some(outcome) => self.take_in(outcome, orders.as_ref()),
                None => self.give_up_for_now(),
            };
            let exit = daemon.as_ref().and_then(Daemon::exit);
            if self.wait(exit, pause).await.is_err() {
                return;
            }
        }
    }

    /// One pass, on a thread that may block.
    async fn look(
        &self,
        daemon: Option<Daemon>,
        orders: Option<&Orders>,
    ) -> (Option<Daemon>, Option<Outcome>) {
        let settings = self.settings.clone();
        let situation = Situation {
            orders: orders.cloned(),
            busy: self.busy.clone(),
            failed: self.failed.clone(),
            ending: lock(&self.shared.ending).clone(),
        };
        let passed = tokio::task::spawn_blocking(move || {
            let mut daemon = match daemon {
                Some(daemon) => daemon,
                None => Daemon::find(settings)?,
            };
            let outcome = pass(&mut daemon, &situation);
            Ok::<_, io::Error>((daemon, outcome))
        });
        match passed.await.map_err(io::Error::other) {
            Ok(Ok((daemon, outcome))) => (Some(daemon), Some(outcome)),
            Ok(Err(e)) | Err(e) => {
                tracing::error!("looking after volumes: {e}");
                (None, None)
            }
        }
    }

    /// Nobody waits for an answer that a failed look does not give.
    fn give_up_for_now(&self) -> Duration {
        self.portals.send_if_modified(|now| {
            let unknown = now.is_none();
            now.get_or_insert_with(|| Err("this node cannot look after volumes".into()))
                .is_err()
                && unknown
        });
        AGAIN_AFTER
    }

    /// Tells what is new, and begins what takes long. How long to wait for the next pass.
    fn take_in(&mut self, mut outcome: Outcome, orders: Option<&Orders>) -> Duration {
        self.portals.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&outcome.portals);
            if changed && let Err(why) = &outcome.portals {
                tracing::warn!("this node keeps no volumes: {why}");
            }
            *now = Some(outcome.portals.clone());
            changed
        });
        let Some(orders) = orders else {
            return LOOK_EVERY;
        };
        self.failed.retain(|id, _| orders.volumes.contains_key(id));
        for volume in std::mem::take(&mut outcome.make) {
            self.busy.insert(volume.id);
            let (images, settings) = (self.images.clone(), self.settings.clone());
            self.making.spawn(async move {
                let made = make(&images, settings, &volume).await;
                (volume, made)
            });
        }
        for id in outcome.strays.difference(&self.strays) {
            let dir = self.settings.files.display();
            tracing::warn!(volume = %id, "the controller does not know this volume, whose data is in {dir}: it is kept; restore the controller's database, or remove the file");
        }
        self.strays.clone_from(&outcome.strays);
        let failed = outcome.failed;
        self.report(outcome, orders);
        match failed {
            true => AGAIN_AFTER,
            false => LOOK_EVERY,
        }
    }

    fn report(&self, outcome: Outcome, orders: &Orders) {
        let mut picture = lock(&self.shared.picture);
        for one in outcome.seen {
            let news = picture.insert(one.volume, one.clone());
            if news.as_ref() == Some(&one) {
                continue;
            }
            if let Some(why) = &one.failure {
                tracing::error!(volume = %one.volume, "{why}");
            }
            let _ = self.reports.send(Seen::Volume(one));
        }
        let mut ending = lock(&self.shared.ending);
        let there = |id: &VolumeId| {
            orders.volumes.contains_key(id) || self.busy.contains(id) || outcome.here.contains(id)
        };
        let ended = ending
            .iter()
            .filter(|id| orders.removal && !there(id))
            .copied();
        let ended: BTreeSet<VolumeId> = ended.chain(outcome.gone).collect();
        picture.retain(|id, _| !ended.contains(id));
        ending.retain(|id| !ended.contains(id));
        for id in ended {
            let _ = self.reports.send(Seen::VolumeGone(id));
        }
    }

    /// Until there is something to look at.
    ///
    /// # Errors
    /// When nobody gives orders any more.
    async fn wait(
        &mut self,
        exit: Option<OwnedFd>,
        pause: Duration,
    ) -> Result<(), watch::error::RecvError> {
        let ended = async {
            match exit.and_then(|fd| asynchronous(fd).ok()) {
                Some(exit) => drop(exit.readable().await),
                None => std::future::pending().await,
            }
        };
        let made = tokio::select! {
            changed = self.orders.changed() => return changed,
            Some(made) = self.making.join_next() => made,
            () = ended => return Ok(()),
            () = tokio::time::sleep(pause) => return Ok(()),
        };
        match made {
            Ok((volume, made)) => {
                self.busy.remove(&volume.id);
                match made {
                    Ok(()) => drop(self.failed.remove(&volume.id)),
                    Err(e) => {
                        let why = format!("its data cannot be made: {e}");
                        let failed = Failed {
                            asked: volume,
                            why,
                            again: Instant::now() + MAKE_AGAIN_AFTER,
                        };
                        self.failed.insert(failed.asked.id, failed);
                    }
                }
            }
            // A panic: nobody knows whose.
            Err(e) => {
                tracing::error!("making a volume: {e}");
                self.busy.clear();
            }
        }
        Ok(())
    }
}

/// A volume's file: blank, or what its image holds.
async fn make(images: &ImageCache, settings: DaemonSettings, volume: &Volume) -> io::Result<()> {
    let data = match &volume.image {
        Some(image) => Some(images.disk(image).await?),
        None => None,
    };
    let (id, size_bytes) = (volume.id, u64::from(volume.size_gib) << 30);
    let made = tokio::task::spawn_blocking(move || {
        file::directory(&settings.files, settings.uid)?;
        let new = file::begin(&settings.files, id)?;
        if let Some(data) = data {
            copy(&data, &new.file)?;
        }
        new.finish(size_bytes, settings.uid)
    });
    made.await.map_err(io::Error::other)?
}

#[allow(
    deprecated,
    reason = "its successor is unsafe for types that lie about their descriptor"
)]
fn asynchronous(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
