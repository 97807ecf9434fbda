//! The sockets of one network's resolver.

use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use linux::datagram::{receive_marked, udp_v6};
use linux::inet4::Inet4;
use linux::netns::Netns;
use linux::socket::{interface_index, peer_mark, tcp_listen_v6};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::PORT;
use super::forward::{Forwarder, read_message, write_message};
use super::resolver::{Heard, Resolver, Way};
use crate::NsIdentity;
use crate::seats::Seats;

/// More than any question needs; what exceeds it is cut, and so malformed.
const QUESTION_MAX: usize = 2048;
/// How long a connection may be silent, or not take an answer (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// After a failure of a socket, which does not pass at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a resolver answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ns: NsIdentity,
    pub(super) interface: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// One address's sockets for UDP and TCP.
pub(super) type Sockets = (OwnedFd, OwnedFd);

/// Closes everything when it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    place: Place,
    index: Option<u32>,
    listeners: Vec<Arc<TcpListener>>,
    tasks: Vec<AbortHandle>,
}

/// Opens the sockets of one address.
pub(super) fn open(
    ns: &Netns,
    interface: &str,
    address: IpAddr,
    inet4: &Inet4,
) -> io::Result<Sockets> {
    match address {
        IpAddr::V6(address) => {
            let udp = udp_v6(ns, interface, address, PORT)?;
            Ok((udp, tcp_listen_v6(ns, address, Some(interface), PORT)?))
        }
        IpAddr::V4(address) => {
            let address = SocketAddrV4::new(address, PORT);
            let udp = inet4.udp(ns, interface, address)?;
            Ok((udp, inet4.listen(ns, interface, address)?))
        }
    }
}

impl Listening {
    /// Begins to answer, on the current runtime.
    pub(super) fn begin(
        place: Place,
        sockets: Vec<Sockets>,
        resolver: &Arc<Resolver>,
        forwarder: &Arc<Forwarder>,
    ) -> io::Result<Listening> {
        let mut listening = Listening {
            place,
            index: None,
            listeners: Vec::new(),
            tasks: Vec::new(),
        };
        for (udp, tcp) in sockets {
            let udp = Arc::new(UdpSocket::from_std(udp.into())?);
            let tcp = Arc::new(TcpListener::from_std(tcp.into())?);
            listening.index = Some(interface_index(&tcp, &listening.place.interface)?);
            listening.listeners.push(tcp.clone());
            let (resolver, forwarder) = (resolver.clone(), forwarder.clone());
            let packets = tokio::spawn(packets(udp, resolver.clone(), forwarder.clone()));
            let connections = tokio::spawn(connections(tcp, resolver, forwarder));
            let both = [packets.abort_handle(), connections.abort_handle()];
            listening.tasks.extend(both);
        }
        Ok(listening)
    }

    /// Whether it answers there, on the link that is there now.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.place == *place && self.attached()
    }

    pub(super) fn attached(&self) -> bool {
        let now = |tcp| interface_index(tcp, &self.place.interface).ok();
        self.listeners.iter().all(|tcp| now(tcp) == self.index)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        for tcp in &self.listeners {
            // As metadata does: the tasks' own ends come too late for a successor.
            if let Err(error) = shutdown(tcp.as_raw_fd(), Shutdown::Both) {
                tracing::debug!(%error, "closing a resolver's listener");
            }
        }
    }
}

/// Answers what comes over UDP until it is aborted.
async fn packets(socket: Arc<UdpSocket>, resolver: Arc<Resolver>, forwarder: Arc<Forwarder>) {
    let mut buffer = vec![0; QUESTION_MAX];
    loop {
        let receive = || receive_marked(&*socket, &mut buffer);
        let (length, from, mark) = match socket.async_io(Interest::READABLE, receive).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "hearing a question about names");
                sleep(PAUSE).await;
                continue;
            }
        };
        match resolver.hear(mark, &buffer[..length], Way::Udp) {
            Heard::Nothing => {}
            // One that the guest does not get it asks for again.
            Heard::Say(said) => drop(socket.try_send_to(&said, from)),
            Heard::Forward(query, turn) => {
                // A socket that is closed meanwhile must not stay for the sake of this.
                let socket = Arc::downgrade(&socket);
                forwarder.ask(query, turn, Way::Udp, move |said| {
                    let socket = socket.upgrade();
                    drop(socket.map(|socket| socket.try_send_to(&said, from)));
                });
            }
        }
    }
}

/// Accepts connections until it is aborted; they end with it.
async fn connections(
    listener: Arc<TcpListener>,
    resolver: Arc<Resolver>,
    forwarder: Arc<Forwarder>,
) {
    let (mut open, seats) = (JoinSet::new(), Seats::default());
    loop {
        while open.try_join_next().is_some() {} // forget those that ended
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection that asks about names");
                sleep(PAUSE).await;
                continue;
            }
        };
        let mark = peer_mark(&stream).unwrap_or_default();
        if let Some(seat) = seats.take(mark) {
            let (resolver, forwarder) = (resolver.clone(), forwarder.clone());
            open.spawn(async move {
                // It ends when the guest has closed it, or has said nothing for long.
                let _ = connection(stream, mark, &resolver, &forwarder).await;
                drop(seat);
            });
        }
    }
}

/// Answers one question after the other.
async fn connection(
    mut stream: TcpStream,
    mark: u32,
    resolver: &Arc<Resolver>,
    forwarder: &Forwarder,
) -> io::Result<()> {
    loop {
        let message = timeout(IDLE, read_message(&mut stream)).await??;
        let said = match resolver.hear(mark, &message, Way::Tcp) {
            Heard::Nothing => return Ok(()),
            Heard::Say(said) => said,
            Heard::Forward(query, turn) => {
                let (tell, told) = tokio::sync::oneshot::channel();
                forwarder.ask(query, turn, Way::Tcp, |said| drop(tell.send(said)));
                told.await.map_err(io::Error::other)?
            }
        };
        timeout(IDLE, write_message(&mut stream, &said)).await??;
    }
}
