//! The agent: keeps guests, links and filters of one host as the cloud wants them.

mod agent;
pub mod bridge;
mod check;
mod facts;
pub mod fake;
mod fault;
pub mod filter;
mod foreign;
pub mod guest;
pub mod host;
pub mod image;
mod journal;
pub mod links;
mod memory;
mod metrics;
mod observed;
mod passwords;
pub mod volumes;
mod wanted;

pub use agent::{Agent, NodeSettings};
pub use check::{Depth, Expected, check, has_sha512};
pub use lan::Sample;
pub use metrics::Metrics;
pub use observed::Observer;
pub use wanted::Wanted;
