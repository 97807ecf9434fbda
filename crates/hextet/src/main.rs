//! `hextet`: arguments, settings, wiring.

mod acme;
mod certificates;
mod check;
mod cli;
mod config;
mod demo;
mod dns;
mod doctor;
mod edge;
mod files;
mod init;
mod log;
mod metadata;
mod metrics;
mod name;
mod network;
mod notifications;
mod notify;
mod purge;
mod up;

use std::process::ExitCode;

use clap::Parser;

/// The C library's allocator keeps for each thread what that thread once freed (a password hash's
/// 19 MiB), or has all threads wait for one lock; this one does neither.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a command can fail with: a sentence for the operator, with its causes.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    // The database and its log, among others, are made by libraries: nobody else may read them.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let args = cli::Args::parse();
    match cli::run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hextet: {}", cloud::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
