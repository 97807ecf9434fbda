//! `make bench-lan`: what guests meet on their link, by hextet and by what others run for the same:
//! radvd, Kea, dnsmasq, and tables of rules one after the other.
//!
//! Namespaces joined by veths stand for networks and guests. Those that are compared take turns on the
//! same link, so that all suffer alike from a noisy machine.

mod client;
mod memory;
mod packets;
mod ports;
mod servers;
mod site;

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use memory::{Networks, Taken};
use packets::{Layout, Load, Pair};
use servers::{Server, Which};
use site::Site;

/// What the bench can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// How soon a solicitation is answered.
    Adverts,
    /// How many exchanges of DHCPv6 a second.
    Leases,
    /// How soon a new port is answered, among a thousand.
    Ports,
    /// What the services of many networks take.
    Memory,
    /// What rules and ports cost a packet.
    Packets,
}

/// Measures what guests meet on their link. Needs root, nft, radvd, kea-dhcp6 and dnsmasq.
#[derive(Debug, Parser)]
struct Args {
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
    /// How often each server has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Solicitations in a turn.
    #[arg(long, default_value_t = 300)]
    solicitations: usize,
    /// Exchanges of DHCPv6 (Solicit, Advertise, Request, Reply) in a turn.
    #[arg(long, default_value_t = 2000)]
    exchanges: u32,
    /// Ports added in a turn.
    #[arg(long, default_value_t = 300)]
    ports: u16,
    /// Networks whose memory is measured.
    #[arg(long, default_value_t = 1000)]
    networks: usize,
    /// As many of them have a radvd and a dnsmasq.
    #[arg(long, default_value_t = 100)]
    daemons: usize,
    /// Packets in a turn.
    #[arg(long, default_value_t = 100_000)]
    packets: u32,
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
    let chosen: &[Part] = match &args.only {
        Some(only) => std::slice::from_ref(only),
        None => Part::value_variants(),
    };
    chosen.iter().try_for_each(|part| match part {
        Part::Adverts => adverts(args),
        Part::Leases => leases(args),
        Part::Ports => ports(args),
        Part::Memory => memory(args),
        Part::Packets => packets(args),
    })
}

/// While it lasts, this process and what it starts share one processor. Where asker and answerer
/// sleep on two, the time until an idle processor wakes is most of what is measured (0.006 to
/// 0.078 ms from one run to the next), and which of them do is the scheduler's to choose.
struct OneProcessor(CpuSet);

impl OneProcessor {
    fn pin() -> Result<OneProcessor, Failure> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        let first = (0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(first.ok_or("no processor may be used")?)?;
        sched_setaffinity(this, &one)?;
        Ok(OneProcessor(before))
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

fn adverts(args: &Args) -> Result<(), Failure> {
    let _one = OneProcessor::pin()?;
    let site = Site::new()?;
    println!(
        "RS to RA, all on one processor, median of {} rounds of {}",
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
    Ok(())
}

fn leases(args: &Args) -> Result<(), Failure> {
    let site = Site::new()?;
    println!(
        "DHCPv6 exchanges per second, 16 at a time, median of {} rounds of {}",
        args.rounds, args.exchanges
    );
    let leases = [Which::Hextet, Which::Kea, Which::Dnsmasq];
    let times = turns(args.rounds, &leases, |which| {
        let _server = Server::leases(which, &site)?;
        client::exchange(&site, args.exchanges)
    })?;
    rates(&leases, &times, args.exchanges);
    Ok(())
}

fn ports(args: &Args) -> Result<(), Failure> {
    let site = Site::new()?;
    println!(
        "Ports per second added to a network of {}, each until DHCP offers it its address, median of {} rounds of {}",
        ports::THERE,
        args.rounds,
        args.ports
    );
    let servers = [Which::Hextet, Which::Dnsmasq];
    let times = turns(args.rounds, &servers, |which| {
        ports::add(which, &site, args.ports)
    })?;
    rates(&servers, &times, args.ports.into());
    Ok(())
}

fn memory(args: &Args) -> Result<(), Failure> {
    let (all, some) = (args.networks, args.daemons.min(args.networks));
    println!("Memory of the services of {all} networks, MiB: processes (PSS), kernel, both");
    let (networks, spaces) = Networks::new(all)?;
    let line = |name: &str, taken: Taken, counted: usize, ratio: f64| {
        let [processes, kernel, both] = taken.mib(counted, all);
        println!("  {name:<42} {processes:>8.1} {kernel:>8.1} {both:>8.1}  {ratio:>6.1}");
    };
    let own = networks.own()?;
    let daemons = networks.daemons(some)?;
    let ratio = daemons.mib(some, all)[2] / own.mib(all, all)[2];
    line("hextet", own, all, 1.0);
    let name = format!("radvd and dnsmasq, {some} of each, scaled");
    line(&name, daemons, some, ratio);
    println!(
        "  namespaces and links, which all of them need: {:.1}",
        spaces.mib(all, all)[1]
    );
    Ok(())
}

fn packets(args: &Args) -> Result<(), Failure> {
    let pair = Pair::new()?;
    println!(
        "Packets of new connections between two guests per second of a processor, median of {} rounds of {}",
        args.rounds, args.packets
    );
    let load = |layout, rules, ports| Load {
        layout,
        rules,
        ports,
    };
    let loads = [
        load(Layout::Maps, 1, 0),
        load(Layout::Maps, 1, 500),
        load(Layout::Maps, 500, 0),
        load(Layout::Maps, 500, 500),
        load(Layout::Linear, 1, 0),
        load(Layout::Linear, 1, 500),
        load(Layout::Linear, 500, 500),
    ];
    let times = turns(args.rounds, &loads, |load| pair.send(load, args.packets))?;
    for (load, time) in loads.iter().zip(&times) {
        let rate = f64::from(args.packets) / time.as_secs_f64();
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        println!("  {load:<52} {rate:>9.0} /s  1/{ratio:.2}");
    }
    Ok(())
}

fn rates(servers: &[Which], times: &[Duration], count: u32) {
    for (which, time) in servers.iter().zip(times) {
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        let rate = f64::from(count) / time.as_secs_f64();
        println!("  {which:<8} {rate:>8.0} /s  1/{ratio:.2}");
    }
}

/// The median of each server's turns, which alternate.
fn turns<T: Copy + Display>(
    rounds: usize,
    servers: &[T],
    turn: impl Fn(T) -> Result<Duration, Failure>,
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
