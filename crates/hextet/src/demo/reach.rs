//! Reaching servers from the outside: ping and SSH, run inside the outside's namespace.

use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Failure;

/// How long a server may take to answer. An emulated one on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two pings, in seconds: what times are exact to.
const PING_EVERY: &str = "0.05";
const SSH_AGAIN: Duration = Duration::from_millis(200);
/// What a first attempt may do that meets a server which is still starting.
const SSH_ONCE: Duration = Duration::from_secs(20);

/// Pings until the first reply.
///
/// # Errors
/// When none comes.
pub(super) async fn ping(outside: &Netns, address: IpAddr) -> Result<(), Failure> {
    let replied = async {
        while !pinged(outside, address).await? {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    match timeout(PATIENCE, replied).await {
        Ok(done) => done,
        Err(_) => Err(format!("{address} did not answer ping within {PATIENCE:?}").into()),
    }
}

/// One `ping` until it hears something; `false` when it ends without a reply.
async fn pinged(outside: &Netns, address: IpAddr) -> Result<bool, Failure> {
    let mut command = Command::new("ping");
    command.args(["-n", "-i", PING_EVERY, &address.to_string()]);
    command
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawn_in(outside, command)?;
    let out = child.stdout.take().ok_or("no pipe from ping")?;
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        if line.contains(" bytes from ") {
            child.kill().await?;
            return Ok(true);
        }
    }
    child.wait().await?;
    Ok(false)
}

/// Runs `hostname` over SSH, again and again until it answers.
///
/// # Errors
/// What the last attempt said; or another name than the server's.
pub(super) async fn ssh(
    outside: &Netns,
    address: IpAddr,
    key: &Path,
    name: &str,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let said = match timeout(SSH_ONCE, run(outside, address, key, "hostname")).await {
            Ok(Ok(heard)) if heard == name => return Ok(()),
            Ok(Ok(heard)) => {
                return Err(format!("{name} at {address} says that it is '{heard}'").into());
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer".into(),
        };
        if began.elapsed() > PATIENCE {
            return Err(
                format!("no SSH to {name} at {address} within {PATIENCE:?}: {said}").into(),
            );
        }
        sleep(SSH_AGAIN).await;
    }
}

/// The options of `ssh` with which a person would get in as well.
pub(super) fn ssh_options(key: &Path) -> Vec<String> {
    let mut options = vec!["-F".into(), "none".into(), "-i".into()];
    options.push(key.display().to_string());
    // Each server's host key is new, and the link leads nowhere but to it.
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
    ] {
        options.extend(["-o".into(), option.into()]);
    }
    options
}

/// Runs a command over SSH, and returns what it says.
///
/// # Errors
/// What SSH or the command complained of.
pub(super) async fn run(
    outside: &Netns,
    address: IpAddr,
    key: &Path,
    line: &str,
) -> Result<String, Failure> {
    let mut command = Command::new("ssh");
    command.args(ssh_options(key));
    for option in ["BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=5"] {
        command.args(["-o", option]);
    }
    command
        .arg(format!("root@{address}"))
        .arg(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = spawn_in(outside, command)?.wait_with_output().await?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&done.stderr).trim().into()),
    }
}

/// Starts a program inside a namespace. It ends when its handle is dropped.
fn spawn_in(ns: &Netns, mut command: Command) -> Result<Child, Failure> {
    command.kill_on_drop(true).process_group(0);
    let runtime = tokio::runtime::Handle::current();
    // A child is born in the namespace of the thread that forks.
    Ok(ns.run(|| {
        let _inside = runtime.enter();
        command.spawn()
    })?)
}
