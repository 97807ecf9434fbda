//! Nodes that never come back, and those that come back all the same.

use model::{Caller, Error, Kind, NodeId, Result};
use store::{Field, Query, Tx, row};

use crate::{Cloud, server, volume};

impl Cloud {
    /// Takes a node off the record: what was to go there has gone, and its servers are in error.
    /// Their users can delete them, and volumes there too. A node that comes back all the same has
    /// what was not deleted again, and removes what was.
    ///
    /// # Errors
    /// `Conflict` while the node is connected.
    pub fn forget_node(&self, caller: &Caller, id: NodeId) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            let missing = || Error::not_found(Kind::Node, id);
            let node = tx.node(id)?.ok_or_else(missing)?;
            if self.is_connected(id) {
                return Err(Error::conflict(format!(
                    "Node {} is connected to this cloud: end hextet there first.",
                    node.name
                )));
            }
            tx.delete::<row::Node>(&id)?;
            for server in servers_on(tx, id)? {
                server::lose(tx, server)?;
            }
            let deleting = Query::equal("node_id", id.to_value()).and("deleting", true.to_value());
            for mut volume in tx.list::<row::Volume>(&deleting)? {
                volume::delete(tx, &mut volume)?;
            }
            Ok(())
        })
    }
}

/// A node is on record, perhaps anew: servers that were lost with it are there again.
pub(super) fn take_back(tx: &mut Tx<'_>, id: NodeId) -> Result<()> {
    for server in servers_on(tx, id)? {
        server::find_again(tx, server)?;
    }
    Ok(())
}

fn servers_on(tx: &Tx<'_>, id: NodeId) -> Result<Vec<row::Server>> {
    tx.list(&Query::equal("node_id", id.to_value()))
}
