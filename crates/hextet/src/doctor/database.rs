//! What the database says that this host must bear.

use doctor::host::links::FlatNetwork;
use doctor::host::nodes::Node;
use model::Result;
use store::{Query, Store, row};

use super::Look;

/// The part of the database that matters.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// Ports of guests and routers.
    pub(super) ports: u64,
    pub(super) flat: Vec<FlatNetwork>,
    pub(super) nodes: Vec<Node>,
    /// The newest moment that it knows of, in milliseconds since 1970.
    pub(super) newest_ms: i64,
}

pub(super) fn look(look: &mut Look<'_>) -> Database {
    let file = look.host.places.database();
    // That it is not there is a finding of its own.
    if matches!(file.try_exists(), Ok(false)) {
        return Database::default();
    }
    let read = read(&file);
    look.seen("the database", read.map_err(|e| cloud::chain(&e)))
}

fn read(file: &std::path::Path) -> Result<Database> {
    Store::look(file)?.read(|tx| {
        let ports: Vec<row::Port> = tx.list(&Query::all())?;
        let networks: Vec<row::Network> = tx.list(&Query::all())?;
        let nodes: Vec<row::Node> = tx.list(&Query::all())?;
        let moments = ports.iter().map(|port| port.updated_ms);
        let moments = moments.chain(networks.iter().map(|network| network.updated_ms));
        let moments = moments.chain(nodes.iter().map(|node| node.seen_ms));
        Ok(Database {
            newest_ms: moments.max().unwrap_or_default(),
            nodes: nodes.into_iter().map(node).collect(),
            ports: ports.len() as u64,
            flat: networks.into_iter().filter_map(flat).collect(),
        })
    })
}

fn flat(network: row::Network) -> Option<FlatNetwork> {
    Some(FlatNetwork {
        id: network.id.to_string(),
        physical_network: network.physical_network?,
        name: network.name,
        mtu: network.mtu,
    })
}

fn node(node: row::Node) -> Node {
    Node {
        name: node.name,
        seen_ms: node.seen_ms,
    }
}
