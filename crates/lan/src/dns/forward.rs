//! Asks the operator's resolvers.
//!
//! One thread does it for all networks. It lives in the node's own namespace, so that its sockets
//! are there, and it opens none but of IPv6. Each question has a socket, and so a source port, of
//! its own, and an id that nobody can guess (RFC 5452).

use std::io;
use std::net::SocketAddrV6;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use linux::datagram::udp_to;
use linux::netns::Netns;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::dns::{Forwarded, Query, extended};

use super::resolver::{Turn, Way, busy, failure};

/// Questions of all networks that are on their way. Each is a socket.
const FORWARDS_MAX: usize = 1024;
/// How long one upstream has for its answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often each is asked. All of it takes less than the 10 s for which most clients wait.
const ROUNDS: usize = 2;
/// More than is asked for over UDP: an upstream that says more all the same is told as cut.
const ANSWER_MAX: usize = 4096;
/// As many as resolv.conf(5) may name.
const UPSTREAMS_MAX: usize = 3;

/// Who knows all other names.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// Where sockets to them are opened: the node's own namespace.
    pub ns: Netns,
    /// The first three are asked, in this order as long as the first answers.
    pub servers: Vec<SocketAddrV6>,
}

/// Owns the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Forwarder {
    runtime: Handle,
    servers: Arc<Servers>,
    seats: Arc<Semaphore>,
    /// Dropped, it ends the thread.
    end: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Debug)]
struct Servers {
    addresses: Vec<SocketAddrV6>,
    /// Which answered last.
    preferred: AtomicUsize,
}

impl Forwarder {
    pub(super) fn start(upstreams: Upstreams) -> io::Result<Forwarder> {
        let Upstreams { ns, mut servers } = upstreams;
        servers.truncate(UPSTREAMS_MAX);
        let (end, ended) = oneshot::channel::<()>();
        let (started, starting) = mpsc::channel();
        std::thread::Builder::new()
            .name("dns".into())
            .spawn(move || {
                let runtime = ns
                    .enter()
                    .and_then(|()| Builder::new_current_thread().enable_all().build());
                match runtime {
                    Ok(runtime) => {
                        let _ = started.send(Ok(runtime.handle().clone()));
                        let _ = runtime.block_on(ended);
                    }
                    Err(e) => drop(started.send(Err(e))),
                }
            })?;
        let gone = |_| io::Error::other("the thread that asks resolvers has ended");
        Ok(Forwarder {
            runtime: starting.recv().map_err(gone)??,
            servers: Arc::new(Servers {
                addresses: servers,
                preferred: AtomicUsize::new(0),
            }),
            seats: Arc::new(Semaphore::new(FORWARDS_MAX)),
            end: Mutex::new(Some(end)),
        })
    }

    pub(super) fn stop(&self) {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Asks for an answer, which `tell` is given as a message for the guest.
    pub(super) fn ask(
        &self,
        query: Query,
        turn: Turn,
        way: Way,
        tell: impl FnOnce(Vec<u8>) + Send + 'static,
    ) -> JoinHandle<()> {
        let (servers, seat) = (self.servers.clone(), self.seats.clone().try_acquire_owned());
        self.runtime.spawn(async move {
            let limit = way.limit(&query);
            let answer = match &seat {
                Ok(_) => servers.ask(&query, way).await,
                Err(_) => None,
            };
            turn.over(answer.is_some());
            tell(match answer {
                Some(answer) => answer.emit(&query, limit),
                None if seat.is_err() => busy().emit(&query, limit),
                None if servers.addresses.is_empty() => failure(
                    extended::OTHER,
                    "this cloud has no upstream resolver: it knows its own names only",
                )
                .emit(&query, limit),
                None => failure(
                    extended::NO_REACHABLE_AUTHORITY,
                    "no upstream resolver answered",
                )
                .emit(&query, limit),
            });
        })
    }
}

impl Servers {
    /// What the first of them says that can say something; what the last one says that cannot.
    async fn ask(&self, query: &Query, way: Way) -> Option<Forwarded> {
        let first = self.preferred.load(Ordering::Relaxed);
        let count = self.addresses.len();
        let mut failed = None;
        for _ in 0..ROUNDS {
            for place in (first..first + count).map(|n| n % count) {
                let asked = ask_one(self.addresses[place], query, way);
                match timeout(PATIENCE, asked).await {
                    Ok(Ok(answer)) if answer.is_failure() => failed = Some(answer),
                    Ok(Ok(answer)) => {
                        self.preferred.store(place, Ordering::Relaxed);
                        return Some(answer);
                    }
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            if failed.is_some() {
                break;
            }
        }
        failed
    }
}

/// Asks one, over TCP too when the answer is too long for UDP but not for the guest.
async fn ask_one(server: SocketAddrV6, query: &Query, way: Way) -> io::Result<Forwarded> {
    let answer = over_udp(server, query).await?;
    match answer.is_truncated() && way == Way::Tcp {
        true => over_tcp(server, query).await,
        false => Ok(answer),
    }
}

async fn over_udp(server: SocketAddrV6, query: &Query) -> io::Result<Forwarded> {
    let id = random_id()?;
    let socket = UdpSocket::from_std(udp_to(server)?.into())?;
    socket.send(&query.emit(id)).await?;
    let mut buffer = [0; ANSWER_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Any other message is somebody's guess.
        if let Some(answer) = Forwarded::accept(query, id, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddrV6, query: &Query) -> io::Result<Forwarded> {
    let id = random_id()?;
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, &query.emit(id)).await?;
    let answer = read_message(&mut stream).await?;
    Forwarded::accept(query, id, &answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads a message behind its length (RFC 1035, section 4.2.2).
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message behind its length, in one piece.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut out = length.to_be_bytes().to_vec();
    out.extend(message);
    stream.write_all(&out).await
}

fn random_id() -> io::Result<u16> {
    let random = ring::rand::generate::<[u8; 2]>(&ring::rand::SystemRandom::new());
    let random = random.map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(u16::from_be_bytes(random.expose()))
}
