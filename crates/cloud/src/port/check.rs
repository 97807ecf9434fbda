//! What a port may be asked to be, and by whom.

use std::collections::BTreeSet;

use model::{Advertising, Caller, Error, Result};
use store::{Tx, row};

use super::{FixedIp, dhcp_option, mac};
use crate::dns::{check_domain, check_name};
use crate::document::parse_prefix;
use crate::{list, resolver, router, trunk};

/// Pairs of a port: a document must stay small enough for every node.
const MAX_PAIRS: usize = 10;

/// On a network of another project a port takes what it is given: with these it could pass for
/// another's, or for the gateway.
pub(crate) fn check_owner_only(
    caller: &Caller,
    network: &row::Network,
    asked: &[(&str, bool)],
) -> Result<()> {
    match asked.iter().find(|(_, asked)| *asked) {
        Some((what, _)) if !caller.sees(&network.project_id) => Err(Error::Forbidden(format!(
            "only the owner of network {} can choose {what} on it",
            network.id
        ))),
        _ => Ok(()),
    }
}

/// Whether a wish names an address, rather than a subnet to take one from.
pub(crate) fn names_address(wishes: Option<&[FixedIp]>) -> bool {
    wishes.is_some_and(|wishes| wishes.iter().any(|wish| wish.address.is_some()))
}

/// Whether a device owner says that a router, a server or a trunk has the port.
pub(super) fn is_ours(device_owner: &str) -> bool {
    let ours = ["network:", "compute:", trunk::OWNER];
    ours.iter().any(|owner| device_owner.starts_with(owner))
}

/// The refusal of a device owner that only the cloud writes.
pub(super) fn set_by_the_cloud() -> Error {
    Error::Forbidden(
        "device_owner network:..., compute:... and trunk:subport, and the device_id beside them, are set by the cloud itself"
            .into(),
    )
}

/// A port's device makes it part of that server or router, whoever's that is: no tenant writes it.
pub(super) fn check_device(
    caller: &Caller,
    port: &row::Port,
    id: Option<&str>,
    owner: Option<&str>,
) -> Result<()> {
    let id = id.unwrap_or(&port.device_id);
    let owner = owner.unwrap_or(&port.device_owner);
    resolver::check_owner(&port.device_owner, owner)?;
    let same = id == port.device_id && owner == port.device_owner;
    match same || caller.is_admin() || !(is_ours(owner) || is_ours(&port.device_owner)) {
        true => Ok(()),
        false => Err(set_by_the_cloud()),
    }
}

/// # Errors
/// `Forbidden` to all but administrators: where a port is, is not a project's to see.
pub(super) fn check_host(caller: &Caller, host: &str) -> Result<()> {
    match host.is_empty() || caller.is_admin() {
        true => list::check_name("binding:host_id", host),
        false => Err(Error::Forbidden(
            "only an administrator can set binding:host_id".into(),
        )),
    }
}

/// # Errors
/// RFC 4861, section 6.2.1, says what the interval and the lifetime may be.
pub(super) fn check_advertising(port: &row::Port) -> Result<()> {
    let Advertising {
        interval_s,
        lifetime_s,
        ..
    } = port.advertising.0;
    if port.advertising.0 != Advertising::default() && port.device_owner != router::INTERFACE {
        return Err(Error::invalid(
            "ra_interval, ra_lifetime and ra_preference belong to the port of a router in a network",
        ));
    }
    if !(4..=1800).contains(&interval_s) {
        return Err(Error::invalid(format!(
            "ra_interval {interval_s} must be from 4 to 1800 seconds"
        )));
    }
    if lifetime_s != 0 && !(interval_s..=9000).contains(&lifetime_s) {
        return Err(Error::invalid(format!(
            "ra_lifetime {lifetime_s} must be 0, or from ra_interval {interval_s} to 9000 seconds"
        )));
    }
    Ok(())
}

/// `Invalid` or `Conflict` when no port can be like this.
pub(super) fn check(tx: &Tx<'_>, port: &row::Port) -> Result<()> {
    dhcp_option::check(&port.dhcp_options.0)?;
    if !port.dns_name.is_empty() {
        check_name(&port.dns_name, &tx.dns_domain()?)?;
    }
    check_domain("dns_domain", &port.dns_domain)?;
    list::check_name("name", &port.name)?;
    list::check_name("description", &port.description)?;
    list::check_name("device_id", &port.device_id)?;
    list::check_name("device_owner", &port.device_owner)?;
    list::check_tags(&port.tags.0)?;
    check_limited(port)?;
    if !port.allowed_address_pairs.0.is_empty() && !port.port_security {
        return Err(Error::conflict(
            "Port security must be enabled in order to have allowed address pairs on a port.",
        ));
    }
    if port.allowed_address_pairs.0.len() > MAX_PAIRS {
        return Err(Error::invalid(format!(
            "a port takes at most {MAX_PAIRS} allowed_address_pairs"
        )));
    }
    for pair in &port.allowed_address_pairs.0 {
        check_pair(pair)?;
    }
    check_twice(port)
}

/// # Errors
/// `Conflict` for a QoS policy of a port that no guest has: nodes look after guests' ports alone.
pub(crate) fn check_limited(port: &row::Port) -> Result<()> {
    match port.qos_policy_id.is_some() && port.device_owner.starts_with("network:") {
        true => Err(Error::conflict(format!(
            "Port {} cannot have a QoS policy: ports with device owner {} have none in this cloud.",
            port.id, port.device_owner
        ))),
        false => Ok(()),
    }
}

fn check_pair(pair: &row::AddressPair) -> Result<()> {
    pair.mac_address.map_or(Ok(()), mac::check)?;
    match parse_prefix(&pair.ip_address) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(format!(
            "'{}' is not a valid IP subnet or address",
            pair.ip_address
        ))),
    }
}

/// The same address with the same MAC means nothing more; neutron refuses it.
fn check_twice(port: &row::Port) -> Result<()> {
    let mut seen = BTreeSet::new();
    for pair in &port.allowed_address_pairs.0 {
        let mac = pair.mac_address.unwrap_or(port.mac);
        if !seen.insert((parse_prefix(&pair.ip_address), mac)) {
            return Err(Error::invalid(format!(
                "Request contains duplicate address pair: mac_address {mac} ip_address {}.",
                pair.ip_address
            )));
        }
    }
    Ok(())
}
