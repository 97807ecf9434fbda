//! What belongs to trunks beside their own rows, for lists: one statement for all of it.

use model::{PortId, Result, TrunkId};

use crate::db::{Found, Tx};
use crate::field::Field;

/// A port of a trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct OfTrunk {
    pub trunk: TrunkId,
    pub port: PortId,
    /// Its VLAN; `None` for the port whose card carries the others.
    pub vlan: Option<u16>,
    pub status: String,
    pub enabled: bool,
    /// Whether it is on a node.
    pub bound: bool,
}

const PARTS: &str = "
    SELECT t.id, p.id, NULL, p.status, p.enabled, p.node_id IS NOT NULL
      FROM wanted w JOIN trunk t ON t.id = w.id JOIN port p ON p.id = t.port_id
    UNION ALL
    SELECT s.trunk_id, p.id, s.vlan, p.status, p.enabled, p.node_id IS NOT NULL
      FROM wanted w JOIN subport s ON s.trunk_id = w.id JOIN port p ON p.id = s.port_id";

impl Tx<'_> {
    /// The ports of these trunks, in no special order.
    pub fn of_trunks<'a>(&self, trunks: impl Iterator<Item = &'a TrunkId>) -> Result<Vec<OfTrunk>> {
        self.select_wanted(PARTS, trunks.map(Field::to_value).collect(), read)
    }
}

fn read(found: Found<'_>) -> Result<OfTrunk> {
    let vlan: Option<u32> = Field::from_column(found.column(2)?)?;
    Ok(OfTrunk {
        trunk: Field::from_column(found.column(0)?)?,
        port: Field::from_column(found.column(1)?)?,
        vlan: vlan.and_then(|vlan| u16::try_from(vlan).ok()),
        status: Field::from_column(found.column(3)?)?,
        enabled: Field::from_column(found.column(4)?)?,
        bound: Field::from_column(found.column(5)?)?,
    })
}
