//! The loop: connect, deliver, and begin again.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use net::{Reach, Resolver};
use rustls::pki_types::ServerName;
use store::Store;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::reader::PATIENCE;
use crate::session::{Broken, Queues, Session};
use crate::tls::Tls;
use crate::url::{Broker, TransportUrl};

/// How long it waits before it tries again, first and at most.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Messages that are on their way at once.
const BATCH: u64 = 100;

/// Takes messages to the first broker that answers.
pub struct Courier {
    pub store: Store,
    pub resolver: Resolver,
    pub url: TransportUrl,
    pub tls: Tls,
    pub queues: Queues,
    pub counts: Arc<Counts>,
}

/// How it goes.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    connected: AtomicBool,
}

impl Counts {
    /// Messages that a broker has taken in this life of the process.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether there is a connection to a broker.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Courier {
    /// Delivers for as long as the process lives.
    pub async fn run(self) {
        let (mut wait, mut turn, mut said) = (FIRST, 0, String::new());
        loop {
            let broker = &self.url.brokers[turn % self.url.brokers.len()];
            let Err(broken) = self.deliver(broker).await;
            turn += 1;
            let why = broken.to_string();
            // One that was connected begins anew; else each broker is tried before it waits.
            if self.counts.connected.swap(false, Ordering::Relaxed) {
                (wait, said) = (FIRST, String::new());
            } else if turn % self.url.brokers.len() != 0 {
                tracing::debug!(?broker, why, "a broker does not answer");
                continue;
            }
            if why != said {
                let waiting = self.store.read(|tx| tx.outbox_length()).unwrap_or(0);
                tracing::warn!(?broker, why, waiting, "notifications wait for their broker");
            }
            said = why;
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST);
        }
    }

    async fn deliver(&self, broker: &Broker) -> Result<Infallible, Broken> {
        let host = broker.host.as_str();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Broken::Name(host.into()))?;
        let tls = TlsConnector::from(Arc::new(self.tls.config()?));
        let stream = self.resolver.connect(host, broker.port, Reach::V6).await?;
        let handshake = timeout(PATIENCE, tls.connect(name, stream)).await;
        let stream = handshake
            .map_err(|_| Broken::Silent(PATIENCE.as_secs()))?
            .map_err(Broken::Handshake)?;
        let mut session = Session::open(stream, broker, &self.url.virtual_host).await?;
        session.declare(&self.queues).await?;
        self.counts.connected.store(true, Ordering::Relaxed);
        tracing::info!(?broker, "notifications have their broker");
        loop {
            let messages = self.store.read(|tx| tx.outbox(BATCH))?;
            let Some(last) = messages.last() else {
                tokio::select! {
                    () = self.store.posted() => {}
                    due = session.listen() => if due? {
                        session.beat().await?;
                    },
                }
                continue;
            };
            session.publish(&messages, &self.queues.topics).await?;
            crash::point("outbox: a batch is confirmed");
            self.store.write(|tx| tx.empty_outbox(last.number))?;
            let sent = messages.len() as u64;
            self.counts.sent.fetch_add(sent, Ordering::Relaxed);
        }
    }
}
