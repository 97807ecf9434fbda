//! `make bench-lan`: what a guest waits for on its link, by hextet's own services and by the daemons
//! that others run for the same: radvd, Kea, dnsmasq.
//!
//! Two namespaces joined by a veth stand for a network and a guest. The servers take turns on the same
//! link with the same client, so that all suffer alike from a noisy machine.

mod client;
mod servers;
mod site;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use servers::{Server, Which};
use site::Site;

/// What the bench can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Router Advertisements and DHCPv6. Needs root, radvd, kea-dhcp6 and dnsmasq.
#[derive(Debug, Parser)]
struct Args {
    /// How often each server has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Solicitations in a turn.
    #[arg(long, default_value_t = 300)]
    solicitations: usize,
    /// Exchanges of DHCPv6 (Solicit, Advertise, Request, Reply) in a turn.
    #[arg(long, default_value_t = 2000)]
    exchanges: u32,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&e.into()),
    };
    let _inside = runtime.enter();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(&e),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("bench-lan: {error}");
    ExitCode::FAILURE
}

fn run(args: &Args) -> Result<(), Failure> {
    let site = Site::new()?;
    println!(
        "RS to RA, median of {} rounds of {}",
        args.rounds, args.solicitations
    );
    let adverts = [Which::Hextet, Which::Radvd];
    let waits = turns(args.rounds, &adverts, |which| {
        let _server = Server::adverts(which, &site)?;
        client::solicit(&site, args.solicitations)
    })?;
    for (which, wait) in adverts.iter().zip(&waits) {
        let ratio = wait.as_secs_f64() / waits[0].as_secs_f64();
        println!(
            "  {which:<8} {:>8.3} ms  {ratio:>6.2}",
            wait.as_secs_f64() * 1e3
        );
    }
    println!(
        "DHCPv6 exchanges per second, 16 at a time, median of {} rounds of {}",
        args.rounds, args.exchanges
    );
    let leases = [Which::Hextet, Which::Kea, Which::Dnsmasq];
    let times = turns(args.rounds, &leases, |which| {
        let _server = Server::leases(which, &site)?;
        client::exchange(&site, args.exchanges)
    })?;
    for (which, time) in leases.iter().zip(&times) {
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        let rate = f64::from(args.exchanges) / time.as_secs_f64();
        println!("  {which:<8} {rate:>8.0} /s  1/{ratio:.2}");
    }
    Ok(())
}

/// The median of each server's turns, which alternate.
fn turns(
    rounds: usize,
    servers: &[Which],
    turn: impl Fn(Which) -> Result<Duration, Failure>,
) -> Result<Vec<Duration>, Failure> {
    let mut times = vec![Vec::new(); servers.len()];
    for _ in 0..rounds {
        for (which, times) in servers.iter().zip(&mut times) {
            times.push(turn(*which).map_err(|e| format!("{which}: {e}"))?);
        }
    }
    Ok(times.iter_mut().map(|times| median(times)).collect())
}

/// The middle one.
fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
