//! Takes what waits in the store's outbox to an AMQP broker, over TLS and IPv6.
//!
//! ```text
//! connect -> open -> declare -+-> send what waits -> all confirmed -> take it out of the store -+
//!    ^  (each broker in turn)  |                                                                |
//!    |                         +---- something was put in, or it is time for a heartbeat <------+
//!    +---- wait 1 s, 2 s, .. 30 s <---- the connection broke
//! ```
//! A message leaves the store when the broker has confirmed it, so one may be sent twice, with the same id, and
//! none is lost. They are sent in their order, one batch at a time.

mod deliver;
mod reader;
mod session;
mod tls;
mod url;

pub use deliver::{Counts, Courier};
pub use session::Queues;
pub use tls::{Tls, TlsError};
pub use url::{Broker, TransportUrl};
