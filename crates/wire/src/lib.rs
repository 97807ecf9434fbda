//! Bytes to types and back, for the packets a guest's link carries. No I/O and no clock, and
//! nothing of ours below it.
//!
//! `parse` takes any bytes and never panics; `emit` appends. Only Neighbour Discovery is here so
//! far: [`icmpv6`] is the IPv6 packet around a message, [`nd`] the messages and their options.

pub mod icmpv6;
pub mod nd;

/// Bytes that are not what they should be; the text names the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// An Ethernet address, as a packet holds it.
pub type MacBytes = [u8; 6];
