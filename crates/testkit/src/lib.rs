//! What tests share: a whole cloud in one process, clients for it, and nodes that tests step.
//!
//! [`TestCloud`] is everything but the kernel: a store in a directory of its own, the rules, the
//! APIs, and the edge with TLS on `[::1]`. [`FakeNode`] speaks the real node protocol and does
//! what a test tells it. Nothing here sleeps: what takes time is waited for by what it changes.
#![allow(clippy::unwrap_used)] // A test that cannot be set up should fail loudly.

mod client;
mod cloud;
mod dir;
mod dump;
mod golden;
mod node;
mod watched;

pub use crate::client::{Answer, Client, Request};
pub use crate::cloud::{PASSWORD, Person, TestCloud};
pub use crate::dir::TempDir;
pub use crate::dump::{Dump, assert_same};
pub use crate::golden::Transcript;
pub use crate::node::{FakeNode, Picture};
pub use ::cloud::Resource;
