//! One connection to a broker, with one channel on which messages are published and confirmed.

use std::io;
use std::pin::pin;
use std::time::Duration;

use store::Outgoing;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use wire::amqp::say::{self, Declared};
use wire::amqp::{FRAME_MIN, GREETING, Told};

use crate::reader::Reader;
use crate::url::Broker;

/// Seconds between two heartbeats that are asked for; a broker may want less.
const HEARTBEAT_S: u16 = 30;
/// Octets of a frame, at most: what RabbitMQ offers.
const FRAME_MAX: u32 = 128 << 10;
/// What RabbitMQ answers when something is there with other arguments.
const PRECONDITION_FAILED: u16 = 406;

/// Why a connection cannot be used, or can no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Connect(#[from] net::ConnectError),
    #[error(transparent)]
    Tls(#[from] crate::TlsError),
    #[error("'{0}' is no name that a certificate could carry")]
    Name(String),
    #[error("TLS failed: {0}")]
    Handshake(io::Error),
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    #[error("the broker ended the connection")]
    Ended,
    #[error(
        "the broker ended the connection when it was told the user and the password: check both, and the virtual host"
    )]
    Login,
    #[error("the broker said nothing for {0} s")]
    Silent(u64),
    #[error("what came is no AMQP 0-9-1: {0}")]
    Malformed(#[from] wire::Malformed),
    #[error("the broker does not take passwords (PLAIN), only {0}")]
    Mechanism(String),
    #[error("the broker says {code}: {text}")]
    Closed { code: u16, text: String },
    #[error(
        "the broker has '{name}' with other arguments: set amqp_durable_queues and rabbit_quorum_queue of [notifications] as its consumers have them, or remove it there ({text})"
    )]
    Otherwise { name: String, text: String },
    #[error("the broker could not keep a message")]
    Refused,
    #[error("the broker answered what it was not asked: {0:?}")]
    Unexpected(Told),
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] model::Error),
}

/// The queues that messages lie in until a consumer takes them, named as oslo.messaging names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    /// The exchanges that there are messages for.
    pub exchanges: Vec<String>,
    /// With these topics each message is sent, once to each.
    pub topics: Vec<String>,
    /// Such as `info`.
    pub priorities: Vec<String>,
    /// They outlive the broker (`amqp_durable_queues`).
    pub durable: bool,
    /// They are replicated, and so outlive it too (`rabbit_quorum_queue`).
    pub quorum: bool,
}

/// An open connection.
pub(crate) struct Session<S> {
    reader: Reader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    /// The tag of the message that was sent last.
    tag: u64,
    beat: Interval,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Greets a broker, logs in and opens a channel.
    pub(crate) async fn open(
        stream: S,
        broker: &Broker,
        virtual_host: &str,
    ) -> Result<Session<S>, Broken> {
        let (reader, writer) = tokio::io::split(stream);
        let mut session = Session {
            reader: Reader::new(reader),
            writer,
            tag: 0,
            beat: beats(HEARTBEAT_S),
        };
        session.send(&GREETING).await?;
        let mechanisms = match session.reader.next().await? {
            Told::Start { mechanisms } => mechanisms,
            other => return Err(Broken::Unexpected(other)),
        };
        if !mechanisms.split(' ').any(|one| one == "PLAIN") {
            return Err(Broken::Mechanism(mechanisms));
        }
        let password = broker.password.as_deref().unwrap_or_default();
        session
            .send(&say::start_ok("hextet", &broker.user, password))
            .await?;
        // Before 0-9-1 had words for it, brokers just hung up; some still do.
        let tune = session.reader.next().await;
        session
            .tune(tune.map_err(|e| {
                if matches!(e, Broken::Ended) {
                    Broken::Login
                } else {
                    e
                }
            })?)
            .await?;
        session.send(&say::open(virtual_host)).await?;
        match session.reader.next().await? {
            Told::Opened => {}
            other => return Err(Broken::Unexpected(other)),
        }
        session.ask(&say::open_channel()).await?;
        session.ask(&say::select_confirms()).await?;
        Ok(session)
    }

    async fn tune(&mut self, told: Told) -> Result<(), Broken> {
        let Told::Tune {
            channel_max,
            frame_max,
            heartbeat_s,
        } = told
        else {
            return Err(Broken::Unexpected(told));
        };
        // 0 is no limit, and no heartbeat.
        let frame_max = match frame_max {
            0 => FRAME_MAX,
            theirs => theirs.clamp(FRAME_MIN, FRAME_MAX),
        };
        let heartbeat_s = match heartbeat_s {
            0 => HEARTBEAT_S,
            theirs => theirs.min(HEARTBEAT_S),
        };
        self.send(&say::tune_ok(channel_max, frame_max, heartbeat_s))
            .await?;
        self.reader.frame_max = frame_max;
        self.reader.silence = Duration::from_secs(2 * u64::from(heartbeat_s));
        self.beat = beats(heartbeat_s);
        Ok(())
    }

    /// Makes sure of exchanges and queues, so that messages lie somewhere before anybody reads them.
    pub(crate) async fn declare(&mut self, queues: &Queues) -> Result<(), Broken> {
        let durable = queues.durable || queues.quorum;
        let names = queues.names();
        for exchange in &queues.exchanges {
            let wanted = Declared {
                name: exchange,
                durable,
                quorum: false,
            };
            self.ensure(exchange, &say::declare_exchange(wanted))
                .await?;
        }
        for name in &names {
            let wanted = Declared {
                name,
                durable,
                quorum: queues.quorum,
            };
            self.ensure(name, &say::declare_queue(wanted)).await?;
            for exchange in &queues.exchanges {
                self.ask(&say::bind_queue(name, exchange)).await?;
            }
        }
        Ok(())
    }

    async fn ensure(&mut self, name: &str, declaration: &[u8]) -> Result<(), Broken> {
        let done = self.ask(declaration).await;
        done.map_err(|e| match e {
            Broken::Closed {
                code: PRECONDITION_FAILED,
                text,
            } => Broken::Otherwise {
                name: name.to_owned(),
                text,
            },
            other => other,
        })
    }

    /// Publishes messages with each topic; when this returns the broker has them all.
    pub(crate) async fn publish(
        &mut self,
        messages: &[Outgoing],
        topics: &[String],
    ) -> Result<(), Broken> {
        for message in messages {
            for topic in topics {
                let frames = say::publish(
                    say::Message {
                        exchange: &message.exchange,
                        routing_key: &format!("{topic}.{}", message.priority),
                        message_id: &message.message_id.to_string(),
                        body: message.message.as_bytes(),
                    },
                    self.reader.frame_max,
                );
                self.tag += 1;
                self.reader.open.insert(self.tag);
                self.send(&frames).await?;
            }
        }
        while !self.reader.open.is_empty() {
            if self.listen().await? {
                self.beat().await?;
            }
        }
        Ok(())
    }

    /// Hears what the broker says unasked, until it is time for a heartbeat of ours: then it is true.
    /// Nothing is lost when this is dropped.
    pub(crate) async fn listen(&mut self) -> Result<bool, Broken> {
        tokio::select! {
            told = self.reader.next() => match told? {
                Told::Taken { .. } => Ok(false),
                other => Err(Broken::Unexpected(other)),
            },
            _ = self.beat.tick() => Ok(true),
        }
    }

    /// Sends a heartbeat.
    pub(crate) async fn beat(&mut self) -> Result<(), Broken> {
        self.send(&say::heartbeat()).await
    }

    async fn ask(&mut self, question: &[u8]) -> Result<(), Broken> {
        self.send(question).await?;
        match self.reader.next().await? {
            Told::Done => Ok(()),
            other => Err(Broken::Unexpected(other)),
        }
    }

    /// Writes, and hears meanwhile what the broker says: one that is blocked reads nothing more, and
    /// says so.
    async fn send(&mut self, frames: &[u8]) -> Result<(), Broken> {
        let writer = &mut self.writer;
        let mut writing = pin!(async {
            writer.write_all(frames).await?;
            writer.flush().await
        });
        loop {
            tokio::select! {
                biased;
                written = &mut writing => return written.map_err(Broken::Lost),
                told = self.reader.next() => match told? {
                    Told::Taken { .. } => {}
                    other => return Err(Broken::Unexpected(other)),
                },
            }
        }
    }
}

impl Queues {
    fn names(&self) -> Vec<String> {
        let of_topic = |topic| self.priorities.iter().map(move |p| format!("{topic}.{p}"));
        self.topics.iter().flat_map(of_topic).collect()
    }
}

/// Twice as often as was agreed on, so that one that is late does no harm.
fn beats(heartbeat_s: u16) -> Interval {
    let every = Duration::from_millis(500 * u64::from(heartbeat_s.max(1)));
    let mut beats = interval_at(Instant::now() + every, every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
