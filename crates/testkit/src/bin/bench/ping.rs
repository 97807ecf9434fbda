//! When an address first answers ping.

use std::net::Ipv6Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::Failure;

const PATIENCE: Duration = Duration::from_secs(120);

/// Pings a hundred times a second, and returns the moment of the first reply.
pub(crate) async fn first_reply(ns: &Netns, address: Ipv6Addr) -> Result<Instant, Failure> {
    let replied = async {
        loop {
            if let Some(at) = attempt(ns, address).await? {
                return Ok(at);
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, replied)
        .await
        .map_err(|_| format!("{address} does not answer ping"))?
}

async fn attempt(ns: &Netns, address: Ipv6Addr) -> Result<Option<Instant>, Failure> {
    let mut command = Command::new("ping");
    command.args(["-6", "-n", "-i", "0.01", &address.to_string()]);
    command
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let runtime = tokio::runtime::Handle::current();
    let mut child = ns.run(|| {
        let _inside = runtime.enter();
        command.spawn()
    })?;
    let out = child.stdout.take().ok_or("no pipe from ping")?;
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        if line.contains(" bytes from ") {
            let now = Instant::now();
            child.kill().await?;
            return Ok(Some(now));
        }
    }
    child.wait().await?;
    Ok(None)
}
