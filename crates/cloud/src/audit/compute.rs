//! Servers and what belongs to them.

use std::collections::{BTreeMap, BTreeSet};

use model::{Finding, NodeId, ServerId};
use store::row;

use super::{Rows, contradiction};
use crate::server;

/// What contradicts itself.
pub(super) fn findings(rows: &Rows) -> Vec<Finding> {
    let nodes: BTreeSet<NodeId> = rows.nodes.iter().map(|n| n.id).collect();
    let mut found = Vec::new();
    for one in &rows.servers {
        found.extend(placed(one, &nodes));
        found.extend(status(one));
    }
    found.extend(ports(rows));
    found
}

fn placed(server: &row::Server, nodes: &BTreeSet<NodeId>) -> Option<Finding> {
    let id = server.id;
    match server.node_id {
        // A node that was forgotten leaves its servers in error.
        Some(node) if !nodes.contains(&node) && server.fault.is_none() => Some(contradiction(
            format!("server {id} is on node {node}, of which there is no record"),
            "nothing runs it, and no fault says why",
        )),
        None if server.fault.is_none() => Some(contradiction(
            format!("server {id} is on no node, and no fault says why"),
            "it stays in BUILD for ever",
        )),
        _ => None,
    }
}

/// The materialised status must be what the pure function gives.
fn status(server: &row::Server) -> Option<Finding> {
    let mut again = server.clone();
    server::set_status(&mut again);
    let same = again.status == server.status && again.task_state == server.task_state;
    (!same).then(|| {
        let what = format!(
            "server {} is {} ({:?}) on record, and {} ({:?}) by what is wanted and seen",
            server.id, server.status, server.task_state, again.status, again.task_state
        );
        contradiction(
            what,
            "clients wait for a state that it has already, or never reach",
        )
    })
}

fn ports(rows: &Rows) -> Vec<Finding> {
    let servers: BTreeMap<ServerId, &row::Server> =
        rows.servers.iter().map(|s| (s.id, s)).collect();
    let mut found = Vec::new();
    let of_servers = rows
        .ports
        .iter()
        .filter(|p| p.device_owner.starts_with("compute:"));
    for port in of_servers {
        let server = port
            .device_id
            .parse()
            .ok()
            .and_then(|id: ServerId| servers.get(&id));
        let Some(server) = server else {
            found.push(contradiction(
                format!(
                    "port {} belongs to server {}, which is not there",
                    port.id, port.device_id
                ),
                "its address can be given to nobody, and its network cannot be deleted",
            ));
            continue;
        };
        if port.node_id != server.node_id {
            found.push(contradiction(
                format!(
                    "port {} is bound to another node than its server {}",
                    port.id, server.id
                ),
                "the server has no network",
            ));
        }
    }
    found
}
