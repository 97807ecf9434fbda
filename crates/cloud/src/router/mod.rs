//! Routers: legs in networks, and a gateway in an external one.

use std::net::IpAddr;

use ipnet::IpNet;

use model::{
    Caller, Error, Key, Kind, NetworkId, PortId, ProjectId, Result, Route, RouterId, Scope,
    SubnetId,
};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::port::{self, FixedIp, NewPort, PortView};
use crate::token::owner_of;
use crate::{Cloud, network, now_ms, subnet};

pub(crate) const INTERFACE: &str = "network:router_interface";
pub(crate) const GATEWAY: &str = "network:router_gateway";

/// The external network a router is wanted in.
#[derive(Clone, Debug)]
pub struct GatewayInfo {
    pub network: NetworkId,
    pub fixed_ips: Option<Vec<FixedIp>>,
}

/// A router to make.
#[derive(Clone, Debug, Default)]
pub struct NewRouter {
    pub name: String,
    pub description: String,
    pub project: Option<ProjectId>,
    pub enabled: Option<bool>,
    pub gateway: Option<GatewayInfo>,
    pub tags: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct RouterUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    /// `Some(None)` takes the gateway away.
    pub gateway: Option<Option<GatewayInfo>>,
    pub routes: Option<Vec<Route>>,
}

/// A router with its gateway port.
#[derive(Clone, Debug)]
pub struct RouterView {
    pub router: row::Router,
    pub gateway: Option<PortView>,
}

/// How an interface is named.
#[derive(Clone, Copy, Debug)]
pub enum InterfaceBy {
    Subnet(SubnetId),
    Port(PortId),
}

impl Cloud {
    /// A router the caller may see.
    pub fn get_router(&self, caller: &Caller, id: &RouterId) -> Result<RouterView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The routers the caller may see.
    pub fn list_routers(&self, caller: &Caller, page: &Page) -> Result<Vec<RouterView>> {
        let mut query = page.query::<row::Router>()?;
        if !caller.is_admin() {
            let project = match &caller.scope {
                Scope::Project(project) => project.to_value(),
                _ => Value::Null,
            };
            query = query.seen_by("project_id", project);
        }
        self.store().read(|tx| {
            let routers: Vec<row::Router> = list::run(tx, &query)?;
            routers.into_iter().map(|r| view(tx, r)).collect()
        })
    }

    /// A new router.
    pub fn create_router(&self, caller: &Caller, new: &NewRouter) -> Result<RouterView> {
        caller.require_member()?;
        let now = now_ms();
        let mut router = row::Router {
            id: RouterId::random(),
            project_id: owner_of(caller, new.project.as_ref())?,
            name: new.name.clone(),
            description: new.description.clone(),
            enabled: new.enabled.unwrap_or(true),
            external_network_id: None,
            snat: true,
            routes: Json(Vec::new()),
            tags: Json(new.tags.clone()),
            revision: 1,
            created_ms: now,
            updated_ms: now,
        };
        list::check_name("name", &router.name)?;
        list::check_name("description", &router.description)?;
        list::check_tags(&router.tags.0)?;
        self.store().write(|tx| {
            tx.insert(&router)?;
            set_gateway(tx, caller, &mut router, new.gateway.as_ref())?;
            tx.update(&router)?;
            tx.touch(Key::Router(router.id))?;
            view(tx, router.clone())
        })
    }

    /// Changes what is given.
    pub fn update_router(
        &self,
        caller: &Caller,
        id: &RouterId,
        update: &RouterUpdate,
    ) -> Result<RouterView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut router = visible(tx, caller, id)?;
            router.name = update.name.clone().unwrap_or(router.name);
            router.description = update.description.clone().unwrap_or(router.description);
            router.enabled = update.enabled.unwrap_or(router.enabled);
            list::check_name("name", &router.name)?;
            list::check_name("description", &router.description)?;
            if let Some(gateway) = &update.gateway {
                set_gateway(tx, caller, &mut router, gateway.as_ref())?;
            }
            if let Some(routes) = &update.routes {
                check_routes(tx, &router, routes)?;
                router.routes.0.clone_from(routes);
            }
            router.revision += 1;
            router.updated_ms = now_ms();
            tx.update(&router)?;
            tx.touch(Key::Router(*id))?;
            view(tx, router)
        })
    }

    /// Removes a router with its gateway.
    ///
    /// # Errors
    /// `Conflict` while it has interfaces.
    pub fn delete_router(&self, caller: &Caller, id: &RouterId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut router = visible(tx, caller, id)?;
            if !legs(tx, id, INTERFACE)?.is_empty() {
                return Err(Error::conflict(format!("Router {id} still has ports")));
            }
            set_gateway(tx, caller, &mut router, None)?;
            tx.delete::<row::Router>(id)?;
            tx.touch(Key::Router(*id))
        })
    }

    /// Gives a router a leg: the subnet's gateway address, or a port made before. Its port and the
    /// subnet that the leg was made for.
    pub fn add_interface(
        &self,
        caller: &Caller,
        id: &RouterId,
        by: InterfaceBy,
    ) -> Result<(row::Port, Vec<row::Allocation>)> {
        caller.require_member()?;
        self.store().write(|tx| {
            let router = visible(tx, caller, id)?;
            let port = match by {
                InterfaceBy::Subnet(subnet) => add_by_subnet(tx, caller, &router, &subnet)?,
                InterfaceBy::Port(port) => add_by_port(tx, caller, &router, &port)?,
            };
            check_overlap(tx, id)?;
            tx.touch(Key::Router(*id))?;
            let view = port::view(tx, port)?;
            Ok((view.port, view.addresses))
        })
    }

    /// Takes a leg away: the whole port, or one subnet's address when it has several.
    pub fn remove_interface(
        &self,
        caller: &Caller,
        id: &RouterId,
        subnet: Option<SubnetId>,
        port: Option<PortId>,
    ) -> Result<(row::Port, SubnetId)> {
        caller.require_member()?;
        self.store().write(|tx| {
            visible(tx, caller, id)?;
            let (leg, held) = find_leg(tx, id, subnet, port)?;
            let gone = subnet.or(held.first().map(|a| a.subnet_id));
            let gone = gone.ok_or_else(|| Error::not_found(Kind::Subnet, "of that port"))?;
            check_routes_without(tx, id, &leg, subnet)?;
            match subnet.is_some() && held.len() > 1 {
                true => {
                    for allocation in held.iter().filter(|a| a.subnet_id == gone) {
                        tx.delete::<row::Allocation>(&allocation.id)?;
                    }
                    port::touch(tx, &leg.id)?;
                }
                false => port::remove(tx, &leg)?,
            }
            tx.touch(Key::Router(*id))?;
            Ok((leg, gone))
        })
    }
}

/// The ports of a router, by owner.
pub(crate) fn legs(tx: &Tx<'_>, id: &RouterId, owner: &'static str) -> Result<Vec<row::Port>> {
    tx.list(
        &Query::equal("device_id", Value::Text(id.to_string()))
            .and("device_owner", Value::Text(owner.into())),
    )
}

fn visible(tx: &Tx<'_>, caller: &Caller, id: &RouterId) -> Result<row::Router> {
    let router: row::Router = tx.get(id)?;
    list::seen(caller.sees(&router.project_id), router, Kind::Router, id)
}

fn view(tx: &Tx<'_>, router: row::Router) -> Result<RouterView> {
    let gateway = legs(tx, &router.id, GATEWAY)?
        .pop()
        .map(|p| port::view(tx, p))
        .transpose()?;
    Ok(RouterView { router, gateway })
}

fn set_gateway(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &mut row::Router,
    wanted: Option<&GatewayInfo>,
) -> Result<()> {
    let there = legs(tx, &router.id, GATEWAY)?.pop();
    if let (Some(port), Some(info)) = (&there, wanted)
        && port.network_id == info.network
        && info.fixed_ips.is_none()
    {
        return Ok(());
    }
    if let Some(port) = &there {
        port::remove(tx, port)?;
        router.external_network_id = None;
    }
    let Some(info) = wanted else { return Ok(()) };
    let network = network::visible(tx, caller, &info.network)?;
    port::check_owner_only(
        caller,
        &network,
        &[(
            "an address of external_fixed_ips",
            port::names_address(info.fixed_ips.as_deref()),
        )],
    )?;
    if !network.external {
        return Err(Error::invalid(format!(
            "Bad router request: Network {} is not an external network.",
            network.id
        )));
    }
    let new = NewPort {
        network: Some(network.id),
        project: Some(router.project_id.clone()),
        fixed_ips: info.fixed_ips.clone(),
        port_security: Some(false),
        device_id: router.id.to_string(),
        device_owner: GATEWAY.into(),
        ..NewPort::default()
    };
    port::insert(tx, caller, &network, &new)?;
    router.external_network_id = Some(network.id);
    check_overlap(tx, &router.id)
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
        return match network.shared {
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
    let of_network = |p: &row::Port| p.network_id == network.id;
    if let Some(leg) = legs(tx, &router.id, INTERFACE)?
        .into_iter()
        .find(of_network)
    {
        // One IPv6 leg in a network carries all its IPv6 subnets.
        if port::view(tx, leg.clone())?
            .addresses
            .iter()
            .any(|a| a.subnet_id == *id)
        {
            return Err(Error::invalid(format!(
                "Bad router request: Router already has a port on subnet {id}."
            )));
        }
        let subnets = port::subnets_of(tx, &network.id)?;
        port::allocate(tx, &leg, &subnets, Some(&[wish]))?;
        port::touch(tx, &leg.id)?;
        return Ok(leg);
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
    let mut leg = port::visible(tx, caller, id)?;
    if leg.project_id != router.project_id && !caller.is_admin() {
        return Err(Error::not_found(Kind::Port, id));
    }
    if !leg.device_id.is_empty() {
        return Err(Error::conflict(format!(
            "Unable to complete operation on port {id} for network {}. Port already has an attached device {}.",
            leg.network_id, leg.device_id
        )));
    }
    if port::view(tx, leg.clone())?.addresses.is_empty() {
        return Err(Error::invalid(format!(
            "Bad router request: Port {id} has no address."
        )));
    }
    let of_network = |p: &row::Port| p.network_id == leg.network_id;
    if legs(tx, &router.id, INTERFACE)?.iter().any(of_network) {
        return Err(Error::invalid(format!(
            "Bad router request: Router already has a port on network {}, and one IPv6 leg carries all its subnets.",
            leg.network_id
        )));
    }
    leg.device_id = router.id.to_string();
    leg.device_owner = INTERFACE.into();
    leg.port_security = false;
    leg.revision += 1;
    tx.delete_where::<row::Membership>("port_id", id)?;
    tx.update(&leg)?;
    port::touch(tx, id)?;
    Ok(leg)
}

fn find_leg(
    tx: &Tx<'_>,
    router: &RouterId,
    subnet: Option<SubnetId>,
    port: Option<PortId>,
) -> Result<(row::Port, Vec<row::Allocation>)> {
    for leg in legs(tx, router, INTERFACE)? {
        let held = port::view(tx, leg.clone())?.addresses;
        let by_port = port.is_none_or(|id| leg.id == id);
        let by_subnet = subnet.is_none_or(|id| held.iter().any(|a| a.subnet_id == id));
        if by_port && by_subnet && (port.is_some() || subnet.is_some()) {
            return Ok((leg, held));
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

/// The prefixes a router stands in, each with the leg that carries it.
fn prefixes(tx: &Tx<'_>, router: &RouterId) -> Result<Vec<(IpNet, PortId, SubnetId)>> {
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

fn check_overlap(tx: &Tx<'_>, router: &RouterId) -> Result<()> {
    let nets = prefixes(tx, router)?;
    for (i, (a, _, id)) in nets.iter().enumerate() {
        for (b, _, other) in &nets[..i] {
            if a.contains(b) || b.contains(a) {
                return Err(Error::invalid(format!(
                    "Bad router request: Cidr {a} of subnet {id} overlaps with cidr {b} of subnet {other}."
                )));
            }
        }
    }
    Ok(())
}

fn check_routes(tx: &Tx<'_>, router: &row::Router, routes: &[Route]) -> Result<()> {
    if routes.len() > 30 {
        return Err(Error::invalid("a router takes at most 30 routes"));
    }
    let nets = prefixes(tx, &router.id)?;
    for route in routes {
        let reachable = reached_by(&nets, &route.nexthop);
        if !reachable {
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

fn reached_by(nets: &[(IpNet, PortId, SubnetId)], nexthop: &IpAddr) -> bool {
    nets.iter().any(|(net, _, _)| net.contains(nexthop))
}

fn check_routes_without(
    tx: &Tx<'_>,
    id: &RouterId,
    leg: &row::Port,
    subnet: Option<SubnetId>,
) -> Result<()> {
    let router: row::Router = tx.get(id)?;
    let mut nets = prefixes(tx, id)?;
    nets.retain(|(_, port, s)| *port != leg.id || subnet.is_some_and(|gone| gone != *s));
    match router
        .routes
        .0
        .iter()
        .find(|r| !reached_by(&nets, &r.nexthop))
    {
        Some(route) => Err(Error::conflict(format!(
            "Router interface on router {id} cannot be deleted, as it is required by the route to {} via {}.",
            route.destination, route.nexthop
        ))),
        None => Ok(()),
    }
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
