//! The task that owns one guest: look, decide, take one step, until there is nothing to do.

mod launch;
mod plug;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lan::Instance;
use linux::process::ProcessId;
use model::{
    AttachmentId, Ended, GuestSeen, Mac, PortId, Power, PowerSeen, Seen, Server, ServerId,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use self::plug::Asked;
use super::machine::Machine;
use super::plan::{self, Button, Epochs, Facts, For, Step, Wish, plan};
use super::plug::{Plugged, attachments};
use super::state::{State, run_dir, state_dir};
use super::{Shared, blocking, chain, disk, lock};

/// How long to wait before a step that failed is tried again, or a silent QEMU is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a QEMU that we started and were killed over may take to show itself.
const ADOPTION: Duration = Duration::from_secs(5);

/// What is wanted of one guest. The default wants it gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Orders {
    pub server: Option<Arc<Server>>,
    pub nics: Vec<Nic>,
    pub ports_up: bool,
    /// What its config drive says, for a server that has one.
    pub instance: Option<Arc<Instance>>,
}

/// A port as QEMU needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nic {
    pub port: PortId,
    pub mac: Mac,
    pub mtu: u32,
    /// Its tap and filters are in place.
    pub up: bool,
}

/// The power button, pressed.
#[derive(Clone, Copy)]
struct Pressed {
    what: For,
    /// When it is pressed again.
    again: Instant,
    /// When the guest's time is over.
    end: Instant,
}

/// One guest.
pub(super) struct Guest {
    id: ServerId,
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    requests: mpsc::Receiver<oneshot::Sender<()>>,
    dir: PathBuf,
    run_dir: PathBuf,
    state: State,
    machine: Option<Machine>,
    pressed: Option<Pressed>,
    /// What QEMU was last seen to have.
    plugged: Option<Plugged>,
    /// The devices that the guest was asked to let go of.
    asked: BTreeMap<String, Asked>,
    /// The attachments that were wanted when it was last told what is.
    told_of: BTreeSet<AttachmentId>,
}

impl Guest {
    pub(super) fn new(
        id: ServerId,
        shared: Arc<Shared>,
        orders: watch::Receiver<Orders>,
        requests: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Guest {
        let dir = state_dir(&shared.settings, id);
        let run_dir = run_dir(&shared.settings, id);
        let state = State::new(shared.users.take(shared.settings.uid_base, id));
        let (machine, pressed) = (None, None);
        Guest {
            id,
            shared,
            orders,
            requests,
            dir,
            run_dir,
            state,
            machine,
            pressed,
            plugged: None,
            asked: BTreeMap::new(),
            told_of: BTreeSet::new(),
        }
    }

    /// Ends when the guest is gone.
    pub(super) async fn run(mut self) {
        while let Err(e) = self.find().await {
            self.pause("looking for its QEMU", &e).await;
            // Without it one may run of which we do not know: a second must not write its disks.
            if self.machine.is_some() {
                break;
            }
        }
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let (facts, trouble) = self.observe(&orders).await;
            let step = plan(&facts);
            tracing::debug!(server = %self.id, ?step, ?facts);
            self.report(&orders, &facts, step, trouble);
            match step {
                Step::Wait if facts.machine == plan::Machine::Running => {
                    match self.plug(&orders).await {
                        Ok(true) => {}
                        Ok(false) => self.wait(facts.machine).await,
                        Err(e) => self.pause("plugging a device", &e).await,
                    }
                }
                Step::Wait => self.wait(facts.machine).await,
                Step::Remove => match self.remove().await {
                    Ok(()) => return,
                    Err(e) => self.pause("removing it", &e).await,
                },
                step => {
                    if (step, facts.machine) == (Step::End, plan::Machine::PoweredOff) {
                        self.ended_unasked(&orders, Ended::PoweredOff);
                    }
                    if let Err(e) = self.apply(step, &orders).await {
                        self.pause("taking a step", &e).await;
                    }
                }
            }
        }
    }

    /// Reads what an earlier life of ours knew, and adopts the QEMU it started.
    async fn find(&mut self) -> io::Result<()> {
        let dir = self.dir.clone();
        let (known, existed) = blocking(move || Ok((State::load(&dir), dir.exists()))).await?;
        // A guest without a readable record is known by its user only.
        let search = known
            .as_ref()
            .map_or(existed, |state| state.launching.is_some());
        if let Some(known) = known {
            self.state = known;
        }
        let recorded = self.state.process.map(ProcessId::from);
        let process = match recorded.filter(|id| linux::process::alive(*id)) {
            Some(process) => Some(process),
            None if search => self.search().await?,
            None => None,
        };
        let machine = match process {
            Some(process) => Machine::adopt(process, &self.run_dir).await?,
            None => None,
        };
        let Some(machine) = machine else {
            if recorded.is_some() {
                let orders = self.orders.borrow().clone();
                self.ended_unasked(&orders, Ended::Unknown);
            }
            // What it needed goes with it, as if we had seen its end.
            return match self.state.process.is_some() || self.state.launching.is_some() {
                true => self.forget().await,
                false => Ok(()),
            };
        };
        let pid = machine.process().pid;
        tracing::info!(server = %self.id, pid, "adopted");
        match self.state.launching {
            Some(epochs) => self.launched(machine, epochs).await,
            None => {
                self.machine = Some(machine);
                Ok(())
            }
        }
    }

    /// Looks for a QEMU that was started in the moment before we were killed. While its socket takes
    /// connections there is one, which may still be on its way to its own user.
    async fn search(&self) -> io::Result<Option<ProcessId>> {
        let end = Instant::now() + ADOPTION;
        loop {
            let uid = self.state.uid;
            let found = blocking(move || linux::spawn::of_user(uid)).await?;
            if !found.is_empty() {
                return Ok(found.first().copied());
            }
            if !qemu::qmp::has_listener(&self.run_dir) || Instant::now() > end {
                return Ok(None);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn observe(&mut self, orders: &Orders) -> (Facts, Option<String>) {
        let (seen, trouble) = match &mut self.machine {
            Some(machine) => machine.look(&self.run_dir).await,
            None => (plan::Machine::Off, None),
        };
        if seen == plan::Machine::Off && self.machine.is_some() {
            self.ended(orders).await;
        }
        if seen != plan::Machine::Running {
            self.pressed = None;
        }
        if let Some(machine) = &mut self.machine
            && seen != plan::Machine::Silent
            && let Ok(plugged) = machine.plugged().await
        {
            self.plugged = Some(plugged);
        }
        self.forget_failures(orders);
        let now = Instant::now();
        let button = match self.pressed {
            None => Button::Untouched,
            Some(Pressed { what, end, .. }) if end <= now => Button::Ignored(what),
            Some(Pressed { what, again, .. }) if again <= now => Button::Unheard(what),
            Some(Pressed { what, .. }) => Button::Pressed(what),
        };
        let facts = Facts {
            wanted: orders.server.as_deref().map(wish),
            ports_up: orders.ports_up,
            disk: disk::find(&self.dir).is_some() || boots_from_volume(orders),
            done: self.state.done,
            failed: self.state.failure.as_ref().map(|failure| failure.epochs),
            machine: seen,
            button,
        };
        (facts, trouble)
    }

    /// An attachment that is not wanted any more has no failure.
    fn forget_failures(&mut self, orders: &Orders) {
        let Some(server) = &orders.server else { return };
        let wanted = |id| {
            server
                .attachments
                .iter()
                .any(|attachment| attachment.id == id)
        };
        self.state.failed.retain(|id, _| wanted(*id));
    }

    /// QEMU is gone without our doing.
    async fn ended(&mut self, orders: &Orders) {
        let machine = self.machine.take();
        let how = machine.as_ref().map(Machine::how_it_ended);
        let how = how.unwrap_or(Ended::Unknown);
        let said = machine.and_then(|machine| machine.last_words());
        let said = said.unwrap_or_default();
        tracing::warn!(server = %self.id, said, ?how, "QEMU has ended by itself; the server is SHUTOFF until it is started");
        self.ended_unasked(orders, how);
        if let Err(e) = self.forget().await {
            tracing::error!(server = %self.id, "clearing up: {}", chain(&e));
        }
    }

    /// Tells what is, if that is news.
    fn report(&mut self, orders: &Orders, facts: &Facts, step: Step, trouble: Option<String>) {
        let Some(wish) = &facts.wanted else { return };
        // What it has is not known before it was asked once, and unknown is not gone: a volume that
        // is not listed is another guest's next.
        if self.machine.is_some() && self.plugged.is_none() {
            return;
        }
        let power = match (facts.machine, step) {
            // Half-way through a step there is nothing to tell.
            (_, Step::Revive | Step::End | Step::Reset | Step::Settle) => return,
            (plan::Machine::Running, _) => PowerSeen::Running,
            (plan::Machine::Off, Step::Prepare | Step::Launch) => PowerSeen::Preparing,
            (plan::Machine::Off, Step::Wait) if facts.waits_for_ports() => PowerSeen::Preparing,
            _ => PowerSeen::Stopped,
        };
        // That a start failed is no news to one who has asked for a stop since.
        let failure = self
            .state
            .failure
            .as_ref()
            .filter(|f| f.epochs == wish.epochs && wish.power == Power::Running);
        let seen = GuestSeen {
            server: self.id,
            power,
            started_epoch: self.state.done.start,
            rebooted_epoch: self.state.done.reboot,
            failure: trouble.or_else(|| failure.map(|failure| failure.text.clone())),
            launched_ms: self.state.launched_ms,
            attachments: attachments(orders, self.plugged.as_ref(), &self.state.failed),
            ended: self.state.ended.clone(),
        };
        let before = lock(&self.shared.picture).insert(self.id, seen.clone());
        // That it has nothing of a volume which it is to have no longer is news, even where it never
        // had it.
        let attachments = orders.server.iter().flat_map(|server| &server.attachments);
        let attachments = attachments.map(|attachment| attachment.id).collect();
        let others = self.told_of != attachments;
        self.told_of = attachments;
        if others || before.as_ref() != Some(&seen) {
            let _ = self.shared.reports.send(Seen::Guest(seen));
        }
    }

    /// Until orders change, QEMU tells something, or the guest's time to shut down is over.
    async fn wait(&mut self, machine: plan::Machine) {
        let now = Instant::now();
        let end = match (machine, self.pressed) {
            (plan::Machine::Silent, _) => Some(now + AGAIN),
            (_, Some(pressed)) if pressed.again > now => Some(pressed.again.min(pressed.end)),
            (_, pressed) => pressed.map(|pressed| pressed.end),
        };
        let end = end.into_iter().chain(self.ask_again()).min();
        let Guest {
            orders,
            requests,
            machine,
            ..
        } = self;
        let news = async {
            match machine {
                Some(machine) => machine.news().await,
                None => std::future::pending().await,
            }
        };
        let over = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let request = tokio::select! {
            Ok(()) = orders.changed() => None,
            Some(request) = requests.recv() => Some(request),
            () = news => None,
            () = over => None,
        };
        if let Some(request) = request {
            self.keep_console().await;
            let _ = request.send(());
        }
    }

    async fn pause(&mut self, doing: &str, error: &io::Error) {
        tracing::error!(server = %self.id, "{doing}: {}", chain(error));
        tokio::select! {
            () = sleep(AGAIN) => {}
            Ok(()) = self.orders.changed() => {}
        }
    }
}

fn boots_from_volume(orders: &Orders) -> bool {
    let server = orders.server.as_ref();
    server.is_some_and(|server| server.boot.disk.is_none())
}

fn wish(server: &Server) -> Wish {
    let epochs = Epochs {
        start: server.start_epoch,
        reboot: server.reboot_epoch,
    };
    Wish {
        power: server.power,
        epochs,
        reboot: server.reboot,
    }
}
