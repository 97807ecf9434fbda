//! Listeners and TLS: how this cloud is reached, and by which certificates it is known.

mod listen;
mod pki;
mod tls;

pub use listen::listen;
pub use pki::{Authority, Issued};
pub use tls::{TlsError, check_certificate, server_config};
