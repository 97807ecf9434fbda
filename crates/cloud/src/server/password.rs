//! The password that a server's guest made for its user.

use model::{Caller, NodeId, PasswordSeen, Result, ServerId};
use store::Tx;

use super::state::{save, server_on};
use super::visible;
use crate::Cloud;

impl Cloud {
    /// What the guest has told; `None` when it has told nothing, or that was cleared.
    pub fn server_password(&self, caller: &Caller, id: &ServerId) -> Result<Option<String>> {
        let server = self.store().read(|tx| visible(tx, caller, id))?;
        Ok(server.password.0.text)
    }

    /// Forgets it, here and on its node, so that the guest may tell another. The guest's own
    /// password stays as it is.
    pub fn clear_server_password(&self, caller: &Caller, id: &ServerId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            if server.password.0.text.is_none() {
                return Ok(());
            }
            server.password.0 = server.password.0.followed_by(None);
            save(tx, &mut server)
        })
    }
}

/// A guest has told its node. Word of it may come twice, or when its user has cleared it meanwhile:
/// then it is none of the present.
pub(super) fn take_in(tx: &mut Tx<'_>, node: NodeId, seen: &PasswordSeen) -> Result<()> {
    let Some(mut server) = server_on(tx, node, &seen.server)? else {
        return Ok(());
    };
    let known = &server.password.0;
    // A database of yesterday may know of less than the node does.
    if known.text.is_some() || seen.epoch < known.epoch {
        return Ok(());
    }
    server.password.0.epoch = seen.epoch;
    server.password.0 = server.password.0.followed_by(Some(seen.text.clone()));
    // The node hears that it has arrived.
    save(tx, &mut server)
}
