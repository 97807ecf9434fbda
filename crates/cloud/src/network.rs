//! Networks.

use std::collections::BTreeSet;

use model::{Caller, Error, Key, Kind, NetworkId, ProjectId, Result, Scope};
use store::{Field, Json, Query, Tx, Value, row};

use crate::dns::check_domain;
use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, NewSubnet, floating_ip, now_ms, resolver, subnet};

/// The least MTU an IPv6 link may have (RFC 8200, section 5).
const LEAST_MTU: u32 = 1280;
/// What a VXLAN or physical link could carry at most.
const MOST_MTU: u32 = 65_535;

/// A network to make.
#[derive(Clone, Debug, Default)]
pub struct NewNetwork {
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub enabled: Option<bool>,
    pub shared: bool,
    pub external: bool,
    pub mtu: Option<u32>,
    pub network_type: Option<String>,
    pub physical_network: Option<String>,
    pub port_security: Option<bool>,
    pub tags: Vec<String>,
    pub dns_domain: String,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct NetworkUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub shared: Option<bool>,
    pub external: Option<bool>,
    pub mtu: Option<u32>,
    pub port_security: Option<bool>,
    pub dns_domain: Option<String>,
}

impl Cloud {
    /// A network the caller may see, with the ids of its subnets.
    pub fn get_network(
        &self,
        caller: &Caller,
        id: &NetworkId,
    ) -> Result<(row::Network, Vec<row::Subnet>)> {
        self.store().read(|tx| {
            let network = visible(tx, caller, id)?;
            let subnets = tx.list(&Query::equal("network_id", id.to_value()))?;
            Ok((network, subnets))
        })
    }

    /// The networks the caller may see, and all their subnets, in two queries.
    pub fn list_networks(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<(Vec<row::Network>, Vec<row::Subnet>)> {
        let mut query = page.query::<row::Network>()?;
        if !caller.is_admin() {
            query.any = vec![
                ("shared", Value::Integer(1)),
                ("external", Value::Integer(1)),
            ];
            if let Scope::Project(project) = &caller.scope {
                query.any.push(("project_id", project.to_value()));
            }
        }
        self.store().read(|tx| {
            let networks: Vec<row::Network> = list::run(tx, &query)?;
            let ids = networks.iter().map(|n| n.id.to_value()).collect();
            let subnets = tx.list(&Query::all().one_of("network_id", ids))?;
            Ok((networks, subnets))
        })
    }

    /// New networks: all of them, or none.
    pub fn create_networks(
        &self,
        caller: &Caller,
        new: &[NewNetwork],
    ) -> Result<Vec<row::Network>> {
        caller.require_member()?;
        if new.len() > list::MAX_BULK {
            return Err(list::too_many("networks"));
        }
        let mtu = self.settings().mtu;
        let there = self.inner.nodes.physical_networks();
        self.store().write(|tx| {
            let each = new.iter();
            each.map(|one| create(tx, caller, one, mtu, &there))
                .collect()
        })
    }

    /// A network with its subnets, all or nothing, as one who rules the host has it: its physical
    /// network need not be known to a connected node yet.
    pub fn create_physical_network(
        &self,
        new: &NewNetwork,
        subnets: &[NewSubnet],
    ) -> Result<row::Network> {
        let mtu = self.settings().mtu;
        self.store().write(|tx| {
            let admin: Vec<row::Project> =
                tx.list(&Query::equal("name", Value::Text("admin".into())))?;
            let project = new
                .project
                .clone()
                .or_else(|| admin.first().map(|p| p.id.clone()));
            let project = project.ok_or_else(|| {
                Error::invalid("there is no project named admin: say whose the network is to be")
            })?;
            let caller = Caller {
                user: "hextet".into(),
                scope: Scope::Project(project),
                roles: vec!["admin".into()],
                request_id: "manage".into(),
                if_match: None,
            };
            let there = new.physical_network.iter().cloned().collect();
            let network = create(tx, &caller, new, mtu, &there)?;
            for wanted in subnets {
                let network = network.id;
                let wanted = NewSubnet {
                    network,
                    ..wanted.clone()
                };
                subnet::create(tx, &caller, &wanted)?;
            }
            Ok(network)
        })
    }

    /// Changes what is given.
    pub fn update_network(
        &self,
        caller: &Caller,
        id: &NetworkId,
        update: &NetworkUpdate,
    ) -> Result<(row::Network, Vec<row::Subnet>)> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut network = owned(tx, caller, id)?;
            caller.check_revision(network.revision)?;
            if (update.shared.is_some() || update.external.is_some()) && !caller.is_admin() {
                return Err(Error::Forbidden(
                    "only an administrator can make a network shared or external".into(),
                ));
            }
            if update.external == Some(false) && network.external {
                let routers = Query::equal("external_network_id", id.to_value());
                let floating = Query::equal("network_id", id.to_value());
                if tx.exists::<row::Router>(routers)? || tx.exists::<row::FloatingIp>(floating)? {
                    return Err(Error::conflict(format!(
                        "External network {id} cannot be updated to be made non-external, since it has existing gateway ports or floating IPs."
                    )));
                }
            }
            network.name = update.name.clone().unwrap_or(network.name);
            network.description = update.description.clone().unwrap_or(network.description);
            network.enabled = update.enabled.unwrap_or(network.enabled);
            network.shared = update.shared.unwrap_or(network.shared);
            network.external = update.external.unwrap_or(network.external);
            network.mtu = update.mtu.unwrap_or(network.mtu);
            network.port_security = update.port_security.unwrap_or(network.port_security);
            network.dns_domain = update.dns_domain.clone().unwrap_or(network.dns_domain);
            network.revision += 1;
            network.updated_ms = now_ms();
            check(&network)?;
            tx.update(&network)?;
            tx.touch(Key::Network(*id))?;
            if update.enabled.is_some() {
                let ports: Vec<row::Port> = tx.list(&Query::equal("network_id", id.to_value()))?;
                ports
                    .iter()
                    .try_for_each(|port| tx.touch(Key::Port(port.id)))?;
            }
            let subnets = tx.list(&Query::equal("network_id", id.to_value()))?;
            Ok((network, subnets))
        })
    }

    /// Removes a network with its subnets, and with the floating IPs of it that stand for no port.
    ///
    /// # Errors
    /// `Conflict` while a port is left on it.
    pub fn delete_network(&self, caller: &Caller, id: &NetworkId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            caller.check_revision(owned(tx, caller, id)?.revision)?;
            resolver::remove(tx, id)?;
            floating_ip::remove_unassociated(tx, id)?;
            if tx.exists::<row::Port>(Query::equal("network_id", id.to_value()))? {
                return Err(Error::conflict(format!(
                    "Unable to complete operation on network {id}. There are one or more ports still in use on the network."
                )));
            }
            tx.delete_where::<row::Subnet>("network_id", id)?;
            tx.delete::<row::Network>(id)?;
            tx.touch(Key::Network(*id))
        })
    }
}

fn create(
    tx: &mut Tx<'_>,
    caller: &Caller,
    new: &NewNetwork,
    mtu: u32,
    there: &BTreeSet<String>,
) -> Result<row::Network> {
    let privileged =
        new.shared || new.external || new.network_type.is_some() || new.physical_network.is_some();
    if privileged && !caller.is_admin() {
        return Err(Error::Forbidden(
            "shared, external and provider networks are made by administrators".into(),
        ));
    }
    let now = now_ms();
    let network = row::Network {
        id: NetworkId::random(),
        project_id: owner_of(caller, new.project.as_ref())?,
        name: new.name.clone(),
        description: new.description.clone(),
        enabled: new.enabled.unwrap_or(true),
        shared: new.shared,
        external: new.external,
        mtu: new.mtu.unwrap_or(mtu),
        network_type: network_type(new)?,
        physical_network: new.physical_network.clone(),
        port_security: new.port_security.unwrap_or(true),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        dns_domain: new.dns_domain.clone(),
        retired: Json::default(),
    };
    check(&network)?;
    if let Some(name) = &network.physical_network {
        check_physical(name, there)?;
        let same = Query::equal("physical_network", Value::Text(name.clone()));
        if tx.exists::<row::Network>(same)? {
            return Err(Error::conflict(format!(
                "Physical network {name} carries a flat network already, which owns it whole."
            )));
        }
    }
    quota::check(tx, &network.project_id, Resource::Network, 1)?;
    tx.insert(&network)?;
    tx.touch(Key::Network(network.id))?;
    Ok(network)
}

/// A network the caller may see: its own, a shared or an external one.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &NetworkId) -> Result<row::Network> {
    let network: row::Network = tx.get(id)?;
    let seen = network.shared || network.external || caller.sees(&network.project_id);
    list::seen(seen, network, Kind::Network, id)
}

/// A network the caller may change.
pub(crate) fn owned(tx: &Tx<'_>, caller: &Caller, id: &NetworkId) -> Result<row::Network> {
    let network = visible(tx, caller, id)?;
    match caller.sees(&network.project_id) {
        true => Ok(network),
        false => Err(Error::Forbidden(format!(
            "network {id} belongs to another project"
        ))),
    }
}

/// A flat network is a physical one; anything else lives inside the cloud.
fn network_type(new: &NewNetwork) -> Result<String> {
    match (new.network_type.as_deref(), &new.physical_network) {
        (None | Some("flat"), Some(_)) => Ok("flat".into()),
        (None | Some("local"), None) => Ok("local".into()),
        (Some("flat"), None) => Err(Error::invalid(
            "provider:network_type flat needs provider:physical_network: the name that a node's settings map to a bridge",
        )),
        (Some("local"), Some(_)) => Err(Error::invalid(
            "a local network has no provider:physical_network",
        )),
        (Some(other), _) => Err(Error::invalid(format!(
            "provider:network_type '{other}' is not available: this cloud has flat and local networks"
        ))),
    }
}

/// # Errors
/// `Invalid` when no connected node has a bridge to a physical network.
fn check_physical(name: &str, there: &BTreeSet<String>) -> Result<()> {
    if there.contains(name) {
        return Ok(());
    }
    let known: Vec<&str> = there.iter().map(String::as_str).collect();
    let known = match known.is_empty() {
        true => "no connected node has any: `physical_networks` of a node's settings".into(),
        false => format!("connected nodes have {}", known.join(", ")),
    };
    Err(Error::invalid(format!(
        "Invalid input for operation: physical_network '{name}' unknown for flat provider network: {known}."
    )))
}

fn check(network: &row::Network) -> Result<()> {
    list::check_name("name", &network.name)?;
    list::check_name("description", &network.description)?;
    list::check_tags(&network.tags.0)?;
    check_domain("dns_domain", &network.dns_domain)?;
    if let Some(name) = &network.physical_network {
        list::check_required_name("provider:physical_network", name)?;
    }
    match (LEAST_MTU..=MOST_MTU).contains(&network.mtu) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "mtu {} is not between {LEAST_MTU}, the least an IPv6 link may have, and {MOST_MTU}",
            network.mtu
        ))),
    }
}
