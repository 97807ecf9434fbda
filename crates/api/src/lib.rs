//! OpenStack's dialects: JSON in and out, and the one table of all routes.
//!
//! A handler turns a request into a call of the cloud, and what comes back into JSON. It holds no
//! SQL and no rule.

mod answer;
mod compute;
mod context;
mod dialect;
mod identity;
mod image;
mod json;
mod metadata;
mod microversion;
mod network;
pub mod notification;
mod page;
mod quota;
mod remembered;
mod reply;
mod route;
mod time;
mod version;
mod volume;

pub use answer::Api;
pub use dialect::Dialect;
pub use reply::{Body, Reply};
pub use route::{Handler, Route, Routes};
