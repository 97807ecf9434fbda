//! What belongs to ports beside their own rows, for lists: one statement for all of it.

use model::{Mac, PortId, QosPolicyId, Result, SecurityGroupId, TrunkId};

use crate::db::{Found, Tx};
use crate::field::{Field, Value};
use crate::row;

/// One thing that belongs to a port.
#[derive(Clone, Debug, PartialEq)]
pub enum OfPort {
    Address(row::Allocation),
    SecurityGroup(PortId, SecurityGroupId),
    /// Its network's domain and QoS policy.
    Network(PortId, String, Option<QosPolicyId>),
    /// The name of the node it is bound to, or else of the one it is meant for.
    Host(PortId, String),
    /// What its guest was heard to use and ask.
    Heard(row::PortHeard),
    /// The trunk whose card it has.
    Trunk(PortId, TrunkId),
    /// A port that is a VLAN of its card.
    Subport(PortId, Carried),
}

/// A port that another's card carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub port: PortId,
    pub vlan: u32,
    pub mac: Mac,
}

const PARTS: &str = "
    SELECT 'address', a.port_id, a.id, a.subnet_id, a.address, a.network_id
      FROM wanted w JOIN allocation a ON a.port_id = w.id
    UNION ALL
    SELECT 'group', m.port_id, m.security_group_id, NULL, NULL, NULL
      FROM wanted w JOIN membership m ON m.port_id = w.id
    UNION ALL
    SELECT 'host', p.id, coalesce(n.name, p.host), NULL, NULL, NULL
      FROM wanted w JOIN port p ON p.id = w.id LEFT JOIN node n ON n.id = p.node_id
    UNION ALL
    SELECT 'heard', h.port_id, h.heard, NULL, NULL, NULL
      FROM wanted w JOIN port_heard h ON h.port_id = w.id
    UNION ALL
    SELECT 'trunk', t.port_id, t.id, NULL, NULL, NULL
      FROM wanted w JOIN trunk t ON t.port_id = w.id
    UNION ALL
    SELECT 'subport', t.port_id, s.port_id, s.vlan, p.mac, NULL
      FROM wanted w JOIN trunk t ON t.port_id = w.id JOIN subport s ON s.trunk_id = t.id
      JOIN port p ON p.id = s.port_id
    UNION ALL
    SELECT 'network', p.id, coalesce(nullif(n.dns_domain, ''), d.value), n.qos_policy_id, NULL, NULL
      FROM wanted w JOIN port p ON p.id = w.id JOIN network n ON n.id = p.network_id
      JOIN meta d ON d.name = 'dns_domain'";

impl Tx<'_> {
    /// What belongs to these ports, in no special order.
    pub fn of_ports<'a>(&self, ports: impl Iterator<Item = &'a PortId>) -> Result<Vec<OfPort>> {
        self.select_wanted(PARTS, ports.map(Field::to_value).collect(), read)
    }

    /// Runs a statement that joins with `wanted (id)`, which holds the ids.
    pub(crate) fn select_wanted<T>(
        &self,
        parts: &str,
        ids: Vec<Value>,
        read: impl Fn(Found<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["(?)"; ids.len()].join(", ");
        let sql = format!("WITH wanted (id) AS (VALUES {marks}) {parts}");
        self.select(&sql, ids, read)
    }
}

fn read(found: Found<'_>) -> Result<OfPort> {
    let port_id = PortId::from_column(found.column(1)?)?;
    match String::from_column(found.column(0)?)?.as_str() {
        "group" => {
            let group = SecurityGroupId::from_column(found.column(2)?)?;
            return Ok(OfPort::SecurityGroup(port_id, group));
        }
        "network" => {
            let domain = String::from_column(found.column(2)?)?;
            let policy = Field::from_column(found.column(3)?)?;
            return Ok(OfPort::Network(port_id, domain, policy));
        }
        "host" => {
            let host = String::from_column(found.column(2)?)?;
            return Ok(OfPort::Host(port_id, host));
        }
        "heard" => {
            let heard = Field::from_column(found.column(2)?)?;
            return Ok(OfPort::Heard(row::PortHeard { port_id, heard }));
        }
        "trunk" => {
            let trunk = TrunkId::from_column(found.column(2)?)?;
            return Ok(OfPort::Trunk(port_id, trunk));
        }
        "subport" => {
            let carried = Carried {
                port: Field::from_column(found.column(2)?)?,
                vlan: Field::from_column(found.column(3)?)?,
                mac: Field::from_column(found.column(4)?)?,
            };
            return Ok(OfPort::Subport(port_id, carried));
        }
        _ => {}
    }
    Ok(OfPort::Address(row::Allocation {
        id: Field::from_column(found.column(2)?)?,
        subnet_id: Field::from_column(found.column(3)?)?,
        address: Field::from_column(found.column(4)?)?,
        port_id,
        network_id: Field::from_column(found.column(5)?)?,
    }))
}
