//! Provider networks: those that are a physical network, or a VLAN of one.

use std::collections::BTreeSet;

use model::{Error, Result};
use store::{Query, Tx, Value, row};

use super::NewNetwork;

/// VLANs that may be asked for: 0 and 4095 mean something else (IEEE 802.1Q, section 9.6).
pub(crate) const VLANS: std::ops::RangeInclusive<u32> = 1..=4094;

/// A flat network is a physical one, a VLAN a part of one; anything else lives inside the cloud.
///
/// # Errors
/// `Invalid` when a type has not all that it needs, or more.
pub(super) fn network_type(new: &NewNetwork) -> Result<String> {
    let kind = new.network_type.as_deref();
    match (kind, &new.physical_network, new.segmentation_id) {
        (None | Some("flat"), Some(_), None) => Ok("flat".into()),
        (None | Some("local"), None, None) => Ok("local".into()),
        (Some("vlan"), Some(_), Some(id)) if VLANS.contains(&id) => Ok("vlan".into()),
        (Some(kind @ ("flat" | "vlan")), None, _) => Err(Error::invalid(format!(
            "provider:network_type {kind} needs provider:physical_network: the name that a node's settings map to a bridge"
        ))),
        (Some("vlan"), _, None) => Err(Error::invalid(
            "provider:network_type vlan needs provider:segmentation_id: the VLAN's id, from 1 to 4094",
        )),
        (Some("vlan"), _, Some(id)) => Err(Error::invalid(format!(
            "provider:segmentation_id {id} is no VLAN's: it must be from 1 to 4094"
        ))),
        (Some("local"), Some(_), _) => Err(Error::invalid(
            "a local network has no provider:physical_network",
        )),
        (None | Some("flat" | "local"), _, Some(_)) => Err(Error::invalid(
            "provider:segmentation_id is a VLAN's: name provider:network_type vlan too; flat and local networks have none",
        )),
        (Some(other), ..) => Err(Error::invalid(format!(
            "provider:network_type '{other}' is not available: this cloud has flat, vlan and local networks"
        ))),
    }
}

/// Whether a network has its place on the physical network that it names.
///
/// # Errors
/// `Invalid` when no connected node has a bridge to that, `Conflict` when another network is there.
pub(super) fn check(tx: &Tx<'_>, network: &row::Network, there: &BTreeSet<String>) -> Result<()> {
    let Some(name) = &network.physical_network else {
        return Ok(());
    };
    check_physical(name, &network.network_type, there)?;
    let same = Query::equal("physical_network", Value::Text(name.clone()));
    let others: Vec<row::Network> = tx.list(&same)?;
    let flat = |n: &row::Network| n.segmentation_id.is_none();
    // Guests of a flat network hear all that is on the wire, and could send what bears a tag.
    match (network.segmentation_id, others.first()) {
        (_, None) => Ok(()),
        (_, Some(other)) if flat(other) => Err(Error::conflict(format!(
            "Physical network {name} carries a flat network already, which owns it whole."
        ))),
        (None, Some(_)) => Err(Error::conflict(format!(
            "Physical network {name} carries VLAN networks, whose tags the guests of a flat one would see: map another name to a bridge of its own."
        ))),
        (Some(id), _) if others.iter().any(|n| n.segmentation_id == Some(id)) => {
            Err(Error::conflict(format!(
                "Unable to create the network. The VLAN {id} on physical network {name} is in use."
            )))
        }
        (Some(_), _) => Ok(()),
    }
}

fn check_physical(name: &str, kind: &str, there: &BTreeSet<String>) -> Result<()> {
    if there.contains(name) {
        return Ok(());
    }
    let known: Vec<&str> = there.iter().map(String::as_str).collect();
    let known = match known.is_empty() {
        true => "no connected node has any: `physical_networks` of a node's settings".into(),
        false => format!("connected nodes have {}", known.join(", ")),
    };
    Err(Error::invalid(format!(
        "Invalid input for operation: physical_network '{name}' unknown for {kind} provider network: {known}."
    )))
}
