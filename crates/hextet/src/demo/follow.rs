//! Watches servers come: when each becomes ACTIVE, and when it first answers ping.
//!
//! A server's clock starts at the last look in which it was not there: that is before its request
//! was answered, so that the times can only be too long, by one pause between looks at most.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use linux::netns::Netns;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::Client;
use super::reach;
use crate::Failure;

const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(240);

/// A server and its times, from the moment of the request.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) id: String,
    pub(super) address: Ipv6Addr,
    pub(super) active: Option<Duration>,
    pub(super) pinged: Option<Duration>,
    asked: Instant,
}

type Servers = BTreeMap<String, Followed>;
/// Pings under way; each ends with the server's name and the time of the first reply.
type Pings = JoinSet<Result<(String, Instant), Failure>>;

/// Follows until this many servers are ACTIVE and have answered. The map is by name.
///
/// # Errors
/// A server in ERROR, with its fault; and what never comes.
pub(super) async fn follow(
    client: &mut Client,
    outside: &Netns,
    count: usize,
) -> Result<Servers, Failure> {
    let (began, mut before) = (Instant::now(), Instant::now());
    let (mut servers, mut pings) = (Servers::new(), Pings::new());
    while servers.len() < count || !servers.values().all(Followed::is_here) {
        if began.elapsed() > PATIENCE {
            return Err(format!("not all is well after {PATIENCE:?}: {servers:?}").into());
        }
        let asked = Instant::now();
        let answer = client.get("/compute/v2.1/servers/detail").await?;
        for server in answer["servers"].as_array().into_iter().flatten() {
            look(server, &mut servers, before, outside, &mut pings)?;
        }
        before = asked;
        while let Some(done) = pings.try_join_next() {
            let (name, at) = done??;
            if let Some(server) = servers.get_mut(&name) {
                server.pinged = Some(at - server.asked);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(servers)
}

impl Followed {
    fn is_here(&self) -> bool {
        self.active.is_some() && self.pinged.is_some()
    }
}

fn look(
    server: &Value,
    servers: &mut Servers,
    before: Instant,
    outside: &Netns,
    pings: &mut Pings,
) -> Result<(), Failure> {
    let text = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
    let name = text("name");
    if text("status") == "ERROR" {
        return Err(format!("server {name}: {}", server["fault"]["message"]).into());
    }
    let Some(address) = address(server) else {
        return Ok(());
    };
    let known = servers.entry(name.clone()).or_insert_with(|| {
        let outside = outside.clone();
        pings.spawn(async move {
            reach::ping(&outside, address.into()).await?;
            Ok((name, Instant::now()))
        });
        Followed {
            id: text("id"),
            address,
            active: None,
            pinged: None,
            asked: before,
        }
    });
    if text("status") == "ACTIVE" {
        known.active.get_or_insert_with(|| known.asked.elapsed());
    }
    Ok(())
}

/// The first IPv6 address of a server.
fn address(server: &Value) -> Option<Ipv6Addr> {
    let networks = server["addresses"].as_object()?.values();
    let mut all = networks.flat_map(|n| n.as_array().into_iter().flatten());
    all.find_map(|a| a["addr"].as_str()?.parse().ok())
}
