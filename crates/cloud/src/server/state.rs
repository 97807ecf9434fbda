//! What is wanted of a server's power, what its node saw, and the status that follows from both.

use model::{Caller, Error, Key, NodeId, PortId, Power, Reboot, Result, Seen, ServerId, Wish};
use store::{Field, Tx, row};

use super::attach::{port_gone, release};
use super::{log, password, ports_of, unlocked};
use crate::{Cloud, attachment, now_ms, port, volume};

/// What a client asks of a server's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAction {
    Start,
    Stop,
    Reboot(Reboot),
}

impl ServerAction {
    fn name(self) -> &'static str {
        match self {
            ServerAction::Start => "start",
            ServerAction::Stop => "stop",
            ServerAction::Reboot(_) => "reboot",
        }
    }
}

impl Cloud {
    /// Wants a server started, stopped or rebooted.
    ///
    /// # Errors
    /// `Conflict` when its state does not allow that, or while something else is being done.
    pub fn act_on_server(
        &self,
        caller: &Caller,
        id: &ServerId,
        action: ServerAction,
    ) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = unlocked(tx, caller, id)?;
            wish_for(&mut server, action)?;
            log::record(tx, caller, id, action.name(), None)?;
            save(tx, &mut server)
        })
    }

    /// Takes in what a node saw, in one transaction.
    pub(crate) fn observe(&self, node: NodeId, seen: &[Seen]) -> Result<()> {
        self.store()
            .write(|tx| seen.iter().try_for_each(|one| take_in(tx, node, one)))
    }
}

fn wish_for(server: &mut row::Server, action: ServerAction) -> Result<()> {
    let state = server.status.clone();
    let no = |verb: &str| {
        Err(Error::conflict(format!(
            "Cannot '{verb}' instance {} while it is in vm_state {}",
            server.id,
            vm_state(&state)
        )))
    };
    // A hard reboot is how a client helps a guest that does not answer a soft one.
    let insists = action == ServerAction::Reboot(Reboot::Hard) && state == "REBOOT";
    if let Some(task) = server
        .task_state
        .as_ref()
        .filter(|_| !insists || server.deleting)
    {
        return Err(Error::conflict(format!(
            "Instance {} is busy: its task_state is {task}",
            server.id
        )));
    }
    match (action, state.as_str()) {
        (ServerAction::Start, "SHUTOFF")
        | (ServerAction::Reboot(Reboot::Hard), "SHUTOFF" | "ERROR") => {
            server.power.0 = Power::Running;
            server.start_epoch += 1;
        }
        (ServerAction::Start, _) => return no("start"),
        (ServerAction::Stop, "ACTIVE" | "ERROR") => server.power.0 = Power::Stopped,
        (ServerAction::Stop, _) => return no("stop"),
        (ServerAction::Reboot(how), "ACTIVE" | "REBOOT") => {
            server.reboot_epoch += 1;
            server.reboot.0 = how;
        }
        (ServerAction::Reboot(_), _) => return no("reboot"),
    }
    if let Some(fault) = &server.fault {
        return Err(Error::conflict(format!(
            "Instance {} was never started: delete it and make it again. {fault}",
            server.id
        )));
    }
    Ok(())
}

/// The compute API's word for a settled status.
pub fn vm_state(status: &str) -> &'static str {
    match status {
        "ACTIVE" | "REBOOT" | "HARD_REBOOT" => "active",
        "SHUTOFF" => "stopped",
        "ERROR" => "error",
        _ => "building",
    }
}

/// Writes a changed server, and what follows: its status, and the node's document.
pub(super) fn save(tx: &mut Tx<'_>, server: &mut row::Server) -> Result<()> {
    server.updated_ms = now_ms();
    set_status(server);
    tx.update(server)?;
    tx.touch(Key::Server(server.id))
}

pub(crate) fn set_status(server: &mut row::Server) {
    let wish = Wish {
        power: server.power.0,
        start_epoch: server.start_epoch,
        reboot_epoch: server.reboot_epoch,
        hard_reboot: server.reboot.0 == Reboot::Hard,
        deleting: server.deleting,
        waiting: server.waiting,
    };
    let (status, task) = model::status(wish, server.seen.0.as_ref(), server.fault.is_some());
    server.status = status.as_str().to_owned();
    server.task_state = task.map(str::to_owned);
}

fn take_in(tx: &mut Tx<'_>, node: NodeId, seen: &Seen) -> Result<()> {
    match seen {
        Seen::Guest(guest) => {
            let Some(mut server) = server_on(tx, node, &guest.server)? else {
                return Ok(());
            };
            if server.seen.0.as_ref() == Some(guest) {
                // Said again: of a volume that it is to have no longer, it still has nothing.
                return attachment::settle(tx, &server);
            }
            let before = server.seen.0.replace(guest.clone());
            if let Some(end) = &guest.ended
                && before.and_then(|seen| seen.ended).as_ref() != Some(end)
            {
                log::ended(tx, &server, end)?;
            }
            server.updated_ms = now_ms();
            set_status(&mut server);
            // Observed facts are no news for the node that reported them.
            tx.update(&server)?;
            attachment::settle(tx, &server)?;
            log::settle(tx, &server)
        }
        Seen::GuestGone(id) => match server_on(tx, node, id)? {
            Some(server) if server.deleting => remove(tx, &server),
            _ => Ok(()),
        },
        Seen::Port(port) => set_port_status(
            tx,
            node,
            &port.port,
            if port.up { "ACTIVE" } else { "DOWN" },
        ),
        Seen::PortHeard(id, heard) => port::heard::take_in(tx, node, *id, heard),
        Seen::PortGone(id) => {
            set_port_status(tx, node, id, "DOWN")?;
            port_gone(tx, node, id)
        }
        Seen::Password(seen) => password::take_in(tx, node, seen),
        Seen::Volume(seen) => volume::take_in(tx, node, seen),
        Seen::VolumeGone(id) => volume::take_out(tx, node, id),
    }
}

/// The volumes that were asked for with a server are there, and its node hears of it; or one of
/// them will not be.
pub(crate) fn stop_waiting(
    tx: &mut Tx<'_>,
    mut server: row::Server,
    failure: Option<String>,
) -> Result<()> {
    server.waiting = failure.is_some();
    server.fault = failure;
    save(tx, &mut server)?;
    log::settle(tx, &server)
}

/// Why a server is in error whose node was forgotten.
const LOST: &str =
    "Its node was removed from this cloud: delete the server, or bring the node back.";

/// A server's node will not come back: one that was to go has gone, another is in error.
pub(crate) fn lose(tx: &mut Tx<'_>, mut server: row::Server) -> Result<()> {
    if server.deleting {
        return remove(tx, &server);
    }
    server.fault.get_or_insert_with(|| LOST.to_owned());
    save(tx, &mut server)?;
    log::settle(tx, &server)
}

/// A server's node has come back all the same.
pub(crate) fn find_again(tx: &mut Tx<'_>, mut server: row::Server) -> Result<()> {
    if server.fault.as_deref() == Some(LOST) {
        server.fault = None;
        save(tx, &mut server)?;
    }
    Ok(())
}

pub(super) fn server_on(tx: &Tx<'_>, node: NodeId, id: &ServerId) -> Result<Option<row::Server>> {
    let server: Option<row::Server> = tx.find(id.to_value())?;
    Ok(server.filter(|s| s.node_id == Some(node)))
}

fn set_port_status(tx: &mut Tx<'_>, node: NodeId, id: &PortId, status: &str) -> Result<()> {
    let Some(mut port) = tx.find::<row::Port>(id.to_value())? else {
        return Ok(());
    };
    // A router's legs are bound to no node: each that has them says how they are.
    let theirs = port.node_id == Some(node) || port.device_owner.starts_with("network:router");
    if !theirs || port.status == status {
        return Ok(());
    }
    port.status = status.to_owned();
    tx.update(&port)
}

/// Takes a server's record away, with the ports made for it; ports of the user's own stay, free.
pub(super) fn remove(tx: &mut Tx<'_>, server: &row::Server) -> Result<()> {
    for port in ports_of(tx, &server.id)? {
        release(tx, port)?;
    }
    attachment::let_go(tx, server)?;
    tx.delete::<row::Server>(&server.id)?;
    tx.touch(Key::Server(server.id))
}
