//! A server's network interfaces: ports made for it, and ports the user gives it.

use std::net::IpAddr;

use model::{Caller, Error, NetworkId, PortId, ProjectId, Result, SecurityGroupId};
use store::{Field, Query, Tx, Value, row};

use super::create::NewServer;
use super::hostname;
use crate::port::{self, FixedIp, NewPort};
use crate::{network, now_ms, rbac, security_group, trunk};

/// As many as have a place on a guest's first PCI bus.
pub(super) const MAX_NETWORKS: usize = 24;

/// A network interface a request asks for.
#[derive(Clone, Debug)]
pub enum ServerNetwork {
    /// A new port on a network.
    Network(NetworkId, Option<IpAddr>),
    /// A port made before.
    Port(PortId),
}

/// The ports of a new server: made for it, or given.
pub(super) fn attach_ports(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    new: &NewServer,
) -> Result<()> {
    let mut groups = Vec::new();
    for name in &new.security_groups {
        groups.push(security_group::by_name_or_id(tx, caller, name)?);
    }
    let networks = match &new.networks {
        Some(networks) => networks.clone(),
        None => default_network(tx, &server.project_id)?,
    };
    for (index, wish) in (0..).zip(networks) {
        bind(tx, caller, server, &wish, &groups, index)?;
    }
    Ok(())
}

/// One interface more for a server that is there; without a wish, on the project's one network.
pub(super) fn attach_one(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    wish: Option<&ServerNetwork>,
    index: u32,
) -> Result<row::Port> {
    let wish = match wish {
        Some(wish) => wish.clone(),
        None => default_network(tx, &server.project_id)?
            .pop()
            .ok_or_else(|| Error::invalid("this project has no network: name one"))?,
    };
    bind(tx, caller, server, &wish, &[], index)
}

fn bind(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    wish: &ServerNetwork,
    groups: &[SecurityGroupId],
    index: u32,
) -> Result<row::Port> {
    let mut port = match wish {
        ServerNetwork::Network(id, address) => new_port(tx, caller, server, id, *address, groups)?,
        ServerNetwork::Port(id) => given_port(tx, caller, server, id)?,
    };
    port.device_id = server.id.to_string();
    port.device_owner = format!("compute:{}", server.availability_zone);
    port.device_index = index;
    port.node_id = server.node_id;
    port.dns_name = hostname(&server.name, &server.id);
    port.revision += 1;
    port.updated_ms = now_ms();
    tx.update(&port)?;
    port::touch(tx, &port.id)?;
    trunk::follow(tx, &port)?;
    Ok(port)
}

/// Whether the guest can ask `169.254.169.254`. Many systems know no other place for metadata.
pub(super) fn has_ipv4(tx: &Tx<'_>, server: &row::Server) -> Result<bool> {
    for port in super::ports_of(tx, &server.id)? {
        let view = port::view(tx, port)?;
        let mut addresses = view.addresses.iter();
        if addresses.any(|held| held.address.is_ipv4()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn default_network(tx: &Tx<'_>, project: &ProjectId) -> Result<Vec<ServerNetwork>> {
    let own = Query::equal("project_id", project.to_value()).and("external", Value::Integer(0));
    let own: Vec<row::Network> = tx.list(&own)?;
    match own.as_slice() {
        [] => Ok(Vec::new()),
        [one] => Ok(vec![ServerNetwork::Network(one.id, None)]),
        _ => Err(Error::conflict(
            "Multiple possible networks found, use a Network ID to be more specific.",
        )),
    }
}

fn new_port(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    id: &NetworkId,
    address: Option<IpAddr>,
    groups: &[SecurityGroupId],
) -> Result<row::Port> {
    let network = network::visible(tx, caller, id)
        .map_err(|_| Error::invalid(format!("Network {id} could not be found.")))?;
    if network.external && !caller.is_admin() && !rbac::is_shared(tx, caller, id)? {
        return Err(Error::Forbidden(format!(
            "It is not allowed to create an interface on external network {id}"
        )));
    }
    let asked = [("an address of its own", address.is_some())];
    port::check_owner_only(caller, &network, &asked)?;
    let subnets = port::subnets_of(tx, id)?;
    if subnets.is_empty() {
        return Err(Error::invalid(format!(
            "Network {id} requires a subnet in order to boot instances on."
        )));
    }
    let new = NewPort {
        network: Some(*id),
        project: Some(server.project_id.clone()),
        fixed_ips: address.map(|a| {
            vec![FixedIp {
                subnet: None,
                address: Some(a),
            }]
        }),
        security_groups: (!groups.is_empty() && network.port_security).then(|| groups.to_vec()),
        ..NewPort::default()
    };
    let mut port = port::insert(tx, caller, &network, &new)?.port;
    port.server_made = true;
    Ok(port)
}

fn given_port(
    tx: &Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    id: &PortId,
) -> Result<row::Port> {
    let port = port::visible(tx, caller, id)
        .map_err(|_| Error::invalid(format!("Port {id} could not be found.")))?;
    // The owner of a network sees the ports of others on it; they are not its to use.
    if port.project_id != server.project_id {
        return Err(Error::invalid(format!(
            "Port {id} is not usable for this project's servers."
        )));
    }
    if !port.device_id.is_empty() {
        return Err(Error::conflict(format!("Port {id} is still in use.")));
    }
    let hostname = hostname(&server.name, &server.id);
    match port.dns_name.is_empty() || port.dns_name == hostname {
        true => Ok(port),
        false => Err(Error::invalid(format!(
            "Port {id} not usable for instance {}. Value {} assigned to dns_name attribute does not match instance's hostname {hostname}",
            server.id, port.dns_name
        ))),
    }
}
