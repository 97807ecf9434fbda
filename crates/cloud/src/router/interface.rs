//! A router's legs in its project's networks.

use model::{Caller, Error, Key, Kind, PortId, Result, RouterId, SubnetId};
use store::{Tx, row};

use super::gateway::check_nd_proxy;
use super::reach::{check_overlap, check_routes_reached, lies_outside};
use super::{INTERFACE, legs, visible};
use crate::list::revise;
use crate::port::{self, FixedIp, NewPort, PortView};
use crate::{Cloud, floating_ip, network, rbac, subnet};

/// How an interface is named.
#[derive(Clone, Copy, Debug)]
pub enum InterfaceBy {
    Subnet(SubnetId),
    Port(PortId),
}

impl Cloud {
    /// Gives a router a leg: the subnet's gateway address, or a port made before. Its port and the
    /// addresses that it holds now.
    pub fn add_interface(
        &self,
        caller: &Caller,
        id: &RouterId,
        by: InterfaceBy,
    ) -> Result<(row::Port, Vec<row::Allocation>)> {
        caller.require_member()?;
        self.store().write(|tx| {
            let router = visible(tx, caller, id)?;
            caller.check_revision(router.revision)?;
            let port = add(tx, caller, &router, by)?;
            let view = port::view(tx, port)?;
            Ok((view.port, view.addresses))
        })
    }

    /// Takes a leg away: the whole port, or one subnet's addresses when it has several. The port,
    /// and the subnets that the router left.
    ///
    /// # Errors
    /// `Conflict` while a floating IP or a route needs it.
    pub fn remove_interface(
        &self,
        caller: &Caller,
        id: &RouterId,
        subnet: Option<SubnetId>,
        port: Option<PortId>,
    ) -> Result<(row::Port, Vec<SubnetId>)> {
        caller.require_member()?;
        self.store().write(|tx| {
            let router = visible(tx, caller, id)?;
            caller.check_revision(router.revision)?;
            remove_from(tx, &router, subnet, port)
        })
    }
}

/// Gives a router a leg; its port.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &row::Router,
    by: InterfaceBy,
) -> Result<row::Port> {
    let id = router.id;
    let port = match by {
        InterfaceBy::Subnet(subnet) => add_by_subnet(tx, caller, router, &subnet)?,
        InterfaceBy::Port(port) => add_by_port(tx, caller, router, &port)?,
    };
    check_overlap(tx, router)?;
    if lies_outside(tx, &id, &port.id)? {
        check_nd_proxy(tx, caller, router)?;
    }
    revise::<row::Router>(tx, &id)?;
    tx.touch(Key::Router(id))?;
    Ok(port)
}

/// Takes a leg away as a whole.
pub(crate) fn remove_leg(tx: &mut Tx<'_>, router: &row::Router, port: PortId) -> Result<()> {
    remove_from(tx, router, None, Some(port)).map(drop)
}

fn remove_from(
    tx: &mut Tx<'_>,
    router: &row::Router,
    subnet: Option<SubnetId>,
    port: Option<PortId>,
) -> Result<(row::Port, Vec<SubnetId>)> {
    let id = router.id;
    let leg = find_leg(tx, &id, subnet, port)?;
    let (gone, kept): (Vec<_>, Vec<_>) = leg
        .addresses
        .iter()
        .partition(|a| subnet.is_none_or(|s| a.subnet_id == s));
    let mut subnets: Vec<SubnetId> = gone.iter().map(|a| a.subnet_id).collect();
    subnets.dedup();
    for subnet in &subnets {
        floating_ip::check_subnet_unused(tx, router, subnet)?;
    }
    if kept.is_empty() {
        port::remove(tx, &leg.port)?;
    } else {
        gone.iter()
            .try_for_each(|a| tx.delete::<row::Allocation>(&a.id).map(drop))?;
        port::readdressed(tx, &leg.port.id)?;
    }
    check_routes_reached(tx, router)?;
    revise::<row::Router>(tx, &id)?;
    tx.touch(Key::Router(id))?;
    Ok((leg.port, subnets))
}

fn add_by_subnet(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &row::Router,
    id: &SubnetId,
) -> Result<row::Port> {
    let s: row::Subnet = tx.get(id)?;
    let network = network::visible(tx, caller, &s.network_id)?;
    if !caller.sees(&network.project_id) {
        // Its gateway speaks for everybody there.
        return match rbac::is_shared(tx, caller, &network.id)? {
            true => Err(Error::Forbidden(format!(
                "only the owner of network {} can put a router's interface on it",
                network.id
            ))),
            false => Err(Error::not_found(Kind::Subnet, id)),
        };
    }
    let Some(gateway) = s.gateway.filter(|g| subnet::net(&s).contains(g)) else {
        return Err(Error::invalid(format!(
            "Subnet for router interface must have a gateway IP: set one on subnet {id}, or add a port"
        )));
    };
    let wish = FixedIp {
        subnet: Some(*id),
        address: Some(gateway),
    };
    let there = legs_in(tx, router, &network)?;
    if there
        .iter()
        .flat_map(|leg| &leg.addresses)
        .any(|a| a.subnet_id == *id)
    {
        return Err(Error::invalid(format!(
            "Bad router request: Router already has a port on subnet {id}."
        )));
    }
    // One leg in a network carries all its IPv6 subnets: a host knows one router by one link-local
    // address. Each IPv4 subnet has a leg of its own.
    if let Some(leg) = there
        .into_iter()
        .find(|leg| !s.prefix.is_ipv4() && holds_v6(leg))
    {
        let subnets = port::subnets_of(tx, &network.id)?;
        port::allocate(tx, &leg.port, &subnets, Some(&[wish]))?;
        port::readdressed(tx, &leg.port.id)?;
        return Ok(leg.port);
    }
    let new = NewPort {
        network: Some(network.id),
        project: Some(router.project_id.clone()),
        fixed_ips: Some(vec![wish]),
        port_security: Some(false),
        device_id: router.id.to_string(),
        device_owner: INTERFACE.into(),
        ..NewPort::default()
    };
    Ok(port::insert(tx, caller, &network, &new)?.port)
}

fn add_by_port(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &row::Router,
    id: &PortId,
) -> Result<row::Port> {
    let found = port::visible(tx, caller, id)?;
    if found.project_id != router.project_id && !caller.is_admin() {
        return Err(Error::not_found(Kind::Port, id));
    }
    if !found.device_id.is_empty() {
        return Err(Error::conflict(format!(
            "Unable to complete operation on port {id} for network {}. Port already has an attached device {}.",
            found.network_id, found.device_id
        )));
    }
    let view = port::view(tx, found)?;
    let network: row::Network = tx.get(&view.port.network_id)?;
    check_leg(&view, &legs_in(tx, router, &network)?)?;
    let mut leg = view.port;
    leg.device_id = router.id.to_string();
    leg.device_owner = INTERFACE.into();
    leg.port_security = false;
    leg.revision += 1;
    port::check_limited(&leg)?;
    tx.delete_where::<row::Membership>("port_id", id)?;
    tx.update(&leg)?;
    port::touch(tx, id)?;
    Ok(leg)
}

/// Whether a port can be a leg beside those that the router has in its network.
fn check_leg(leg: &PortView, others: &[PortView]) -> Result<()> {
    let id = leg.port.id;
    if leg.addresses.is_empty() {
        return Err(Error::invalid(format!(
            "Bad router request: Port {id} has no address."
        )));
    }
    if leg.addresses.iter().filter(|a| a.address.is_ipv4()).count() > 1 {
        return Err(Error::invalid(format!(
            "Bad router request: Cannot have multiple IPv4 subnets on router port {id}."
        )));
    }
    match others.iter().find(|other| holds_v6(leg) && holds_v6(other)) {
        Some(other) => Err(Error::invalid(format!(
            "Bad router request: Cannot have multiple router ports with the same network id if both contain IPv6 subnets. Existing port {} has IPv6 subnet(s) and network id {}.",
            other.port.id, other.port.network_id
        ))),
        None => Ok(()),
    }
}

fn holds_v6(leg: &PortView) -> bool {
    leg.addresses.iter().any(|a| a.address.is_ipv6())
}

fn legs_in(tx: &Tx<'_>, router: &row::Router, network: &row::Network) -> Result<Vec<PortView>> {
    let mut there = legs(tx, &router.id, INTERFACE)?;
    there.retain(|leg| leg.network_id == network.id);
    port::views(tx, there)
}

fn find_leg(
    tx: &Tx<'_>,
    router: &RouterId,
    subnet: Option<SubnetId>,
    port: Option<PortId>,
) -> Result<PortView> {
    for leg in port::views(tx, legs(tx, router, INTERFACE)?)? {
        let by_port = port.is_none_or(|id| leg.port.id == id);
        let by_subnet = subnet.is_none_or(|id| leg.addresses.iter().any(|a| a.subnet_id == id));
        if by_port && by_subnet && (port.is_some() || subnet.is_some()) {
            return Ok(leg);
        }
    }
    match (subnet, port) {
        (Some(id), _) => Err(Error::not_found(
            Kind::Router,
            format!("{router} with an interface on subnet {id}"),
        )),
        (None, Some(id)) => Err(Error::not_found(
            Kind::Router,
            format!("{router} with an interface with id {id}"),
        )),
        (None, None) => Err(Error::invalid(
            "Bad router request: Either subnet_id or port_id must be specified.",
        )),
    }
}
