//! Ports as they are looked at, with what hangs on them.

use std::collections::{BTreeSet, HashMap};

use model::{
    Caller, Error, Kind, NetworkId, PortHeard, PortId, QosPolicyId, Result, SecurityGroupId,
    TrunkId,
};
use store::{Carried, Field, OfPort, Order, Query, Tx, Value, row};

use super::PortView;
use crate::list;

/// A port with its addresses and groups.
pub(crate) fn view(tx: &Tx<'_>, port: row::Port) -> Result<PortView> {
    let mut views = views(tx, vec![port])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a port", "it vanished"))
}

/// Joins ports with their addresses and groups, in one statement however many there are.
pub(crate) fn views(tx: &Tx<'_>, ports: Vec<row::Port>) -> Result<Vec<PortView>> {
    let mut addresses: HashMap<PortId, Vec<row::Allocation>> = HashMap::new();
    let mut groups: HashMap<PortId, Vec<SecurityGroupId>> = HashMap::new();
    let mut networks: HashMap<PortId, (String, Option<QosPolicyId>)> = HashMap::new();
    let mut hosts: HashMap<PortId, String> = HashMap::new();
    let mut heard: HashMap<PortId, PortHeard> = HashMap::new();
    let mut trunks: HashMap<PortId, TrunkId> = HashMap::new();
    let mut carried: HashMap<PortId, Vec<Carried>> = HashMap::new();
    for part in tx.of_ports(ports.iter().map(|p| &p.id))? {
        match part {
            OfPort::Address(held) => addresses.entry(held.port_id).or_default().push(held),
            OfPort::Network(port, domain, policy) => {
                networks.insert(port, (domain, policy));
            }
            OfPort::Heard(row) => drop(heard.insert(row.port_id, row.heard.0)),
            OfPort::Host(port, host) => drop(hosts.insert(port, host)),
            OfPort::Trunk(port, trunk) => drop(trunks.insert(port, trunk)),
            OfPort::Subport(port, one) => carried.entry(port).or_default().push(one),
            OfPort::SecurityGroup(port, group) => groups.entry(port).or_default().push(group),
        }
    }
    // IPv4 first, as its numbers are less.
    addresses
        .values_mut()
        .for_each(|held| held.sort_by_key(|a| model::ip_to_bits(a.address)));
    groups.values_mut().for_each(|of_port| of_port.sort());
    carried
        .values_mut()
        .for_each(|of_port| of_port.sort_by_key(|one| one.vlan));
    let join = |port: row::Port| {
        let (network_domain, network_qos_policy) = networks.remove(&port.id).unwrap_or_default();
        PortView {
            trunk: trunks
                .remove(&port.id)
                .map(|trunk| (trunk, carried.remove(&port.id).unwrap_or_default())),
            addresses: addresses.remove(&port.id).unwrap_or_default(),
            security_groups: groups.remove(&port.id).unwrap_or_default(),
            network_domain,
            network_qos_policy,
            host: hosts.remove(&port.id).unwrap_or_default(),
            heard: heard.remove(&port.id).unwrap_or_default(),
            port,
        }
    };
    Ok(ports.into_iter().map(join).collect())
}

/// The ports that have an address with one of these in its text, of those the caller may see.
///
/// # Errors
/// `Invalid` when there are more than a page holds.
pub(super) fn with_address_like(
    tx: &Tx<'_>,
    caller: &Caller,
    parts: &[String],
) -> Result<Vec<Value>> {
    let mut query = Query::all();
    if !caller.is_admin() {
        let project = list::project_of(caller);
        query = query.matching(
            "t.port_id IN (SELECT p.id FROM port p JOIN network n ON n.id = p.network_id WHERE p.project_id = ? OR n.project_id = ?)",
            vec![project.clone(), project],
        );
    }
    let held: Vec<row::Allocation> = tx.list(&query)?;
    let like = |held: &&row::Allocation| {
        let text = held.address.to_string();
        parts.iter().any(|part| text.contains(part.as_str()))
    };
    let ids: BTreeSet<PortId> = held.iter().filter(like).map(|a| a.port_id).collect();
    if ids.len() as u64 > list::MAX_PAGE {
        return Err(Error::invalid(
            "ip_address_substr is in the addresses of too many ports: give more of the address",
        ));
    }
    Ok(ids.iter().map(Field::to_value).collect())
}

/// A port the caller may see: its own, or one on its network.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &PortId) -> Result<row::Port> {
    let port: row::Port = tx.get(id)?;
    let mut seen = caller.sees(&port.project_id);
    if !seen {
        seen = caller.sees(&tx.get::<row::Network>(&port.network_id)?.project_id);
    }
    list::seen(seen, port, Kind::Port, id)
}

pub(crate) fn groups_of(tx: &Tx<'_>, id: &PortId) -> Result<Vec<SecurityGroupId>> {
    let members: Vec<row::Membership> = tx.list(&Query::equal("port_id", id.to_value()))?;
    Ok(members.into_iter().map(|m| m.security_group_id).collect())
}

/// The subnets of a network, oldest first.
pub(crate) fn subnets_of(tx: &Tx<'_>, network: &NetworkId) -> Result<Vec<row::Subnet>> {
    let mut query = Query::equal("network_id", network.to_value());
    query.order = vec![("created_ms", Order::Ascending)];
    tx.list(&query)
}
