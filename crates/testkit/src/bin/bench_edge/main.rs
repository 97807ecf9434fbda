//! `make bench-edge`: what TLS costs at hextet's own edge, and at Debian's haproxy in front of the
//! same hextet.
//!
//! Both have the same certificate, and the client offers one cipher suite and one group, so that
//! both do the same work. They take turns with the same client on the same processors; what a peer
//! costs is told per second of processor time that it used, which a busy machine changes little.

mod client;
mod peer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use client::Client;
use peer::{Cloud, Peer};

/// What the bench can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures handshakes, requests and idle connections. Needs haproxy.
#[derive(Debug, Parser)]
struct Args {
    /// The program to measure.
    #[arg(long)]
    hextet: PathBuf,
    /// How often each peer has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Handshakes in a turn.
    #[arg(long, default_value_t = 2000)]
    handshakes: usize,
    /// Seconds of requests in a turn.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections that are held open and say nothing. Each takes a file here and one at the peer.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
}

fn main() -> ExitCode {
    let done = tokio::runtime::Runtime::new()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run(&Args::parse())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench-edge: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let cloud = Cloud::start(&args.hextet, args.idle).await?;
    let peers = [cloud.hextet(), cloud.haproxy()];
    println!(
        "medians of {} rounds; the ratio is hextet over haproxy",
        args.rounds
    );
    for resumed in [false, true] {
        let kind = if resumed { "resumed" } else { "full" };
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..args.rounds {
            for (peer, rates) in peers.iter().zip(&mut rates) {
                let client = Client::new(peer.port, &cloud.ca)?;
                let before = peer.edge_seconds()?;
                client.handshakes(args.handshakes, resumed).await?;
                let used = peer.edge_seconds()? - before;
                rates.push(args.handshakes as f64 / used);
            }
        }
        row(
            &format!("{kind} handshakes per second of a processor"),
            &mut rates,
        );
    }
    let rates = requests(args, &cloud, &peers).await?;
    let half = rates / 2.0;
    let mut late = [Vec::new(), Vec::new()];
    let mut middle = [Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        for (at, peer) in peers.iter().enumerate() {
            let client = Client::new(peer.port, &cloud.ca)?;
            let mut waits = client
                .at_rate(half, Duration::from_secs(args.seconds))
                .await?;
            waits.sort();
            late[at].push(waits[waits.len() * 99 / 100].as_secs_f64() * 1e6);
            middle[at].push(waits[waits.len() / 2].as_secs_f64() * 1e6);
        }
    }
    row(&format!("p99 at {half:.0} requests/s, µs"), &mut late);
    row(&format!("median at {half:.0} requests/s, µs"), &mut middle);
    let mut memory = [Vec::new(), Vec::new()];
    for (peer, memory) in peers.iter().zip(&mut memory) {
        let before = peer.edge_kib()?;
        let client = Client::new(peer.port, &cloud.ca)?;
        let held = client.hold(args.idle).await?;
        memory.push((peer.edge_kib()? - before) / args.idle as f64);
        drop(held);
    }
    let idle = args.idle;
    row(
        &format!("KiB of memory for each of {idle} idle connections"),
        &mut memory,
    );
    Ok(())
}

/// Requests per second with eight connections that are kept, and the lesser peer's rate.
async fn requests(args: &Args, cloud: &Cloud, peers: &[Peer; 2]) -> Result<f64, Failure> {
    let mut rates = [Vec::new(), Vec::new()];
    let mut octets = 0;
    for _ in 0..args.rounds {
        for (peer, rates) in peers.iter().zip(&mut rates) {
            let client = Client::new(peer.port, &cloud.ca)?;
            let (count, length) = client.flood(Duration::from_secs(args.seconds)).await?;
            octets = length;
            rates.push(count as f64 / args.seconds as f64);
        }
    }
    row(
        &format!("requests/s, 8 connections, answers of {octets} octets"),
        &mut rates,
    );
    Ok(median(&mut rates[0]).min(median(&mut rates[1])))
}

fn row(what: &str, values: &mut [Vec<f64>; 2]) {
    let [hextet, haproxy] = values.each_mut().map(|v| median(v));
    println!(
        "{what:<58} hextet {hextet:>9.1}  haproxy {haproxy:>9.1}  {:>5.2}",
        hextet / haproxy
    );
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
