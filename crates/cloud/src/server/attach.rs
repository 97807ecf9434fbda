//! Interfaces that come and go while a server is there, and the security groups of them all.
//!
//! ```text
//! attach: port bound to the server and its node --> the node plugs it in
//! detach: port `detaching`, gone from the server's document and from its node's picture
//!           --> the node says that it is gone --> the port is free, or removed if made for this
//! ```

use model::{Caller, Error, Key, Kind, NodeId, PortId, Result, SecurityGroupId, ServerId};
use store::{Field, Tx, row};

use super::interface::{self, MAX_NETWORKS, ServerNetwork};
use super::{ports_of, unlocked, visible, vm_state};
use crate::port::PortView;
use crate::{Cloud, network, now_ms, port, security_group, trunk};

/// Whether a security group is put on a server's ports, or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    Add,
    Remove,
}

impl Cloud {
    /// Gives a server one more interface: a port of the user's, or a new one.
    ///
    /// # Errors
    /// `Conflict` when the server's state does not allow it, `Invalid` when the port is taken.
    pub fn attach_interface(
        &self,
        caller: &Caller,
        id: &ServerId,
        wish: Option<&ServerNetwork>,
    ) -> Result<PortView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let server = settled(tx, caller, id, "attach_interface")?;
            match wish {
                Some(ServerNetwork::Port(port)) => drop(port::visible(tx, caller, port)?),
                Some(ServerNetwork::Network(net, _)) => drop(network::visible(tx, caller, net)?),
                None => {}
            }
            let there = ports_of(tx, id)?;
            if there.len() >= MAX_NETWORKS {
                return Err(Error::invalid(format!(
                    "a server takes at most {MAX_NETWORKS} networks"
                )));
            }
            let last = there.iter().map(|p| p.device_index).max();
            let index = last.map_or(0, |last| last + 1);
            let made = interface::attach_one(tx, caller, &server, wish, index);
            let made = made.map_err(|e| match e {
                Error::Conflict(why) => Error::Invalid(why),
                e => e,
            })?;
            tx.touch(Key::Server(server.id))?;
            port::view(tx, made)
        })
    }

    /// Takes an interface from a server. Its port is free, or gone, when the node has unplugged it.
    pub fn detach_interface(&self, caller: &Caller, id: &ServerId, port: &PortId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let server = settled(tx, caller, id, "detach_interface")?;
            let theirs = ports_of(tx, id)?.into_iter().find(|p| p.id == *port);
            let mut leaving = theirs.ok_or_else(|| Error::not_found(Kind::Port, port))?;
            if server.node_id.is_none() {
                return release(tx, leaving);
            }
            leaving.detaching = true;
            tx.update(&leaving)?;
            port::touch(tx, &leaving.id)?;
            trunk::follow(tx, &leaving)?;
            tx.touch(Key::Server(server.id))
        })
    }

    /// Puts a security group on all ports of a server, or takes it off them.
    ///
    /// # Errors
    /// `NotFound` for a group that is not there, `Invalid` when there is no port to change.
    pub fn change_server_group(
        &self,
        caller: &Caller,
        id: &ServerId,
        name: &str,
        change: GroupChange,
    ) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let server = visible(tx, caller, id)?;
            let group = security_group::named(tx, caller, name)?;
            let mut changed = false;
            for port in ports_of(tx, id)?.into_iter().filter(|p| p.port_security) {
                let mut groups = port::groups_of(tx, &port.id)?;
                let there = groups.contains(&group);
                match change {
                    GroupChange::Add if !there => groups.push(group),
                    GroupChange::Remove if there => groups.retain(|g| *g != group),
                    // Twice is as good as once; what is not on any port cannot be taken off.
                    GroupChange::Add => changed = true,
                    GroupChange::Remove => {}
                }
                if there != groups.contains(&group) {
                    set_groups(tx, caller, &port, &groups)?;
                    changed = true;
                }
            }
            match (changed, change) {
                (true, _) => Ok(()),
                (false, GroupChange::Add) => Err(Error::invalid(format!(
                    "Instance {} has no port that takes security groups.",
                    server.id
                ))),
                (false, GroupChange::Remove) => Err(Error::invalid(format!(
                    "Security group {name} is not associated with the instance {}.",
                    server.id
                ))),
            }
        })
    }
}

fn set_groups(
    tx: &mut Tx<'_>,
    caller: &Caller,
    port: &row::Port,
    groups: &[SecurityGroupId],
) -> Result<()> {
    port::set_groups(tx, caller, port, groups)?;
    port::touch(tx, &port.id)
}

/// A server whose interfaces can be changed now.
fn settled(tx: &Tx<'_>, caller: &Caller, id: &ServerId, verb: &str) -> Result<row::Server> {
    let server = unlocked(tx, caller, id)?;
    if let Some(task) = &server.task_state {
        return Err(Error::conflict(format!(
            "Instance {id} is busy: its task_state is {task}"
        )));
    }
    match server.status.as_str() {
        "ACTIVE" | "SHUTOFF" => Ok(server),
        other => Err(Error::conflict(format!(
            "Cannot '{verb}' instance {id} while it is in vm_state {}",
            vm_state(other)
        ))),
    }
}

/// A node says that a port is gone from it. One that was to leave its server is free now.
pub(super) fn port_gone(tx: &mut Tx<'_>, node: NodeId, id: &PortId) -> Result<()> {
    let port: Option<row::Port> = tx.find(id.to_value())?;
    match port.filter(|p| p.detaching && p.node_id == Some(node)) {
        Some(port) => release(tx, port),
        None => Ok(()),
    }
}

/// Frees a port of its server: one that was made for it is removed, one of the user's own stays.
pub(super) fn release(tx: &mut Tx<'_>, mut port: row::Port) -> Result<()> {
    if port.server_made {
        return port::remove(tx, &port);
    }
    port.device_id = String::new();
    port.device_owner = String::new();
    port.node_id = None;
    port.host = String::new();
    port.detaching = false;
    port.dns_name = String::new();
    port.status = "DOWN".into();
    port.revision += 1;
    port.updated_ms = now_ms();
    tx.update(&port)?;
    port::heard::forget(tx, &port.id)?;
    port::touch(tx, &port.id)?;
    trunk::follow(tx, &port)
}
