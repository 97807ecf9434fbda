//! Listeners and TLS: how this cloud is reached, and by which certificates it is known.

mod certificate;
mod certificates;
mod listen;
mod pki;
pub mod proxy;

pub use certificate::{Pair, TlsError};
pub use certificates::{Certificates, Ends, Source, WARNED};
pub use listen::listen;
pub use pki::{Authority, Issued};
