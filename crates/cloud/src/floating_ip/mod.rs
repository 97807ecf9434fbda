//! Floating IPs: addresses of an external network that stand for addresses behind a router.

mod association;
mod forwarding;

use std::collections::HashMap;
use std::net::IpAddr;

use model::{
    Caller, Error, FloatingIpId, Key, Kind, NetworkId, PortId, ProjectId, Result, SubnetId,
};
use store::{Field, Json, OfFloatingIp, Query, ShownPort, Tx, Value, row};

use crate::list::{self, Page};
use crate::port::{self, FixedIp, NewPort};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, dns, network, now_ms};

pub use forwarding::{ForwardingUpdate, NewForwarding, Ports};

use association::associate;
pub(crate) use association::{
    check_gateway_serves, check_gateway_unused, check_subnet_unused, of_router, release,
};
pub(crate) use forwarding::of_router as forwardings_of_router;

/// Who the port that holds a floating IP's address belongs to.
pub(crate) const OWNER: &str = "network:floatingip";

/// A floating IP to make.
#[derive(Clone, Debug)]
pub struct NewFloatingIp {
    /// The external network.
    pub network: NetworkId,
    pub project: Option<ProjectId>,
    pub description: String,
    pub subnet: Option<SubnetId>,
    pub address: Option<IpAddr>,
    pub target: Option<FloatingIpTarget>,
    pub tags: Vec<String>,
    pub dns_name: String,
    pub dns_domain: String,
}

/// What a floating IP is to stand for.
#[derive(Clone, Debug)]
pub struct FloatingIpTarget {
    pub port: PortId,
    /// `None`: the port's only IPv4 address, or its first IPv6 one.
    pub address: Option<IpAddr>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct FloatingIpUpdate {
    pub description: Option<String>,
    /// `Some(None)` frees it.
    pub target: Option<Option<FloatingIpTarget>>,
}

/// A floating IP with the port it stands for, or those of its ports that stand for others.
#[derive(Clone, Debug)]
pub struct FloatingIpView {
    pub floating_ip: row::FloatingIp,
    pub port: Option<ShownPort>,
    pub forwardings: Vec<row::PortForwarding>,
}

impl Cloud {
    /// A floating IP the caller may see.
    pub fn get_floating_ip(&self, caller: &Caller, id: &FloatingIpId) -> Result<FloatingIpView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The floating IPs the caller may see.
    pub fn list_floating_ips(&self, caller: &Caller, page: &Page) -> Result<Vec<FloatingIpView>> {
        let query = list::owned(page.query::<row::FloatingIp>()?, caller, true);
        self.store().read(|tx| {
            let found = list::run(tx, &query)?;
            views(tx, found)
        })
    }

    /// A new floating IP, which may stand for a port at once.
    ///
    /// # Errors
    /// `NoAddress` when the external network has none left.
    pub fn create_floating_ip(
        &self,
        caller: &Caller,
        new: &NewFloatingIp,
    ) -> Result<FloatingIpView> {
        caller.require_member()?;
        list::check_name("description", &new.description)?;
        list::check_tags(&new.tags)?;
        dns::check_floating(&new.dns_name, &new.dns_domain)?;
        let project = owner_of(caller, new.project.as_ref())?;
        self.store().write(|tx| {
            let network = external(tx, caller, &new.network)?;
            let mut made = insert(tx, caller, &network, new, &project)?;
            if let Some(target) = &new.target {
                associate(tx, caller, &mut made, Some(target))?;
                tx.update(&made)?;
            }
            view(tx, made)
        })
    }

    /// Changes what is given.
    pub fn update_floating_ip(
        &self,
        caller: &Caller,
        id: &FloatingIpId,
        update: &FloatingIpUpdate,
    ) -> Result<FloatingIpView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut changed = visible(tx, caller, id)?;
            caller.check_revision(changed.revision)?;
            if let Some(description) = &update.description {
                list::check_name("description", description)?;
                changed.description.clone_from(description);
            }
            if let Some(target) = &update.target {
                associate(tx, caller, &mut changed, target.as_ref())?;
            }
            changed.revision += 1;
            changed.updated_ms = now_ms();
            tx.update(&changed)?;
            view(tx, changed)
        })
    }

    /// Removes a floating IP; its address is free again.
    ///
    /// # Errors
    /// `Conflict` while it has port forwardings.
    pub fn delete_floating_ip(&self, caller: &Caller, id: &FloatingIpId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let gone = visible(tx, caller, id)?;
            caller.check_revision(gone.revision)?;
            if forwarding::any(tx, id)? {
                return Err(forwarding::in_use(id));
            }
            remove(tx, &gone)
        })
    }
}

fn remove(tx: &mut Tx<'_>, gone: &row::FloatingIp) -> Result<()> {
    tx.delete::<row::FloatingIp>(&gone.id)?;
    let own: row::Port = tx.get(&gone.own_port_id)?;
    port::remove(tx, &own)?;
    gone.router_id.map_or(Ok(()), |r| tx.touch(Key::Router(r)))
}

/// Removes those of an external network that stand for no port and have no forwardings.
pub(crate) fn remove_unassociated(tx: &mut Tx<'_>, network: &NetworkId) -> Result<()> {
    let all: Vec<row::FloatingIp> = tx.list(&Query::equal("network_id", network.to_value()))?;
    let mut idle = all.iter().filter(|floating| floating.router_id.is_none());
    idle.try_for_each(|floating| remove(tx, floating))
}

/// The floating IPs that stand for any of these ports.
pub(crate) fn of_ports(tx: &Tx<'_>, ports: Vec<Value>) -> Result<Vec<row::FloatingIp>> {
    let mut query = Query::all().one_of("port_id", ports);
    query.order = vec![("address", store::Order::Ascending)];
    tx.list(&query)
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &FloatingIpId) -> Result<row::FloatingIp> {
    let found: row::FloatingIp = tx.get(id)?;
    list::seen(caller.sees(&found.project_id), found, Kind::FloatingIp, id)
}

fn external(tx: &Tx<'_>, caller: &Caller, id: &NetworkId) -> Result<row::Network> {
    let network = network::visible(tx, caller, id)?;
    match network.external {
        true => Ok(network),
        false => Err(Error::invalid(format!(
            "Bad floatingip request: Network {id} is not a valid external network."
        ))),
    }
}

fn insert(
    tx: &mut Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewFloatingIp,
    project: &ProjectId,
) -> Result<row::FloatingIp> {
    let id = FloatingIpId::random();
    let fixed_ips = address_wish(tx, caller, network, new)?;
    let own = NewPort {
        network: Some(network.id),
        fixed_ips,
        port_security: Some(false),
        device_id: id.to_string(),
        device_owner: OWNER.into(),
        ..NewPort::default()
    };
    // The port is the cloud's own: no project sees it beside the floating IP.
    let own = port::insert_for(tx, caller, network, &own, "".into())?;
    let held = own.addresses.first();
    let now = now_ms();
    let made = row::FloatingIp {
        id,
        project_id: project.clone(),
        description: new.description.clone(),
        network_id: network.id,
        address: held
            .map(|a| a.address)
            .ok_or_else(|| Error::internal("making a floating IP", "its port has no address"))?,
        own_port_id: own.port.id,
        port_id: None,
        fixed_address: None,
        router_id: None,
        status: "DOWN".into(),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        dns_name: new.dns_name.clone(),
        dns_domain: new.dns_domain.clone(),
    };
    quota::check(tx, &made.project_id, Resource::FloatingIp, 1)?;
    tx.insert(&made)?;
    Ok(made)
}

/// Which address the floating IP's port is to have; `None`: any, of IPv4 where the
/// network has that.
fn address_wish(
    tx: &Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewFloatingIp,
) -> Result<Option<Vec<FixedIp>>> {
    let subnets = port::subnets_of(tx, &network.id)?;
    if subnets.is_empty() {
        return Err(Error::invalid(format!(
            "Bad floatingip request: Network {} does not contain any subnet.",
            network.id
        )));
    }
    if let Some(id) = new.subnet.filter(|id| subnets.iter().all(|s| s.id != *id)) {
        return Err(Error::invalid(format!(
            "Bad floatingip request: subnet {id} is no subnet of network {}.",
            network.id
        )));
    }
    if new.address.is_some() && !caller.is_admin() {
        return Err(Error::Forbidden(
            "only an administrator can choose floating_ip_address: leave it out".into(),
        ));
    }
    let wish = FixedIp {
        subnet: new.subnet,
        address: new.address,
    };
    Ok((wish.subnet.is_some() || wish.address.is_some()).then(|| vec![wish]))
}

pub(crate) fn view(tx: &Tx<'_>, floating_ip: row::FloatingIp) -> Result<FloatingIpView> {
    let mut views = views(tx, vec![floating_ip])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a floating IP", "it vanished"))
}

/// Joins floating IPs with what belongs to them, in one statement however many there are.
fn views(tx: &Tx<'_>, found: Vec<row::FloatingIp>) -> Result<Vec<FloatingIpView>> {
    let mut ports: HashMap<FloatingIpId, ShownPort> = HashMap::new();
    let mut forwardings: HashMap<FloatingIpId, Vec<row::PortForwarding>> = HashMap::new();
    for part in tx.of_floating_ips(found.iter().map(|f| &f.id))? {
        match part {
            OfFloatingIp::Port(id, port) => drop(ports.insert(id, port)),
            OfFloatingIp::Forwarding(f) => {
                forwardings.entry(f.floating_ip_id).or_default().push(f);
            }
        }
    }
    for all in forwardings.values_mut() {
        all.sort_by_key(|f| (f.external_first, f.protocol.clone()));
    }
    let join = |floating_ip: row::FloatingIp| FloatingIpView {
        port: ports.remove(&floating_ip.id),
        forwardings: forwardings.remove(&floating_ip.id).unwrap_or_default(),
        floating_ip,
    };
    Ok(found.into_iter().map(join).collect())
}
