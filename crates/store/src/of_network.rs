//! What belongs to networks beside their own rows, for lists.

use model::{AddressScopeId, NetworkId, Result, SubnetId};

use crate::db::{Found, Tx};
use crate::field::Field;
use crate::row;
use crate::rows::Row;

/// One thing that belongs to a network.
#[derive(Clone, Debug, PartialEq)]
pub enum OfNetwork {
    Subnet(NetworkId, SubnetId),
    /// The target of a policy that shares it.
    Shared(NetworkId, String),
    /// The address scope of its subnets of a version, 4 or 6.
    Scope(NetworkId, u32, AddressScopeId),
}

const PARTS: &str = "
    SELECT 'subnet', w.id, s.id, NULL FROM wanted w JOIN subnet s ON s.network_id = w.id
    UNION ALL
    SELECT 'shared', w.id, r.target, NULL FROM wanted w JOIN rbac_policy r ON r.object_id = w.id
     WHERE r.action = 'access_as_shared'
    UNION ALL
    SELECT DISTINCT 'scope', w.id, p.address_scope_id, p.version FROM wanted w
      JOIN subnet s ON s.network_id = w.id JOIN subnet_pool p ON p.id = s.subnet_pool_id
     WHERE p.address_scope_id IS NOT NULL";

const USED: &str = "SELECT count(*) FROM allocation a WHERE a.subnet_id = t.id";

impl Tx<'_> {
    /// What belongs to these networks, in no special order.
    pub fn of_networks<'a>(
        &self,
        networks: impl Iterator<Item = &'a NetworkId>,
    ) -> Result<Vec<OfNetwork>> {
        let ids = networks.map(Field::to_value).collect();
        self.select_wanted(PARTS, ids, |found| {
            let network = NetworkId::from_column(found.column(1)?)?;
            let part = found.column(2)?;
            Ok(match String::from_column(found.column(0)?)?.as_str() {
                "subnet" => OfNetwork::Subnet(network, Field::from_column(part)?),
                "scope" => {
                    let version = u32::from_column(found.column(3)?)?;
                    OfNetwork::Scope(network, version, Field::from_column(part)?)
                }
                _ => OfNetwork::Shared(network, Field::from_column(part)?),
            })
        })
    }

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
