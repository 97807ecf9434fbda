//! Address scopes: what a router keeps apart, and what it leaves as it is.
//!
//! As neutron has it: between legs of different scopes nothing is routed, but for floating addresses, and for IPv4 that
//! leaves by the external leg, where it is translated, with its answers. Networks without a scope are of one together.

use std::net::IpAddr;

use model::{AddressScopeId, Router, RouterPort};

use super::{Family, Table, floating};
use crate::links::names;

fn scope(leg: &RouterPort, family: Family) -> Option<AddressScopeId> {
    match family {
        Family::Ipv4 => leg.scopes.v4,
        Family::Ipv6 => leg.scopes.v6,
    }
}

/// Drops what would go from a scope to another.
pub(super) fn separate(table: &mut Table, router: &Router, family: Family) {
    let legs = &router.ports;
    let mut drops = Vec::new();
    for out in legs {
        let others = legs.iter().filter(|leg| {
            let leaves = family == Family::Ipv4 && out.external && !leg.external;
            !leaves && scope(leg, family) != scope(out, family)
        });
        let others: Vec<&RouterPort> = others.collect();
        if !others.is_empty() {
            drops.push(format!(
                "oifname {} iifname {} drop",
                links([out]),
                links(others)
            ));
        }
    }
    if drops.is_empty() {
        return;
    }
    let mut rules = Vec::new();
    // Of IPv6 nothing is tracked before something is translated.
    let is_tracked = table.chains.contains_key("postrouting");
    if is_tracked {
        rules.push("ct direction reply accept".to_owned());
        rules.push("ct status dnat accept".to_owned());
    }
    let floating: Vec<String> = floating(router, family)
        .map(|ip| ip.fixed.to_string())
        .collect();
    let external = legs.iter().filter(|leg| leg.external);
    if family == Family::Ipv6 && !floating.is_empty() {
        rules.push(format!(
            "oifname {} ip6 saddr {{ {} }} accept",
            links(external),
            floating.join(", ")
        ));
    }
    rules.extend(drops);
    table.base(
        "forward",
        "type filter hook forward priority 0; policy accept;",
        &rules,
    );
}

/// What leaves by the external leg from its own scope keeps its address.
pub(super) fn untranslated(router: &Router, external: &RouterPort) -> Option<String> {
    let mut inside = router
        .ports
        .iter()
        .filter(|leg| is_within(leg, external))
        .peekable();
    inside.peek()?;
    Some(format!(
        "iifname {} oifname {} accept",
        links(inside),
        links([external])
    ))
}

/// Whether IPv4 from this address leaves the router without translation.
pub(super) fn leaves_as_it_is(router: &Router, from: IpAddr) -> bool {
    let external = router.ports.iter().find(|leg| leg.external);
    let here = |leg: &&RouterPort| leg.addresses.iter().any(|net| net.contains(&from));
    let mut inside = router.ports.iter().filter(here);
    external.is_some_and(|external| inside.any(|leg| is_within(leg, external)))
}

fn is_within(leg: &RouterPort, external: &RouterPort) -> bool {
    let scope = leg.scopes.v4;
    !leg.external && scope.is_some() && scope == external.scopes.v4
}

/// Links as nft matches one of them.
fn links<'a>(legs: impl IntoIterator<Item = &'a RouterPort>) -> String {
    let names = legs
        .into_iter()
        .map(|leg| format!("\"{}\"", names::leg_in_router(leg.id)));
    format!("{{ {} }}", names.collect::<Vec<_>>().join(", "))
}
