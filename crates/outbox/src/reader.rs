//! What a broker tells, frame by frame, and what follows from it at once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use wire::amqp::{FRAME_MIN, Told, parse};

use crate::session::Broken;

/// How long a broker may be silent before heartbeats are agreed on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The reading half of a connection.
pub(crate) struct Reader<R> {
    stream: R,
    buffer: Vec<u8>,
    pub(crate) frame_max: u32,
    /// A broker that is silent for longer is gone.
    pub(crate) silence: Duration,
    /// Tags of messages that were sent and not confirmed.
    pub(crate) open: BTreeSet<u64>,
    /// Why the broker takes nothing for now.
    blocked: Option<String>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(stream: R) -> Reader<R> {
        Reader {
            stream,
            buffer: Vec::new(),
            frame_max: FRAME_MIN,
            silence: PATIENCE,
            open: BTreeSet::new(),
            blocked: None,
        }
    }

    /// The next thing it tells that is not dealt with here. Nothing is lost when this is dropped.
    pub(crate) async fn next(&mut self) -> Result<Told, Broken> {
        loop {
            let told = self.frame().await?;
            if let Some(told) = self.take(told)? {
                return Ok(told);
            }
        }
    }

    async fn frame(&mut self) -> Result<Told, Broken> {
        loop {
            if let Some((told, length)) = parse(&self.buffer, self.frame_max)? {
                self.buffer.drain(..length);
                return Ok(told);
            }
            let read = self.stream.read_buf(&mut self.buffer);
            match timeout(self.silence, read).await {
                Err(_) => return Err(Broken::Silent(self.silence.as_secs())),
                Ok(Err(e)) => return Err(Broken::Lost(e)),
                Ok(Ok(0)) => return Err(Broken::Ended),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Deals with what may come at any time; anything else is for who waits for it.
    fn take(&mut self, told: Told) -> Result<Option<Told>, Broken> {
        match told {
            Told::Heartbeat => Ok(None),
            Told::Taken { tag, multiple } => {
                match multiple {
                    true => self.open.retain(|open| *open > tag),
                    false => drop(self.open.remove(&tag)),
                }
                Ok(Some(told))
            }
            Told::Refused { .. } => Err(Broken::Refused),
            Told::Closed { code, text, .. } => Err(Broken::Closed { code, text }),
            Told::Blocked { reason } => {
                tracing::warn!(
                    reason,
                    "the broker takes no notifications for now: they wait"
                );
                self.blocked = Some(reason);
                Ok(None)
            }
            Told::Unblocked => {
                if self.blocked.take().is_some() {
                    tracing::info!("the broker takes notifications again");
                }
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }
}
