//! The node's end of the node protocol, and the loop that makes what it hears true.
//!
//! ```text
//!   controller --changes--> wanted, journal --nudge--> links pass --> guests pass
//!        ^                                                 |              |
//!        +-------------------- seen -----------------------+--------------+
//! ```

mod observe;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lan::{Lan, MetadataSettings, Upstreams};
use link::{Answer, FromNode, Question, ToNode};
use linux::inet4::Inet4;
use linux::netns::Netns;
use model::{
    Change, GuestSeen, Key, NodeFacts, NodeId, PortHeard, PortId, PortSeen, Seen, Server, ServerId,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use volume::DaemonSettings;

use crate::guest::{GuestSettings, Guests, TGTD_GROUP};
use crate::image::{CacheSettings, ImageCache, ImageSource};
use crate::links::{LinkSettings, Links, Report};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::volumes::Volumes;
use crate::{Wanted, facts, fault};

/// How often the kernel is looked at when nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the first pass waits for the controller; without one the node goes on with what it
/// remembers.
const CONTROLLER_WITHIN: Duration = Duration::from_secs(5);
/// How soon a pass in which something failed is done again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What the operator decided for this host.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    pub id: NodeId,
    pub name: String,
    /// The namespace in which the bridges of physical networks are.
    pub base: Netns,
    /// The bridge for each physical network.
    pub physical: BTreeMap<String, String>,
    /// `DIR/var/lib/hextet`
    pub state: PathBuf,
    /// `DIR/run/hextet`
    pub run: PathBuf,
    /// The directory of the controller's images, when it is on this host.
    pub images: PathBuf,
    /// What the image cache may take of the disk, in octets.
    pub image_cache_bytes: u64,
    /// What volumes are served on; port 0 stands for one that is free.
    pub portals: Vec<SocketAddrV6>,
    /// Resolvers that are asked for names that are none of this cloud's.
    pub upstreams: Vec<SocketAddrV6>,
    /// Where volumes are kept.
    pub volumes: PathBuf,
    /// What every guest is told in its metadata; an object.
    pub vendor_data: Arc<serde_json::Value>,
}

impl NodeSettings {
    /// Four digits that mark every kernel object of this node.
    pub fn short(&self) -> String {
        self.id.short()[..4].to_owned()
    }

    /// Where the guests are, and what runs them.
    pub fn guests(&self) -> GuestSettings {
        let group = format!("hextet-{}", self.short());
        GuestSettings {
            state: self.state.join("guests"),
            run: self.run.join("guests"),
            qemu: "qemu-system-x86_64".into(),
            uid_base: UID_BASE,
            accelerator: None,
            cgroup: crate::guest::cgroup_hierarchy().map(|root| root.join(group)),
            base: self.base.clone(),
            fence: format!("hx{}-guests", self.short()),
            stop_timeout: Duration::from_secs(60),
            vendor_data: self.vendor_data.clone(),
        }
    }

    /// Where the volumes are, and what serves them.
    pub fn volumes(&self) -> DaemonSettings {
        let number = (self.id.0.as_u128() >> 104) as u32;
        DaemonSettings {
            program: "tgtd".into(),
            uid: UID_BASE + (1 << 24) + number,
            base: self.base.clone(),
            portals: self.portals.clone(),
            files: self.volumes.clone(),
            run: self.run.join("tgtd"),
            ports: self.state.join("node/portals.json"),
            cgroup: self.guests().cgroup.map(|group| group.join(TGTD_GROUP)),
        }
    }
}

/// The first of the users that guests run as, sixteen million; behind them are those of tgtd, one a
/// node. All are above what distributions give out, and below 2^31.
const UID_BASE: u32 = 2_000_000_000;

/// The running agent. Clones share it; guests and links stay when the last is dropped.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    settings: NodeSettings,
    metrics: Metrics,
    guests: Guests,
    volumes: Volumes,
    passwords: Arc<Passwords>,
    state: Arc<Mutex<State>>,
    wake: Notify,
    /// Whether a controller has told its whole picture in this life of ours.
    heard: watch::Sender<bool>,
    /// Where what was seen goes while a controller is connected.
    controller: Mutex<Option<mpsc::UnboundedSender<FromNode>>>,
}

struct State {
    memory: Memory,
    /// Servers whose end the controller waits to hear of.
    ending: BTreeSet<ServerId>,
    /// Ports whose end it waits to hear of.
    leaving: BTreeSet<PortId>,
    up: BTreeSet<PortId>,
    /// The controller has yet to hear of every port.
    tell_ports: bool,
    /// What this controller has been told of what guests use and ask.
    told_heard: BTreeMap<PortId, PortHeard>,
    /// Why guests that wait for their ports wait in vain.
    blocked: BTreeMap<ServerId, String>,
}

impl Agent {
    /// Starts from what the node remembers, and goes on without a controller.
    ///
    /// # Errors
    /// When its directories cannot be used, or no socket can be opened.
    pub fn start(settings: NodeSettings, inet4: Inet4) -> io::Result<Agent> {
        let dir = settings.state.join("node");
        std::fs::create_dir_all(&dir)?;
        let memory = Memory::open(&dir.join("documents.jsonl"))?;
        let upstreams = Upstreams {
            ns: settings.base.clone(),
            servers: settings.upstreams.clone(),
        };
        let (seen, reports) = mpsc::unbounded_channel();
        let passwords = Arc::new(Passwords::open(dir.join("passwords"), seen.clone())?);
        let metadata = MetadataSettings {
            vendor_data: settings.vendor_data.clone(),
            passwords: passwords.clone(),
        };
        let lan = Lan::start(inet4, upstreams, metadata)?;
        let link_settings = LinkSettings {
            short: settings.short(),
            base: settings.base.clone(),
            physical: settings.physical.clone(),
            filters: settings.run.join("filters"),
        };
        let metrics = Metrics {
            lan: lan.clone(),
            short: settings.short(),
            foreign: Default::default(),
        };
        let for_links = lan.clone();
        let make_links = move || Links::new(link_settings.clone(), for_links.clone());
        let taps = make_links().taps();
        let images = ImageCache::new(CacheSettings {
            dir: settings.state.join("cache"),
            source: ImageSource::Directory(settings.images.clone()),
            limit_bytes: settings.image_cache_bytes,
            // The one below the guests'.
            uid: UID_BASE - 1,
        });
        let state = State {
            memory,
            ending: BTreeSet::new(),
            leaving: BTreeSet::new(),
            up: BTreeSet::new(),
            tell_ports: false,
            told_heard: BTreeMap::new(),
            blocked: BTreeMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let known = state.clone();
        let open = move |port: PortId| {
            let network = lock(&known)
                .memory
                .wanted()
                .ports
                .get(&port)
                .map(|p| p.network);
            taps.open(network.ok_or(io::ErrorKind::NotFound)?, port)
        };
        let volumes = Volumes::start(settings.volumes(), images.clone(), seen.clone());
        let guests = Guests::new(settings.guests(), images, Arc::new(open), seen);
        let inner = Inner {
            settings,
            metrics,
            guests,
            volumes,
            passwords,
            state,
            wake: Notify::new(),
            heard: watch::Sender::new(false),
            controller: Mutex::default(),
        };
        let agent = Agent {
            inner: Arc::new(inner),
        };
        agent.inner.wake.notify_one();
        tokio::spawn(agent.clone().observe());
        tokio::spawn(agent.clone().reconcile(lan, make_links));
        tokio::spawn(agent.clone().forward(reports));
        Ok(agent)
    }

    /// A handle that reads this node's counters.
    pub fn metrics(&self) -> Metrics {
        self.inner.metrics.clone()
    }

    /// Talks with a controller until the stream ends.
    ///
    /// # Errors
    /// Those of the stream, and of the journal.
    pub async fn connect(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut portals = self.inner.volumes.portals_watch();
        let facts = self.facts().await?;
        portals.mark_unchanged();
        let (out, mut outgoing) = mpsc::unbounded_channel();
        let generation = lock(&self.inner.state).memory.generation();
        let _ = out.send(FromNode::Hello { facts, generation });
        let _ = out.send(told(self.inner.guests.seen()));
        let _ = out.send(told(self.inner.volumes.seen()));
        let _ = out.send(told(self.inner.passwords.seen()));
        *lock(&self.inner.controller) = Some(out.clone());
        {
            let mut state = lock(&self.inner.state);
            state.memory.connected();
            state.tell_ports = true;
            state.told_heard.clear();
        }
        self.inner.wake.notify_one();
        let speak = async {
            while let Some(message) = outgoing.recv().await {
                link::send(&mut writer, &message).await?;
            }
            Ok(())
        };
        let listen = async {
            loop {
                let message = link::receive(&mut reader).await?;
                self.hear(message, &out)?;
            }
        };
        // What a node is may change while it is connected: then it says hello again.
        let change = async {
            while portals.changed().await.is_ok() {
                let facts = self.facts().await?;
                let generation = lock(&self.inner.state).memory.generation();
                let _ = out.send(FromNode::Hello { facts, generation });
            }
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = speak => ended,
            ended = listen => ended,
            ended = change => ended,
        };
        *lock(&self.inner.controller) = None;
        ended
    }

    async fn facts(&self) -> io::Result<NodeFacts> {
        let accelerator = self.inner.guests.accelerator().await;
        let facts = facts::gather(&self.inner.settings, &accelerator).await?;
        let portals = self.inner.volumes.portals().await;
        Ok(NodeFacts { portals, ..facts })
    }

    fn hear(&self, message: ToNode, out: &mpsc::UnboundedSender<FromNode>) -> io::Result<()> {
        match message {
            ToNode::Forget => lock(&self.inner.state).memory.forget(),
            ToNode::Changes {
                changes,
                generation,
            } => {
                let mut state = lock(&self.inner.state);
                for key in state.ends(&changes, generation) {
                    if let Key::Volume(id) = key {
                        self.inner.volumes.ending(id);
                    }
                }
                state.take_in(changes, generation)?;
                drop(state);
                if generation.is_some() {
                    self.inner.heard.send_replace(true);
                }
                self.inner.wake.notify_one();
            }
            ToNode::Ask { number, question } => {
                let (agent, out) = (self.clone(), out.clone());
                tokio::spawn(async move {
                    let answer = agent.answer(question).await;
                    let _ = out.send(FromNode::Answer { number, answer });
                });
            }
        }
        Ok(())
    }

    async fn answer(&self, question: Question) -> Result<Answer, String> {
        match question {
            Question::Console { server, lines } => {
                match self.inner.guests.console(server, lines).await {
                    Ok(text) => Ok(Answer::Console { text }),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        Err(format!("Instance {server} has no console yet."))
                    }
                    Err(e) => Err(format!(
                        "The console of instance {server} cannot be read: {}",
                        fault::without_paths(&e.to_string())
                    )),
                }
            }
        }
    }

    /// One pass after another, each when something changed or time has come.
    async fn reconcile(self, lan: Lan, make_links: impl Fn() -> Links) {
        let mut heard = self.inner.heard.subscribe();
        let _ = tokio::time::timeout(CONTROLLER_WITHIN, heard.wait_for(|heard| *heard)).await;
        let mut links = make_links();
        let (mut failures, mut unlimited) = (Vec::new(), Vec::new());
        loop {
            let heard = *self.inner.heard.borrow();
            let (wanted, generation, up) = {
                let state = lock(&self.inner.state);
                let memory = &state.memory;
                (
                    memory.wanted().clone(),
                    memory.generation(),
                    state.up.clone(),
                )
            };
            // Guests that go must go before their links; those that come can prepare meanwhile.
            self.pass_guests(heard, &wanted, &up);
            self.inner.volumes.pass(&wanted, heard);
            let (for_pass, agent) = (wanted.clone(), self.clone());
            let passed = tokio::task::spawn_blocking(move || {
                agent.inner.guests.keep_in();
                let report = match heard {
                    true => links.pass(&for_pass),
                    false => links.pass_without_removal(&for_pass),
                };
                (links, report)
            });
            let pause = match passed.await {
                Ok((returned, report)) => {
                    links = returned;
                    let failed = !report.failures.is_empty();
                    if report.failures != failures {
                        for (key, why) in &report.failures {
                            tracing::warn!(?key, why, "a link is not as it should be");
                        }
                        failures.clone_from(&report.failures);
                    }
                    if report.unlimited != unlimited {
                        for (key, why) in &report.unlimited {
                            tracing::warn!(
                                ?key,
                                why,
                                "a port is not limited as its QoS policy has it"
                            );
                        }
                        unlimited.clone_from(&report.unlimited);
                    }
                    // Guests are told of the documents' passwords by now.
                    self.inner.passwords.settle(&wanted, heard);
                    self.tell_blocked(&report, &wanted);
                    self.pass_guests(heard, &wanted, &report.up);
                    self.tell(report.up, &wanted, generation);
                    if failed { AGAIN_AFTER } else { LOOK_EVERY }
                }
                // What it knew is in the kernel: a new one reads it there.
                Err(error) => {
                    tracing::error!(%error, "the links' pass panicked: it begins anew");
                    links = make_links();
                    tokio::time::sleep(AGAIN_AFTER).await;
                    AGAIN_AFTER
                }
            };
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = lan.guest_placed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pass_guests(&self, heard: bool, wanted: &Wanted, up: &BTreeSet<PortId>) {
        match heard {
            true => self.inner.guests.pass(wanted, up),
            false => self.inner.guests.pass_without_removal(wanted, up),
        }
    }

    /// Tells of guests that cannot start because a port of theirs cannot be made, and why.
    fn tell_blocked(&self, report: &Report, wanted: &Wanted) {
        let why = |server: &Server| {
            let ports = server.ports.iter().filter_map(|id| wanted.ports.get(id));
            let keys: Vec<Key> = ports
                .flat_map(|p| [Key::Port(p.id), Key::Network(p.network)])
                .collect();
            let failed = report.failures.iter().find(|(key, _)| keys.contains(key));
            failed.map(|(_, why)| format!("its network cannot be made on this node: {why}"))
        };
        let mut seen = Vec::new();
        for one in self.inner.guests.seen() {
            let Seen::Guest(guest) = one else { continue };
            let server = wanted.servers.get(&guest.server);
            let failure = server.filter(|_| guest.started_epoch == 0).and_then(why);
            let mut state = lock(&self.inner.state);
            let before = match &failure {
                Some(why) => state.blocked.insert(guest.server, why.clone()),
                None => state.blocked.remove(&guest.server),
            };
            if failure != before {
                let failure = failure.or_else(|| guest.failure.clone());
                seen.push(Seen::Guest(GuestSeen { failure, ..guest }));
            }
        }
        if !seen.is_empty() {
            self.send(told(seen));
        }
    }

    /// Tells the controller what changed with the ports, or all of them to one that has just
    /// connected, and how far this node has come.
    fn tell(&self, up: BTreeSet<PortId>, wanted: &Wanted, generation: u64) {
        let mut state = lock(&self.inner.state);
        let ending = state.ending.iter().copied();
        let ended: Vec<ServerId> = ending.filter(|id| !self.inner.guests.knows(*id)).collect();
        state.ending.retain(|id| !ended.contains(id));
        // The pass before this took away what was not wanted when it began.
        let leaving = std::mem::take(&mut state.leaving);
        let (waiting, left): (_, BTreeSet<PortId>) = leaving
            .into_iter()
            .partition(|id| wanted.ports.contains_key(id));
        state.leaving = waiting;
        let before = std::mem::replace(&mut state.up, up);
        let whole = std::mem::take(&mut state.tell_ports);
        let legs = wanted.routers.values().flat_map(|router| &router.ports);
        let here = wanted.ports.keys().copied().chain(legs.map(|leg| leg.id));
        let changed = here.filter(|port| whole || state.up.contains(port) != before.contains(port));
        let ports = changed.map(|port| {
            let up = state.up.contains(&port);
            Seen::Port(PortSeen { port, up })
        });
        let seen: Vec<Seen> = ports
            .chain(ended.into_iter().map(Seen::GuestGone))
            .chain(left.into_iter().map(Seen::PortGone))
            .collect();
        drop(state);
        if !seen.is_empty() {
            self.send(told(seen));
        }
        self.send(FromNode::Reached { generation });
    }

    /// Passes on what guests report, as much at once as there is.
    async fn forward(self, mut reports: mpsc::UnboundedReceiver<Seen>) {
        let mut batch = Vec::new();
        while reports.recv_many(&mut batch, 256).await > 0 {
            let gone = batch.iter().filter_map(|seen| match seen {
                Seen::GuestGone(server) => Some(*server),
                _ => None,
            });
            let mut state = lock(&self.inner.state);
            for server in gone {
                state.ending.remove(&server);
            }
            drop(state);
            self.send(told(std::mem::take(&mut batch)));
        }
    }

    fn send(&self, message: FromNode) {
        if let Some(controller) = lock(&self.inner.controller).as_ref() {
            let _ = controller.send(message);
        }
    }
}

impl State {
    /// Of what the controller has tombstones for, that whose end it is to hear of. What other nodes
    /// have is a tombstone here, too, and no news.
    fn ends(&self, changes: &[Change], generation: Option<u64>) -> Vec<Key> {
        // What is said without a generation is asked again: word of it was lost.
        let asked = generation.is_none();
        let gone = changes.iter().filter(|change| change.document.is_none());
        gone.map(|change| change.key)
            .filter(|key| asked || self.memory.wanted().has(*key))
            .collect()
    }

    fn take_in(&mut self, changes: Vec<Change>, generation: Option<u64>) -> io::Result<()> {
        for key in self.ends(&changes, generation) {
            match key {
                Key::Server(id) => drop(self.ending.insert(id)),
                Key::Port(id) => drop(self.leaving.insert(id)),
                _ => {}
            }
        }
        for change in &changes {
            if let (Key::Port(id), Some(_)) = (change.key, &change.document) {
                self.leaving.remove(&id);
            }
        }
        self.memory.take_in(changes, generation)
    }
}

/// News as the controller, and so tenants, are told.
fn told(seen: Vec<Seen>) -> FromNode {
    FromNode::Seen(seen.into_iter().map(fault::told).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
