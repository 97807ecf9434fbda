//! Bytes to types and back, for the packets a guest's link carries and what is said to a broker. No I/O and no clock, and
//! nothing of ours below it.
//!
//! `parse` takes any bytes and never panics; `emit` appends. [`icmpv6`] is the IPv6 packet around a
//! message of Neighbour Discovery, [`nd`] the messages and their options; [`udp4`] is the IPv4
//! packet around a message of DHCP, [`dhcp4`]; [`udp6`] and [`dhcp6`] are the same for IPv6. [`dns`]
//! is what resolvers say, [`amqp`] what a publisher and a broker do.

pub mod amqp;
mod checksum;
pub mod dhcp4;
pub mod dhcp6;
pub mod dns;
pub mod icmpv6;
pub mod nd;
mod udp;
pub mod udp4;
pub mod udp6;

/// Bytes that are not what they should be; the text names the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// An Ethernet address, as a packet holds it.
pub type MacBytes = [u8; 6];
