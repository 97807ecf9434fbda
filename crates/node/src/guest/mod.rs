//! Guests: their disks, and the QEMU processes that run them, which outlive us.
//!
//! One task owns each guest, whatever happens to it: first start, repair after a crash of ours,
//! deletion. It looks (`task`), decides (`plan`, a pure function) and takes one step, again and
//! again (`task/step`), until there is nothing to do; then it sleeps until its orders change or QEMU tells
//! something. Every step may be repeated, so that we may be killed between any two.
//!
//! ```text
//!                  Prepare           Launch             Press, then the guest's own work
//!   (nothing) ---> Off, no disk ---> Off ---> Running -----------------------> PoweredOff
//!                                     ^       |  ^ |  ^--- Reset                 |   |
//!                                     |       |  | |       Revive                |   |
//!                                     |  End  |  +-|-----------------------------+   |
//!                                     +-------+    |           End                   |
//!                                     ^            v                                 |
//!   (gone) <--- Remove --- Off <------+------ Stalled, Silent          <-------------+
//! ```
//! A guest that powers itself off leaves QEMU waiting, so that its last words can be read; then QEMU
//! is ended. It has fulfilled its `start_epoch` and stays off until there is a newer one.
//!
//! A hard reboot is End and Launch: what is wrong may lie outside the guest. Reset is for a guest
//! that did not answer a soft one.
//!
//! A guest's files: `DIR/var/lib/hextet/guests/SERVER/{state.json,disk.*,base.raw,firmware.vars,config.iso,console.log}` and
//! `DIR/run/hextet/guests/SERVER/qmp.sock`. QEMU can enter neither directory: what it needs it gets
//! as open descriptors.

mod cgroup;
mod check;
mod config_drive;
mod console;
mod disk;
mod fence;
mod machine;
mod plan;
mod plug;
mod remove;
#[cfg(test)]
pub(crate) mod scratch;
mod state;
mod task;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use linux::netns::Netns;
use model::{GuestSeen, PortId, Seen, Server, ServerId};
use qemu::Accelerator;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::Wanted;
use crate::image::ImageCache;
use crate::links::instance;
use fence::Fence;
use state::Users;
use task::{Guest, Nic, Orders};

pub use cgroup::{TGTD_GROUP, hierarchy as cgroup_hierarchy};
pub use check::{check, processes};
pub use remove::purge;

/// How long a reader of a console waits for a guest that is busy with a longer step.
const BUSY: Duration = Duration::from_secs(2);

/// Where guests live, and how they are run.
#[derive(Clone, Debug)]
pub struct GuestSettings {
    /// `DIR/var/lib/hextet/guests`
    pub state: PathBuf,
    /// `DIR/run/hextet/guests`
    pub run: PathBuf,
    /// QEMU's program, `qemu-system-x86_64`.
    pub qemu: PathBuf,
    /// Each guest has a user of its own: one of the sixteen million from here on.
    pub uid_base: u32,
    /// What to run guests on; `None`: KVM, if a trial shows that it works.
    pub accelerator: Option<Accelerator>,
    /// The cgroup that holds the guests' cgroups and tgtd's, made when needed.
    pub cgroup: Option<PathBuf>,
    /// The node's own namespace: QEMU runs there, to reach volumes.
    pub base: Netns,
    /// The table in it that keeps QEMU from everything else.
    pub fence: String,
    /// How long a guest may take to shut down when asked.
    pub stop_timeout: Duration,
    /// What every guest is told in its metadata.
    pub vendor_data: Arc<serde_json::Value>,
}

/// Opens a port's tap for QEMU. Called on a thread that may block.
pub type OpenTap = Arc<dyn Fn(PortId) -> io::Result<OwnedFd> + Send + Sync>;

/// The guests of this node. When it is dropped they go on, and the next one adopts them.
pub struct Guests {
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

/// What every guest's task uses.
struct Shared {
    settings: GuestSettings,
    images: ImageCache,
    open_tap: OpenTap,
    reports: UnboundedSender<Seen>,
    users: Users,
    fence: Fence,
    accelerator: OnceCell<Accelerator>,
    picture: Mutex<BTreeMap<ServerId, GuestSeen>>,
}

#[derive(Default)]
struct Tasks {
    /// What earlier lives of ours left on the disk has been looked at.
    found: bool,
    by_server: BTreeMap<ServerId, Handle>,
}

struct Handle {
    orders: watch::Sender<Orders>,
    requests: mpsc::Sender<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Guests {
    /// Nothing is done before the first [`Guests::pass`], but finding out whether KVM works.
    pub fn new(
        settings: GuestSettings,
        images: ImageCache,
        open_tap: OpenTap,
        seen: UnboundedSender<Seen>,
    ) -> Guests {
        let shared = Arc::new(Shared {
            users: Users::load(&settings),
            fence: Fence::new(
                settings.base.clone(),
                settings.fence.clone(),
                state::portals(&settings),
            ),
            accelerator: OnceCell::new_with(settings.accelerator.clone()),
            settings,
            images,
            open_tap,
            reports: seen,
            picture: Mutex::default(),
        });
        let early = shared.clone();
        tokio::spawn(async move { drop(early.accelerator().await) });
        let early = shared.clone();
        tokio::task::spawn_blocking(move || early.keep_in());
        Guests {
            shared,
            tasks: Mutex::default(),
        }
    }

    /// What guests run on here.
    pub async fn accelerator(&self) -> Accelerator {
        self.shared.accelerator().await
    }

    /// Looks at every server wanted here; `up` are the ports whose links and filters are in place.
    /// What is here and not wanted goes. Never waits: it tells each guest's task what is wanted now.
    pub fn pass(&self, wanted: &Wanted, up: &BTreeSet<PortId>) {
        let mut tasks = lock(&self.tasks);
        self.find(&mut tasks, wanted);
        for (server, handle) in &tasks.by_server {
            if !wanted.servers.contains_key(server) {
                handle.order(Orders::default());
            }
        }
        self.order(&mut tasks, wanted, up);
    }

    /// As [`Guests::pass`], but nothing goes: for a node that has not heard from its controller yet,
    /// and cannot tell what is not wanted from what it does not remember.
    pub fn pass_without_removal(&self, wanted: &Wanted, up: &BTreeSet<PortId>) {
        self.order(&mut lock(&self.tasks), wanted, up);
    }

    fn order(&self, tasks: &mut Tasks, wanted: &Wanted, up: &BTreeSet<PortId>) {
        tasks
            .by_server
            .retain(|_, handle| !handle.task.is_finished());
        for server in wanted.servers.values() {
            let orders = orders(server, wanted, up);
            match tasks.by_server.get(&server.id) {
                Some(handle) => handle.order(orders),
                None => drop(
                    tasks
                        .by_server
                        .insert(server.id, self.own(server.id, orders)),
                ),
            }
        }
    }

    /// Restores what keeps QEMUs from the node's network, if somebody took it away. Blocks.
    pub fn keep_in(&self) {
        self.shared.keep_in();
    }

    /// Whether anything of a server is here, or may be.
    pub fn knows(&self, server: ServerId) -> bool {
        let tasks = lock(&self.tasks);
        let handle = tasks.by_server.get(&server);
        !tasks.found || handle.is_some_and(|handle| !handle.task.is_finished())
    }

    /// The newest lines of a guest's console, or all that is kept (1 MiB).
    ///
    /// # Errors
    /// `NotFound` for a server that is not here.
    pub async fn console(&self, server: ServerId, lines: Option<usize>) -> io::Result<String> {
        let requests = {
            let tasks = lock(&self.tasks);
            let handle = tasks
                .by_server
                .get(&server)
                .ok_or(io::ErrorKind::NotFound)?;
            handle.requests.clone()
        };
        let (done, answered) = oneshot::channel();
        let refreshed = async {
            let _ = requests.send(done).await;
            let _ = answered.await;
        };
        let _ = tokio::time::timeout(BUSY, refreshed).await;
        let dir = state::state_dir(&self.shared.settings, server);
        blocking(move || console::read(&dir, lines)).await
    }

    /// The whole picture, for a controller that has just connected.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.picture)
            .values()
            .cloned()
            .map(Seen::Guest)
            .collect()
    }

    /// Ends every guest and removes what it had.
    pub async fn remove_all(self) {
        let handles = {
            let mut tasks = lock(&self.tasks);
            self.find(&mut tasks, &Wanted::default());
            std::mem::take(&mut tasks.by_server)
        };
        for handle in handles.values() {
            handle.order(Orders::default());
        }
        for mut handle in handles.into_values() {
            let _ = (&mut handle.task).await;
        }
        remove::parents(&self.shared.settings);
    }

    /// Gives each guest on the disk that is not wanted a task, once: it is there to be removed. One
    /// that is wanted gets its task with its orders, for a task does at once what its orders say.
    fn find(&self, tasks: &mut Tasks, wanted: &Wanted) {
        if std::mem::replace(&mut tasks.found, true) {
            return;
        }
        let found = state::list(&self.shared.settings).unwrap_or_else(|e| {
            tracing::error!("looking for guests: {e}");
            Vec::new()
        });
        let strays = found
            .into_iter()
            .filter(|server| !wanted.servers.contains_key(server));
        for server in strays {
            tasks
                .by_server
                .entry(server)
                .or_insert_with(|| self.own(server, Orders::default()));
        }
    }

    fn own(&self, server: ServerId, orders: Orders) -> Handle {
        let (orders, ordered) = watch::channel(orders);
        let (requests, requested) = mpsc::channel(8);
        let guest = Guest::new(server, self.shared.clone(), ordered, requested);
        Handle {
            orders,
            requests,
            task: tokio::spawn(guest.run()),
        }
    }
}

impl Handle {
    fn order(&self, orders: Orders) {
        self.orders.send_if_modified(|now| {
            let changed = *now != orders;
            *now = orders;
            changed
        });
    }
}

impl Shared {
    fn keep_in(&self) {
        if let Err(e) = self.fence.apply() {
            tracing::error!("guests' QEMUs are not kept from this node's network: {e}");
        }
    }

    async fn accelerator(&self) -> Accelerator {
        let (qemu, uid) = (&self.settings.qemu, self.settings.uid_base);
        self.accelerator
            .get_or_init(|| qemu::accelerator(qemu, uid))
            .await
            .clone()
    }
}

fn orders(server: &Server, wanted: &Wanted, up: &BTreeSet<PortId>) -> Orders {
    let nics = server.ports.iter().filter_map(|id| {
        let port = wanted.ports.get(id)?;
        let mtu = wanted.networks.get(&port.network)?.mtu;
        Some(Nic {
            port: *id,
            mac: port.mac,
            mtu,
            up: up.contains(id),
        })
    });
    let nics: Vec<_> = nics.collect();
    // A server without a disk of its own waits for its volume as for its ports.
    let root = server.boot.disk.is_some() || server.attachments.iter().any(|a| a.root);
    let ports_up = nics.len() == server.ports.len() && nics.iter().all(|nic| nic.up) && root;
    Orders {
        server: Some(Arc::new(server.clone())),
        nics,
        ports_up,
        instance: server
            .config_drive
            .then(|| Arc::new(instance(wanted, server))),
    }
}

/// Runs what may block where it blocks nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
