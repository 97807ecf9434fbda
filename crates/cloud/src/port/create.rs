//! New ports.

use model::{Caller, Error, PortId, ProjectId, Result};
use store::{Json, Tx, row};

use super::check::{check, check_host, is_ours, set_by_the_cloud};
use super::{
    NewPort, PortView, allocate, check_owner_only, delegated, free_mac, names_address, set_groups,
    subnets_of, touch_row, view,
};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{network, now_ms, qos, rbac, resolver, security_group};

/// A port that a client asks for.
pub(super) fn create(tx: &mut Tx<'_>, caller: &Caller, new: &NewPort) -> Result<PortView> {
    let id = new
        .network
        .ok_or_else(|| Error::invalid("network_id is missing"))?;
    let network = network::visible(tx, caller, &id)?;
    if !caller.sees(&network.project_id) && !rbac::is_shared(tx, caller, &id)? {
        return Err(Error::Forbidden(format!(
            "only its owner can make ports on network {id}; reach it through a router"
        )));
    }
    resolver::check_owner("", &new.device_owner)?;
    if is_ours(&new.device_owner) && !caller.is_admin() {
        return Err(set_by_the_cloud());
    }
    check_host(caller, &new.host)?;
    check_owner_only(
        caller,
        &network,
        &[
            (
                "port_security_enabled",
                new.port_security
                    .is_some_and(|p| p != network.port_security),
            ),
            ("mac_address", new.mac.is_some()),
            (
                "allowed_address_pairs",
                !new.allowed_address_pairs.is_empty(),
            ),
            (
                "an address of fixed_ips",
                names_address(new.fixed_ips.as_deref()),
            ),
            ("dns_domain", !new.dns_domain.is_empty()),
        ],
    )?;
    insert(tx, caller, &network, new)
}

/// Makes a port with addresses and security groups: the part that servers and routers share.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewPort,
) -> Result<PortView> {
    let owner = owner_of(caller, new.project.as_ref())?;
    quota::check(tx, &owner, Resource::Port, 1)?;
    insert_for(tx, caller, network, new, owner)
}

/// As [`insert`], for an owner of the cloud's choice, whatever its limits.
pub(crate) fn insert_for(
    tx: &mut Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewPort,
    owner: ProjectId,
) -> Result<PortView> {
    let now = now_ms();
    let port = row::Port {
        id: PortId::random(),
        network_id: network.id,
        project_id: owner,
        name: new.name.clone(),
        description: new.description.clone(),
        enabled: new.enabled.unwrap_or(true),
        mac: free_mac(tx, &network.id, new.mac)?,
        device_id: new.device_id.clone(),
        device_owner: new.device_owner.clone(),
        device_index: 0,
        server_made: false,
        node_id: None,
        detaching: false,
        status: "DOWN".into(),
        port_security: new.port_security.unwrap_or(network.port_security),
        allowed_address_pairs: Json(new.allowed_address_pairs.clone()),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        dns_name: new.dns_name.clone(),
        dns_domain: new.dns_domain.clone(),
        advertising: Json::default(),
        delegated: Json::default(),
        dhcp_options: Json(new.dhcp_options.clone()),
        host: new.host.clone(),
        qos_policy_id: qos::chosen(tx, caller, None, Some(new.qos_policy))?,
    };
    check(tx, &port)?;
    delegated::check(tx, caller, &port, &new.delegated)?;
    let port = row::Port {
        delegated: Json(new.delegated.clone()),
        ..port
    };
    tx.insert(&port)?;
    let subnets = subnets_of(tx, &network.id)?;
    allocate(tx, &port, &subnets, new.fixed_ips.as_deref())?;
    let own_service = port.device_owner.starts_with("network:");
    let groups = match &new.security_groups {
        Some(groups) if !groups.is_empty() && !port.port_security => {
            return Err(Error::conflict(
                "A port without port security cannot have security groups.",
            ));
        }
        Some(groups) => groups.clone(),
        None if port.port_security && !own_service => {
            vec![security_group::default_of(tx, &port.project_id)?.id]
        }
        None => Vec::new(),
    };
    set_groups(tx, caller, &port, &groups)?;
    touch_row(tx, &port)?;
    view(tx, port)
}
