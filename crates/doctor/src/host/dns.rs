//! Who answers guests for all names that are not the cloud's own.

use std::net::SocketAddrV6;

use super::found;
use crate::finding::{Finding, Place};
use crate::table;

/// What was seen of resolvers.
#[derive(Debug, Default)]
pub struct Dns {
    /// Those that did not answer, and what became of the question.
    pub silent: Vec<Silent>,
    /// Why there is nobody to ask.
    pub nobody: Option<Nobody>,
}

/// A resolver that did not answer.
#[derive(Clone, Debug)]
pub struct Silent {
    pub server: SocketAddrV6,
    pub why: String,
    /// Where it is named.
    pub place: Place,
}

/// There is no resolver of IPv6.
#[derive(Clone, Debug)]
pub enum Nobody {
    /// `/etc/resolv.conf` names resolvers of IPv4 alone: this one, here.
    Ipv4Only { server: String, place: Place },
    /// It names none.
    NotNamed { place: Place },
}

pub(super) fn check(seen: &Dns) -> Vec<Finding> {
    let silent = seen.silent.iter().map(silent);
    silent.chain(seen.nobody.iter().map(nobody)).collect()
}

fn silent(seen: &Silent) -> Finding {
    let Silent { server, why, place } = seen;
    let what = format!("the resolver {server} does not answer: {why}");
    let fix = format!(
        "try `dig @{} localhost AAAA` here; then mend the resolver or the way to it, or name another",
        server.ip()
    );
    found(&table::RESOLVER_SILENT, place.clone(), what, fix)
}

fn nobody(nobody: &Nobody) -> Finding {
    let fix = "`nameserver ADDRESS` here, with an IPv6 address, or `upstreams = [\"ADDRESS\"]` in [dns] of hextet.toml (`[]` where guests are to find no other names)";
    let (kind, what, place) = match nobody {
        Nobody::Ipv4Only { server, place } => (
            &table::RESOLVER_IPV4_ONLY,
            format!("resolvers are named by IPv4 addresses alone, {server} first"),
            place,
        ),
        Nobody::NotNamed { place } => (
            &table::RESOLVER_NONE,
            "no resolver is named".to_owned(),
            place,
        ),
    };
    found(kind, place.clone(), what, fix.to_owned())
}
