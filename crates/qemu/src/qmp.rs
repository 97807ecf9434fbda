//! QMP, QEMU's control protocol: one JSON document a line, both ways.
//!
//! ```text
//! QEMU: {"QMP": {"version": ..}}              a greeting, once it is our turn: QEMU serves one client
//!   us: {"execute": "quit", "id": 7}
//! QEMU: {"return": {}, "id": 7}               or {"error": {"class": .., "desc": ..}, "id": 7}
//! QEMU: {"event": "RESET", "data": {..}, ..}  whenever it likes
//! ```
//! A task reads; commands wait for the answer with their id. Events go to the owner, who may miss
//! some between two connections: an event says "look", [`Qmp::status`] says what is.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The socket's name in its directory.
const SOCKET: &str = "qmp.sock";

/// How long QEMU may take for one command. It answers in a millisecond; a loaded host takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line believed: the whole console in base64, and room.
const LONGEST: u64 = 4 << 20;

/// Why QEMU did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("QEMU's control socket")]
    Io(#[from] io::Error),
    #[error("QEMU closed its control socket")]
    Closed,
    #[error("QEMU did not answer '{0}' in time")]
    Slow(&'static str),
    #[error("QEMU refused '{command}': {reason}")]
    Refused {
        command: &'static str,
        reason: String,
    },
    #[error("QEMU sent what is no QMP: {0}")]
    Malformed(&'static str),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// One line from QEMU.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Greeting { version: String },
    Reply { id: u64, result: Answer },
    Event(Event),
}

/// Something that happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `guest` tells a guest that powered itself off from a QEMU that was told to.
    Shutdown {
        guest: bool,
    },
    Reset {
        guest: bool,
    },
    PowerDown,
    Stop,
    Resume,
    /// The guest has let go of a device, which is gone now.
    DeviceDeleted,
    Other(String),
}

/// What the machine does (`RunState` in QEMU's schema).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    Running,
    /// The guest powered itself off; QEMU waits.
    Shutdown,
    /// Reset, and not yet let run.
    Prelaunch,
    /// Any other: `paused`, `io-error`, `internal-error`, `guest-panicked`, ...
    Other(String),
}

/// Reads one line.
pub fn parse(line: &[u8]) -> Result<Message> {
    let value: Value = serde_json::from_slice(line).map_err(|_| Error::Malformed("no JSON"))?;
    if let Some(greeting) = value.get("QMP") {
        return Ok(Message::Greeting {
            version: version(greeting),
        });
    }
    if let Some(name) = value.get("event") {
        let name = name.as_str().ok_or(Error::Malformed("an event's name"))?;
        return Ok(Message::Event(event(name, &value["data"])));
    }
    let id = value["id"]
        .as_u64()
        .ok_or(Error::Malformed("a reply without our id"))?;
    if let Some(done) = value.get("return") {
        return Ok(Message::Reply {
            id,
            result: Ok(done.clone()),
        });
    }
    let reason = value["error"]["desc"]
        .as_str()
        .ok_or(Error::Malformed("neither event nor reply"))?;
    Ok(Message::Reply {
        id,
        result: Err(reason.to_owned()),
    })
}

fn version(greeting: &Value) -> String {
    let number = |part: &str| greeting["version"]["qemu"][part].as_u64().unwrap_or(0);
    format!(
        "{}.{}.{}",
        number("major"),
        number("minor"),
        number("micro")
    )
}

fn event(name: &str, data: &Value) -> Event {
    let guest = data["guest"].as_bool().unwrap_or(false);
    match name {
        "SHUTDOWN" => Event::Shutdown { guest },
        "RESET" => Event::Reset { guest },
        "POWERDOWN" => Event::PowerDown,
        "STOP" => Event::Stop,
        "RESUME" => Event::Resume,
        "DEVICE_DELETED" => Event::DeviceDeleted,
        other => Event::Other(other.to_owned()),
    }
}

/// Listens in a directory, for a QEMU that will inherit the socket.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(dir.join(SOCKET)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let dir = File::open(dir)?;
    UnixListener::bind(short_path(&dir))
}

/// Whether a process holds the socket that [`listen`] made, whatever it does with it.
pub fn has_listener(dir: &Path) -> bool {
    let connect = |dir: File| std::os::unix::net::UnixStream::connect(short_path(&dir));
    File::open(dir).and_then(connect).is_ok()
}

/// A connection to one QEMU. When it is dropped, QEMU goes on and takes the next client.
#[derive(Debug)]
pub struct Qmp {
    version: String,
    writer: OwnedWriteHalf,
    next_id: u64,
    waiting: Waiting,
    reader: tokio::task::AbortHandle,
}

/// Who waits for which answer; `None` once no more answers will come.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;
type Answer = std::result::Result<Value, String>;

impl Qmp {
    /// Connects to the socket in a directory, and waits for QEMU to come up behind it. Events from
    /// then on arrive at the receiver, which ends when the connection does.
    pub async fn connect(dir: &Path) -> Result<(Qmp, mpsc::UnboundedReceiver<Event>)> {
        let dir = File::open(dir)?;
        let (reader, writer) = UnixStream::connect(short_path(&dir)).await?.into_split();
        let mut reader = BufReader::new(reader);
        let greeting = timeout(PATIENCE, next_line(&mut reader)).await;
        let greeting = greeting.map_err(|_| Error::Slow("greeting"))??;
        let Message::Greeting { version } = parse(&greeting)? else {
            return Err(Error::Malformed("no greeting"));
        };
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (events, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(read(reader, waiting.clone(), events));
        let mut qmp = Qmp {
            version,
            writer,
            next_id: 0,
            waiting,
            reader: task.abort_handle(),
        };
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok((qmp, received))
    }

    /// QEMU's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub async fn status(&mut self) -> Result<RunState> {
        let answer = self.execute("query-status", json!({})).await?;
        Ok(
            match answer["status"]
                .as_str()
                .ok_or(Error::Malformed("no status"))?
            {
                "running" => RunState::Running,
                "shutdown" => RunState::Shutdown,
                "prelaunch" => RunState::Prelaunch,
                other => RunState::Other(other.to_owned()),
            },
        )
    }

    /// Presses the power button.
    pub async fn system_powerdown(&mut self) -> Result<()> {
        self.execute("system_powerdown", json!({})).await.map(drop)
    }

    /// Resets the machine. QEMU does it after it has answered; [`Event::Reset`] tells when.
    pub async fn system_reset(&mut self) -> Result<()> {
        self.execute("system_reset", json!({})).await.map(drop)
    }

    /// Lets the machine run.
    pub async fn cont(&mut self) -> Result<()> {
        self.execute("cont", json!({})).await.map(drop)
    }

    /// Ends QEMU, which writes out its disks first.
    pub async fn quit(&mut self) -> Result<()> {
        match self.execute("quit", json!({})).await {
            Ok(_) | Err(Error::Closed) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Takes what a ring buffer holds out of it.
    pub async fn ringbuf_read(&mut self, device: &str) -> Result<Vec<u8>> {
        // As UTF-8, QEMU would cut characters in two and stop at a NUL.
        let ask = json!({"device": device, "size": 1 << 20, "format": "base64"});
        let answer = self.execute("ringbuf-read", ask).await?;
        let text = answer.as_str().ok_or(Error::Malformed("ringbuf-read"))?;
        let engine = base64::engine::general_purpose::STANDARD;
        engine.decode(text).map_err(|_| Error::Malformed("base64"))
    }

    pub(crate) async fn execute(
        &mut self,
        command: &'static str,
        arguments: Value,
    ) -> Result<Value> {
        self.send(command, arguments, None).await
    }

    /// As [`Qmp::execute`], and QEMU gets a descriptor along with it.
    pub(crate) async fn execute_with(
        &mut self,
        command: &'static str,
        arguments: Value,
        descriptor: BorrowedFd<'_>,
    ) -> Result<Value> {
        self.send(command, arguments, Some(descriptor)).await
    }

    async fn send(
        &mut self,
        command: &'static str,
        arguments: Value,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Value> {
        self.next_id += 1;
        let id = self.next_id;
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting)
            .as_mut()
            .ok_or(Error::Closed)?
            .insert(id, answer);
        let mut line = json!({"execute": command, "arguments": arguments, "id": id}).to_string();
        line.push('\n');
        let exchange = async {
            let sent = match descriptor {
                Some(descriptor) => send_with(self.writer.as_ref(), line.as_bytes(), descriptor)
                    .await
                    .map_err(|_| Error::Closed)?,
                None => 0,
            };
            self.writer
                .write_all(&line.as_bytes()[sent..])
                .await
                .map_err(|_| Error::Closed)?;
            answered.await.map_err(|_| Error::Closed)
        };
        let answer = timeout(PATIENCE, exchange).await;
        lock(&self.waiting)
            .as_mut()
            .and_then(|waiting| waiting.remove(&id));
        let answer = answer.map_err(|_| Error::Slow(command))??;
        answer.map_err(|reason| Error::Refused { command, reason })
    }
}

/// Sends what the socket takes at once, and a descriptor with it.
async fn send_with(
    stream: &UnixStream,
    bytes: &[u8],
    descriptor: BorrowedFd<'_>,
) -> io::Result<usize> {
    let send = || linux::stream::send_with(stream, bytes, descriptor);
    stream.async_io(Interest::WRITABLE, send).await
}

impl Drop for Qmp {
    fn drop(&mut self) {
        // The reader holds the other half of the socket, and QEMU talks to one client at a time.
        self.reader.abort();
    }
}

/// A Unix socket's path has room for 107 octets, and ours may be longer; this one never is.
fn short_path(dir: &File) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()).into()
}

/// Hands each line to whom it is for. Ends with the connection; waiting commands end with it.
async fn read(
    mut reader: BufReader<OwnedReadHalf>,
    waiting: Waiting,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Ok(line) = next_line(&mut reader).await {
        match parse(&line) {
            Ok(Message::Reply { id, result }) => {
                let answer = lock(&waiting)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&id));
                answer.map(|answer| answer.send(result));
            }
            Ok(Message::Event(event)) => drop(events.send(event)),
            Ok(Message::Greeting { .. }) => {}
            Err(e) => tracing::warn!("{e}"),
        }
    }
    *lock(&waiting) = None;
}

async fn next_line(reader: &mut BufReader<OwnedReadHalf>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(LONGEST).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Err(Error::Closed),
        Some(b'\n') => Ok(line),
        Some(_) => Err(Error::Malformed("a line without end")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
