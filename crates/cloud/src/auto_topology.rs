//! Auto-allocated topologies: a network with subnets of the default pools, and a router to the default external network.

use model::{Caller, Error, Kind, ProjectId, RaMode, Result};
use store::{Field, Query, Tx, Value, row};

use crate::network::{self, NewNetwork};
use crate::router::{self, GatewayInfo, InterfaceBy, NewRouter};
use crate::subnet::{self, IpVersion, NewSubnet};
use crate::subnet_pool::{FromPool, PoolWish};
use crate::{Cloud, list};

impl Cloud {
    /// The topology of a project, made if it is not there: all of it or nothing.
    ///
    /// # Errors
    /// `Conflict` where the default external network or the default subnet pools are missing or given away.
    pub fn get_auto_topology(
        &self,
        caller: &Caller,
        project: &ProjectId,
    ) -> Result<row::AutoAllocatedTopology> {
        let there = self.store().read(|tx| find(tx, caller, project))?;
        if let Some(there) = there {
            return Ok(there);
        }
        caller.require_member()?;
        let mtu = self.settings().mtu;
        self.store().write(|tx| match find(tx, caller, project)? {
            Some(there) => Ok(there),
            None => make(tx, caller, project, mtu),
        })
    }

    /// Whether [`Cloud::get_auto_topology`] has what it needs.
    ///
    /// # Errors
    /// `Conflict` when it has not.
    pub fn check_auto_topology(&self, caller: &Caller, project: &ProjectId) -> Result<()> {
        self.store().read(|tx| {
            find(tx, caller, project)?;
            requirements(tx).map(drop)
        })
    }

    /// Removes a topology with all that belongs to it; without one, nothing.
    ///
    /// # Errors
    /// `Conflict` while something else is on its network or uses its router.
    pub fn delete_auto_topology(&self, caller: &Caller, project: &ProjectId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let Some(topology) = find(tx, caller, project)? else {
                return Ok(());
            };
            if let Some(id) = topology.router_id {
                let router: row::Router = tx.get(&id)?;
                for leg in router::legs(tx, &id, router::INTERFACE)? {
                    router::remove_leg(tx, &router, leg.id)?;
                }
                router::remove(tx, caller, router)?;
            }
            network::remove(tx, &topology.network_id)
        })
    }
}

/// The topology of a project that the caller may ask for.
///
/// # Errors
/// `NotFound` for another's project, and for one that is not there.
fn find(
    tx: &Tx<'_>,
    caller: &Caller,
    project: &ProjectId,
) -> Result<Option<row::AutoAllocatedTopology>> {
    list::seen(caller.sees(project), (), Kind::Project, project)?;
    tx.get::<row::Project>(project)?;
    tx.find(project.to_value())
}

/// The default external network, and the families that have a default pool.
fn requirements(tx: &Tx<'_>) -> Result<(row::Network, Vec<row::SubnetPool>)> {
    let missing = |what: &str| Error::conflict(format!("Deployment error: {what}."));
    let default = Query::equal("is_default", Value::Integer(1));
    let external: Vec<row::Network> = tx.list(&default)?;
    let external = external.into_iter().next();
    let external = external.ok_or_else(|| missing("No default router:external network"))?;
    let mut default = default;
    default.order = vec![("version", store::Order::Ascending)];
    let pools: Vec<row::SubnetPool> = tx.list(&default)?;
    match pools.is_empty() {
        true => Err(missing("No default subnetpools defined")),
        false => Ok((external, pools)),
    }
}

fn make(
    tx: &mut Tx<'_>,
    caller: &Caller,
    project: &ProjectId,
    mtu: u32,
) -> Result<row::AutoAllocatedTopology> {
    let (external, pools) = requirements(tx)?;
    let new = NewNetwork {
        project: Some(project.clone()),
        name: "auto_allocated_network".into(),
        ..NewNetwork::default()
    };
    let network = network::create(tx, caller, &new, mtu, &Default::default())?;
    let new = NewRouter {
        project: Some(project.clone()),
        name: "auto_allocated_router".into(),
        gateway: Some(GatewayInfo {
            network: external.id,
            fixed_ips: None,
            snat: None,
        }),
        ..NewRouter::default()
    };
    let router = router::create(tx, caller, &new)?;
    for pool in &pools {
        let subnet = subnet::create(tx, caller, &subnet_of(pool, &network))?;
        router::add(tx, caller, &router, InterfaceBy::Subnet(subnet.id))?;
    }
    let topology = row::AutoAllocatedTopology {
        project_id: project.clone(),
        network_id: network.id,
        router_id: Some(router.id),
    };
    tx.insert(&topology)?;
    Ok(topology)
}

fn subnet_of(pool: &row::SubnetPool, network: &row::Network) -> NewSubnet {
    let v6 = pool.version == 6;
    let version = if v6 { IpVersion::V6 } else { IpVersion::V4 };
    // Neutron sets no mode, so its guests hear nothing of the prefix.
    let mode = match pool.default_length {
        64 => RaMode::Slaac,
        _ => RaMode::Dhcpv6Stateful,
    };
    NewSubnet {
        network: network.id,
        project: Some(network.project_id.clone()),
        name: format!("auto_allocated_subnet_v{}", pool.version),
        description: String::new(),
        prefix: None,
        pool: Some(FromPool {
            pool: PoolWish::Default(version),
            version: Some(version),
            length: None,
        }),
        gateway: None,
        enable_dhcp: true,
        ra_mode: v6.then_some(mode),
        address_mode: v6.then_some(mode),
        lifetimes: Default::default(),
        pref64: None,
        pools: None,
        dns_nameservers: Vec::new(),
        host_routes: Vec::new(),
        tags: Vec::new(),
    }
}
