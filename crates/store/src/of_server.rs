//! What belongs to servers beside their own rows, for lists: one statement for all of it.

use std::net::IpAddr;

use model::{Mac, PortId, Result, ServerId, VolumeId};

use crate::db::{Found, Tx};
use crate::field::Field;

/// One thing that belongs to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct OfServer {
    pub server: ServerId,
    pub what: What,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// An address that reaches it.
    Address {
        /// The network's name.
        network: String,
        /// The network card's place.
        index: u32,
        port: PortId,
        mac: Mac,
        address: IpAddr,
        /// It stands for one of the port's own.
        floating: bool,
    },
    /// The name of a security group of one of its ports.
    SecurityGroup(String),
    /// A volume that it has, or is to have.
    Volume {
        place: u64,
        id: VolumeId,
        delete_on_termination: bool,
    },
    /// The name of the node it is on.
    Node(String),
}

/// Each part gives: kind, server, name or volume, port, MAC, address, place, flag.
const PARTS: &str = "
    SELECT 'fixed', p.device_id, n.name, p.id, p.mac, a.address, p.device_index, 0
      FROM wanted w JOIN port p ON p.device_id = w.id JOIN network n ON n.id = p.network_id
      JOIN allocation a ON a.port_id = p.id WHERE substr(p.device_owner, 1, 8) = 'compute:'
    UNION ALL
    SELECT 'floating', p.device_id, n.name, p.id, p.mac, f.address, p.device_index, 1
      FROM wanted w JOIN port p ON p.device_id = w.id JOIN network n ON n.id = p.network_id
      JOIN floating_ip f ON f.port_id = p.id WHERE substr(p.device_owner, 1, 8) = 'compute:'
    UNION ALL
    SELECT 'group', p.device_id, g.name, NULL, NULL, NULL, 0, 0
      FROM wanted w JOIN port p ON p.device_id = w.id JOIN membership m ON m.port_id = p.id
      JOIN security_group g ON g.id = m.security_group_id
     WHERE substr(p.device_owner, 1, 8) = 'compute:'
    UNION ALL
    SELECT 'volume', t.server_id, t.volume_id, NULL, NULL, NULL, t.place, t.delete_on_termination
      FROM wanted w JOIN attachment t ON t.server_id = w.id
    UNION ALL
    SELECT 'node', s.id, h.name, NULL, NULL, NULL, 0, 0
      FROM wanted w JOIN server s ON s.id = w.id JOIN node h ON h.id = s.node_id";

impl Tx<'_> {
    /// What belongs to these servers, in no special order.
    pub fn of_servers<'a>(
        &self,
        servers: impl Iterator<Item = &'a ServerId>,
    ) -> Result<Vec<OfServer>> {
        self.select_wanted(PARTS, servers.map(Field::to_value).collect(), read)
    }
}

fn read(found: Found<'_>) -> Result<OfServer> {
    let name = || String::from_column(found.column(2)?);
    let kind = String::from_column(found.column(0)?)?;
    let what = match kind.as_str() {
        "group" => What::SecurityGroup(name()?),
        "node" => What::Node(name()?),
        "volume" => What::Volume {
            place: Field::from_column(found.column(6)?)?,
            id: Field::from_column(found.column(2)?)?,
            delete_on_termination: Field::from_column(found.column(7)?)?,
        },
        _ => What::Address {
            network: name()?,
            index: Field::from_column(found.column(6)?)?,
            port: Field::from_column(found.column(3)?)?,
            mac: Field::from_column(found.column(4)?)?,
            address: Field::from_column(found.column(5)?)?,
            floating: Field::from_column(found.column(7)?)?,
        },
    };
    Ok(OfServer {
        server: Field::from_column(found.column(1)?)?,
        what,
    })
}
