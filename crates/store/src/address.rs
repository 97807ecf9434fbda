//! Addresses that are held.

use std::net::IpAddr;

use model::{Result, SubnetId};

use crate::db::Tx;
use crate::field::Field;

impl Tx<'_> {
    /// Every address of a subnet that a port holds.
    pub fn addresses_held(&self, subnet: &SubnetId) -> Result<Vec<IpAddr>> {
        let sql = "SELECT address FROM allocation WHERE subnet_id = ?";
        self.select(sql, vec![subnet.to_value()], |found| {
            IpAddr::from_column(found.column(0)?)
        })
    }
}
