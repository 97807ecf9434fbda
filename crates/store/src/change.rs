//! What changed since when: the feed that nodes follow.

use model::{
    AddressGroupId, Error, Key, NetworkId, NodeId, PortId, Result, RouterId, ServerId, VolumeId,
};

use crate::db::Tx;
use crate::field::Field;

impl Tx<'_> {
    /// Documents that changed after `generation`, oldest change first, each with its generation.
    pub fn changes_since(&self, generation: u64) -> Result<Vec<(Key, u64)>> {
        let sql =
            "SELECT kind, id, generation FROM change WHERE generation > ? ORDER BY generation";
        self.select(sql, vec![generation.to_value()], |found| {
            let kind = String::from_column(found.column(0)?)?;
            let id = String::from_column(found.column(1)?)?;
            let at = u64::from_column(found.column(2)?)?;
            Ok((parse_key(&kind, &id)?, at))
        })
    }

    /// The newest generation in this transaction's picture.
    pub fn newest_generation(&self) -> Result<u64> {
        let sql = "SELECT value FROM meta WHERE name = 'generation'";
        let found = self.select(sql, Vec::new(), |found| {
            String::from_column(found.column(0)?)
        })?;
        Ok(found
            .first()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0))
    }

    pub(crate) fn record_change(&mut self, key: Key, generation: u64) -> Result<()> {
        let (kind, id) = key_text(key);
        let sql = "INSERT INTO change (kind, id, generation) VALUES (?, ?, ?)
                   ON CONFLICT (kind, id) DO UPDATE SET generation = excluded.generation";
        self.run(
            sql,
            vec![
                kind.to_owned().to_value(),
                id.to_value(),
                generation.to_value(),
            ],
        )
        .map(drop)
    }

    /// The one node there is a record of with this id.
    pub fn node(&self, id: NodeId) -> Result<Option<crate::row::Node>> {
        self.find(id.to_value())
    }
}

fn key_text(key: Key) -> (&'static str, String) {
    match key {
        Key::Network(id) => ("network", id.to_string()),
        Key::Router(id) => ("router", id.to_string()),
        Key::AddressGroup(id) => ("address_group", id.to_string()),
        Key::Port(id) => ("port", id.to_string()),
        Key::PortName(id) => ("port_name", id.to_string()),
        Key::Volume(id) => ("volume", id.to_string()),
        Key::Server(id) => ("server", id.to_string()),
    }
}

fn parse_key(kind: &str, id: &str) -> Result<Key> {
    fn parse<T: std::str::FromStr>(id: &str) -> Result<T> {
        id.parse()
            .map_err(|_| Error::internal("reading the change feed", format!("bad id {id}")))
    }
    match kind {
        "network" => parse::<NetworkId>(id).map(Key::Network),
        "router" => parse::<RouterId>(id).map(Key::Router),
        "address_group" => parse::<AddressGroupId>(id).map(Key::AddressGroup),
        "port" => parse::<PortId>(id).map(Key::Port),
        "port_name" => parse::<PortId>(id).map(Key::PortName),
        "volume" => parse::<VolumeId>(id).map(Key::Volume),
        "server" => parse::<ServerId>(id).map(Key::Server),
        other => Err(Error::internal(
            "reading the change feed",
            format!("unknown kind {other}"),
        )),
    }
}
