//! The demo's `hextet`: set up, started, killed, started again.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::place::{BRIDGE, Place};
use crate::Failure;

/// How long `hextet up` may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// A running `hextet up`. It lives on when this is dropped.
pub(super) struct Hextet {
    child: Child,
    pub(super) url: String,
}

/// `hextet init`
pub(super) async fn init(place: &Place) -> Result<(), Failure> {
    let mut command = hextet(place)?;
    command.args(["init", "--listen", "[::1]:0", "--netns", &place.node_name()]);
    command.args(["--physical-network", &format!("public={BRIDGE}")]);
    let done = command.stdin(Stdio::null()).output().await?;
    match done.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&done.stderr);
            Err(format!("`hextet init` failed: {}", said.trim()).into())
        }
    }
}

impl Hextet {
    /// `hextet up`, until it says that it is ready.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub(super) async fn start(place: &Place) -> Result<Hextet, Failure> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.log())?;
        let mut command = hextet(place)?;
        // A group of its own: Ctrl-C is for the demo, which ends it when its turn comes.
        command.arg("up").process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or("no pipe from `hextet up`")?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        let read = timeout(READY, out.read_line(&mut line)).await;
        match (read, line.trim_end().strip_prefix("ready ")) {
            (Ok(Ok(_)), Some(url)) => Ok(Hextet {
                url: url.to_owned(),
                child,
            }),
            (Err(_), _) => Err(format!("`hextet up` is not ready after {READY:?}").into()),
            _ => {
                let ended = child.wait().await?;
                Err(format!("`hextet up` ended before it was ready ({ended})").into())
            }
        }
    }

    /// SIGKILL, and nothing else.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

fn hextet(place: &Place) -> Result<Command, Failure> {
    let program: PathBuf = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.arg("--root").arg(place.root());
    Ok(command)
}
