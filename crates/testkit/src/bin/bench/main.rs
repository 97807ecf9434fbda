//! `make bench`: how fast and how small a hextet is, on this machine, now.
//!
//! It measures an unmodified binary over its APIs, in a directory and in network namespaces of its
//! own; all requests go to `[::1]`. Where a figure says little alone, the same thing done without
//! hextet is measured beside it, turn by turn, so that both suffer alike from a noisy machine.

mod apis;
mod bare;
mod figures;
mod ping;
mod servers;
mod world;

/// The demo's client: what it measures must speak like an OpenStack client, over HTTP/1.1.
#[path = "../../../../hextet/src/demo/client.rs"]
mod client;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
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

async fn run(args: &Args) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut world = World::make(&args.hextet, &args.guest)?;
    let measured = tokio::select! {
        measured = measure(&mut world, args.runs) => measured,
        _ = terminate.recv() => Err("stopped by SIGTERM".into()),
        _ = interrupt.recv() => Err("stopped by Ctrl-C".into()),
    };
    world.remove().await?;
    let figures = measured?;
    print!("{figures}");
    if let Some(file) = &args.json {
        std::fs::write(file, figures.json()?)
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    }
    Ok(())
}

async fn measure(world: &mut World, runs: usize) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    world.init().await?;
    apis::start(world, runs, &mut figures).await?;
    world.up().await?;
    let wanted = servers::prepare(world).await?;
    servers::populate(world, &wanted).await?;
    apis::requests(world, runs, &mut figures).await?;
    servers::beside_bare(world, &wanted, runs, &mut figures).await?;
    Ok(figures)
}
