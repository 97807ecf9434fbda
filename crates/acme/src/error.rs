//! Why there is no certificate.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::message::Problem;

/// Why no certificate was issued, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the ACME server cannot be asked for {doing}: {why}")]
    Unreachable { doing: &'static str, why: String },
    #[error("the ACME server refused {doing}: {problem}")]
    Refused {
        doing: &'static str,
        problem: Problem,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("the ACME server's answer about {doing} cannot be understood: {why}")]
    Nonsense { doing: &'static str, why: String },
    #[error("the ACME server was not done with {doing} after {} s", .after.as_secs())]
    Late {
        doing: &'static str,
        after: Duration,
    },
    #[error("cannot write {}", .file.display())]
    File {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no ACME account: {why}; bring it back, or remove it to have a new account", .file.display())]
    Account { file: PathBuf, why: String },
    #[error("the certificate that the ACME server issued is not used")]
    Judged(#[source] net::TlsError),
    #[error(transparent)]
    Tls(#[from] net::TlsError),
    #[error("the ACME server cannot look at this host")]
    Listen(#[source] io::Error),
    #[error("a certificate cannot be asked for: {0}")]
    Request(String),
    #[error("this host gives no random octets")]
    Random,
}

impl Error {
    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
