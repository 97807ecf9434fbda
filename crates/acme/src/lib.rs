//! Certificates by ACME (RFC 8555) from the company's own server: [`Client::issue`] has one issued
//! and puts it in its file, [`schedule`] says when. What shows it to clients is `net`'s.
//!
//! ```text
//! account known? -> order -> each name: challenge shown, looked at, valid -> request -> certificate
//!  (key written first)                                                        judged, then renamed
//! ```
//!
//! Only the account and the certificate are kept. An attempt that breaks off, however it does, is
//! begun anew with a new order, and until its last step nothing is different from before.

mod account;
mod error;
mod file;
mod http01;
mod issue;
mod jws;
pub mod message;
pub mod schedule;
mod server;
mod transport;

use std::net::SocketAddrV6;
use std::path::PathBuf;

pub use error::Error;
pub use issue::Client;
pub use transport::Place;

/// What is wanted of which server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server's directory is.
    pub directory: Place,
    /// The authorities, in PEM, that the server's own certificate must lead to.
    pub server_ca: PathBuf,
    /// Whom the server may write to, as URLs (`mailto:`).
    pub contact: Vec<String>,
    /// The account elsewhere that the one here is to be bound to (RFC 8555, section 7.3.4).
    pub external: Option<External>,
    pub challenge: Challenge,
    /// What the certificate is to carry: names and addresses, at least one.
    pub names: Vec<String>,
    /// The authorities, in PEM, that the certificate must lead to.
    pub ca: PathBuf,
    /// Where the account is kept.
    pub account: PathBuf,
    /// Where the certificate goes, with its chain and key, in PEM.
    pub certificate: PathBuf,
}

/// A key that the server's operator gave out for one account.
#[derive(Clone)]
pub struct External {
    pub key_id: String,
    /// For HMAC with SHA-256.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("External").field(&self.key_id).finish()
    }
}

/// How a name is proved to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// At our own TLS listener (RFC 8737).
    TlsAlpn01,
    /// Over plain HTTP, at this address (RFC 8555, section 8.3).
    Http01(SocketAddrV6),
}

impl Challenge {
    fn kind(self) -> &'static str {
        match self {
            Challenge::TlsAlpn01 => "tls-alpn-01",
            Challenge::Http01(_) => "http-01",
        }
    }
}
