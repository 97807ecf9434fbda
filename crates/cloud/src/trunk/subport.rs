//! Subports: which ports can be one, and where they are.

use model::{Caller, Error, Kind, PortId, Result, Subport, TrunkId};
use store::{Field, Query, Tx, row};

use super::{check_free, of_parent};
use crate::network::VLANS;
use crate::{list, now_ms, port};

/// What owns a port that is a VLAN of another's card.
pub(crate) const OWNER: &str = "trunk:subport";

/// A port to be a VLAN.
#[derive(Clone, Copy, Debug)]
pub struct NewSubport {
    pub port: PortId,
    /// 1 to 4094; `None`: that of its network.
    pub vlan: Option<u32>,
}

/// Whether a port can carry others: a server's, or one that a server can get.
pub(super) fn check_parent(tx: &Tx<'_>, caller: &Caller, parent: &row::Port) -> Result<()> {
    check_owned(caller, parent)?;
    check_free(tx, &parent.id)?;
    let owner = &parent.device_owner;
    match owner.is_empty() && parent.device_id.is_empty() || owner.starts_with("compute:") {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Port {} is currently in use and is not eligible for use as a parent port.",
            parent.id
        ))),
    }
}

/// Makes ports VLANs of a trunk's port.
pub(super) fn add(
    tx: &mut Tx<'_>,
    caller: &Caller,
    trunk: &row::Trunk,
    parent: &row::Port,
    new: &[NewSubport],
) -> Result<()> {
    if new.len() > list::MAX_BULK {
        return Err(list::too_many("subports"));
    }
    let mtu = tx.get::<row::Network>(&parent.network_id)?.mtu;
    for wish in new {
        let subport = port::visible(tx, caller, &wish.port)?;
        check_owned(caller, &subport)?;
        check_free(tx, &subport.id)?;
        check_unused(&subport)?;
        let network: row::Network = tx.get(&subport.network_id)?;
        let vlan = wish.vlan.or(network.segmentation_id);
        let vlan = vlan.ok_or_else(|| nothing_to_inherit(&network))?;
        check_vlan(tx, trunk, vlan)?;
        let own = network.mtu;
        if own > mtu {
            return Err(Error::conflict(format!(
                "MTU {own} of port {} cannot be greater than MTU {mtu} of the trunk's port {}.",
                subport.id, parent.id
            )));
        }
        tx.insert(&row::Subport {
            port_id: subport.id,
            trunk_id: trunk.id,
            vlan,
        })?;
        let subport = row::Port {
            device_owner: OWNER.into(),
            device_id: trunk.id.to_string(),
            ..subport
        };
        bind(tx, subport, parent)?;
    }
    Ok(())
}

/// Takes ports out of a trunk.
pub(super) fn remove(tx: &mut Tx<'_>, trunk: &row::Trunk, ports: &[PortId]) -> Result<()> {
    for id in ports {
        let subport: Option<row::Subport> = tx.find(id.to_value())?;
        let theirs = subport.filter(|subport| subport.trunk_id == trunk.id);
        let missing = || {
            let name = format!("{id} on trunk {}", trunk.id);
            Error::not_found(Kind::SubPort, name)
        };
        release(tx, &theirs.ok_or_else(missing)?)?;
    }
    Ok(())
}

/// Frees a port of its trunk.
pub(super) fn release(tx: &mut Tx<'_>, subport: &row::Subport) -> Result<()> {
    tx.delete::<row::Subport>(&subport.port_id)?;
    let mut port: row::Port = tx.get(&subport.port_id)?;
    port.device_owner = String::new();
    port.device_id = String::new();
    unbind(tx, port)
}

/// The port of a trunk was bound, or freed: so are those that its card carries.
pub(crate) fn follow(tx: &mut Tx<'_>, parent: &row::Port) -> Result<()> {
    let Some(trunk) = of_parent(tx, &parent.id)? else {
        return Ok(());
    };
    for subport in of_trunk(tx, &trunk.id)? {
        let port: row::Port = tx.get(&subport.port_id)?;
        bind(tx, port, parent)?;
    }
    Ok(())
}

/// Where a port's frames are, for its node.
pub(crate) fn document(tx: &Tx<'_>, port: &row::Port) -> Result<Option<Subport>> {
    if port.device_owner != OWNER {
        return Ok(None);
    }
    let Some(subport) = tx.find::<row::Subport>(port.id.to_value())? else {
        return Ok(None);
    };
    let trunk: row::Trunk = tx.get(&subport.trunk_id)?;
    let vlan = u16::try_from(subport.vlan).unwrap_or_default();
    Ok(Some(Subport {
        parent: trunk.port_id,
        vlan,
    }))
}

pub(super) fn of_trunk(tx: &Tx<'_>, trunk: &TrunkId) -> Result<Vec<row::Subport>> {
    tx.list(&Query::equal("trunk_id", trunk.to_value()))
}

/// A subport is where its parent is; one that leaves its server is nowhere.
fn bind(tx: &mut Tx<'_>, mut subport: row::Port, parent: &row::Port) -> Result<()> {
    match parent.node_id.filter(|_| !parent.detaching) {
        Some(node) => {
            subport.node_id = Some(node);
            save(tx, subport)
        }
        None => unbind(tx, subport),
    }
}

fn unbind(tx: &mut Tx<'_>, mut subport: row::Port) -> Result<()> {
    subport.node_id = None;
    subport.status = "DOWN".into();
    port::heard::forget(tx, &subport.id)?;
    save(tx, subport)
}

fn save(tx: &mut Tx<'_>, mut subport: row::Port) -> Result<()> {
    subport.revision += 1;
    subport.updated_ms = now_ms();
    tx.update(&subport)?;
    port::touch(tx, &subport.id)
}

fn check_owned(caller: &Caller, port: &row::Port) -> Result<()> {
    match caller.sees(&port.project_id) {
        true => Ok(()),
        false => Err(Error::Forbidden(format!(
            "port {} belongs to another project",
            port.id
        ))),
    }
}

fn check_unused(port: &row::Port) -> Result<()> {
    match port.device_id.is_empty() && port.device_owner.is_empty() {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Port {} is in use by device {} and cannot be a subport.",
            port.id, port.device_id
        ))),
    }
}

fn nothing_to_inherit(network: &row::Network) -> Error {
    Error::invalid(format!(
        "sub_ports: segmentation_type inherit takes the VLAN of a network, and {} is none: use vlan, with a segmentation_id",
        network.id
    ))
}

fn check_vlan(tx: &Tx<'_>, trunk: &row::Trunk, vlan: u32) -> Result<()> {
    if !VLANS.contains(&vlan) {
        return Err(Error::invalid(format!(
            "segmentation_id {vlan} must be from 1 to 4094"
        )));
    }
    let taken = Query::equal("trunk_id", trunk.id.to_value()).and("vlan", vlan.to_value());
    match tx.exists::<row::Subport>(taken)? {
        true => Err(Error::conflict(format!(
            "segmentation_type vlan and segmentation_id {vlan} already in use on trunk {}.",
            trunk.id
        ))),
        false => Ok(()),
    }
}
