//! Listeners and TLS: how this cloud is reached, and by which certificates it is known. Names and
//! connections: how it reaches others.

mod certificate;
mod certificates;
mod connect;
mod listen;
mod order;
mod pki;
pub mod proxy;
mod resolver;

pub use certificate::{Pair, TlsError};
pub use certificates::{ACME_TLS, Certificates, Challenges, Ends, Shown, Source, WARNED};
pub use connect::{ConnectError, Reach};
pub use listen::listen;
pub use pki::{Authority, Issued, Requested};
pub use resolver::{Family, NameError, Resolver};
