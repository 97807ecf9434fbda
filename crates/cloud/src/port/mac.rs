//! Which MAC a port has.

use model::{Error, Mac, NetworkId, Result};
use store::{Field, Query, Tx, row};

use super::check::is_ours;
use super::{FixedIp, subnets_of};
use crate::{password, subnet};

/// How often a random MAC is drawn before giving up.
const DRAWS: usize = 32;

/// A MAC that no port of the network has: the wanted one, or one that is drawn.
pub(crate) fn free_mac(tx: &Tx<'_>, network: &NetworkId, wanted: Option<Mac>) -> Result<Mac> {
    let taken = |mac: Mac| {
        tx.exists::<row::Port>(
            Query::equal("network_id", network.to_value()).and("mac", mac.to_value()),
        )
    };
    if let Some(mac) = wanted {
        check(mac)?;
        return match taken(mac)? {
            true => Err(Error::conflict(format!(
                "The mac address {mac} is in use on network {network}."
            ))),
            false => Ok(mac),
        };
    }
    for _ in 0..DRAWS {
        let [a, b, c] = password::random::<3>()?;
        let mac = Mac([0xfa, 0x16, 0x3e, a, b, c]);
        if !taken(mac)? {
            return Ok(mac);
        }
    }
    Err(Error::conflict(format!(
        "No free mac address was found on network {network}."
    )))
}

/// # Errors
/// `Invalid` for what no frame can come from.
pub(super) fn check(mac: Mac) -> Result<()> {
    match mac.0[0] & 1 != 0 || mac.0 == [0; 6] {
        true => Err(Error::invalid(format!(
            "mac_address {mac} is no address of one interface"
        ))),
        false => Ok(()),
    }
}

/// Writes another MAC into a port's row. What addresses the port is to have then, if its MAC has
/// changed: those that hosts make of it are freed, and made anew.
///
/// # Errors
/// `Conflict` for a port that is in use, and for a MAC that is.
pub(super) fn change(
    tx: &mut Tx<'_>,
    port: &mut row::Port,
    mac: Option<Mac>,
) -> Result<Option<Vec<FixedIp>>> {
    let Some(mac) = mac.filter(|mac| *mac != port.mac) else {
        return Ok(None);
    };
    if port.node_id.is_some() || is_ours(&port.device_owner) {
        return Err(Error::conflict(format!(
            "Unable to complete operation on port {}, port is already bound, old_mac {}, new_mac {mac}.",
            port.id, port.mac
        )));
    }
    let mac = free_mac(tx, &port.network_id, Some(mac))?;
    let subnets = subnets_of(tx, &port.network_id)?;
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    let mut wanted = Vec::new();
    for one in held {
        let subnet = subnets.iter().find(|s| s.id == one.subnet_id);
        let made_of_it =
            subnet.and_then(|s| subnet::auto_address(s, port.mac)) == Some(one.address);
        if made_of_it {
            tx.delete::<row::Allocation>(&one.id)?;
        }
        wanted.push(FixedIp {
            subnet: Some(one.subnet_id),
            address: (!made_of_it).then_some(one.address),
        });
    }
    port.mac = mac;
    Ok(Some(wanted))
}
