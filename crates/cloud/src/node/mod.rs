//! The controller's end of the node protocol: who is connected, what each must hear, what it said.

mod forget;
mod room;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use link::{Answer, FromNode, Question, ToNode};
use model::{Change, Error, Key, NodeFacts, NodeId, Result, ServerId};
use store::{Field, Json, Order, Query, Tx, row};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Cloud, now_ms};
use crate::{attachment, document};

pub use room::Given;

/// How long a question to a node may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The nodes connected now.
#[derive(Default)]
pub(crate) struct Nodes {
    connected: Mutex<HashMap<NodeId, Connected>>,
    questions: Mutex<HashMap<u64, oneshot::Sender<Result<Answer, String>>>>,
    next: AtomicU64,
    /// Grows when a node comes or goes.
    comings: watch::Sender<u64>,
}

struct Connected {
    /// Tells this connection from an earlier or later one of the same node.
    number: u64,
    facts: NodeFacts,
    /// When it last said something.
    heard_ms: i64,
    ask: mpsc::UnboundedSender<ToNode>,
}

impl Cloud {
    /// Serves one node until its stream ends.
    ///
    /// # Errors
    /// Those of the stream, and of a database that fails.
    pub async fn serve_node(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let FromNode::Hello { facts, generation } = link::receive(&mut reader).await? else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a node must begin with hello",
            ));
        };
        let node = facts.id;
        self.greet(&facts).map_err(io::Error::other)?;
        let (ask, mut asked) = mpsc::unbounded_channel();
        let number = self.inner.nodes.next.fetch_add(1, Ordering::Relaxed);
        let connected = Connected {
            number,
            facts,
            heard_ms: now_ms(),
            ask,
        };
        // A node that dials again before its old connection was seen to end replaces it: the old
        // one ends with the sender that is dropped here.
        lock(&self.inner.nodes.connected).insert(node, connected);
        self.inner.nodes.comings.send_modify(|n| *n += 1);
        let hear = self.hear(node, &mut reader);
        let tell = async {
            let mut generations = self.store().generation();
            let mut reached = self.catch_up(node, generation, &mut writer).await?;
            self.ask_again(node, &mut writer).await?;
            loop {
                tokio::select! {
                    changed = generations.changed() => {
                        if changed.is_err() { return Ok(()); }
                        reached = self.catch_up(node, reached, &mut writer).await?;
                    }
                    question = asked.recv() => match question {
                        Some(question) => link::send(&mut writer, &question).await?,
                        None => return Ok(()),
                    },
                }
            }
        };
        let ended = tokio::select! {
            ended = hear => ended,
            ended = tell => ended,
        };
        if let Some(heard_ms) = self.inner.nodes.part(node, number) {
            let seen = self.store().write(|tx| seen(tx, node, heard_ms));
            seen.map_err(io::Error::other)?;
        }
        ended
    }

    /// Grows with all that an answer can follow from: each commit, and each node that comes or goes.
    pub fn version(&self) -> u64 {
        self.store().version() + *self.inner.nodes.comings.borrow()
    }

    /// How many nodes are connected.
    pub fn connected_nodes(&self) -> usize {
        lock(&self.inner.nodes.connected).len()
    }

    /// Waits until a node has connected, so that a server has a place.
    pub async fn first_node(&self) {
        let mut comings = self.inner.nodes.comings.subscribe();
        let _ = comings.wait_for(|count| *count > 0).await;
    }

    /// The nodes on record in the order of their numbers, with whether each is connected. When one
    /// that is connected was last heard changes without a commit.
    pub fn nodes(&self) -> Result<Vec<(row::Node, bool)>> {
        let mut query = Query::all();
        query.order = vec![("number", Order::Ascending)];
        let nodes: Vec<row::Node> = self.store().read(|tx| tx.list(&query))?;
        let connected = lock(&self.inner.nodes.connected);
        let now = |mut node: row::Node| {
            let up = connected.get(&node.id);
            node.seen_ms = up.map_or(node.seen_ms, |c| c.heard_ms);
            (node, up.is_some())
        };
        Ok(nodes.into_iter().map(now).collect())
    }

    /// Whether a node is connected now.
    pub fn is_connected(&self, node: NodeId) -> bool {
        lock(&self.inner.nodes.connected).contains_key(&node)
    }

    fn greet(&self, facts: &NodeFacts) -> Result<()> {
        self.store().write(|tx| {
            let node = row::Node {
                id: facts.id,
                name: facts.name.clone(),
                facts: Json(facts.clone()),
                reached: 0,
                seen_ms: now_ms(),
                number: 0,
            };
            match tx.node(facts.id)? {
                Some(known) => {
                    tx.update(&row::Node {
                        reached: known.reached,
                        number: known.number,
                        ..node
                    })?;
                    match known.facts.0.portals == facts.portals {
                        true => Ok(()),
                        false => attachment::portals_changed(tx, facts.id),
                    }
                }
                None => {
                    let number = last_number(tx)? + 1;
                    tx.insert(&row::Node { number, ..node })?;
                    forget::take_back(tx, facts.id)
                }
            }
        })
    }

    /// Tells a node everything that changed since a generation; the generation it has then. What
    /// came and goes again in between it never had: so it is asked for the end of it once more.
    async fn catch_up(
        &self,
        node: NodeId,
        since: u64,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<u64> {
        let (newest, forget, changes, again) = self
            .store()
            .read(|tx| {
                let newest = tx.newest_generation()?;
                // A node that knows nothing, or more than there is (a restored database), starts anew.
                let forget = since == 0 || since > newest;
                let keys = match forget {
                    true => document::all_keys(tx, node)?,
                    false => tx
                        .changes_since(since)?
                        .into_iter()
                        .map(|(key, _)| key)
                        .collect(),
                };
                let changes = keys
                    .into_iter()
                    .map(|key| document::change(tx, node, key))
                    .collect::<Result<Vec<_>>>()?;
                let mut again = Vec::new();
                for change in changes.iter().filter(|c| c.document.is_none()) {
                    if document::waits(tx, node, change.key)? {
                        again.push(change.clone());
                    }
                }
                Ok((newest, forget, changes, again))
            })
            .map_err(io::Error::other)?;
        if forget {
            link::send(writer, &ToNode::Forget).await?;
        }
        link::send_changes(writer, changes, Some(newest)).await?;
        if !again.is_empty() {
            link::send_changes(writer, again, None).await?;
        }
        Ok(newest)
    }

    /// Says once more which servers and volumes must go: word of their end may have been lost with
    /// the stream.
    async fn ask_again(
        &self,
        node: NodeId,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let deleting = Query::equal("node_id", node.to_value()).and("deleting", true.to_value());
        let (servers, volumes) = self
            .store()
            .read(|tx| {
                let servers: Vec<row::Server> = tx.list(&deleting)?;
                let volumes: Vec<row::Volume> = tx.list(&deleting)?;
                Ok((servers, volumes))
            })
            .map_err(io::Error::other)?;
        let leaving = Query::equal("node_id", node.to_value()).and("detaching", true.to_value());
        let leaving: Vec<row::Port> = self
            .store()
            .read(|tx| tx.list(&leaving))
            .map_err(io::Error::other)?;
        let ports = leaving.iter().map(|p| Key::Port(p.id));
        let servers = ports.chain(servers.iter().map(|s| Key::Server(s.id)));
        let keys = servers.chain(volumes.iter().map(|v| Key::Volume(v.id)));
        let changes: Vec<Change> = keys
            .map(|key| Change {
                key,
                document: None,
            })
            .collect();
        link::send_changes(writer, changes, None).await
    }

    async fn hear(&self, node: NodeId, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        loop {
            let message = link::receive(reader).await?;
            if let Some(connected) = lock(&self.inner.nodes.connected).get_mut(&node) {
                connected.heard_ms = now_ms();
            }
            match message {
                FromNode::Seen(seen) => {
                    // What is lost here is said again when the node has dialled again.
                    if let Err(e) = self.observe(node, &seen) {
                        let why = crate::chain(&e);
                        tracing::error!(%node, error = why, "could not take in what a node saw");
                        return Err(io::Error::other(why));
                    }
                }
                FromNode::Reached { generation } => {
                    tracing::debug!(%node, generation, "reached");
                }
                FromNode::Answer { number, answer } => {
                    if let Some(waiting) = lock(&self.inner.nodes.questions).remove(&number) {
                        let _ = waiting.send(answer);
                    }
                }
                // What the node is has changed, such as where it serves volumes.
                FromNode::Hello { facts, .. } => self.meet_again(node, facts)?,
            }
        }
    }
}

impl Cloud {
    fn meet_again(&self, node: NodeId, facts: NodeFacts) -> io::Result<()> {
        if facts.id != node {
            let text = "a node said hello under another id";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.greet(&facts).map_err(io::Error::other)?;
        if let Some(connected) = lock(&self.inner.nodes.connected).get_mut(&node) {
            connected.facts = facts;
        }
        Ok(())
    }
}

impl Nodes {
    /// A connection has ended; when it was last heard, unless another has taken its place.
    fn part(&self, node: NodeId, number: u64) -> Option<i64> {
        let mut connected = lock(&self.connected);
        let heard_ms = match connected.get(&node) {
            Some(c) if c.number == number => c.heard_ms,
            _ => return None,
        };
        connected.remove(&node);
        self.comings.send_modify(|n| *n += 1);
        Some(heard_ms)
    }

    /// Asks a node for a guest's console.
    pub(crate) async fn console(
        &self,
        node: NodeId,
        server: ServerId,
        lines: Option<usize>,
    ) -> Result<String> {
        let gone = || {
            Error::conflict(format!(
                "The node that holds server {server} is not connected: try again when it is"
            ))
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.questions).insert(number, answer);
        let question = ToNode::Ask {
            number,
            question: Question::Console { server, lines },
        };
        let asked = lock(&self.connected)
            .get(&node)
            .map(|c| c.ask.send(question).is_ok());
        let waited = match asked {
            Some(true) => tokio::time::timeout(ANSWER_WITHIN, answered).await,
            _ => {
                lock(&self.questions).remove(&number);
                return Err(gone());
            }
        };
        lock(&self.questions).remove(&number);
        match waited {
            Ok(Ok(Ok(Answer::Console { text }))) => Ok(text),
            Ok(Ok(Err(why))) => Err(Error::conflict(why)),
            Ok(Err(_)) | Err(_) => Err(gone()),
        }
    }
}

fn last_number(tx: &Tx<'_>) -> Result<u64> {
    let mut last = Query::all();
    last.order = vec![("number", Order::Descending)];
    last.limit = Some(1);
    Ok(tx.list::<row::Node>(&last)?.first().map_or(0, |n| n.number))
}

/// Writes down when a node was last heard.
fn seen(tx: &mut Tx<'_>, node: NodeId, heard_ms: i64) -> Result<()> {
    match tx.node(node)? {
        Some(known) => tx.update(&row::Node {
            seen_ms: heard_ms,
            ..known
        }),
        None => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
