//! The port by which each network has its resolver: one address in each subnet with `enable_dhcp`.
//!
//! It is the cloud's own: no project's, so no quota counts it; nobody deletes it, and it is in
//! nobody's way. It comes with the first such subnet and goes with the last.

use std::net::IpAddr;

use model::{Error, NetworkId, PortId, Result, SubnetId};
use store::{Field, Json, Query, Tx, Value, row};

use crate::{now_ms, port, subnet};

/// Who the port belongs to: every node answers for it.
pub(crate) const OWNER: &str = "network:distributed";

/// The network's resolver's port.
pub(crate) fn port_of(tx: &Tx<'_>, network: &NetworkId) -> Result<Option<row::Port>> {
    let query = Query::equal("network_id", network.to_value())
        .and("device_owner", Value::Text(OWNER.into()));
    Ok(tx.list(&query)?.into_iter().next())
}

/// The addresses that the network's resolver has.
pub(crate) fn addresses(tx: &Tx<'_>, network: &NetworkId) -> Result<Vec<row::Allocation>> {
    match port_of(tx, network)? {
        Some(port) => tx.list(&Query::equal("port_id", port.id.to_value())),
        None => Ok(Vec::new()),
    }
}

/// Gives the port what the network's subnets ask for now, or takes it away. A subnet that has no
/// address left goes without a resolver of its own.
pub(crate) fn settle(tx: &mut Tx<'_>, network: &NetworkId) -> Result<()> {
    let served: Vec<row::Subnet> = port::subnets_of(tx, network)?
        .into_iter()
        .filter(|subnet| subnet.enable_dhcp)
        .collect();
    let port = match (port_of(tx, network)?, served.is_empty()) {
        (None, true) => return Ok(()),
        (Some(port), true) => return port::remove(tx, &port),
        (Some(port), false) => port,
        (None, false) => insert(tx, network)?,
    };
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    let mut changed = false;
    for one in &held {
        if served.iter().all(|subnet| subnet.id != one.subnet_id) {
            tx.delete::<row::Allocation>(&one.id)?;
            changed = true;
        }
    }
    for subnet in &served {
        if held.iter().all(|one| one.subnet_id != subnet.id)
            && let Some(address) = port::service_address(tx, &port, subnet)?
        {
            tx.insert(&allocation(&port.id, subnet, address))?;
            changed = true;
        }
    }
    match changed {
        true => port::touch(tx, &port.id),
        false => Ok(()),
    }
}

/// Takes the port away, before its network goes.
pub(crate) fn remove(tx: &mut Tx<'_>, network: &NetworkId) -> Result<()> {
    match port_of(tx, network)? {
        Some(port) => port::remove(tx, &port),
        None => Ok(()),
    }
}

/// Takes its address in a subnet away, before the subnet goes.
pub(crate) fn leave(tx: &mut Tx<'_>, network: &NetworkId, subnet: &SubnetId) -> Result<()> {
    for held in addresses(tx, network)? {
        if held.subnet_id == *subnet {
            tx.delete::<row::Allocation>(&held.id)?;
        }
    }
    Ok(())
}

/// Whether a port would pass for a resolver's, or would cease to be one.
///
/// # Errors
/// `Forbidden`: not even administrators make them.
pub(crate) fn check_owner(before: &str, after: &str) -> Result<()> {
    match before != after && (before == OWNER || after == OWNER) {
        false => Ok(()),
        true => Err(Error::Forbidden(format!(
            "ports with device_owner {OWNER} are made by the cloud itself, one for each network"
        ))),
    }
}

fn insert(tx: &mut Tx<'_>, network: &NetworkId) -> Result<row::Port> {
    let now = now_ms();
    let port = row::Port {
        id: PortId::random(),
        network_id: *network,
        project_id: "".into(),
        name: String::new(),
        description: String::new(),
        enabled: true,
        mac: port::free_mac(tx, network, None)?,
        device_id: network.to_string(),
        device_owner: OWNER.into(),
        device_index: 0,
        server_made: false,
        node_id: None,
        detaching: false,
        // Each node with a guest in the network answers there.
        status: "ACTIVE".into(),
        port_security: false,
        allowed_address_pairs: Json(Vec::new()),
        tags: Json(Vec::new()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        dns_name: String::new(),
        dns_domain: String::new(),
        advertising: Json::default(),
        delegated: Json::default(),
        dhcp_options: Json::default(),
        host: String::new(),
        qos_policy_id: None,
    };
    tx.insert(&port)?;
    Ok(port)
}

fn allocation(port: &PortId, subnet: &row::Subnet, address: IpAddr) -> row::Allocation {
    row::Allocation {
        id: subnet::allocation_id(&subnet.id, address),
        subnet_id: subnet.id,
        address,
        port_id: *port,
        network_id: subnet.network_id,
    }
}
