//! What a change of a subnet's mode brings: ports have other addresses, and hosts hear that their old
//! ones are to be used no more.

use ipnet::{IpNet, Ipv6Net};
use model::{Error, RaMode, Result, RetiredPrefix};
use store::{Field, Query, Tx, row};

use super::{give_to_ports, is_auto, net};
use crate::port::{self, FixedIp};
use crate::{floating_ip, now_ms};

/// Hosts shorten the life of an address to two hours at most when they hear less (RFC 4862, section
/// 5.5.3), so nobody needs to hear for longer that its prefix went.
const RETIRED_MS: i64 = 2 * 3600 * 1000;

/// Gives the subnet's ports addresses by the rule of its new mode.
///
/// # Errors
/// `NoAddress` when the pools do not suffice.
pub(super) fn follow(tx: &mut Tx<'_>, before: &row::Subnet, now: &row::Subnet) -> Result<()> {
    let announced = |subnet: &row::Subnet| autonomous(subnet).is_some();
    match (announced(before), announced(now)) {
        (true, false) => retire(tx, before)?,
        (false, true) => revive(tx, now)?,
        _ => {}
    }
    if is_auto(before) == is_auto(now) {
        return Ok(());
    }
    let held: Vec<row::Allocation> = tx.list(&Query::equal("subnet_id", now.id.to_value()))?;
    let mut ports = Vec::new();
    for allocation in &held {
        let port: row::Port = tx.get(&allocation.port_id)?;
        if !port.device_owner.starts_with("network:") {
            tx.delete::<row::Allocation>(&allocation.id)?;
            ports.push(port);
        }
    }
    ports.sort_by_key(|port| port.id);
    ports.dedup_by_key(|port| port.id);
    match is_auto(now) {
        true => give_to_ports(tx, now)?,
        false => give_from_pools(tx, now, &ports)?,
    }
    for port in ports {
        let held = port::view(tx, port)?;
        let kept: Vec<_> = held.addresses.iter().map(|a| a.address).collect();
        floating_ip::release(tx, &held.port.id, &kept)?;
    }
    Ok(())
}

fn give_from_pools(tx: &mut Tx<'_>, now: &row::Subnet, ports: &[row::Port]) -> Result<()> {
    for port in ports {
        let one = FixedIp {
            subnet: Some(now.id),
            address: None,
        };
        port::allocate(tx, port, std::slice::from_ref(now), Some(&[one]))?;
        port::readdressed(tx, &port.id)?;
    }
    Ok(())
}

/// Hosts are told for a while that the subnet's prefix is to be used no more, if they made addresses
/// of it.
pub(super) fn retire(tx: &mut Tx<'_>, subnet: &row::Subnet) -> Result<()> {
    let Some(prefix) = autonomous(subnet) else {
        return Ok(());
    };
    let until_ms = now_ms() + RETIRED_MS.min(i64::from(subnet.lifetimes.0.valid_s) * 1000);
    change(tx, subnet, |retired| {
        retired.retain(|r| r.prefix != prefix);
        retired.push(RetiredPrefix { prefix, until_ms });
    })
}

/// A prefix that is to be used again is retired no more.
pub(super) fn revive(tx: &mut Tx<'_>, subnet: &row::Subnet) -> Result<()> {
    match autonomous(subnet) {
        Some(prefix) => change(tx, subnet, |retired| retired.retain(|r| r.prefix != prefix)),
        None => Ok(()),
    }
}

/// The prefix, if we tell hosts to make addresses of it.
fn autonomous(subnet: &row::Subnet) -> Option<Ipv6Net> {
    let told = subnet
        .ra_mode
        .0
        .is_some_and(|mode| mode != RaMode::Dhcpv6Stateful);
    match net(subnet) {
        IpNet::V6(prefix) if told => Some(prefix),
        _ => None,
    }
}

fn change(
    tx: &mut Tx<'_>,
    subnet: &row::Subnet,
    change: impl FnOnce(&mut Vec<RetiredPrefix>),
) -> Result<()> {
    let mut network: row::Network = tx.get(&subnet.network_id)?;
    let before = network.retired.0.clone();
    let now = now_ms();
    network.retired.0.retain(|r| r.until_ms > now);
    change(&mut network.retired.0);
    if network.retired.0 != before {
        tx.update(&network).map_err(|e| match e {
            Error::NotFound { .. } => Error::conflict("the network has just been deleted"),
            e => e,
        })?;
    }
    Ok(())
}
