//! Namespaces, netlink, taps, nftables, sockets, processes: the calls that the standard library
//! lacks, each repeatable and with an error that names its object. The only crate with `unsafe`.
#![allow(unsafe_code)]

pub mod arp;
mod bpf;
pub mod clock;
pub mod conntrack;
pub mod datagram;
pub mod inet4;
pub mod inherit;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod sockets;
pub mod spawn;
pub mod stream;
pub mod sysctl;
pub mod tap;
pub mod tc;
