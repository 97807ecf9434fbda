//! A node without a host: it speaks the real node protocol, and does what the test says.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddrV6};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloud::Cloud;
use link::{Answer, FromNode, Question, ToNode};
use model::{
    AddressGroup, AddressGroupId, AttachmentId, AttachmentSeen, Change, Desired, GuestSeen, Key,
    Network, NetworkId, NodeFacts, NodeId, PasswordSeen, Port, PortId, PortSeen, PowerSeen, Router,
    RouterId, SecurityGroupId, Seen, Server, ServerId, Volume, VolumeSeen,
};
use tokio::io::{AsyncRead, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

use crate::watched::Watched;

/// A test that waits longer than this for a node has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 64 << 10;

/// What the node has heard.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The generation that was last complete.
    pub generation: u64,
    pub documents: BTreeMap<Key, Desired>,
    /// Every tombstone, in order.
    pub tombstones: Vec<Key>,
    /// How often it was told to forget everything.
    pub forgets: usize,
    /// Octets of all that it was told.
    pub octets: usize,
}

/// A node. It outlives its link, as a host outlives its connection.
pub struct FakeNode {
    facts: NodeFacts,
    cloud: Cloud,
    picture: Arc<watch::Sender<Picture>>,
    consoles: Arc<Mutex<HashMap<ServerId, String>>>,
    link: Option<Link>,
}

/// A connection that is up.
struct Link {
    writer: Arc<AsyncMutex<Writer>>,
    taken: watch::Receiver<u64>,
    served: JoinHandle<io::Result<()>>,
    heard: JoinHandle<()>,
}

struct Writer {
    stream: WriteHalf<DuplexStream>,
    sent: u64,
}

impl FakeNode {
    /// A node of 64 processors and 1 TiB, connected and up to date.
    pub(crate) async fn connect(cloud: Cloud, name: &str) -> FakeNode {
        let facts = NodeFacts {
            id: NodeId::random(),
            name: name.to_owned(),
            vcpus: 64,
            ram_mib: 1 << 20,
            disk_gib: 1000,
            accelerator: "tcg".to_owned(),
            accelerator_why: Some("it is a fake".to_owned()),
            qemu_version: "7.2.22".to_owned(),
            physical_networks: vec!["physnet1".to_owned()],
            portals: vec!["[2001:db8:5::1]:3260".parse().expect("a socket address")],
        };
        let mut node = FakeNode {
            facts,
            cloud,
            picture: Arc::new(watch::Sender::new(Picture::default())),
            consoles: Arc::default(),
            link: None,
        };
        node.reconnect().await;
        node
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.facts.id
    }

    /// Says hello anew with the generation it remembers, and waits until it knows everything.
    pub async fn reconnect(&mut self) {
        self.disconnect().await;
        let (here, there) = tokio::io::duplex(BUFFER);
        let (there, taken) = Watched::new(there);
        let cloud = self.cloud.clone();
        let served = tokio::spawn(async move { cloud.serve_node(there).await });
        let (reader, stream) = tokio::io::split(here);
        let writer = Arc::new(AsyncMutex::new(Writer { stream, sent: 0 }));
        let heard = tokio::spawn(hear(
            reader,
            writer.clone(),
            self.picture.clone(),
            self.consoles.clone(),
        ));
        self.link = Some(Link {
            writer,
            taken,
            served,
            heard,
        });
        let generation = self.picture.borrow().generation;
        let facts = self.facts.clone();
        self.say(&FromNode::Hello { facts, generation }).await;
        self.catch_up().await;
    }

    /// Comes back with other portals.
    pub async fn serves_volumes_at(&mut self, portals: Vec<SocketAddrV6>) {
        self.facts.portals = portals;
        self.reconnect().await;
    }

    /// Breaks the link, and waits until the controller has noticed.
    pub async fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            link.heard.abort();
            let _ = link.heard.await;
            drop(link.writer);
            let _ = within("the controller to notice", link.served).await;
        }
    }

    /// Loses its memory, as a host whose disk was replaced.
    pub fn forget(&mut self) {
        self.picture.send_replace(Picture::default());
    }

    /// Believes it has heard what another node heard.
    pub fn remember(&mut self, other: &FakeNode) {
        self.picture.send_replace(other.picture());
    }

    /// The same host, connected once more beside its first connection.
    pub async fn twin(&self) -> FakeNode {
        let mut twin = FakeNode {
            facts: self.facts.clone(),
            cloud: self.cloud.clone(),
            picture: Arc::new(watch::Sender::new(self.picture())),
            consoles: self.consoles.clone(),
            link: None,
        };
        twin.reconnect().await;
        twin
    }

    /// Waits until it has heard everything that is committed now.
    pub async fn catch_up(&self) {
        let newest = *self.cloud.store().generation().borrow();
        self.until("to catch up", |p| p.generation >= newest).await;
    }

    /// Waits until what it heard is as the test wants it.
    pub async fn until(&self, what: &str, mut wanted: impl FnMut(&Picture) -> bool) {
        let mut picture = self.picture.subscribe();
        within(what, picture.wait_for(|p| wanted(p)))
            .await
            .expect("the picture lives as long as its node");
    }

    /// What it has heard so far.
    pub fn picture(&self) -> Picture {
        self.picture.borrow().clone()
    }

    /// The server's document, as of everything committed now.
    pub async fn wanted_server(&self, id: &str) -> Option<Server> {
        match self.document(Key::Server(id.parse().unwrap())).await {
            Some(Desired::Server(server)) => Some(*server),
            _ => None,
        }
    }

    /// The port's document, as of everything committed now.
    pub async fn wanted_port(&self, id: &str) -> Option<Port> {
        match self.document(Key::Port(id.parse().unwrap())).await {
            Some(Desired::Port(port)) => Some(port),
            _ => None,
        }
    }

    /// The volume's document, as of everything committed now.
    pub async fn wanted_volume(&self, id: &str) -> Option<Volume> {
        match self.document(Key::Volume(id.parse().unwrap())).await {
            Some(Desired::Volume(volume)) => Some(volume),
            _ => None,
        }
    }

    /// The network's document, as of everything committed now.
    pub async fn wanted_network(&self, id: &str) -> Option<Network> {
        let id: NetworkId = id.parse().unwrap();
        match self.document(Key::Network(id)).await {
            Some(Desired::Network(network)) => Some(network),
            _ => None,
        }
    }

    /// The router's document, as of everything committed now.
    pub async fn wanted_router(&self, id: &str) -> Option<Router> {
        let id: RouterId = id.parse().unwrap();
        match self.document(Key::Router(id)).await {
            Some(Desired::Router(router)) => Some(router),
            _ => None,
        }
    }

    /// The address group's document, as of everything committed now.
    pub async fn wanted_group(&self, id: &str) -> Option<AddressGroup> {
        let id: AddressGroupId = id.parse().unwrap();
        match self.document(Key::AddressGroup(id)).await {
            Some(Desired::AddressGroup(group)) => Some(group),
            _ => None,
        }
    }

    /// The addresses of a security group's ports, as of everything committed now.
    pub async fn members(&self, id: &str) -> Vec<IpAddr> {
        self.catch_up().await;
        let id: SecurityGroupId = id.parse().unwrap();
        let mut all: Vec<IpAddr> = Vec::new();
        for document in self.picture().documents.values() {
            if let Desired::PortName(port) = document
                && port.groups.contains(&id)
            {
                all.extend(port.addresses.iter().chain(&port.paired));
            }
        }
        all.sort();
        all
    }

    /// Image, disk and ports of a guest are being made.
    pub async fn prepares(&self, id: &str) {
        self.sees_guest(id, |seen| {
            seen.power = PowerSeen::Preparing;
            seen.attachments.clear();
            seen.started_epoch = 0;
            seen.launched_ms = None;
        })
        .await;
    }

    /// A guest runs as its document wants it, and its ports are up.
    pub async fn boot_finishes(&self, id: &str) {
        let server = self.wanted_server(id).await.expect("a wanted server");
        let mut seen = vec![Seen::Guest(running(&server))];
        seen.extend(
            server
                .ports
                .iter()
                .map(|p| Seen::Port(PortSeen { port: *p, up: true })),
        );
        self.sees(seen).await;
    }

    /// A guest ended, by itself or because that was wanted.
    pub async fn powers_off(&self, id: &str) {
        self.sees_guest(id, |seen| {
            seen.power = PowerSeen::Stopped;
            seen.attachments.clear();
        })
        .await;
    }

    /// A guest could not be started.
    pub async fn fails(&self, id: &str, why: &str) {
        self.sees_guest(id, |seen| {
            seen.power = PowerSeen::Stopped;
            seen.attachments.clear();
            seen.started_epoch = 0;
            seen.launched_ms = None;
            seen.failure = Some(why.to_owned());
        })
        .await;
    }

    /// A guest runs, and the volume that was attached last could not be given to it.
    pub async fn attach_fails(&self, id: &str, why: &str) {
        self.sees_guest(id, |seen| {
            let last = seen.attachments.last_mut().expect("an attachment");
            last.failure = Some(why.to_owned());
        })
        .await;
    }

    /// A guest, its disk and its taps are gone.
    pub async fn guest_gone(&self, id: &str) {
        self.sees(vec![Seen::GuestGone(id.parse().unwrap())]).await;
    }

    /// A volume's data is whole, and it is served as large as it is wanted.
    pub async fn volume_ready(&self, id: &str) {
        self.sees_volume(id, |_| {}).await;
    }

    /// A volume could not be made.
    pub async fn volume_fails(&self, id: &str, why: &str) {
        self.sees_volume(id, |seen| {
            seen.ready = false;
            seen.failure = Some(why.to_owned());
        })
        .await;
    }

    /// A volume's target and data are gone.
    pub async fn volume_gone(&self, id: &str) {
        self.sees(vec![Seen::VolumeGone(id.parse().unwrap())]).await;
    }

    /// Says of a volume that it is as wanted, but for what the test changes.
    pub async fn sees_volume(&self, id: &str, change: impl FnOnce(&mut VolumeSeen)) {
        let volume = self.wanted_volume(id).await.expect("a wanted volume");
        let mut seen = VolumeSeen {
            volume: volume.id,
            ready: true,
            size_gib: volume.size_gib,
            failure: None,
        };
        change(&mut seen);
        self.sees(vec![Seen::Volume(seen)]).await;
    }

    /// A guest tells its password, knowing the one of this epoch.
    pub async fn tells_password(&self, id: &str, epoch: u64, text: &str) {
        let (server, text) = (id.parse().unwrap(), text.to_owned());
        let seen = PasswordSeen {
            server,
            epoch,
            text,
        };
        self.sees(vec![Seen::Password(seen)]).await;
    }

    /// A port's tap and filters are in place.
    pub async fn port_up(&self, id: &str) {
        let port: PortId = id.parse().unwrap();
        self.sees(vec![Seen::Port(PortSeen { port, up: true })])
            .await;
    }

    /// A port's tap and filters are gone.
    pub async fn port_gone(&self, id: &str) {
        self.sees(vec![Seen::PortGone(id.parse().unwrap())]).await;
    }

    /// What a guest's console shows from now on.
    pub fn prints(&self, id: &str, text: &str) {
        let mut consoles = self.consoles.lock().unwrap();
        consoles.insert(id.parse().unwrap(), text.to_owned());
    }

    /// Reports, and waits until the controller has taken the report in.
    pub async fn sees(&self, seen: Vec<Seen>) {
        self.say(&FromNode::Seen(seen)).await;
    }

    /// Says of a guest that it runs as its document wants it, but for what the test changes.
    pub async fn sees_guest(&self, id: &str, change: impl FnOnce(&mut GuestSeen)) {
        let server = self.wanted_server(id).await.expect("a wanted server");
        let mut seen = running(&server);
        change(&mut seen);
        self.sees(vec![Seen::Guest(seen)]).await;
    }

    async fn document(&self, key: Key) -> Option<Desired> {
        self.catch_up().await;
        self.picture.borrow().documents.get(&key).cloned()
    }

    async fn say(&self, message: &FromNode) {
        let link = self.link.as_ref().expect("a node that is connected");
        let sent = link.writer.lock().await.say(message).await.unwrap();
        let mut taken = link.taken.clone();
        within("the controller to listen", taken.wait_for(|n| *n >= sent))
            .await
            .expect("a link that is up");
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.heard.abort();
            link.served.abort();
        }
    }
}

impl Writer {
    /// Sends; how many octets were sent over this link so far.
    async fn say(&mut self, message: &FromNode) -> io::Result<u64> {
        link::send(&mut self.stream, message).await?;
        self.sent += 4 + serde_json::to_vec(message)?.len() as u64;
        Ok(self.sent)
    }
}

fn running(server: &Server) -> GuestSeen {
    GuestSeen {
        server: server.id,
        power: PowerSeen::Running,
        started_epoch: server.start_epoch,
        rebooted_epoch: server.reboot_epoch,
        failure: None,
        launched_ms: Some(server.created_ms + 1000),
        attachments: server.attachments.iter().map(|a| there(a.id)).collect(),
        ended: None,
    }
}

fn there(id: AttachmentId) -> AttachmentSeen {
    AttachmentSeen { id, failure: None }
}

async fn hear(
    mut reader: ReadHalf<DuplexStream>,
    writer: Arc<AsyncMutex<Writer>>,
    picture: Arc<watch::Sender<Picture>>,
    consoles: Arc<Mutex<HashMap<ServerId, String>>>,
) {
    while let Ok(message) = next(&mut reader).await {
        let reply = match message {
            ToNode::Forget => {
                picture.send_modify(|p| {
                    p.documents.clear();
                    p.forgets += 1;
                });
                None
            }
            ToNode::Changes {
                changes,
                generation,
            } => {
                let told = serde_json::to_vec(&changes).map_or(0, |json| json.len());
                picture.send_modify(|p| {
                    p.octets += told;
                    take(p, changes, generation);
                });
                generation.map(|generation| FromNode::Reached { generation })
            }
            ToNode::Ask { number, question } => {
                let Question::Console { server, .. } = question;
                let text = consoles.lock().unwrap().get(&server).cloned();
                let answer = text.map(|text| Answer::Console { text });
                Some(FromNode::Answer {
                    number,
                    answer: answer.ok_or_else(|| "this guest has no console".to_owned()),
                })
            }
        };
        if let Some(reply) = reply
            && writer.lock().await.say(&reply).await.is_err()
        {
            return;
        }
    }
}

async fn next(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<ToNode> {
    link::receive(reader).await
}

fn take(picture: &mut Picture, changes: Vec<Change>, generation: Option<u64>) {
    for Change { key, document } in changes {
        match document {
            Some(document) => {
                assert_eq!(document.key(), key, "a document under another's name");
                picture.documents.insert(key, document);
            }
            None => {
                picture.documents.remove(&key);
                picture.tombstones.push(key);
            }
        }
    }
    picture.generation = generation.unwrap_or(picture.generation);
}

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(_) => panic!("waited {} s for {what}", PATIENCE.as_secs()),
    }
}
