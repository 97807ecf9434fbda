//! What the APIs cost: start, memory, time of a request, requests in a second.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Failure;
use crate::client::Client;
use crate::figures::{Figures, Series};
use crate::world::{World, post};

/// Idle is what remains when the work of starting is done, the trial of KVM too.
const IDLE_AFTER: Duration = Duration::from_secs(3);
/// Requests of each kind for one run.
const REQUESTS: usize = 5;
/// Connections that ask at the same time.
pub(crate) const CLIENTS: usize = 8;
const THROUGHPUT_FOR: Duration = Duration::from_secs(1);

/// What is looked at. hextet remembers answers until something changes; a number in the query, which
/// no list knows, makes each question a new one, so that what making an answer costs is seen too.
const LISTS: [&str; 8] = [
    "/compute/v2.1/servers/detail",
    "/network/v2.0/networks",
    "/network/v2.0/ports",
    "/image/v2/images",
    "/volume/v3/volumes/detail",
    "/compute/v2.1/servers/detail?anew={n}",
    "/network/v2.0/networks?anew={n}",
    "/network/v2.0/ports?anew={n}",
];

/// The path, with a number of its own where it has a place for one.
fn numbered(path: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    path.replace("{n}", &NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// From starting the process to answers of all services, and what it then takes of memory.
pub(crate) async fn start(
    world: &mut World,
    runs: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let mut time = Series::new("start until all APIs answer over TLS", "ms");
    let mut memory = Series::new("memory idle (PSS of all our processes)", "MiB");
    for _ in 0..runs {
        time.add_time(world.up().await?);
        sleep(IDLE_AFTER).await;
        memory.add(pss_mib(world.pid().ok_or("hextet ended")?)?);
        world.kill().await?;
        sleep(Duration::from_millis(200)).await;
    }
    figures.add(time);
    figures.add(memory);
    Ok(())
}

/// Times of single requests on one connection, and throughput on several.
pub(crate) async fn requests(
    world: &World,
    runs: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let mut client = world.client().await?;
    let network = made(&mut client, "network", json!({"name": "bench"})).await?;
    figures.add(tokens(world, runs).await?);
    figures.add(
        creations(
            &mut client,
            runs,
            "network",
            |n| json!({"name": format!("n{n}")}),
        )
        .await?,
    );
    figures.add(subnets(&mut client, runs).await?);
    let port = |_| json!({"network_id": network});
    figures.add(creations(&mut client, runs, "port", port).await?);
    let group = made(&mut client, "security_group", json!({"name": "bench"})).await?;
    let rule = |n: usize| {
        json!({"security_group_id": group, "direction": "ingress", "ethertype": "IPv6",
               "protocol": "tcp", "port_range_min": n + 1, "port_range_max": n + 1})
    };
    figures.add(creations(&mut client, runs, "security_group_rule", rule).await?);
    for path in LISTS {
        figures.add(lists(&mut client, runs, path).await?);
    }
    for path in LISTS {
        figures.add(throughput(world, runs, path).await?);
    }
    Ok(())
}

async fn tokens(world: &World, runs: usize) -> Result<Series, Failure> {
    let account = world.account()?;
    let mut client = world.client().await?;
    let mut series = Series::new("POST /identity/v3/auth/tokens", "ms");
    for _ in 0..runs * REQUESTS {
        let began = Instant::now();
        client.log_in(&account).await?;
        series.add_time(began.elapsed());
    }
    Ok(series)
}

/// Times of one path on one connection.
pub(crate) async fn lists(client: &mut Client, runs: usize, path: &str) -> Result<Series, Failure> {
    let items = client.get(path).await?;
    let count = items
        .as_object()
        .and_then(|o| o.values().find_map(Value::as_array));
    let count = count.map_or(0, Vec::len);
    let mut series = Series::new(format!("GET {path} ({count} of them)"), "ms");
    for _ in 0..runs * REQUESTS {
        let path = numbered(path);
        let began = Instant::now();
        client.ask(Method::GET, &path, None).await?;
        series.add_time(began.elapsed());
    }
    Ok(series)
}

async fn creations(
    client: &mut Client,
    runs: usize,
    kind: &str,
    wanted: impl Fn(usize) -> Value,
) -> Result<Series, Failure> {
    let mut series = Series::new(
        format!("POST /network/v2.0/{}s", kind.replace('_', "-")),
        "ms",
    );
    for n in 0..runs * REQUESTS {
        let wanted = wanted(n);
        let began = Instant::now();
        made(client, kind, wanted).await?;
        series.add_time(began.elapsed());
    }
    Ok(series)
}

/// Each on a network of its own, as most are.
async fn subnets(client: &mut Client, runs: usize) -> Result<Series, Failure> {
    let mut series = Series::new("POST /network/v2.0/subnets", "ms");
    for n in 0..runs * REQUESTS {
        let network = made(client, "network", json!({"name": format!("s{n}")})).await?;
        let wanted = json!({"network_id": network, "ip_version": 6, "cidr": format!("2001:db8:{n:x}::/64"),
                            "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
        let began = Instant::now();
        made(client, "subnet", wanted).await?;
        series.add_time(began.elapsed());
    }
    Ok(series)
}

/// Makes one thing of the network API, and returns its id.
pub(crate) async fn made(
    client: &mut Client,
    kind: &str,
    wanted: Value,
) -> Result<String, Failure> {
    let path = format!("/network/v2.0/{}s", kind.replace('_', "-"));
    let made = post(client, &path, json!({kind: wanted})).await?;
    let id = made[kind]["id"].as_str();
    Ok(id.ok_or_else(|| format!("POST {path}: no id"))?.to_owned())
}

/// Answers a second to several connections that ask for one path without a pause.
pub(crate) async fn throughput(world: &World, runs: usize, path: &str) -> Result<Series, Failure> {
    let name = format!("GET {path}, {CLIENTS} keep-alive clients");
    let mut series = Series::new(name, "/s");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(world.client().await?);
    }
    for _ in 0..runs {
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for client in clients.drain(..) {
            tasks.spawn(busy(client, path.to_owned(), began + THROUGHPUT_FOR));
        }
        let mut answers = 0;
        while let Some(done) = tasks.join_next().await {
            let (client, count) = done??;
            clients.push(client);
            answers += count;
        }
        series.add(f64::from(answers) / began.elapsed().as_secs_f64());
    }
    Ok(series)
}

async fn busy(mut client: Client, path: String, until: Instant) -> Result<(Client, u32), Failure> {
    let mut count = 0;
    while Instant::now() < until {
        match client.ask(Method::GET, &numbered(&path), None).await? {
            (status, _) if status.is_success() => count += 1,
            (status, _) => return Err(format!("GET {path}: {status}").into()),
        }
    }
    Ok((client, count))
}

/// The proportional set size of a process and its children (proc_pid_smaps(5)).
pub(crate) fn pss_mib(pid: u32) -> Result<f64, Failure> {
    let mut kib = 0.0;
    for pid in family(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
        let number = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib += number.ok_or("smaps_rollup has no Pss")?;
    }
    Ok(kib / 1024.0)
}

fn family(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten();
    let pids = all.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
    std::iter::once(pid)
        .chain(pids.filter(|p| parent(*p) == Some(pid)))
        .collect()
}
