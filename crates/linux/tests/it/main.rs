//! The kernel as a witness: each test makes namespaces of its own and needs root.
#![allow(clippy::unwrap_used, unsafe_code)]

mod netlink;
mod nft;
mod process;
mod seccomp;
mod space;
mod tap;
mod tc;
mod vlan;
