//! What a floating IP stands for: a port's address of its own family that a router connects to its
//! network.

use std::net::IpAddr;

use model::{Caller, Error, FloatingIp, Key, Kind, PortId, Result, RouterId, SubnetId};
use store::{Field, Query, Tx, Value, row};

use super::{FloatingIpTarget, forwarding};
use crate::port::{self, PortView};
use crate::router::{self, INTERFACE};
use crate::{now_ms, subnet};

/// Lets a floating IP stand for a target, or for nothing. The caller writes the row.
pub(super) fn associate(
    tx: &mut Tx<'_>,
    caller: &Caller,
    floating: &mut row::FloatingIp,
    target: Option<&FloatingIpTarget>,
) -> Result<()> {
    let before = floating.router_id;
    let forwards = forwarding::any(tx, &floating.id)?;
    match target {
        // It stands for no port as it is.
        None if forwards => {}
        None => clear(floating),
        Some(_) if forwards => return Err(forwarding::in_use(&floating.id)),
        Some(target) => {
            let view = port::view(tx, bindable(tx, caller, floating, &target.port)?)?;
            let held = address_of(&view, floating.address, target.address)?;
            check_free(tx, floating, held)?;
            forwarding::check_free(tx, held)?;
            floating.router_id = Some(router_between(tx, floating, held)?);
            floating.port_id = Some(view.port.id);
            floating.fixed_address = Some(held.address);
            floating.status = "ACTIVE".into();
        }
    }
    for router in [before, floating.router_id].into_iter().flatten() {
        tx.touch(Key::Router(router))?;
    }
    Ok(())
}

/// Frees the floating IPs that stand for addresses which a port no longer holds.
pub(crate) fn release(tx: &mut Tx<'_>, port: &PortId, kept: &[IpAddr]) -> Result<()> {
    for mut floating in super::of_ports(tx, vec![port.to_value()])? {
        if floating.fixed_address.is_some_and(|a| kept.contains(&a)) {
            continue;
        }
        if let Some(router) = floating.router_id {
            tx.touch(Key::Router(router))?;
        }
        clear(&mut floating);
        floating.revision += 1;
        floating.updated_ms = now_ms();
        tx.update(&floating)?;
    }
    forwarding::release(tx, port, kept)
}

/// The floating IPs in a router's document.
pub(crate) fn of_router(tx: &Tx<'_>, id: &RouterId) -> Result<Vec<FloatingIp>> {
    let rows = reached_by(tx, id)?;
    let document = |row: row::FloatingIp| {
        Some(FloatingIp {
            id: row.id,
            floating: row.address,
            fixed: row.fixed_address?,
        })
    };
    Ok(rows.into_iter().filter_map(document).collect())
}

/// The floating IPs that are reached by a router: they stand for a port, or have forwardings.
pub(super) fn reached_by(tx: &Tx<'_>, id: &RouterId) -> Result<Vec<row::FloatingIp>> {
    let mut query = Query::equal("router_id", id.to_value());
    query.order = vec![("address", store::Order::Ascending)];
    tx.list(&query)
}

/// Whether a router can leave its external network.
///
/// # Errors
/// `Conflict` while a floating IP is reached through it.
pub(crate) fn check_gateway_unused(tx: &Tx<'_>, router: &row::Router) -> Result<()> {
    match reached_by(tx, &router.id)?.is_empty() {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Gateway cannot be updated for router {}, since a gateway to external network {} is required by one or more floating IPs.",
            router.id,
            router
                .external_network_id
                .map(|n| n.to_string())
                .unwrap_or_default()
        ))),
    }
}

/// Whether what a router's leg in its external network holds now serves the floating IPs reached by it.
///
/// # Errors
/// `Conflict` when it has no address of the family of one.
pub(crate) fn check_gateway_serves(tx: &Tx<'_>, router: &RouterId) -> Result<()> {
    for ip in reached_by(tx, router)? {
        if !stands_outside(tx, router, ip.address)? {
            return Err(Error::conflict(format!(
                "Gateway cannot be updated for router {router}, since an {} address there is required by floating IP {}.",
                family(ip.address),
                ip.address
            )));
        }
    }
    Ok(())
}

/// Whether a router can leave a subnet.
///
/// # Errors
/// `Conflict` while a floating IP, or a port of one, stands for an address there.
pub(crate) fn check_subnet_unused(tx: &Tx<'_>, router: &row::Router, id: &SubnetId) -> Result<()> {
    let prefix = subnet::net(&tx.get(id)?);
    // Prefixes of one router do not overlap: the address tells the subnet.
    let whole = of_router(tx, &router.id)?.into_iter().map(|ip| ip.fixed);
    let ports = forwarding::of_router(tx, &router.id)?.into_iter();
    let mut needed = whole.chain(ports.map(|f| f.fixed));
    match needed.any(|address| prefix.contains(&address)) {
        false => Ok(()),
        true => Err(Error::conflict(format!(
            "Router interface for subnet {id} on router {} cannot be deleted, as it is required by one or more floating IPs.",
            router.id
        ))),
    }
}

pub(super) fn clear(floating: &mut row::FloatingIp) {
    floating.port_id = None;
    floating.fixed_address = None;
    floating.router_id = None;
    floating.status = "DOWN".into();
}

pub(super) fn bindable(
    tx: &Tx<'_>,
    caller: &Caller,
    floating: &row::FloatingIp,
    id: &PortId,
) -> Result<row::Port> {
    let port = port::visible(tx, caller, id)?;
    if port.project_id != floating.project_id && !caller.is_admin() {
        return Err(Error::invalid(format!(
            "Bad floatingip request: Port {id} is associated with a different tenant than Floating IP {} and therefore cannot be bound.",
            floating.id
        )));
    }
    if port.device_owner.starts_with("network:") {
        return Err(Error::invalid(format!(
            "Bad floatingip request: Port {id} has device owner {}: a floating IP stands for a guest's port.",
            port.device_owner
        )));
    }
    Ok(port)
}

/// The address that is wanted; else the only one of the floating IP's family, or the first of IPv6:
/// a port has one for each prefix that is announced.
pub(super) fn address_of(
    view: &PortView,
    floating: IpAddr,
    wanted: Option<IpAddr>,
) -> Result<&row::Allocation> {
    let (id, family) = (view.port.id, family(floating));
    let of_family = |a: &&row::Allocation| a.address.is_ipv4() == floating.is_ipv4();
    let held: Vec<_> = view.addresses.iter().filter(of_family).collect();
    if let Some(address) = wanted {
        let found = held.into_iter().find(|a| a.address == address);
        return found.ok_or_else(|| {
            Error::invalid(format!(
                "Bad floatingip request: Port {id} does not have fixed {family} address {address}."
            ))
        });
    }
    match held.as_slice() {
        [one] => Ok(one),
        [first, ..] if floating.is_ipv6() => Ok(first),
        [] => Err(Error::invalid(format!(
            "Bad floatingip request: Cannot add floating IP to port {id} that has no fixed {family} addresses."
        ))),
        _ => Err(Error::invalid(format!(
            "Bad floatingip request: Port {id} has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when assigning a floating IP."
        ))),
    }
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}

fn check_free(tx: &Tx<'_>, floating: &row::FloatingIp, held: &row::Allocation) -> Result<()> {
    let there = super::of_ports(tx, vec![held.port_id.to_value()])?;
    let same = |f: &&row::FloatingIp| f.id != floating.id && f.fixed_address == Some(held.address);
    match there.iter().find(same) {
        None => Ok(()),
        Some(other) => Err(Error::conflict(format!(
            "Cannot associate floating IP {} ({}) with port {} using fixed IP {}, as that fixed IP already has a floating IP on external network {}.",
            floating.address, floating.id, held.port_id, held.address, other.network_id
        ))),
    }
}

/// The router that stands both in the address's subnet and, with an address of the floating IP's family,
/// in the floating IP's network. Of several
/// the one that is the subnet's gateway: the guest's answers go there.
pub(super) fn router_between(
    tx: &Tx<'_>,
    floating: &row::FloatingIp,
    held: &row::Allocation,
) -> Result<RouterId> {
    let s: row::Subnet = tx.get(&held.subnet_id)?;
    let condition =
        "t.device_owner = ? AND t.id IN (SELECT a.port_id FROM allocation a WHERE a.subnet_id = ?)";
    let arguments = vec![Value::Text(INTERFACE.into()), s.id.to_value()];
    let legs: Vec<row::Port> = tx.list(&Query::all().matching(condition, arguments))?;
    let mut found: Vec<(bool, RouterId)> = Vec::new();
    for leg in port::views(tx, legs)? {
        let id: Option<RouterId> = leg.port.device_id.parse().ok();
        let router: Option<row::Router> = match id {
            Some(id) => tx.find(id.to_value())?,
            None => None,
        };
        if let Some(router) = router.filter(|r| r.external_network_id == Some(floating.network_id))
            && stands_outside(tx, &router.id, floating.address)?
        {
            let gateway = leg.addresses.iter().any(|a| Some(a.address) == s.gateway);
            found.push((gateway, router.id));
        }
    }
    let best = found.iter().max_by_key(|(gateway, _)| *gateway);
    best.map(|(_, id)| *id).ok_or_else(|| {
        Error::not_found(
            Kind::ExternalGatewayForFloatingIp,
            format!(
                "from subnet {} of port {} to external network {}, which a router must connect and where it needs an {} address,",
                s.id, held.port_id, floating.network_id, family(floating.address)
            ),
        )
    })
}

/// Whether a router's leg in its external network has an address of a floating address's family.
fn stands_outside(tx: &Tx<'_>, router: &RouterId, floating: IpAddr) -> Result<bool> {
    let legs = port::views(tx, router::legs(tx, router, router::GATEWAY)?)?;
    let mut held = legs.iter().flat_map(|leg| &leg.addresses);
    Ok(held.any(|a| a.address.is_ipv4() == floating.is_ipv4()))
}
