//! What belongs to networks beside their own rows, for lists.

use model::{NetworkId, Result};

use crate::db::{Found, Tx};
use crate::field::Field;
use crate::row;
use crate::rows::Row;

const USED: &str = "SELECT count(*) FROM allocation a WHERE a.subnet_id = t.id";

impl Tx<'_> {
    /// The subnets of these networks in the order of their ids, each with how many of its addresses ports hold.
    pub fn subnets_used<'a>(
        &self,
        networks: impl Iterator<Item = &'a NetworkId>,
    ) -> Result<Vec<(row::Subnet, u64)>> {
        let columns = row::Subnet::COLUMNS
            .iter()
            .map(|(name, _)| format!("t.{name}"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let parts = format!(
            "SELECT {columns}, ({USED}) FROM wanted w JOIN subnet t ON t.network_id = w.id ORDER BY t.id"
        );
        let ids = networks.map(Field::to_value).collect();
        self.select_wanted(&parts, ids, |found: Found<'_>| {
            let used = u64::from_column(found.column(row::Subnet::COLUMNS.len())?)?;
            Ok((row::Subnet::from_found(found)?, used))
        })
    }
}
