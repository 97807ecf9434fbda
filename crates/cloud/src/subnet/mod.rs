//! Subnets: prefixes of networks, and which addresses may be given out of them.

mod modes;
mod rules;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use model::{
    AddressMode, Caller, Error, Key, Lifetimes, Mac, NetworkId, ProjectId, RaMode, Result, Route,
    SubnetId,
};
use store::{Field, Query, Tx, Value, row};

use crate::list::{self, Page, revise};
use crate::network;
use crate::quota::{self, Resource};
use crate::rbac::{self, Of};
use crate::subnet_pool::{self, FromPool};
use crate::token::owner_of;
use crate::{Cloud, address_scope, floating_ip, now_ms, resolver, router};

pub(crate) use rules::is_host;
pub(crate) use rules::place;
use rules::{check, check_modes};

/// How the columns of IPv4 addresses begin: with the prefix of v4-mapped addresses.
pub(crate) const V4_COLUMN: &str = "00000000000000000000ffff";

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    V4,
    V6,
}

/// A subnet to make.
#[derive(Clone, Debug)]
pub struct NewSubnet {
    pub network: NetworkId,
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    /// Of a pool it is cut when it is not given.
    pub prefix: Option<IpNet>,
    pub pool: Option<FromPool>,
    /// `None`: the prefix's first address, if it has one; `Some(None)`: no gateway.
    pub gateway: Option<Option<IpAddr>>,
    pub enable_dhcp: bool,
    pub ra_mode: Option<RaMode>,
    pub address_mode: Option<AddressMode>,
    pub lifetimes: Lifetimes,
    pub pref64: Option<Ipv6Net>,
    pub pools: Option<Vec<(IpAddr, IpAddr)>>,
    pub dns_nameservers: Vec<IpAddr>,
    pub host_routes: Vec<Route>,
    pub tags: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct SubnetUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub gateway: Option<Option<IpAddr>>,
    pub enable_dhcp: Option<bool>,
    /// `Some(None)` unsets it, as the next one.
    pub ra_mode: Option<Option<RaMode>>,
    pub address_mode: Option<Option<AddressMode>>,
    pub valid_lifetime_s: Option<u32>,
    pub preferred_lifetime_s: Option<u32>,
    pub pref64: Option<Option<Ipv6Net>>,
    pub pools: Option<Vec<(IpAddr, IpAddr)>>,
    pub dns_nameservers: Option<Vec<IpAddr>>,
    pub host_routes: Option<Vec<Route>>,
}

/// A subnet, and whether its network is external.
#[derive(Clone, Debug)]
pub struct SubnetView {
    pub subnet: row::Subnet,
    pub external: bool,
}

impl Cloud {
    /// A subnet of a network the caller may see.
    pub fn get_subnet(&self, caller: &Caller, id: &SubnetId) -> Result<SubnetView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The subnets of networks the caller may see; of one version, when it is given.
    pub fn list_subnets(
        &self,
        caller: &Caller,
        page: &Page,
        version: Option<IpVersion>,
    ) -> Result<Vec<SubnetView>> {
        let mut query = rbac::page_query::<row::Subnet>(page, caller, Of::Network)?;
        if let Some(version) = version {
            let condition = match version {
                IpVersion::V4 => "substr(t.prefix, 1, 24) = ?",
                IpVersion::V6 => "substr(t.prefix, 1, 24) <> ?",
            };
            query = query.matching(condition, vec![Value::Text(V4_COLUMN.into())]);
        }
        self.store().read(|tx| views(tx, list::run(tx, &query)?))
    }

    /// New subnets: all of them, or none.
    pub fn create_subnets(&self, caller: &Caller, new: &[NewSubnet]) -> Result<Vec<SubnetView>> {
        caller.require_member()?;
        if new.len() > list::MAX_BULK {
            return Err(list::too_many("subnets"));
        }
        self.store().write(|tx| {
            let made = new.iter().map(|one| create(tx, caller, one));
            let made = made.collect::<Result<_>>()?;
            views(tx, made)
        })
    }

    /// Changes what is given.
    pub fn update_subnet(
        &self,
        caller: &Caller,
        id: &SubnetId,
        update: &SubnetUpdate,
    ) -> Result<SubnetView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let before = owned(tx, caller, id)?;
            caller.check_revision(before.revision)?;
            let mut subnet = before.clone();
            if let Some(gateway) = update.gateway
                && gateway != subnet.gateway
            {
                if let Some(held) = subnet
                    .gateway
                    .map(|g| holder(tx, id, g))
                    .transpose()?
                    .flatten()
                {
                    return Err(Error::conflict(format!(
                        "Gateway ip {} cannot be changed: port {} of a router holds it.",
                        subnet.gateway.map(|g| g.to_string()).unwrap_or_default(),
                        held.port_id
                    )));
                }
                subnet.gateway = gateway;
            }
            subnet.name = update.name.clone().unwrap_or(subnet.name);
            subnet.description = update.description.clone().unwrap_or(subnet.description);
            subnet.enable_dhcp = update.enable_dhcp.unwrap_or(subnet.enable_dhcp);
            subnet.ra_mode.0 = update.ra_mode.unwrap_or(subnet.ra_mode.0);
            subnet.address_mode.0 = update.address_mode.unwrap_or(subnet.address_mode.0);
            let lifetimes = &mut subnet.lifetimes.0;
            lifetimes.valid_s = update.valid_lifetime_s.unwrap_or(lifetimes.valid_s);
            lifetimes.preferred_s = update.preferred_lifetime_s.unwrap_or(lifetimes.preferred_s);
            subnet.pref64.0 = update.pref64.unwrap_or(subnet.pref64.0);
            subnet.pools.0 = update.pools.clone().unwrap_or(subnet.pools.0);
            subnet.dns_nameservers.0 = update
                .dns_nameservers
                .clone()
                .unwrap_or(subnet.dns_nameservers.0);
            subnet.host_routes.0 = update.host_routes.clone().unwrap_or(subnet.host_routes.0);
            subnet.revision += 1;
            subnet.updated_ms = now_ms();
            check_modes(&subnet)?;
            check(&subnet)?;
            tx.update(&subnet)?;
            modes::follow(tx, &before, &subnet)?;
            resolver::settle(tx, &subnet.network_id)?;
            tx.touch(Key::Network(subnet.network_id))?;
            touch_routers(tx, &subnet.network_id)?;
            revise::<row::Network>(tx, &subnet.network_id)?;
            view(tx, subnet)
        })
    }

    /// Removes a subnet. Addresses that stateless autoconfiguration made go from their ports.
    ///
    /// # Errors
    /// `Conflict` while a port holds another kind of address in it.
    pub fn delete_subnet(&self, caller: &Caller, id: &SubnetId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let subnet = owned(tx, caller, id)?;
            caller.check_revision(subnet.revision)?;
            resolver::leave(tx, &subnet.network_id, id)?;
            let held: Vec<row::Allocation> = tx.list(&Query::equal("subnet_id", id.to_value()))?;
            for allocation in &held {
                let port: row::Port = tx.get(&allocation.port_id)?;
                let own = port.device_owner.starts_with("network:router")
                    || port.device_owner == floating_ip::OWNER;
                if own || !is_auto(&subnet) {
                    return Err(Error::conflict(format!(
                        "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
                    )));
                }
            }
            tx.delete_where::<row::Allocation>("subnet_id", id)?;
            for allocation in &held {
                crate::port::readdressed(tx, &allocation.port_id)?;
            }
            tx.delete::<row::Subnet>(id)?;
            modes::retire(tx, &subnet)?;
            resolver::settle(tx, &subnet.network_id)?;
            revise::<row::Network>(tx, &subnet.network_id)?;
            tx.touch(Key::Network(subnet.network_id))
        })
    }
}

/// A subnet with what its network says of it.
pub(crate) fn view(tx: &Tx<'_>, subnet: row::Subnet) -> Result<SubnetView> {
    let network: row::Network = tx.get(&subnet.network_id)?;
    Ok(SubnetView {
        subnet,
        external: network.external,
    })
}

/// As [`view`], in one statement however many there are.
fn views(tx: &Tx<'_>, subnets: Vec<row::Subnet>) -> Result<Vec<SubnetView>> {
    let ids = subnets.iter().map(|s| s.network_id.to_value()).collect();
    let external = Query::all()
        .one_of("id", ids)
        .and("external", Value::Integer(1));
    let external: Vec<row::Network> = tx.list(&external)?;
    let join = |subnet: row::Subnet| SubnetView {
        external: external.iter().any(|n| n.id == subnet.network_id),
        subnet,
    };
    Ok(subnets.into_iter().map(join).collect())
}

pub(crate) fn create(tx: &mut Tx<'_>, caller: &Caller, new: &NewSubnet) -> Result<row::Subnet> {
    let network = network::owned(tx, caller, &new.network)?;
    if new.project.is_some() {
        owner_of(caller, new.project.as_ref())?;
    }
    let others: Vec<row::Subnet> = tx.list(&Query::equal("network_id", new.network.to_value()))?;
    let (pool, prefix) = match (&new.pool, new.prefix) {
        (Some(wanted), prefix) => {
            let project = new.project.as_ref().unwrap_or(&network.project_id);
            let (pool, prefix) = subnet_pool::cut(tx, caller, project, wanted, prefix, &others)?;
            (Some(pool), prefix)
        }
        (None, Some(prefix)) => (None, prefix),
        (None, None) => {
            return Err(Error::invalid(
                "cidr is missing: the prefix of the subnet, or a subnet pool to cut it from",
            ));
        }
    };
    let subnet = row::Subnet {
        subnet_pool_id: pool,
        ..place(&network, &others, new, prefix)?
    };
    quota::check(tx, &subnet.project_id, Resource::Subnet, 1)?;
    tx.insert(&subnet)?;
    address_scope::check_network(tx, &network.id)?;
    modes::revive(tx, &subnet)?;
    tx.touch(Key::Network(network.id))?;
    resolver::settle(tx, &network.id)?;
    if is_auto(&subnet) {
        give_to_ports(tx, &subnet)?;
    }
    if network.external {
        router::take_new_family(tx, &subnet)?;
    }
    revise::<row::Network>(tx, &network.id)?;
    Ok(subnet)
}

/// Whether hosts make their own addresses here.
pub(crate) fn is_auto(subnet: &row::Subnet) -> bool {
    matches!(
        subnet.address_mode.0,
        Some(AddressMode::Slaac | AddressMode::Dhcpv6Stateless)
    )
}

/// The address that autoconfiguration with EUI-64 makes of a MAC; none in an IPv4 subnet.
pub(crate) fn auto_address(subnet: &row::Subnet, mac: Mac) -> Option<IpAddr> {
    match subnet.prefix {
        IpAddr::V6(prefix) if is_auto(subnet) => Some(mac.slaac(prefix).into()),
        _ => None,
    }
}

/// The prefix as one value.
pub(crate) fn net(subnet: &row::Subnet) -> IpNet {
    // The columns only ever hold what an `IpNet` gave; a single address is what is left of others.
    IpNet::new(subnet.prefix, subnet.prefix_length as u8).unwrap_or_else(|_| subnet.prefix.into())
}

/// The allocation of an address, if a port has it.
pub(crate) fn holder(
    tx: &Tx<'_>,
    subnet: &SubnetId,
    address: IpAddr,
) -> Result<Option<row::Allocation>> {
    tx.find(Value::Text(allocation_id(subnet, address)))
}

/// The key of an allocation.
pub(crate) fn allocation_id(subnet: &SubnetId, address: IpAddr) -> String {
    format!("{subnet}/{:032x}", model::ip_to_bits(address))
}

/// Every router with a leg in a network hears of its change.
pub(crate) fn touch_routers(tx: &mut Tx<'_>, network: &NetworkId) -> Result<()> {
    let ports: Vec<row::Port> = tx.list(&Query::equal("network_id", network.to_value()).one_of(
        "device_owner",
        vec![
            Value::Text("network:router_interface".into()),
            Value::Text("network:router_gateway".into()),
        ],
    ))?;
    for port in ports {
        if let Ok(id) = port.device_id.parse() {
            tx.touch(Key::Router(id))?;
        }
    }
    Ok(())
}

/// Hosts that are there take an address in a prefix they come to hear of; so do their ports.
fn give_to_ports(tx: &mut Tx<'_>, subnet: &row::Subnet) -> Result<()> {
    let ports: Vec<row::Port> =
        tx.list(&Query::equal("network_id", subnet.network_id.to_value()))?;
    for port in ports {
        let address = auto_address(subnet, port.mac).filter(|a| subnet.gateway != Some(*a));
        let Some(address) = address.filter(|_| !port.device_owner.starts_with("network:")) else {
            continue;
        };
        tx.insert(&row::Allocation {
            id: allocation_id(&subnet.id, address),
            subnet_id: subnet.id,
            address,
            port_id: port.id,
            network_id: port.network_id,
        })?;
        crate::port::readdressed(tx, &port.id)?;
    }
    Ok(())
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &SubnetId) -> Result<row::Subnet> {
    rbac::visible(tx, caller, id, Of::Network)
}

pub(crate) fn owned(tx: &Tx<'_>, caller: &Caller, id: &SubnetId) -> Result<row::Subnet> {
    let subnet = visible(tx, caller, id)?;
    match caller.sees(&subnet.project_id) {
        true => Ok(subnet),
        false => Err(Error::Forbidden(format!(
            "subnet {id} belongs to another project"
        ))),
    }
}
