//! Subnets: IPv6 prefixes of networks, and which addresses may be given out of them.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use model::{
    AddressMode, Caller, Error, Key, Kind, NetworkId, ProjectId, RaMode, Result, Route, Scope,
    SubnetId,
};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::network;
use crate::token::owner_of;
use crate::{Cloud, now_ms};

/// Subnets of one network: its document must stay small enough for every node.
const MAX_SUBNETS: usize = 64;

/// A subnet to make.
#[derive(Clone, Debug)]
pub struct NewSubnet {
    pub network: NetworkId,
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub prefix: Ipv6Net,
    /// `None`: the prefix's first address; `Some(None)`: no gateway.
    pub gateway: Option<Option<Ipv6Addr>>,
    pub enable_dhcp: bool,
    pub ra_mode: Option<RaMode>,
    pub address_mode: Option<AddressMode>,
    pub pools: Option<Vec<(Ipv6Addr, Ipv6Addr)>>,
    pub dns_nameservers: Vec<Ipv6Addr>,
    pub host_routes: Vec<Route>,
    pub tags: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct SubnetUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub gateway: Option<Option<Ipv6Addr>>,
    pub enable_dhcp: Option<bool>,
    pub pools: Option<Vec<(Ipv6Addr, Ipv6Addr)>>,
    pub dns_nameservers: Option<Vec<Ipv6Addr>>,
    pub host_routes: Option<Vec<Route>>,
}

impl Cloud {
    /// A subnet of a network the caller may see.
    pub fn get_subnet(&self, caller: &Caller, id: &SubnetId) -> Result<row::Subnet> {
        self.store().read(|tx| visible(tx, caller, id))
    }

    /// The subnets of networks the caller may see.
    pub fn list_subnets(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Subnet>> {
        let mut query = page.query::<row::Subnet>()?;
        if !caller.is_admin() {
            let project = match &caller.scope {
                Scope::Project(project) => project.to_value(),
                _ => Value::Null,
            };
            query = query.seen_if(
                "t.project_id = ? OR t.network_id IN (SELECT n.id FROM network n WHERE n.shared OR n.external)",
                vec![project],
            );
        }
        self.store().read(|tx| list::run(tx, &query))
    }

    /// New subnets: all of them, or none.
    pub fn create_subnets(&self, caller: &Caller, new: &[NewSubnet]) -> Result<Vec<row::Subnet>> {
        caller.require_member()?;
        if new.len() > list::MAX_BULK {
            return Err(list::too_many("subnets"));
        }
        self.store()
            .write(|tx| new.iter().map(|one| create(tx, caller, one)).collect())
    }

    /// Changes what is given.
    pub fn update_subnet(
        &self,
        caller: &Caller,
        id: &SubnetId,
        update: &SubnetUpdate,
    ) -> Result<row::Subnet> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut subnet = owned(tx, caller, id)?;
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
            tx.touch(Key::Network(subnet.network_id))?;
            touch_routers(tx, &subnet.network_id)?;
            Ok(subnet)
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
            let held: Vec<row::Allocation> = tx.list(&Query::equal("subnet_id", id.to_value()))?;
            for allocation in &held {
                let port: row::Port = tx.get(&allocation.port_id)?;
                if !is_auto(&subnet) || port.device_owner.starts_with("network:router") {
                    return Err(Error::conflict(format!(
                        "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
                    )));
                }
            }
            tx.delete_where::<row::Allocation>("subnet_id", id)?;
            for allocation in &held {
                crate::port::touch(tx, &allocation.port_id)?;
            }
            tx.delete::<row::Subnet>(id)?;
            tx.touch(Key::Network(subnet.network_id))
        })
    }
}

fn create(tx: &mut Tx<'_>, caller: &Caller, new: &NewSubnet) -> Result<row::Subnet> {
    let network = network::owned(tx, caller, &new.network)?;
    if new.project.is_some() {
        owner_of(caller, new.project.as_ref())?;
    }
    let others: Vec<row::Subnet> = tx.list(&Query::equal("network_id", new.network.to_value()))?;
    let subnet = place(&network, &others, new)?;
    tx.insert(&subnet)?;
    tx.touch(Key::Network(network.id))?;
    if is_auto(&subnet) {
        give_to_ports(tx, &subnet)?;
    }
    Ok(subnet)
}

/// Whether hosts make their own addresses here.
pub(crate) fn is_auto(subnet: &row::Subnet) -> bool {
    matches!(
        subnet.address_mode.0,
        Some(AddressMode::Slaac | AddressMode::Dhcpv6Stateless)
    )
}

/// The prefix as one value.
pub(crate) fn net(subnet: &row::Subnet) -> Ipv6Net {
    // The column only ever holds lengths that `Ipv6Net` gave.
    Ipv6Net::new(subnet.prefix, subnet.prefix_length.min(128) as u8).unwrap_or_default()
}

/// The allocation of an address, if a port has it.
pub(crate) fn holder(
    tx: &Tx<'_>,
    subnet: &SubnetId,
    address: Ipv6Addr,
) -> Result<Option<row::Allocation>> {
    tx.find(Value::Text(allocation_id(subnet, address)))
}

/// The key of an allocation.
pub(crate) fn allocation_id(subnet: &SubnetId, address: Ipv6Addr) -> String {
    format!("{subnet}/{:032x}", address.to_bits())
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
        let address = port.mac.slaac(subnet.prefix);
        if port.device_owner.starts_with("network:router") || subnet.gateway == Some(address) {
            continue;
        }
        tx.insert(&row::Allocation {
            id: allocation_id(&subnet.id, address),
            subnet_id: subnet.id,
            address,
            port_id: port.id,
            network_id: port.network_id,
        })?;
        crate::port::touch(tx, &port.id)?;
    }
    Ok(())
}

fn visible(tx: &Tx<'_>, caller: &Caller, id: &SubnetId) -> Result<row::Subnet> {
    let subnet: row::Subnet = tx.get(id)?;
    let network: row::Network = tx.get(&subnet.network_id)?;
    let seen = network.shared || network.external || caller.sees(&subnet.project_id);
    list::seen(seen, subnet, Kind::Subnet, id)
}

fn owned(tx: &Tx<'_>, caller: &Caller, id: &SubnetId) -> Result<row::Subnet> {
    let subnet = visible(tx, caller, id)?;
    match caller.sees(&subnet.project_id) {
        true => Ok(subnet),
        false => Err(Error::Forbidden(format!(
            "subnet {id} belongs to another project"
        ))),
    }
}

/// The subnet a request asks for, with the defaults filled in.
fn place(network: &row::Network, others: &[row::Subnet], new: &NewSubnet) -> Result<row::Subnet> {
    if let Some(other) = others.iter().map(net).find(|o| overlap(o, &new.prefix)) {
        return Err(Error::invalid(format!(
            "Requested subnet with cidr: {} for network: {} overlaps with another subnet: {other}",
            new.prefix, network.id
        )));
    }
    if others.len() >= MAX_SUBNETS {
        return Err(Error::conflict(format!(
            "Network {} has {MAX_SUBNETS} subnets, the most one can have.",
            network.id
        )));
    }
    let now = now_ms();
    let gateway = new
        .gateway
        .unwrap_or_else(|| Some(Ipv6Addr::from_bits(new.prefix.network().to_bits() | 1)));
    let subnet = row::Subnet {
        id: SubnetId::random(),
        network_id: network.id,
        project_id: new
            .project
            .clone()
            .unwrap_or_else(|| network.project_id.clone()),
        name: new.name.clone(),
        description: new.description.clone(),
        prefix: new.prefix.network(),
        prefix_length: u32::from(new.prefix.prefix_len()),
        gateway,
        enable_dhcp: new.enable_dhcp,
        ra_mode: Json(new.ra_mode),
        address_mode: Json(new.address_mode),
        pools: Json(
            new.pools
                .clone()
                .unwrap_or_else(|| default_pools(&new.prefix, gateway)),
        ),
        dns_nameservers: Json(new.dns_nameservers.clone()),
        host_routes: Json(new.host_routes.clone()),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
    };
    check_modes(&subnet)?;
    check(&subnet)?;
    Ok(subnet)
}

fn overlap(a: &Ipv6Net, b: &Ipv6Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Everything but the subnet-router anycast address (RFC 4291, section 2.6.1) and the gateway.
fn default_pools(prefix: &Ipv6Net, gateway: Option<Ipv6Addr>) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let (first, last) = match prefix.prefix_len() {
        127.. => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
        _ => (prefix.network().to_bits() + 1, prefix.broadcast().to_bits()),
    };
    let Some(gateway) = gateway
        .map(|g| g.to_bits())
        .filter(|g| (first..=last).contains(g))
    else {
        return vec![(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last))];
    };
    [
        (first, gateway.saturating_sub(1)),
        (gateway.saturating_add(1), last),
    ]
    .into_iter()
    .filter(|(a, b)| a <= b)
    .map(|(a, b)| (Ipv6Addr::from_bits(a), Ipv6Addr::from_bits(b)))
    .collect()
}

fn check_modes(subnet: &row::Subnet) -> Result<()> {
    let (ra, address) = (subnet.ra_mode.0, subnet.address_mode.0);
    if !subnet.enable_dhcp && (ra.is_some() || address.is_some()) {
        return Err(Error::invalid(
            "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False",
        ));
    }
    if let (Some(r), Some(a)) = (ra, address)
        && r != a
    {
        return Err(Error::invalid(
            "ipv6_ra_mode and ipv6_address_mode must be the same when both are set",
        ));
    }
    for mode in [ra, address].into_iter().flatten() {
        if mode != RaMode::Slaac {
            return Err(Error::invalid(
                "this cloud has no DHCPv6 yet: use slaac, or leave ipv6_ra_mode and ipv6_address_mode unset",
            ));
        }
    }
    if ra != address && ra.is_some() {
        return Err(Error::invalid(
            "ipv6_ra_mode slaac needs ipv6_address_mode slaac: hosts that hear the prefix take addresses in it",
        ));
    }
    if (ra.is_some() || address.is_some()) && subnet.prefix_length != 64 {
        return Err(Error::invalid(format!(
            "Invalid CIDR {} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64",
            net(subnet)
        )));
    }
    Ok(())
}

fn check(subnet: &row::Subnet) -> Result<()> {
    list::check_name("name", &subnet.name)?;
    list::check_name("description", &subnet.description)?;
    list::check_tags(&subnet.tags.0)?;
    let prefix = net(subnet);
    if prefix.prefix_len() == 0
        || prefix.network().is_multicast()
        || prefix.network().is_loopback()
        || prefix.network().is_unicast_link_local()
        || prefix.network().to_ipv4_mapped().is_some()
    {
        return Err(Error::invalid(format!(
            "cidr {prefix} is no prefix that hosts can have addresses in"
        )));
    }
    if let Some(gateway) = subnet.gateway
        && (!prefix.contains(&gateway) && !gateway.is_unicast_link_local())
    {
        return Err(Error::invalid(format!(
            "Gateway {gateway} is not valid on subnet {prefix}"
        )));
    }
    let mut pools = subnet.pools.0.clone();
    pools.sort();
    for (first, last) in &pools {
        if first > last || !prefix.contains(first) || !prefix.contains(last) {
            return Err(Error::invalid(format!(
                "The allocation pool {first}-{last} is not valid in subnet {prefix}"
            )));
        }
        if subnet
            .gateway
            .is_some_and(|g| (*first..=*last).contains(&g))
        {
            return Err(Error::conflict(format!(
                "Gateway ip {} conflicts with allocation pool {first}-{last}",
                subnet.gateway.unwrap_or(*first)
            )));
        }
    }
    if let Some(pair) = pools.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
        return Err(Error::conflict(format!(
            "Found overlapping allocation pools: {}-{} {}-{}",
            pair[0].0, pair[0].1, pair[1].0, pair[1].1
        )));
    }
    if subnet.dns_nameservers.0.len() > 5 || subnet.host_routes.0.len() > 20 {
        return Err(Error::invalid(
            "a subnet takes at most 5 dns_nameservers and 20 host_routes",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_pool_leaves_the_gateway_out() {
        let check = |prefix: &str, gateway: &str, expected: &[(&str, &str)]| {
            let pools = default_pools(&prefix.parse().unwrap(), Some(gateway.parse().unwrap()));
            let text: Vec<_> = pools
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect();
            assert_eq!(text, expected, "{prefix}");
        };
        check(
            "2001:db8::/64",
            "2001:db8::1",
            &[("2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff")],
        );
        check(
            "2001:db8::/126",
            "2001:db8::2",
            &[
                ("2001:db8::1", "2001:db8::1"),
                ("2001:db8::3", "2001:db8::3"),
            ],
        );
        check(
            "2001:db8::/64",
            "fe80::1",
            &[("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff")],
        );
    }
}
