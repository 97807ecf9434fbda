//! What nodes have, and what is left of it.

use std::collections::{BTreeSet, HashMap};

use model::{Error, NodeId, Result};
use store::{Amount, Field, Query, Tx, row};

use super::{Nodes, lock};
use crate::Cloud;
use crate::place::{Candidate, Wish};

/// What servers were given of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// How many there are.
    pub servers: u64,
    pub vcpus: u64,
    pub ram_mib: u64,
    pub disk_gib: u64,
}

impl Cloud {
    /// What the servers on each node that has some were given of it.
    pub fn given(&self) -> Result<HashMap<NodeId, Given>> {
        let columns = ["vcpus", "ram_mib", "disk_gib"];
        let sums = |tx: &Tx<'_>| tx.sums_by::<row::Server, NodeId, 3>("node_id", columns);
        let given = self.store().read(sums)?.into_iter();
        Ok(given
            .map(|(node, (servers, [vcpus, ram_mib, disk_gib]))| {
                let given = Given {
                    servers,
                    vcpus,
                    ram_mib,
                    disk_gib,
                };
                (node, given)
            })
            .collect())
    }
}

impl Nodes {
    /// The physical networks that connected nodes have a bridge to.
    pub(crate) fn physical_networks(&self) -> BTreeSet<String> {
        let connected = lock(&self.connected);
        let each = connected.values().flat_map(|c| &c.facts.physical_networks);
        each.cloned().collect()
    }

    /// The connected nodes, with the memory each has left and those of a wish's servers that are
    /// on it.
    pub(crate) fn candidates(&self, tx: &Tx<'_>, wish: &Wish) -> Result<Vec<Candidate>> {
        let connected: Vec<(NodeId, String, u64)> = lock(&self.connected)
            .iter()
            .map(|(id, c)| (*id, c.facts.name.clone(), c.facts.ram_mib))
            .collect();
        let named = wish.same_host.iter().chain(&wish.different_host);
        let named = named.chain(wish.group.iter().flat_map(|g| &g.members));
        let ids: Vec<_> = named.map(Field::to_value).collect();
        let servers: Vec<row::Member> = match ids.is_empty() {
            true => Vec::new(),
            false => tx.list(&Query::all().one_of("id", ids))?,
        };
        let given = tx.sums_by::<row::Server, NodeId, 1>("node_id", ["ram_mib"])?;
        let candidate = |(id, name, ram): (NodeId, String, u64)| {
            let used = given.get(&id).map_or(0, |(_, [ram])| *ram);
            let here = servers.iter().filter(|s| s.node_id == Some(id));
            Candidate {
                id,
                name,
                ram_left: ram.saturating_sub(used),
                servers: here.map(|s| s.id).collect(),
            }
        };
        Ok(connected.into_iter().map(candidate).collect())
    }

    /// The node for a new volume: the connected one that keeps volumes and has the most room left.
    /// The reason when none has enough, in the words a client will read.
    pub(crate) fn place_volume(
        &self,
        tx: &Tx<'_>,
        size_gib: u32,
    ) -> Result<Result<NodeId, String>> {
        let keepers: Vec<(NodeId, u64)> = lock(&self.connected)
            .iter()
            .filter(|(_, c)| !c.facts.portals.is_empty())
            .map(|(id, c)| (*id, c.facts.disk_gib))
            .collect();
        if keepers.is_empty() {
            return Ok(Err(
                "No valid host was found. No node that keeps volumes is connected to this cloud."
                    .into(),
            ));
        }
        let given = tx.sums_by::<row::Volume, NodeId, 1>("node_id", ["size_gib"])?;
        let left = |(id, disk_gib): (NodeId, u64)| {
            let used = given.get(&id).map_or(0, |(_, [size])| *size);
            (disk_gib.saturating_sub(used), id)
        };
        let roomy = keepers.into_iter().map(left);
        let roomy = roomy.filter(|(left, _)| *left >= u64::from(size_gib));
        Ok(roomy.max_by_key(|(left, _)| *left).map(|(_, id)| id).ok_or_else(|| {
            format!("No valid host was found. No connected node has {size_gib} GiB of disk left for volumes.")
        }))
    }

    /// # Errors
    /// `Invalid` when a volume's node is not connected, or has less room left.
    pub(crate) fn require_room(&self, tx: &Tx<'_>, node: NodeId, more_gib: u32) -> Result<()> {
        let disk = lock(&self.connected).get(&node).map(|c| c.facts.disk_gib);
        let disk = disk.ok_or_else(|| {
            Error::invalid("The node that keeps the volume is not connected: try again when it is.")
        })?;
        let left = disk.saturating_sub(volumes_on(tx, node)?);
        match left >= u64::from(more_gib) {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "The node that keeps the volume has {left} GiB left, and {more_gib} GiB more are wanted."
            ))),
        }
    }
}

/// GiB of all volumes on a node.
fn volumes_on(tx: &Tx<'_>, node: NodeId) -> Result<u64> {
    tx.amount(Amount::sum::<row::Volume>(
        "size_gib",
        "node_id",
        node.to_value(),
    ))
}
