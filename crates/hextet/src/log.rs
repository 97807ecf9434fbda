//! The log: on standard error, JSON when it is not read by a person.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins logging. `HEXTET_LOG` chooses what (`debug`, `info,lan=debug`), as `tracing` reads it.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("HEXTET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    // A second call in one process keeps the first log.
    let _ = match terminal {
        true => log
            .with_ansi(std::env::var_os("NO_COLOR").is_none())
            .try_init(),
        false => log.json().flatten_event(true).try_init(),
    };
}
