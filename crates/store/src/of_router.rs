//! What belongs to routers beside their own rows, for lists.

use model::{Result, RouterId};

use crate::db::Tx;
use crate::field::Field;
use crate::row;

const GATEWAYS: &str = "
    SELECT w.id, a.id, a.subnet_id, a.address, a.port_id, a.network_id
      FROM wanted w
      JOIN port p ON p.device_id = w.id AND p.device_owner = 'network:router_gateway'
      JOIN allocation a ON a.port_id = p.id";

impl Tx<'_> {
    /// The addresses that these routers hold in their external networks, in no special order.
    pub fn of_routers<'a>(
        &self,
        routers: impl Iterator<Item = &'a RouterId>,
    ) -> Result<Vec<(RouterId, row::Allocation)>> {
        let ids = routers.map(Field::to_value).collect();
        self.select_wanted(GATEWAYS, ids, |found| {
            let held = row::Allocation {
                id: Field::from_column(found.column(1)?)?,
                subnet_id: Field::from_column(found.column(2)?)?,
                address: Field::from_column(found.column(3)?)?,
                port_id: Field::from_column(found.column(4)?)?,
                network_id: Field::from_column(found.column(5)?)?,
            };
            Ok((Field::from_column(found.column(0)?)?, held))
        })
    }
}
