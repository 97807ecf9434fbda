//! The client: one cipher suite and one group, TLS 1.3.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::ring::kx_group::X25519;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;

/// Connections at a time.
const CLIENTS: usize = 8;

/// Somebody who talks to one port of `[::1]`.
pub(crate) struct Client {
    port: u16,
    roots: Arc<RootCertStore>,
}

type Connection = TlsStream<TcpStream>;

impl Client {
    pub(crate) fn new(port: u16, ca: &Path) -> Result<Client, Failure> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(ca)?;
        for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
            roots.add(certificate?)?;
        }
        Ok(Client {
            port,
            roots: Arc::new(roots),
        })
    }

    /// Opens connections, one after the other for each of [`CLIENTS`], and closes them.
    pub(crate) async fn handshakes(&self, count: usize, resumed: bool) -> Result<(), Failure> {
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let tickets = resumed.then(Arc::<Tickets>::default);
            let (config, port) = (self.config(tickets.clone())?, self.port);
            tasks.spawn(async move {
                for n in 0..count / CLIENTS {
                    let mut open = connect(port, &config).await?;
                    let kind = open.get_ref().1.handshake_kind();
                    if resumed && n > 0 && kind != Some(HandshakeKind::Resumed) {
                        return Err(Failure::from("a session was not resumed"));
                    }
                    if let Some(tickets) = &tickets {
                        tickets.come(&mut open).await?;
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Asks as fast as answers come: how many came, and the octets of each.
    pub(crate) async fn flood(&self, time: Duration) -> Result<(usize, usize), Failure> {
        let until = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let mut sender = self.http().await?;
            tasks.spawn(async move {
                let (mut count, mut length) = (0, ask(&mut sender).await?);
                while Instant::now() < until {
                    length = ask(&mut sender).await?;
                    count += 1;
                }
                Ok::<_, Failure>((count, length))
            });
        }
        let (mut all, mut octets) = (0, 0);
        while let Some(done) = tasks.join_next().await {
            let (count, length) = done??;
            (all, octets) = (all + count, length);
        }
        Ok((all, octets))
    }

    /// Asks so often a second, and tells how long each answer took.
    pub(crate) async fn at_rate(
        &self,
        rate: f64,
        time: Duration,
    ) -> Result<Vec<Duration>, Failure> {
        let pause = Duration::from_secs_f64(CLIENTS as f64 / rate);
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let mut sender = self.http().await?;
            tasks.spawn(async move {
                let (began, mut waits) = (Instant::now(), Vec::new());
                let mut next = tokio::time::interval(pause);
                next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                while began.elapsed() < time {
                    next.tick().await;
                    let asked = Instant::now();
                    ask(&mut sender).await?;
                    waits.push(asked.elapsed());
                }
                Ok::<_, Failure>(waits)
            });
        }
        let mut all = Vec::new();
        while let Some(done) = tasks.join_next().await {
            all.extend(done??);
        }
        Ok(all)
    }

    /// Connections that say nothing.
    pub(crate) async fn hold(&self, count: usize) -> Result<Vec<Connection>, Failure> {
        let config = self.config(None)?;
        let mut held = Vec::with_capacity(count);
        while held.len() < count {
            let some = (0..CLIENTS.min(count - held.len())).map(|_| connect(self.port, &config));
            for open in futures_util::future::join_all(some).await {
                held.push(open?);
            }
        }
        Ok(held)
    }

    fn config(&self, tickets: Option<Arc<Tickets>>) -> Result<Arc<ClientConfig>, Failure> {
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        provider.kx_groups = vec![X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.resumption = match tickets {
            Some(tickets) => Resumption::store(tickets),
            None => Resumption::disabled(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    async fn http(&self) -> Result<SendRequest<Empty<Bytes>>, Failure> {
        let stream = connect(self.port, &self.config(None)?).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

async fn connect(port: u16, config: &Arc<ClientConfig>) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(("::1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("::1")?;
    Ok(TlsConnector::from(config.clone())
        .connect(name, stream)
        .await?)
}

/// One request for the image API's versions, an answer of about 1 kB that needs no token; its octets.
async fn ask(sender: &mut SendRequest<Empty<Bytes>>) -> Result<usize, Failure> {
    sender.ready().await?;
    let request = Request::get("/image").header("host", "[::1]");
    let answer = sender.send_request(request.body(Empty::new())?).await?;
    if answer.status() != 300 {
        return Err(format!("GET /image: {}", answer.status()).into());
    }
    Ok(answer.into_body().collect().await?.to_bytes().len())
}

/// Keeps sessions, and tells when one has come: in TLS 1.3 that is after the handshake.
#[derive(Debug)]
struct Tickets {
    kept: ClientSessionMemoryCache,
    came: Notify,
}

impl Default for Tickets {
    fn default() -> Tickets {
        Tickets {
            kept: ClientSessionMemoryCache::new(4),
            came: Notify::new(),
        }
    }
}

impl Tickets {
    /// Reads until a session has come.
    async fn come(&self, stream: &mut Connection) -> Result<(), Failure> {
        let mut nothing = [0];
        tokio::select! {
            biased;
            () = self.came.notified() => Ok(()),
            read = stream.read(&mut nothing) => Err(format!("{read:?} instead of a session").into()),
        }
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept.set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept.tls12_session(name)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.kept.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(name, value);
        self.came.notify_one();
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept.take_tls13_ticket(name)
    }
}
