//! Prefixes that are delegated to a port: for what is behind its guest.

use ipnet::{IpNet, Ipv6Net};
use model::{Caller, Error, Result};
use store::{Query, Tx, row};

use super::subnets_of;
use crate::subnet;

/// A document must stay small enough for every node.
const MAX_PREFIXES: usize = 8;

/// Checks what a port is to have. Routers send to it whatever is for these prefixes, so that only
/// an administrator may choose them.
pub(super) fn check(
    tx: &Tx<'_>,
    caller: &Caller,
    port: &row::Port,
    wanted: &[Ipv6Net],
) -> Result<()> {
    if *wanted == *port.delegated.0 {
        return Ok(());
    }
    if !caller.is_admin() {
        return Err(Error::Forbidden(
            "delegated_prefixes are given by an administrator: they decide where packets go".into(),
        ));
    }
    if wanted.len() > MAX_PREFIXES {
        return Err(Error::invalid(format!(
            "a port takes at most {MAX_PREFIXES} delegated_prefixes"
        )));
    }
    let delegated = Query::all().matching("t.delegated <> '[]'", Vec::new());
    let others: Vec<row::Port> = tx.list(&delegated)?;
    let others = others.iter().filter(|other| other.id != port.id);
    let others: Vec<Ipv6Net> = others.flat_map(|other| other.delegated.0.clone()).collect();
    let subnets = subnets_of(tx, &port.network_id)?;
    for (place, prefix) in wanted.iter().enumerate() {
        if prefix.trunc() != *prefix || !(16..=127).contains(&prefix.prefix_len()) {
            return Err(Error::invalid(format!(
                "delegated_prefixes: {prefix} must be a prefix of 16 to 127 bits without host bits"
            )));
        }
        let meets = |other: &Ipv6Net| prefix.contains(other) || other.contains(prefix);
        if let Some(other) = wanted[..place].iter().chain(&others).find(|o| meets(o)) {
            return Err(Error::conflict(format!(
                "delegated_prefixes: {prefix} overlaps with {other}, which is delegated already"
            )));
        }
        let on_link = subnets.iter().find(|s| match subnet::net(s) {
            IpNet::V6(net) => meets(&net),
            IpNet::V4(_) => false,
        });
        if let Some(s) = on_link {
            return Err(Error::conflict(format!(
                "delegated_prefixes: {prefix} overlaps with subnet {} of the port's own network",
                s.id
            )));
        }
    }
    Ok(())
}
