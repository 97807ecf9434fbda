//! What nodes say of attachments, and what follows from it.

use model::{Key, PowerSeen, Result};
use store::{Tx, row};

use super::{of_server, write};
use crate::server::{self, log};
use crate::volume;

/// Takes in what a server's node saw of its attachments.
pub(crate) fn settle(tx: &mut Tx<'_>, server: &row::Server) -> Result<()> {
    let Some(guest) = &server.seen.0 else {
        return Ok(());
    };
    for mut attachment in of_server(tx, &server.id)? {
        let seen = guest.attachments.iter().find(|a| a.id == attachment.id);
        match (attachment.wanted, seen.map(|s| s.failure.as_ref())) {
            (true, _) if attachment.joined => {}
            (true, Some(None)) => join(tx, &mut attachment)?,
            (true, Some(Some(why))) if !attachment.root => give_up(tx, &mut attachment, why)?,
            // It was stopped meanwhile: it gets the volume with its next start.
            (true, None) if guest.power == PowerSeen::Stopped && guest.started_epoch > 0 => {
                join(tx, &mut attachment)?
            }
            (true, _) => {}
            (false, None) => remove(tx, &attachment)?,
            (false, Some(_)) => {}
        }
    }
    Ok(())
}

/// A server has a volume.
pub(super) fn join(tx: &mut Tx<'_>, attachment: &mut row::Attachment) -> Result<()> {
    attachment.joined = true;
    write(tx, attachment)?;
    log::finish_attachment(tx, attachment, None)
}

/// A server's node could not give it a volume: the wish is taken back, and the reason kept.
fn give_up(tx: &mut Tx<'_>, attachment: &mut row::Attachment, why: &str) -> Result<()> {
    let (server, volume) = (attachment.server_id, attachment.volume_id);
    tracing::warn!(%server, %volume, why, "a volume could not be attached");
    attachment.wanted = false;
    write(tx, attachment)?;
    log::finish_attachment(tx, attachment, Some(why))?;
    tx.touch(Key::Server(server))
}

/// No guest has the volume any more.
pub(super) fn remove(tx: &mut Tx<'_>, attachment: &row::Attachment) -> Result<()> {
    tx.delete::<row::Attachment>(&attachment.id)?;
    let mut volume: row::Volume = tx.get(&attachment.volume_id)?;
    volume::refresh(tx, &mut volume)?;
    // Who could log in can no longer.
    tx.touch(Key::Volume(volume.id))?;
    log::finish_attachment(tx, attachment, None)
}

/// A server's record goes: its volumes are free, and those made to go with it go.
pub(crate) fn let_go(tx: &mut Tx<'_>, server: &row::Server) -> Result<()> {
    for attachment in of_server(tx, &server.id)? {
        remove(tx, &attachment)?;
        if attachment.delete_on_termination {
            let mut volume: row::Volume = tx.get(&attachment.volume_id)?;
            volume::delete(tx, &mut volume)?;
        }
    }
    Ok(())
}

/// What a volume's node says may be what a new server waits for.
pub(crate) fn volume_made(tx: &mut Tx<'_>, volume: &row::Volume) -> Result<()> {
    let Some(attachment) = volume::attachment_of(tx, &volume.id)? else {
        return Ok(());
    };
    let server: row::Server = tx.get(&attachment.server_id)?;
    if !server.waiting || server.deleting || server.fault.is_some() {
        return Ok(());
    }
    let failure = volume.seen.0.as_ref().and_then(|s| s.failure.as_ref());
    match (volume.made, failure) {
        (false, None) => Ok(()),
        (false, Some(why)) => {
            let why = format!(
                "Block Device Mapping is Invalid: volume {}: {why}",
                volume.id
            );
            server::stop_waiting(tx, server, Some(why))
        }
        (true, _) => {
            for other in of_server(tx, &server.id)? {
                if !tx.get::<row::Volume>(&other.volume_id)?.made {
                    return Ok(());
                }
            }
            server::stop_waiting(tx, server, None)
        }
    }
}
