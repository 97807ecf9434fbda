//! The node's end of the node protocol, and the loop that makes what it hears true.
//!
//! ```text
//!   controller --changes--> wanted, journal --nudge--> links pass --> guests pass
//!        ^                                                 |              |
//!        +-------------------- seen -----------------------+--------------+
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lan::Lan;
use link::{Answer, FromNode, Question, ToNode};
use linux::netns::Netns;
use model::{Change, Key, NodeFacts, NodeId, PortId, PortSeen, Seen, ServerId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};

use crate::guest::{GuestSettings, Guests};
use crate::image::{ImageCache, ImageSource};
use crate::journal::Journal;
use crate::links::{LinkSettings, Links};
use crate::{Wanted, facts};

/// How often the kernel is looked at when nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
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
            stop_timeout: Duration::from_secs(60),
        }
    }
}

/// The first of the users that guests run as: above what distributions give out, below 2^31.
const UID_BASE: u32 = 2_000_000_000;

/// The running agent. Clones share it; guests and links stay when the last is dropped.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    settings: NodeSettings,
    guests: Guests,
    state: Arc<Mutex<State>>,
    wake: Notify,
    /// Where what was seen goes while a controller is connected.
    controller: Mutex<Option<mpsc::UnboundedSender<FromNode>>>,
}

struct State {
    wanted: Arc<Wanted>,
    generation: u64,
    journal: Journal,
    /// A whole picture that is still coming in.
    incoming: Option<Wanted>,
    /// Servers whose end the controller waits to hear of.
    ending: BTreeSet<ServerId>,
    up: BTreeSet<PortId>,
}

impl Agent {
    /// Starts from what the node remembers, and goes on without a controller.
    ///
    /// # Errors
    /// When its directories cannot be used, or no socket can be opened.
    pub fn start(settings: NodeSettings) -> io::Result<Agent> {
        let dir = settings.state.join("node");
        std::fs::create_dir_all(&dir)?;
        let (journal, wanted, generation) = Journal::open(&dir.join("documents.jsonl"))?;
        let lan = Lan::start()?;
        let links = Links::new(
            LinkSettings {
                short: settings.short(),
                base: settings.base.clone(),
                physical: settings.physical.clone(),
            },
            lan,
        );
        let taps = links.taps();
        let images = ImageCache::new(
            settings.state.join("cache"),
            ImageSource::Directory(settings.images.clone()),
        );
        let (seen, reports) = mpsc::unbounded_channel();
        let state = State {
            wanted: Arc::new(wanted),
            generation,
            journal,
            incoming: None,
            ending: BTreeSet::new(),
            up: BTreeSet::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let known = state.clone();
        let open = move |port: PortId| {
            let network = lock(&known).wanted.ports.get(&port).map(|p| p.network);
            taps.open(network.ok_or(io::ErrorKind::NotFound)?, port)
        };
        let guests = Guests::new(settings.guests(), images, Arc::new(open), seen);
        let inner = Inner {
            settings,
            guests,
            state,
            wake: Notify::new(),
            controller: Mutex::default(),
        };
        let agent = Agent {
            inner: Arc::new(inner),
        };
        agent.inner.wake.notify_one();
        tokio::spawn(agent.clone().reconcile(links));
        tokio::spawn(agent.clone().forward(reports));
        Ok(agent)
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
        let facts = self.facts().await?;
        let (out, mut outgoing) = mpsc::unbounded_channel();
        let generation = lock(&self.inner.state).generation;
        let _ = out.send(FromNode::Hello { facts, generation });
        let _ = out.send(FromNode::Seen(self.picture()));
        *lock(&self.inner.controller) = Some(out.clone());
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
        let ended = tokio::select! {
            ended = speak => ended,
            ended = listen => ended,
        };
        *lock(&self.inner.controller) = None;
        ended
    }

    async fn facts(&self) -> io::Result<NodeFacts> {
        let accelerator = self.inner.guests.accelerator().await;
        facts::gather(&self.inner.settings, &accelerator).await
    }

    fn picture(&self) -> Vec<Seen> {
        let ports = lock(&self.inner.state).up.clone();
        let ports = ports
            .into_iter()
            .map(|port| Seen::Port(PortSeen { port, up: true }));
        self.inner.guests.seen().into_iter().chain(ports).collect()
    }

    fn hear(&self, message: ToNode, out: &mpsc::UnboundedSender<FromNode>) -> io::Result<()> {
        match message {
            ToNode::Forget => lock(&self.inner.state).incoming = Some(Wanted::default()),
            ToNode::Changes {
                changes,
                generation,
            } => {
                lock(&self.inner.state).take_in(changes, generation)?;
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
                        "The console of instance {server} cannot be read: {e}"
                    )),
                }
            }
        }
    }

    /// One pass after another, each when something changed or time has come.
    async fn reconcile(self, links: Links) {
        let mut links = Some(links);
        let mut pause = LOOK_EVERY;
        loop {
            let _ = tokio::time::timeout(pause, self.inner.wake.notified()).await;
            let (wanted, generation, up) = {
                let state = lock(&self.inner.state);
                (state.wanted.clone(), state.generation, state.up.clone())
            };
            // Guests that go must go before their links; those that come can prepare meanwhile.
            self.inner.guests.pass(&wanted, &up);
            let Some(mut owned) = links.take() else {
                return;
            };
            let for_pass = wanted.clone();
            let passed = tokio::task::spawn_blocking(move || {
                let report = owned.pass(&for_pass);
                (owned, report)
            });
            let Ok((returned, report)) = passed.await else {
                tracing::error!(
                    "the links' pass panicked: no link on this node will change until hextet is started again"
                );
                return;
            };
            links = Some(returned);
            for (key, why) in &report.failures {
                tracing::warn!(?key, why, "a link is not as it should be");
            }
            pause = if report.failures.is_empty() {
                LOOK_EVERY
            } else {
                AGAIN_AFTER
            };
            self.inner.guests.pass(&wanted, &report.up);
            self.tell(report.up, generation);
        }
    }

    /// Tells the controller what changed with the ports, and how far this node has come.
    fn tell(&self, up: BTreeSet<PortId>, generation: u64) {
        let (before, ending) = {
            let mut state = lock(&self.inner.state);
            let ending: Vec<ServerId> = state
                .ending
                .iter()
                .copied()
                .filter(|id| !self.inner.guests.knows(*id))
                .collect();
            state.ending.retain(|id| !ending.contains(id));
            (std::mem::replace(&mut state.up, up.clone()), ending)
        };
        let risen = up.difference(&before).map(|port| {
            Seen::Port(PortSeen {
                port: *port,
                up: true,
            })
        });
        let fallen = before.difference(&up).map(|port| {
            Seen::Port(PortSeen {
                port: *port,
                up: false,
            })
        });
        let gone = ending.into_iter().map(Seen::GuestGone);
        let seen: Vec<Seen> = risen.chain(fallen).chain(gone).collect();
        if !seen.is_empty() {
            self.send(FromNode::Seen(seen));
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
            self.send(FromNode::Seen(std::mem::take(&mut batch)));
        }
    }

    fn send(&self, message: FromNode) {
        if let Some(controller) = lock(&self.inner.controller).as_ref() {
            let _ = controller.send(message);
        }
    }
}

impl State {
    fn take_in(&mut self, changes: Vec<Change>, generation: Option<u64>) -> io::Result<()> {
        for change in &changes {
            if let (Key::Server(id), None) = (change.key, &change.document) {
                self.ending.insert(id);
            }
        }
        match &mut self.incoming {
            // Nothing is torn down for a picture that is only half here.
            Some(picture) => {
                changes.into_iter().for_each(|change| picture.apply(change));
                if let Some(generation) = generation {
                    self.wanted = Arc::new(self.incoming.take().unwrap_or_default());
                    self.generation = generation;
                    self.journal.rewrite(&self.wanted, generation)?;
                }
            }
            None => {
                self.journal.append(&changes, generation)?;
                let wanted = Arc::make_mut(&mut self.wanted);
                changes.into_iter().for_each(|change| wanted.apply(change));
                self.generation = generation.unwrap_or(self.generation);
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
