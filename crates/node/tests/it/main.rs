//! Links and filters on the real kernel, in namespaces that vanish with the test. Needs root.
#![allow(clippy::unwrap_used)]

mod attach;
mod attacker;
mod client;
mod clients;
mod dns;
mod filter;
mod forwarding;
mod frames;
mod golden;
mod guest;
mod host;
mod ipv4;
mod links;
mod metrics;
mod nat;
mod nat6;
mod nd_proxy;
mod observed;
mod qos;
mod routers;
mod trunk;
mod vlan;
mod volumes;
mod vrrp;
mod world;
