//! A volume that keeps its data: written in one server, read in another, with hextet killed between.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use tokio::time::sleep;

use super::client::Client;
use super::openstack::OpenStack;
use super::reach;
use crate::Failure;

/// How long a volume may take from one state to the next.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is written, and read again.
const TEXT: &str = "written before hextet was killed";

/// A server as SSH reaches it.
#[derive(Clone, Copy)]
pub(super) struct Door<'a> {
    pub(super) outside: &'a Netns,
    pub(super) address: IpAddr,
    pub(super) key: &'a Path,
}

/// Makes a volume, gives it to a server that runs, and writes on it there. Returns its id.
pub(super) async fn write(
    openstack: OpenStack<'_>,
    client: &mut Client,
    server: &str,
    door: Door<'_>,
) -> Result<String, Failure> {
    let id = openstack
        .create_id(&["volume", "create", "--size", "1", "data"])
        .await?;
    until(client, &id, "available").await?;
    attach(openstack, client, server, &id).await?;
    let device = device(door, &id).await?;
    run(
        door,
        &format!("printf %s '{TEXT}' | dd of={device} bs=512 conv=sync,fsync 2>/dev/null"),
    )
    .await?;
    Ok(id)
}

/// Takes the volume from one server, gives it to another, and reads it there.
pub(super) async fn read_elsewhere(
    openstack: OpenStack<'_>,
    client: &mut Client,
    id: &str,
    (from, to): (&str, &str),
    door: Door<'_>,
) -> Result<(), Failure> {
    openstack
        .run(&["server", "remove", "volume", from, id])
        .await?;
    until(client, id, "available").await?;
    attach(openstack, client, to, id).await?;
    let device = device(door, id).await?;
    let read = run(door, &format!("head -c {} {device}", TEXT.len())).await?;
    match read == TEXT {
        true => Ok(()),
        false => Err(format!("the volume held '{TEXT}', and {to} reads '{read}'").into()),
    }
}

async fn attach(
    openstack: OpenStack<'_>,
    client: &mut Client,
    server: &str,
    id: &str,
) -> Result<(), Failure> {
    openstack
        .run(&["server", "add", "volume", server, id])
        .await?;
    until(client, id, "in-use").await
}

async fn until(client: &mut Client, id: &str, wanted: &str) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let path = format!("/volume/v3/volumes/{id}");
        let volume = client.get(&path).await?["volume"].take();
        match volume["status"].as_str() {
            Some(status) if status == wanted => return Ok(()),
            Some("error") => return Err(format!("the volume failed: {volume}").into()),
            _ if began.elapsed() > PATIENCE => {
                return Err(
                    format!("the volume is not {wanted} after {PATIENCE:?}: {volume}").into(),
                );
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The volume's device in the guest, by the serial number that it has there.
async fn device(door: Door<'_>, id: &str) -> Result<String, Failure> {
    let serial = &id[..20];
    let find = format!(
        "for d in /sys/block/*; do [ \"$(cat $d/serial 2>/dev/null)\" = {serial} ] && echo /dev/${{d##*/}}; done; true"
    );
    let began = Instant::now();
    loop {
        let found = run(door, &find).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the guest sees no disk with the serial number {serial}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn run(door: Door<'_>, command: &str) -> Result<String, Failure> {
    reach::run(door.outside, door.address, door.key, command).await
}
