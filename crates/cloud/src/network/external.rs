//! Networks that are external: for whom, and which is the default.

use model::{Error, Key, NetworkId, Result};
use store::{Field, Query, Tx, Value, row};

use crate::{now_ms, rbac};

/// Makes a network external for everybody, or for nobody; the row is the caller's to write.
///
/// # Errors
/// `Conflict` when it is to be external no more and a router or a floating IP needs it.
pub(super) fn set_external(
    tx: &mut Tx<'_>,
    network: &mut row::Network,
    wanted: bool,
) -> Result<()> {
    if network.external == wanted {
        return Ok(());
    }
    let (id, action) = (&network.id, rbac::EXTERNAL);
    if wanted {
        rbac::set_for_everybody(tx, &network.project_id, rbac::NETWORK, id, action, true)?;
    } else {
        check_not_needed_outside(tx, id)?;
        rbac::remove_all(tx, id, action)?;
        network.is_default = false;
    }
    network.external = wanted;
    Ok(())
}

/// Makes an external network the default, or no longer; the row is the caller's to write. The default is everybody's.
///
/// # Errors
/// `Conflict` when another is the default, `Invalid` for one that is not external.
pub(super) fn set_default(tx: &mut Tx<'_>, network: &mut row::Network, wanted: bool) -> Result<()> {
    network.is_default = wanted;
    if !wanted {
        return Ok(());
    }
    if !network.external {
        return Err(Error::invalid(
            "is_default is for external networks: give router:external too",
        ));
    }
    let there: Vec<row::Network> = tx.list(&Query::equal("is_default", Value::Integer(1)))?;
    if let Some(other) = there.iter().find(|other| other.id != network.id) {
        return Err(Error::conflict(format!(
            "A default external network already exists: {}.",
            other.id
        )));
    }
    let (project, id) = (&network.project_id, &network.id);
    rbac::set_for_everybody(tx, project, rbac::NETWORK, id, rbac::EXTERNAL, true)
}

fn check_not_needed_outside(tx: &Tx<'_>, id: &NetworkId) -> Result<()> {
    let routers = Query::equal("external_network_id", id.to_value());
    let floating = Query::equal("network_id", id.to_value());
    match tx.exists::<row::Router>(routers)? || tx.exists::<row::FloatingIp>(floating)? {
        true => Err(Error::conflict(format!(
            "External network {id} cannot be updated to be made non-external, since it has existing gateway ports or floating IPs."
        ))),
        false => Ok(()),
    }
}

/// The policies of a network are others now: it is external as long as it is so for anybody.
///
/// # Errors
/// `Conflict` when it is to be external no more and a router or a floating IP needs it.
pub(crate) fn follow_policies(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let mut network: row::Network = tx.get(&id)?;
    let external = rbac::any(tx, &network.id, rbac::EXTERNAL)?;
    if network.is_default && !rbac::everybodys(tx, &network.id, rbac::EXTERNAL)? {
        return Err(Error::conflict(format!(
            "RBAC policy on object {id} cannot be removed: Default external networks must be shared to everyone."
        )));
    }
    if network.external && !external {
        check_not_needed_outside(tx, &network.id)?;
    }
    network.external = external;
    network.revision += 1;
    network.updated_ms = now_ms();
    tx.update(&network)?;
    tx.touch(Key::Network(network.id))
}
