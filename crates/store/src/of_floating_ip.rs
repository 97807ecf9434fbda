//! What belongs to floating IPs beside their own rows, for lists: one statement for all of it.

use model::{FloatingIpId, Mac, NetworkId, Result};

use crate::db::{Found, Tx};
use crate::field::Field;
use crate::row;

/// One thing that belongs to a floating IP.
#[derive(Clone, Debug, PartialEq)]
pub enum OfFloatingIp {
    /// The port it stands for.
    Port(FloatingIpId, ShownPort),
    Forwarding(row::PortForwarding),
}

/// A port as a floating IP shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownPort {
    pub name: String,
    pub network_id: NetworkId,
    pub mac: Mac,
    pub status: String,
    pub device_id: String,
    pub device_owner: String,
    pub enabled: bool,
}

const PARTS: &str = "
    SELECT f.id, 'port', p.name, p.network_id, p.mac, p.status, p.device_id, p.device_owner,
           p.enabled, NULL, NULL, NULL, NULL
      FROM wanted w JOIN floating_ip f ON f.id = w.id JOIN port p ON p.id = f.port_id
    UNION ALL
    SELECT g.floating_ip_id, 'forwarding', g.id, g.port_id, g.address, g.protocol, g.description, NULL,
           NULL, g.external_first, g.external_last, g.internal_first, g.internal_last
      FROM wanted w JOIN port_forwarding g ON g.floating_ip_id = w.id";

impl Tx<'_> {
    /// What belongs to these floating IPs, in no special order.
    pub fn of_floating_ips<'a>(
        &self,
        floating: impl Iterator<Item = &'a FloatingIpId>,
    ) -> Result<Vec<OfFloatingIp>> {
        self.select_wanted(PARTS, floating.map(Field::to_value).collect(), read)
    }
}

fn read(found: Found<'_>) -> Result<OfFloatingIp> {
    let floating_ip_id = FloatingIpId::from_column(found.column(0)?)?;
    if String::from_column(found.column(1)?)? == "port" {
        let port = ShownPort {
            name: Field::from_column(found.column(2)?)?,
            network_id: Field::from_column(found.column(3)?)?,
            mac: Field::from_column(found.column(4)?)?,
            status: Field::from_column(found.column(5)?)?,
            device_id: Field::from_column(found.column(6)?)?,
            device_owner: Field::from_column(found.column(7)?)?,
            enabled: Field::from_column(found.column(8)?)?,
        };
        return Ok(OfFloatingIp::Port(floating_ip_id, port));
    }
    Ok(OfFloatingIp::Forwarding(row::PortForwarding {
        id: Field::from_column(found.column(2)?)?,
        floating_ip_id,
        port_id: Field::from_column(found.column(3)?)?,
        address: Field::from_column(found.column(4)?)?,
        protocol: Field::from_column(found.column(5)?)?,
        description: Field::from_column(found.column(6)?)?,
        external_first: Field::from_column(found.column(9)?)?,
        external_last: Field::from_column(found.column(10)?)?,
        internal_first: Field::from_column(found.column(11)?)?,
        internal_last: Field::from_column(found.column(12)?)?,
    }))
}
