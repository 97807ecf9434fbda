//! Real sockets in real network namespaces, with the kernel, `rdisc6`, `radvd`, `tcpdump`, `dig` and `curl`
//! as guests and witnesses. They need root, and fail without it.

#![allow(clippy::unwrap_used)] // the lint knows test functions, not what they call

mod adverts;
mod dhcp4;
mod dns;
mod metadata;
mod radvd;
mod testlan;
