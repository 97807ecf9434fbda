//! Many servers on made-up nodes: what the control plane does, and nothing but that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Failure;
use crate::apis::{CLIENTS, lists, made, pss_mib, throughput};
use crate::client::Client;
use crate::figures::{Figures, Series};
use crate::servers::{SERVERS, flavor, image};
use crate::world::World;

/// Nodes that the servers are spread over.
pub(crate) const NODES: u16 = 10;
/// The smaller cloud that is measured on the way.
const SOME: usize = 100;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(300);
/// How often each list is read.
const RUNS: usize = 3;

/// Makes servers, reads them, starts again with them, and deletes them.
pub(crate) async fn scale(
    world: &mut World,
    servers: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    world.up().await?;
    let wanted = prepare(world).await?;
    let few = SOME.min(servers);
    grow(world, &wanted, 0, few, figures).await?;
    if servers > few {
        grow(world, &wanted, few, servers, figures).await?;
    }
    start(world, servers, figures).await?;
    shrink(world, servers, figures).await
}

/// What every server is made of.
async fn prepare(world: &World) -> Result<Value, Failure> {
    let client = &mut world.client().await?;
    let network = made(client, "network", json!({"name": "scale"})).await?;
    let subnet = json!({"network_id": network, "ip_version": 6, "cidr": "2001:db8:c::/64",
                        "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    made(client, "subnet", subnet).await?;
    let blank = json!({"name": "blank", "disk_format": "raw", "container_format": "bare"});
    let image = image(client, blank, vec![0; 1 << 20]).await?;
    let flavor = flavor(client).await?;
    world.lift_quotas(client).await?;
    Ok(
        json!({"server": {"name": "many", "imageRef": image, "flavorRef": flavor,
                         "networks": [{"uuid": network}]}}),
    )
}

/// From so many servers to so many, and what reading them takes then.
async fn grow(
    world: &World,
    wanted: &Value,
    from: usize,
    to: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let count = to - from;
    let began = Instant::now();
    let bodies = (from..to).map(|n| {
        let mut wanted = wanted.clone();
        wanted["server"]["name"] = format!("many-{n}").into();
        (Method::POST, SERVERS.to_owned(), Some(wanted))
    });
    at_once(world, CLIENTS, bodies.collect()).await?;
    let mut created = Series::new(
        format!("POST {count} servers, {CLIENTS} clients ({from} before)"),
        "s",
    );
    created.add_time(began.elapsed());
    let mut client = world.client().await?;
    all_active(&mut client).await?;
    let mut active = Series::new(format!("the same until all {to} are ACTIVE"), "s");
    active.add_time(began.elapsed());
    figures.add(created);
    figures.add(active);
    let one = client.get(&format!("{SERVERS}?limit=1")).await?;
    let one = one["servers"][0]["id"].as_str().ok_or("no server")?;
    let one = format!("{SERVERS}/{one}");
    for path in [
        &one,
        SERVERS,
        "/compute/v2.1/servers/detail",
        "/compute/v2.1/servers/detail?anew={n}",
        "/network/v2.0/networks",
        "/network/v2.0/ports",
        "/image/v2/images",
    ] {
        let name = if path == one {
            "/compute/v2.1/servers/ID"
        } else {
            path
        };
        figures.add(
            lists(&mut client, RUNS, path)
                .await?
                .named(format!("GET {name}, {to} servers")),
        );
        let many = throughput(world, RUNS, path).await?;
        figures.add(many.named(format!("GET {name}, {to} servers, {CLIENTS} clients")));
    }
    let mut memory = Series::new(format!("memory (PSS) with {to} servers"), "MiB");
    memory.add(pss_mib(world.pid().ok_or("hextet ended")?)?);
    figures.add(memory);
    Ok(())
}

/// A start with all of them, as after a power failure.
async fn start(world: &mut World, servers: usize, figures: &mut Figures) -> Result<(), Failure> {
    let mut time = Series::new(
        format!("start with {servers} servers until all APIs answer"),
        "ms",
    );
    let mut memory = Series::new(format!("memory (PSS) after a start with {servers}"), "MiB");
    for _ in 0..RUNS {
        world.kill().await?;
        sleep(Duration::from_millis(200)).await;
        time.add_time(world.up().await?);
        sleep(Duration::from_secs(1)).await;
        memory.add(pss_mib(world.pid().ok_or("hextet ended")?)?);
    }
    figures.add(time);
    figures.add(memory);
    Ok(())
}

/// Deletes every server.
async fn shrink(world: &World, servers: usize, figures: &mut Figures) -> Result<(), Failure> {
    let mut client = world.client().await?;
    let mut time = Series::new(
        format!("DELETE {servers} servers, {CLIENTS} clients, until gone"),
        "s",
    );
    let ids = ids(&mut client).await?;
    let began = Instant::now();
    at_once(world, CLIENTS, deletions(&ids)).await?;
    until_gone(&mut client).await?;
    time.add_time(began.elapsed());
    figures.add(time);
    Ok(())
}

/// Servers that really start, all asked for at the same moment; and their end.
pub(crate) async fn burst(
    world: &World,
    wanted: &Value,
    runs: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    const AT_ONCE: usize = 10;
    let mut client = world.client().await?;
    let mut active = Series::new(format!("{AT_ONCE} servers at once until all ACTIVE"), "s");
    let mut gone = Series::new(
        format!("DELETE of {AT_ONCE} servers at once until gone"),
        "s",
    );
    world.lift_quotas(&mut client).await?;
    for _ in 0..runs {
        let body = (Method::POST, SERVERS.to_owned(), Some(wanted.clone()));
        active.add_time(
            at_once(world, AT_ONCE, vec![body; AT_ONCE]).await? + all_active(&mut client).await?,
        );
        let ids = ids(&mut client).await?;
        gone.add_time(
            at_once(world, AT_ONCE, deletions(&ids)).await? + until_gone(&mut client).await?,
        );
    }
    figures.add(active);
    figures.add(gone);
    Ok(())
}

type Request = (Method, String, Option<Value>);

fn deletions(ids: &[String]) -> Vec<Request> {
    let request = |id: &String| (Method::DELETE, format!("{SERVERS}/{id}"), None);
    ids.iter().map(request).collect()
}

/// Sends requests over several connections, each of which takes the next one. How long it took,
/// without logging in.
async fn at_once(
    world: &World,
    clients: usize,
    requests: Vec<Request>,
) -> Result<Duration, Failure> {
    let mut idle = Vec::new();
    for _ in 0..clients {
        idle.push(world.client().await?);
    }
    let queue = Arc::new(Mutex::new(VecDeque::from(requests)));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for client in idle {
        tasks.spawn(work_off(client, queue.clone()));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(began.elapsed())
}

async fn work_off(mut client: Client, queue: Arc<Mutex<VecDeque<Request>>>) -> Result<(), Failure> {
    loop {
        let next = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some((method, path, body)) = next else {
            return Ok(());
        };
        let asked = format!("{method} {path}");
        let (status, said) = client.ask(method, &path, body.map(Into::into)).await?;
        if !status.is_success() {
            return Err(format!("{asked}: {status} {}", String::from_utf8_lossy(&said)).into());
        }
    }
}

async fn all_active(client: &mut Client) -> Result<Duration, Failure> {
    let began = Instant::now();
    while !none(client, "status=BUILD").await? {
        patient(began, "servers are still being built")?;
    }
    match none(client, "status=ERROR").await? {
        true => Ok(began.elapsed()),
        false => Err("a server is in ERROR".into()),
    }
}

async fn until_gone(client: &mut Client) -> Result<Duration, Failure> {
    let began = Instant::now();
    while !none(client, "").await? {
        patient(began, "servers are still there")?;
    }
    Ok(began.elapsed())
}

/// Whether no server answers to a filter; if one does, a moment has passed.
async fn none(client: &mut Client, filter: &str) -> Result<bool, Failure> {
    let found = client.get(&format!("{SERVERS}?limit=1&{filter}")).await?;
    let none = found["servers"].as_array().is_some_and(Vec::is_empty);
    if !none {
        sleep(LOOK_EVERY).await;
    }
    Ok(none)
}

fn patient(began: Instant, what: &str) -> Result<(), Failure> {
    match began.elapsed() < PATIENCE {
        true => Ok(()),
        false => Err(format!("after {PATIENCE:?} {what}").into()),
    }
}

async fn ids(client: &mut Client) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    loop {
        let marker = all
            .last()
            .map(|id| format!("?marker={id}"))
            .unwrap_or_default();
        let page = client.get(&format!("{SERVERS}{marker}")).await?;
        let page = page["servers"].as_array().into_iter().flatten();
        let found: Vec<String> = page
            .filter_map(|s| s["id"].as_str().map(str::to_owned))
            .collect();
        if found.is_empty() {
            return Ok(all);
        }
        all.extend(found);
    }
}
