//! What belongs to servers beside their own rows, for lists: one statement for all of it.

use std::net::IpAddr;

use model::{Boot, Mac, PortId, Result, ServerId, UserData, VolumeId, VolumeSeen};

use crate::db::{Found, Tx};
use crate::field::{Field, Json};

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
        /// Of a server in error: the trouble that the volume's node has with it.
        failure: Option<String>,
    },
    /// The name of the node it is on.
    Node(String),
    /// What its node starts it with.
    Start(Box<Start>),
}

/// What a server's node starts it with, as far as an administrator is shown it.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub boot: Boot,
    pub user_data: Option<UserData>,
}

/// How much of servers is read: what they are started with is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Usual,
    WithStart,
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
    SELECT 'volume', t.server_id, t.volume_id, CASE WHEN s.status = 'ERROR' THEN v.seen END,
           NULL, NULL, t.place, t.delete_on_termination
      FROM wanted w JOIN server s ON s.id = w.id JOIN attachment t ON t.server_id = w.id
      JOIN volume v ON v.id = t.volume_id
    UNION ALL
    SELECT 'node', s.id, h.name, NULL, NULL, NULL, 0, 0
      FROM wanted w JOIN server s ON s.id = w.id JOIN node h ON h.id = s.node_id";

const START: &str = "
    UNION ALL
    SELECT 'start', s.id, s.boot, s.user_data, NULL, NULL, 0, 0
      FROM wanted w JOIN server s ON s.id = w.id";

impl Tx<'_> {
    /// What belongs to these servers, in no special order.
    pub fn of_servers<'a>(
        &self,
        servers: impl Iterator<Item = &'a ServerId>,
        depth: Depth,
    ) -> Result<Vec<OfServer>> {
        let ids = servers.map(Field::to_value).collect();
        match depth {
            Depth::Usual => self.select_wanted(PARTS, ids, read),
            Depth::WithStart => self.select_wanted(&format!("{PARTS}{START}"), ids, read),
        }
    }
}

fn read(found: Found<'_>) -> Result<OfServer> {
    let name = || String::from_column(found.column(2)?);
    let kind = String::from_column(found.column(0)?)?;
    let what = match kind.as_str() {
        "group" => What::SecurityGroup(name()?),
        "node" => What::Node(name()?),
        "start" => What::Start(Box::new(Start {
            boot: Json::from_column(found.column(2)?)?.0,
            user_data: Json::from_column(found.column(3)?)?.0,
        })),
        "volume" => What::Volume {
            place: Field::from_column(found.column(6)?)?,
            id: Field::from_column(found.column(2)?)?,
            delete_on_termination: Field::from_column(found.column(7)?)?,
            failure: failure(found)?,
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

fn failure(found: Found<'_>) -> Result<Option<String>> {
    let seen: Option<Json<Option<VolumeSeen>>> = Field::from_column(found.column(3)?)?;
    Ok(seen.and_then(|seen| seen.0).and_then(|seen| seen.failure))
}
