//! Links and filters on the real kernel, in namespaces that vanish with the test. Needs root.
#![allow(clippy::unwrap_used)]

mod filter;
mod golden;
mod guest;
mod links;
mod world;
