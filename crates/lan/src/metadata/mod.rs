//! Serves the documents of [`crate::openstack`] over HTTP/1 on the metadata addresses of every
//! network.
//!
//! Who asks is known by the mark of the accepted socket alone, which the network's filters set by
//! the tap that the packet came from: no address, header or name can claim another guest's data.
//! A mark that belongs to nobody is told 404, like every path that does not exist. What one guest
//! may ask is limited, whatever family it asks by (`limits`).

mod connection;
mod limits;
mod password;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use linux::inet4::Inet4;
use linux::netns::Netns;
use linux::socket::{interface_index, peer_mark, tcp_listen_v6};
use model::NetworkId;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use connection::Caller;
pub use connection::fresh_seed;
pub use limits::MetadataCounts;
use limits::{Bucket, Counters};
pub use password::Passwords;
use serde_json::Value;

use crate::dhcp4::SERVICE;
use crate::seats::{Seat, Seats};
use crate::{Family, Instance, NsIdentity, stopped};

const PORT: u16 = 80;
/// After a failure to accept, such as no free descriptor, which does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Owns the listeners and what they answer.
#[derive(Debug)]
pub(crate) struct Metadata {
    runtime: Handle,
    inet4: Inet4,
    pub(crate) instances: Arc<Instances>,
    vendor_data: Arc<Value>,
    passwords: Arc<dyn Passwords>,
    /// `None` once stopped.
    listeners: Mutex<Option<BTreeMap<Place, Listening>>>,
}

/// What guests are told beside their own documents, and what becomes of what they tell.
#[derive(Clone, Debug)]
pub struct MetadataSettings {
    /// An object that every guest is told.
    pub vendor_data: Arc<Value>,
    pub passwords: Arc<dyn Passwords>,
}

impl Default for MetadataSettings {
    /// Nothing is told, and what guests tell is kept as long as the process lives.
    fn default() -> MetadataSettings {
        MetadataSettings {
            vendor_data: Arc::new(Value::Object(Default::default())),
            passwords: Arc::new(Mutex::new(BTreeMap::new())),
        }
    }
}

/// Where a listener is.
type Place = (NetworkId, Family);

/// Whom a mark belongs to.
#[derive(Debug, Default)]
pub(crate) struct Instances(RwLock<HashMap<(NetworkId, u32), Known>>);

/// A guest, and what it may still ask by one of its ports.
#[derive(Clone, Debug)]
struct Known {
    instance: Arc<Instance>,
    bucket: Arc<Mutex<Bucket>>,
}

impl Known {
    fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now)
    }
}

/// What every connection of a listener shares.
#[derive(Debug)]
struct Shared {
    network: NetworkId,
    instances: Arc<Instances>,
    vendor_data: Arc<Value>,
    passwords: Arc<dyn Passwords>,
    counters: Counters,
}

#[derive(Debug)]
struct Listening {
    ns: NsIdentity,
    interface: String,
    index: u32,
    socket: Arc<TcpListener>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Metadata {
    pub(crate) fn new(runtime: Handle, inet4: Inet4, settings: MetadataSettings) -> Metadata {
        let instances = Arc::default();
        Metadata {
            runtime,
            inet4,
            instances,
            vendor_data: settings.vendor_data,
            passwords: settings.passwords,
            listeners: Mutex::new(Some(BTreeMap::new())),
        }
    }

    pub(crate) fn serve(&self, place: Place, ns: &Netns, interface: &str) -> io::Result<()> {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let listeners = listeners.as_mut().ok_or_else(stopped)?;
        let identity = NsIdentity::of(ns)?;
        if let Some(there) = listeners.get(&place) {
            if there.ns == identity && there.interface == interface && there.attached() {
                return Ok(());
            }
            listeners.remove(&place); // closes it, or the address would be taken
        }
        let fd = match place.1 {
            // Every address of the bridge is a service's, so one socket answers on all of them.
            Family::Ipv6 => tcp_listen_v6(ns, Ipv6Addr::UNSPECIFIED, Some(interface), PORT)?,
            Family::Ipv4 => {
                let address = SocketAddrV4::new(SERVICE, PORT);
                self.inet4.listen(ns, interface, address)?
            }
        };
        let index = interface_index(&fd, interface)?;
        let _runtime = self.runtime.enter();
        let socket = Arc::new(TcpListener::from_std(fd.into())?);
        let shared = Arc::new(Shared {
            network: place.0,
            instances: self.instances.clone(),
            vendor_data: self.vendor_data.clone(),
            passwords: self.passwords.clone(),
            counters: Counters::default(),
        });
        let task = self.runtime.spawn(listen(socket.clone(), shared.clone()));
        let (task, interface) = (task.abort_handle(), interface.to_owned());
        listeners.insert(
            place,
            Listening {
                ns: identity,
                interface,
                index,
                socket,
                shared,
                task,
            },
        );
        Ok(())
    }

    pub(crate) fn end(&self, place: Place) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = listeners.as_mut() {
            listeners.remove(&place);
        }
    }

    pub(crate) fn serving(&self) -> Vec<Place> {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let there = listeners
            .iter()
            .flatten()
            .filter(|(_, listening)| listening.attached());
        there.map(|(place, _)| *place).collect()
    }

    pub(crate) fn counts(&self, place: Place) -> Option<MetadataCounts> {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let there = listeners.as_ref()?.get(&place)?;
        Some(there.shared.counters.read())
    }

    pub(crate) fn stop(&self) {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Listening {
    fn attached(&self) -> bool {
        interface_index(&self.socket, &self.interface).is_ok_and(|index| index == self.index)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // The task ends, and its socket closes, only when the runtime next looks at it; until then
        // a socket that still listened would keep a successor from the address.
        if let Err(error) = shutdown(self.socket.as_raw_fd(), Shutdown::Both) {
            tracing::debug!(%error, "closing a metadata listener");
        }
    }
}

impl Instances {
    pub(crate) fn set(&self, network: NetworkId, mark: u32, instance: Arc<Instance>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(&(network, mark));
        let bucket = before.map(|known| known.bucket.clone()).unwrap_or_default();
        all.insert((network, mark), Known { instance, bucket });
    }

    pub(crate) fn remove(&self, network: NetworkId, mark: u32) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(network, mark));
    }

    fn get(&self, caller: Caller) -> Option<Known> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&(caller.network, caller.mark)).cloned()
    }
}

/// Accepts a network's connections until it is aborted; they end with it.
async fn listen(socket: Arc<TcpListener>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let seats = Seats::default();
    loop {
        while connections.try_join_next().is_some() {} // forget those that ended
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, network = %shared.network, "accepting a metadata connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some((caller, seat)) = admit(&stream, &shared, &seats) {
            let shared = shared.clone();
            connections.spawn(async move {
                connection::serve(stream, caller, &shared).await;
                drop(seat);
            });
        }
    }
}

fn admit(stream: &TcpStream, shared: &Shared, seats: &Seats) -> Option<(Caller, Seat)> {
    let mark = peer_mark(stream)
        .inspect_err(|error| tracing::warn!(%error, "SO_MARK"))
        .ok()?;
    let seat = seats.take(mark);
    if seat.is_none() {
        shared.counters.limited();
    }
    let network = shared.network;
    Some((Caller { network, mark }, seat?))
}
