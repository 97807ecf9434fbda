//! Networks.

mod external;
mod provider;

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    Caller, Error, Key, NetworkId, ProjectId, QosPolicyId, Result, Scope, Scopes, SubnetId,
};
use store::{Field, Json, OfNetwork, Query, Tx, Value, row};

use crate::dns::check_domain;
use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::rbac::{self, Of};
use crate::token::owner_of;
pub(crate) use external::follow_policies;
use external::{set_default, set_external};
pub(crate) use provider::VLANS;

use crate::{Cloud, NewSubnet, floating_ip, now_ms, qos, resolver, subnet};

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
    pub is_default: bool,
    pub mtu: Option<u32>,
    pub network_type: Option<String>,
    pub physical_network: Option<String>,
    pub segmentation_id: Option<u32>,
    pub port_security: Option<bool>,
    pub tags: Vec<String>,
    pub dns_domain: String,
    /// `None`: its project's default, if there is one.
    pub qos_policy: Option<QosPolicyId>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct NetworkUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub shared: Option<bool>,
    pub external: Option<bool>,
    pub is_default: Option<bool>,
    pub mtu: Option<u32>,
    pub port_security: Option<bool>,
    pub dns_domain: Option<String>,
    pub qos_policy: Option<Option<QosPolicyId>>,
}

/// A network with what belongs to it.
#[derive(Clone, Debug)]
pub struct NetworkView {
    pub network: row::Network,
    /// In their order.
    pub subnets: Vec<SubnetId>,
    /// Whether a policy shares it with who looks.
    pub shared: bool,
    pub scopes: Scopes,
}

impl Cloud {
    /// A network the caller may see.
    pub fn get_network(&self, caller: &Caller, id: &NetworkId) -> Result<NetworkView> {
        self.store()
            .read(|tx| view(tx, caller, visible(tx, caller, id)?))
    }

    /// The networks the caller may see.
    pub fn list_networks(&self, caller: &Caller, page: &Page) -> Result<Vec<NetworkView>> {
        let query = rbac::page_query::<row::Network>(page, caller, Of::Itself)?;
        self.store().read(|tx| {
            let networks = list::run(tx, &query)?;
            views(tx, caller, networks)
        })
    }

    /// New networks: all of them, or none.
    pub fn create_networks(&self, caller: &Caller, new: &[NewNetwork]) -> Result<Vec<NetworkView>> {
        caller.require_member()?;
        if new.len() > list::MAX_BULK {
            return Err(list::too_many("networks"));
        }
        let mtu = self.settings().mtu;
        let there = self.inner.nodes.physical_networks();
        self.store().write(|tx| {
            let each = new.iter();
            let made = each.map(|one| create(tx, caller, one, mtu, &there));
            let made = made.collect::<Result<_>>()?;
            views(tx, caller, made)
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
    ) -> Result<NetworkView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut network = owned(tx, caller, id)?;
            caller.check_revision(network.revision)?;
            let privileged =
                update.shared.is_some() || update.external.is_some() || update.is_default.is_some();
            if privileged && !caller.is_admin() {
                return Err(Error::Forbidden(
                    "only an administrator can make a network shared, external or the default"
                        .into(),
                ));
            }
            network.name = update.name.clone().unwrap_or(network.name);
            network.description = update.description.clone().unwrap_or(network.description);
            network.enabled = update.enabled.unwrap_or(network.enabled);
            if let Some(external) = update.external {
                set_external(tx, &mut network, external)?;
            }
            if let Some(is_default) = update.is_default {
                set_default(tx, &mut network, is_default)?;
            }
            if let Some(shared) = update.shared {
                let project = &network.project_id;
                rbac::set_for_everybody(tx, project, rbac::NETWORK, id, rbac::SHARED, shared)?;
            }
            network.mtu = update.mtu.unwrap_or(network.mtu);
            network.port_security = update.port_security.unwrap_or(network.port_security);
            network.dns_domain = update.dns_domain.clone().unwrap_or(network.dns_domain);
            let policy = network.qos_policy_id;
            network.qos_policy_id = qos::chosen(tx, caller, policy, update.qos_policy)?;
            network.revision += 1;
            network.updated_ms = now_ms();
            check(&network)?;
            tx.update(&network)?;
            tx.touch(Key::Network(*id))?;
            if network.qos_policy_id != policy {
                qos::touch_network(tx, id)?;
            }
            if update.enabled.is_some() {
                let ports: Vec<row::Port> = tx.list(&Query::equal("network_id", id.to_value()))?;
                ports
                    .iter()
                    .try_for_each(|port| tx.touch(Key::Port(port.id)))?;
            }
            view(tx, caller, network)
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
            remove(tx, id)
        })
    }
}

/// Removes a network with its subnets.
///
/// # Errors
/// `Conflict` while a port is left on it.
pub(crate) fn remove(tx: &mut Tx<'_>, id: &NetworkId) -> Result<()> {
    resolver::remove(tx, id)?;
    floating_ip::remove_unassociated(tx, id)?;
    if tx.exists::<row::Port>(Query::equal("network_id", id.to_value()))? {
        return Err(Error::conflict(format!(
            "Unable to complete operation on network {id}. There are one or more ports still in use on the network."
        )));
    }
    tx.delete_where::<row::Subnet>("network_id", id)?;
    rbac::forget(tx, id)?;
    tx.delete::<row::Network>(id)?;
    tx.touch(Key::Network(*id))
}

pub(crate) fn create(
    tx: &mut Tx<'_>,
    caller: &Caller,
    new: &NewNetwork,
    mtu: u32,
    there: &BTreeSet<String>,
) -> Result<row::Network> {
    let privileged = new.shared
        || new.external
        || new.is_default
        || new.network_type.is_some()
        || new.physical_network.is_some()
        || new.segmentation_id.is_some();
    if privileged && !caller.is_admin() {
        return Err(Error::Forbidden(
            "shared, external and provider networks are made by administrators".into(),
        ));
    }
    let now = now_ms();
    let project_id = owner_of(caller, new.project.as_ref())?;
    let policy = qos::chosen(tx, caller, None, Some(new.qos_policy))?;
    let qos_policy_id = match policy {
        None => qos::default_of(tx, &project_id)?,
        named => named,
    };
    let mut network = row::Network {
        id: NetworkId::random(),
        project_id,
        name: new.name.clone(),
        description: new.description.clone(),
        enabled: new.enabled.unwrap_or(true),
        external: false,
        mtu: new.mtu.unwrap_or(mtu),
        network_type: provider::network_type(new)?,
        physical_network: new.physical_network.clone(),
        port_security: new.port_security.unwrap_or(true),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        dns_domain: new.dns_domain.clone(),
        retired: Json::default(),
        is_default: false,
        qos_policy_id,
        segmentation_id: new.segmentation_id,
    };
    check(&network)?;
    provider::check(tx, &network, there)?;
    quota::check(tx, &network.project_id, Resource::Network, 1)?;
    set_external(tx, &mut network, new.external)?;
    set_default(tx, &mut network, new.is_default)?;
    let project = &network.project_id;
    rbac::set_for_everybody(
        tx,
        project,
        rbac::NETWORK,
        &network.id,
        rbac::SHARED,
        new.shared,
    )?;
    tx.insert(&network)?;
    tx.touch(Key::Network(network.id))?;
    Ok(network)
}

pub(crate) fn view(tx: &Tx<'_>, caller: &Caller, network: row::Network) -> Result<NetworkView> {
    let mut views = views(tx, caller, vec![network])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a network", "it vanished"))
}

/// Joins networks with what belongs to them, in one statement however many there are.
fn views(tx: &Tx<'_>, caller: &Caller, networks: Vec<row::Network>) -> Result<Vec<NetworkView>> {
    let mut subnets: HashMap<NetworkId, Vec<SubnetId>> = HashMap::new();
    let mut shared = HashSet::new();
    let mut scopes: HashMap<NetworkId, Scopes> = HashMap::new();
    for part in tx.of_networks(networks.iter().map(|n| &n.id))? {
        match part {
            OfNetwork::Subnet(network, id) => subnets.entry(network).or_default().push(id),
            OfNetwork::Shared(network, target) if rbac::is_target(caller, &target) => {
                shared.insert(network);
            }
            OfNetwork::Shared(..) => {}
            OfNetwork::Scope(network, version, id) => {
                let scopes: &mut Scopes = scopes.entry(network).or_default();
                match version {
                    4 => scopes.v4 = Some(id),
                    _ => scopes.v6 = Some(id),
                }
            }
        }
    }
    subnets.values_mut().for_each(|ids| ids.sort());
    let join = |network: row::Network| NetworkView {
        subnets: subnets.remove(&network.id).unwrap_or_default(),
        shared: shared.contains(&network.id),
        scopes: scopes.remove(&network.id).unwrap_or_default(),
        network,
    };
    Ok(networks.into_iter().map(join).collect())
}

/// A network the caller may see.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &NetworkId) -> Result<row::Network> {
    rbac::visible(tx, caller, id, Of::Itself)
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
