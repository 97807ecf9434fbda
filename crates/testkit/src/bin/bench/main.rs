//! `make bench`: how fast and how small a hextet is, on this machine, now.
//!
//! It measures an unmodified binary over its APIs, in a directory and in network namespaces of its
//! own; all requests go to `[::1]`. Where a figure says little alone, the same thing done without
//! hextet is measured beside it, turn by turn, so that both suffer alike from a noisy machine.

mod apis;
mod bare;
mod figures;
mod ping;
mod scale;
mod servers;
mod world;

/// The demo's client: what it measures must speak like an OpenStack client, over HTTP/1.1.
#[path = "../../../../hextet/src/demo/client.rs"]
mod client;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use figures::Figures;
use world::World;

/// What the bench can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures hextet on this machine. Needs root, QEMU, nft and ping.
#[derive(Debug, Parser)]
struct Args {
    /// The program to measure: built with --release.
    #[arg(long, value_name = "FILE")]
    hextet: PathBuf,
    /// The directory with the guests' vmlinuz and initrd, as guest/build makes them.
    #[arg(long, value_name = "DIR")]
    guest: PathBuf,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Measure only this; may be given again.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Servers on made-up nodes, in the part `scale`.
    #[arg(long, default_value_t = 1000)]
    servers: usize,
    /// Also write the figures here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&e.into()),
    };
    match runtime.block_on(run(&Args::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(&e),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Start and memory of an empty cloud.
    Start,
    /// Single requests, and lists of a few things.
    Requests,
    /// A server beside a bare guest.
    Server,
    /// Ten servers at once.
    Burst,
    /// A thousand servers on made-up nodes.
    Scale,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let mut figures = Figures::default();
    if [Part::Start, Part::Requests, Part::Server, Part::Burst]
        .iter()
        .any(|part| args.wants(*part))
    {
        let mut world = World::make(&args.hextet, &args.guest)?;
        let measured = unless_stopped(real(&mut world, args, &mut figures)).await;
        world.remove().await?;
        measured?;
    }
    if args.wants(Part::Scale) {
        let mut world = World::make(&args.hextet, &args.guest)?;
        let measured = unless_stopped(made_up(&mut world, args, &mut figures)).await;
        world.remove().await?;
        measured?;
    }
    print!("{figures}");
    if let Some(file) = &args.json {
        std::fs::write(file, figures.json()?)
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    }
    Ok(())
}

async fn unless_stopped(measure: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        measured = measure => measured,
        _ = terminate.recv() => Err("stopped by SIGTERM".into()),
        _ = interrupt.recv() => Err("stopped by Ctrl-C".into()),
    }
}

/// This host as the node, with real guests.
async fn real(world: &mut World, args: &Args, figures: &mut Figures) -> Result<(), Failure> {
    world.init().await?;
    if args.wants(Part::Start) {
        apis::start(world, args.runs, figures).await?;
    }
    world.up().await?;
    let wanted = servers::prepare(world).await?;
    if args.wants(Part::Burst) {
        scale::burst(world, &wanted, args.runs.min(5), figures).await?;
    }
    if args.wants(Part::Server) {
        servers::beside_bare(world, &wanted, args.runs, figures).await?;
    }
    if args.wants(Part::Requests) {
        servers::populate(world, &wanted).await?;
        apis::requests(world, args.runs, figures).await?;
    }
    Ok(())
}

/// Nodes and guests that are made up.
async fn made_up(world: &mut World, args: &Args, figures: &mut Figures) -> Result<(), Failure> {
    world.init_fakes(scale::NODES).await?;
    scale::scale(world, args.servers, figures).await
}
