//! Messages of the Domain Name System (RFC 1035), as far as a resolver for guests needs them.
//!
//! It reads questions and writes answers about addresses and names. What it passes on between a
//! guest and an upstream it does not take apart: it looks at the header and at the question. What
//! is asked for ourselves is read as far as addresses ([`Forwarded::addresses`]).

mod answer;
mod forward;
mod name;
mod query;
mod reply;

pub use answer::Addresses;
pub use forward::{Forwarded, PAYLOAD};
pub use name::Name;
pub use query::{Edns, Query, Unreadable};
pub use reply::{Data, Record, Reply, Soa, truncated};

/// Octets of a header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// What every client takes over UDP (section 2.3.4).
const LEAST_PAYLOAD: u16 = 512;

/// The class of the Internet.
pub const IN: u16 = 1;

/// Types of records, as IANA numbers them.
pub mod kind {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Response codes (RFC 1035, section 4.1.1; RFC 6891, section 9).
pub mod rcode {
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const BADVERS: u16 = 16;
}

/// Extended errors (RFC 8914, section 4).
pub mod extended {
    pub const OTHER: u16 = 0;
    pub const PROHIBITED: u16 = 18;
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
}

/// Bits of a header's flags.
mod flag {
    pub(super) const RESPONSE: u16 = 0x8000;
    pub(super) const OPCODE: u16 = 0x7800;
    pub(super) const AUTHORITATIVE: u16 = 0x0400;
    pub(super) const TRUNCATED: u16 = 0x0200;
    pub(super) const RECURSION_DESIRED: u16 = 0x0100;
    pub(super) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(super) const AUTHENTIC: u16 = 0x0020;
    pub(super) const CHECKING_DISABLED: u16 = 0x0010;
    pub(super) const RCODE: u16 = 0x000f;
}

/// The 16 bits at a place.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([two[0], two[1]]))
}

/// Id, flags, and how many records are in each section.
fn header(out: &mut Vec<u8>, id: u16, flags: u16, counts: [u16; 4]) {
    for word in [id, flags].into_iter().chain(counts) {
        out.extend(word.to_be_bytes());
    }
}

/// The pseudo-record of EDNS (RFC 6891, section 6.1.2).
fn opt(out: &mut Vec<u8>, payload: u16, rcode: u16, dnssec_ok: bool, options: &[u8]) {
    out.push(0);
    out.extend(kind::OPT.to_be_bytes());
    out.extend(payload.to_be_bytes());
    out.extend([(rcode >> 4) as u8, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    out.extend((options.len() as u16).to_be_bytes());
    out.extend(options);
}
