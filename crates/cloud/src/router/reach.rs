//! Where a router stands, and what it reaches from there.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{Error, PortId, Result, Route, RouterId, SubnetId};
use store::{Field, Query, Tx, row};

use super::{GATEWAY, INTERFACE, legs};
use crate::{port, subnet};

/// A prefix that a router stands in, the leg that carries it, and its subnet.
pub(super) type Reached = (IpNet, PortId, SubnetId);

pub(super) fn prefixes(tx: &Tx<'_>, router: &RouterId) -> Result<Vec<Reached>> {
    let mut found = Vec::new();
    for owner in [INTERFACE, GATEWAY] {
        for leg in legs(tx, router, owner)? {
            let held: Vec<row::Allocation> =
                tx.list(&Query::equal("port_id", leg.id.to_value()))?;
            for allocation in held {
                let s: row::Subnet = tx.get(&allocation.subnet_id)?;
                found.push((subnet::net(&s), leg.id, s.id));
            }
        }
    }
    Ok(found)
}

/// A router that answers on its external network for what is behind it may have part of that network's
/// prefix there.
pub(super) fn check_overlap(tx: &Tx<'_>, router: &row::Router) -> Result<()> {
    let nets = prefixes(tx, &router.id)?;
    let outer: Vec<PortId> = legs(tx, &router.id, GATEWAY)?
        .iter()
        .map(|leg| leg.id)
        .collect();
    let part = |(a, leg, _): &Reached, (b, other, _): &Reached| {
        let inward = !outer.contains(leg) && outer.contains(other);
        router.nd_proxy && inward && a.addr().is_ipv6() && a != b && b.contains(a)
    };
    for (i, one) in nets.iter().enumerate() {
        let (a, leg, id) = one;
        for two in &nets[..i] {
            let (b, other_leg, other) = two;
            // A leg may hold several addresses in one subnet.
            let same = (id, leg) == (other, other_leg);
            if (a.contains(b) || b.contains(a)) && !same && !part(one, two) && !part(two, one) {
                return Err(Error::invalid(format!(
                    "Bad router request: Cidr {a} of subnet {id} overlaps with cidr {b} of subnet {other}."
                )));
            }
        }
    }
    Ok(())
}

/// Whether what a leg stands in is part of a prefix of the router's external network.
pub(super) fn lies_outside(tx: &Tx<'_>, router: &RouterId, leg: &PortId) -> Result<bool> {
    let nets = prefixes(tx, router)?;
    let outer = legs(tx, router, GATEWAY)?;
    let external = |id: &PortId| outer.iter().any(|leg| leg.id == *id);
    let within = |net: &IpNet| {
        let mut around = nets.iter().filter(|(_, leg, _)| external(leg));
        around.any(|(wide, _, _)| wide.contains(net))
    };
    let mut own = nets.iter().filter(|(_, other, _)| other == leg);
    Ok(own.any(|(net, _, _)| within(net)))
}

/// Whether a subnet overlaps with a prefix that the router stands in.
pub(super) fn overlaps(tx: &Tx<'_>, router: &RouterId, new: &row::Subnet) -> Result<bool> {
    let net = subnet::net(new);
    let there = prefixes(tx, router)?;
    Ok(there
        .iter()
        .any(|(other, _, _)| net.contains(other) || other.contains(&net)))
}

pub(super) fn check_routes(tx: &Tx<'_>, router: &row::Router, routes: &[Route]) -> Result<()> {
    if routes.len() > 30 {
        return Err(Error::invalid("a router takes at most 30 routes"));
    }
    let nets = prefixes(tx, &router.id)?;
    for (i, route) in routes.iter().enumerate() {
        let same = |other: &&Route| other.destination == route.destination;
        if let Some(other) = routes[..i].iter().find(same) {
            return Err(Error::invalid(format!(
                "Invalid format for routes: {} is reached by one nexthop, not by {} and by {}",
                route.destination, other.nexthop, route.nexthop
            )));
        }
        if !reached_by(&nets, &route.nexthop) {
            return Err(Error::invalid(format!(
                "Invalid format for routes: the nexthop {} is not connected with router",
                route.nexthop
            )));
        }
        if route.destination.addr().is_ipv4() != route.nexthop.is_ipv4() {
            return Err(Error::invalid(format!(
                "Invalid format for routes: {} by {} mixes IPv4 and IPv6",
                route.destination, route.nexthop
            )));
        }
    }
    Ok(())
}

/// Every route still has a next hop that the router reaches.
pub(super) fn check_routes_reached(tx: &Tx<'_>, router: &row::Router) -> Result<()> {
    if router.routes.0.is_empty() {
        return Ok(());
    }
    let nets = prefixes(tx, &router.id)?;
    let lost = router
        .routes
        .0
        .iter()
        .find(|r| !reached_by(&nets, &r.nexthop));
    match lost {
        Some(route) => Err(Error::conflict(format!(
            "Router {} cannot leave the subnet that its route to {} via {} goes through: remove the route first.",
            router.id, route.destination, route.nexthop
        ))),
        None => Ok(()),
    }
}

fn reached_by(nets: &[Reached], nexthop: &IpAddr) -> bool {
    nets.iter().any(|(net, _, _)| net.contains(nexthop))
}

/// Where a router sends what is for elsewhere: the gateways of its external subnets, at most one a
/// family.
pub(crate) fn default_nexthops(tx: &Tx<'_>, router: &RouterId) -> Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for leg in legs(tx, router, GATEWAY)? {
        for held in port::view(tx, leg)?.addresses {
            let s: row::Subnet = tx.get(&held.subnet_id)?;
            let new = s
                .gateway
                .filter(|g| found.iter().all(|f| f.is_ipv4() != g.is_ipv4()));
            found.extend(new);
        }
    }
    Ok(found)
}
