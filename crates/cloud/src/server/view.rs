//! Servers as they are looked at: filters, and what is joined to them.

use std::collections::HashMap;
use std::net::IpAddr;

use model::{Caller, Error, Kind, Mac, PortId, Result, ServerId, VolumeId};
use store::{Depth, Field, Query, Start, Tx, Value, What, row};

use super::tag::ServerTagFilter;
use super::{ports_of, visible};
use crate::Cloud;
use crate::list::{self, Page};
use crate::port::{self, PortView};

/// What a list of servers can ask for beside columns.
#[derive(Clone, Debug, Default)]
pub struct ServerFilter {
    pub name: Option<NamePattern>,
    /// Fixed addresses it holds.
    pub addresses: Vec<IpAddr>,
    /// The name of the node it is on.
    pub node: Option<String>,
    pub tags: ServerTagFilter,
    /// Milliseconds since 1970: changed then or later.
    pub changed_since_ms: Option<i64>,
}

/// Text that a name holds, begins with, ends with, or is.
#[derive(Clone, Debug)]
pub struct NamePattern {
    pub text: String,
    pub begins: bool,
    pub ends: bool,
}

impl ServerFilter {
    fn narrow(&self, mut query: Query) -> Query {
        if let Some(pattern) = self.name.as_ref().filter(|p| !p.text.is_empty()) {
            // Neither engine's LIKE is the other's; these words mean the same to both.
            let (condition, count) = match (pattern.begins, pattern.ends) {
                (true, true) => ("t.name = ?", 1),
                (true, false) => ("substr(t.name, 1, length(?)) = ?", 2),
                (false, true) => (
                    "length(t.name) >= length(?) AND substr(t.name, length(t.name) - length(?) + 1) = ?",
                    3,
                ),
                (false, false) => ("replace(t.name, ?, '') <> t.name", 1),
            };
            query = query.matching(condition, vec![Value::Text(pattern.text.clone()); count]);
        }
        for address in &self.addresses {
            let condition = "t.id IN (SELECT p.device_id FROM port p JOIN allocation a ON a.port_id = p.id WHERE a.address = ?)";
            query = query.matching(condition, vec![address.to_value()]);
        }
        if let Some(node) = &self.node {
            let condition = "t.node_id IN (SELECT n.id FROM node n WHERE n.name = ?)";
            query = query.matching(condition, vec![Value::Text(node.clone())]);
        }
        if let Some(since) = self.changed_since_ms {
            query = query.matching("t.updated_ms >= ?", vec![since.to_value()]);
        }
        self.tags.narrow(query)
    }
}

/// A server with what belongs to it.
#[derive(Clone, Debug)]
pub struct ServerView {
    pub server: row::ShownServer,
    /// `None` where it was not asked for.
    pub start: Option<Box<Start>>,
    /// In the order of its network cards; a port's own before those that stand for them.
    pub addresses: Vec<ServerAddress>,
    /// Names of its ports' security groups, sorted.
    pub security_groups: Vec<String>,
    pub node_name: Option<String>,
    /// Volumes in the order in which they were attached, each with whether it goes with the server.
    pub volumes: Vec<(VolumeId, bool)>,
    /// Why it is in error: what failed, why, what to do.
    pub fault: Option<String>,
}

/// An address that reaches a server.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    /// The network's name.
    pub network: String,
    pub port: PortId,
    pub mac: Mac,
    pub address: IpAddr,
    /// It stands for one of the port's own.
    pub floating: bool,
}

impl Cloud {
    /// A server the caller may see.
    pub fn get_server(&self, caller: &Caller, id: &ServerId) -> Result<ServerView> {
        self.store()
            .read(|tx| find(tx, caller, id, Depth::WithStart))
    }

    /// A server's ports, in the order in which the guest sees them.
    pub fn interfaces(&self, caller: &Caller, id: &ServerId) -> Result<Vec<PortView>> {
        self.store().read(|tx| {
            visible(tx, caller, id)?;
            port::views(tx, ports_of(tx, id)?)
        })
    }

    /// The servers the caller may see; of all projects only when an administrator asks for them.
    pub fn list_servers(
        &self,
        caller: &Caller,
        page: &Page,
        filter: &ServerFilter,
        all_projects: bool,
        depth: Depth,
    ) -> Result<Vec<ServerView>> {
        let query = query(caller, page, filter, all_projects)?;
        self.store().read(|tx| {
            let servers = list::run(tx, &query)?;
            views(tx, servers, depth)
        })
    }

    /// The names of the same servers.
    pub fn list_server_names(
        &self,
        caller: &Caller,
        page: &Page,
        filter: &ServerFilter,
        all_projects: bool,
    ) -> Result<Vec<row::ServerName>> {
        let query = query(caller, page, filter, all_projects)?;
        self.store().read(|tx| list::run(tx, &query))
    }
}

fn query(caller: &Caller, page: &Page, filter: &ServerFilter, all_projects: bool) -> Result<Query> {
    let mut page = page.clone();
    if page.order.is_empty() {
        page.order = vec![("created_ms".into(), store::Order::Descending)];
    }
    let query = filter.narrow(page.query::<row::Server>()?);
    Ok(list::owned(query, caller, all_projects))
}

/// A server the caller may see.
pub(crate) fn find(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &ServerId,
    depth: Depth,
) -> Result<ServerView> {
    let server: row::ShownServer = tx.get(id)?;
    let server = list::seen(caller.sees(&server.project_id), server, Kind::Server, id)?;
    views(tx, vec![server], depth)?
        .pop()
        .ok_or_else(|| Error::not_found(Kind::Server, id))
}

/// Joins servers with what belongs to them, in one statement however many there are.
fn views(tx: &Tx<'_>, servers: Vec<row::ShownServer>, depth: Depth) -> Result<Vec<ServerView>> {
    let mut parts: HashMap<ServerId, Vec<What>> = HashMap::new();
    for one in tx.of_servers(servers.iter().map(|s| &s.id), depth)? {
        parts.entry(one.server).or_default().push(one.what);
    }
    let join = |server: row::ShownServer| {
        let parts = parts.remove(&server.id).unwrap_or_default();
        view(server, parts)
    };
    Ok(servers.into_iter().map(join).collect())
}

/// A server's node sees that a volume cannot be reached; why that is, the volume's node knows.
/// `failures` are what those say.
fn fault(server: &row::ShownServer, failures: Vec<String>) -> Option<String> {
    if server.status != "ERROR" {
        return None;
    }
    let guest = server.seen.0.as_ref();
    let seen = guest.and_then(|guest| guest.failure.clone());
    let mut parts: Vec<String> = server.fault.clone().or(seen).into_iter().collect();
    if server.fault.is_none() {
        parts.extend(failures);
    }
    Some(parts.join("; ")).filter(|text| !text.is_empty())
}

fn view(server: row::ShownServer, parts: Vec<What>) -> ServerView {
    let (mut addresses, mut volumes) = (Vec::new(), Vec::new());
    let (mut security_groups, mut node_name, mut start) = (Vec::new(), None, None);
    for part in parts {
        match part {
            What::Address {
                network,
                index,
                port,
                mac,
                address,
                floating,
            } => {
                let held = ServerAddress {
                    network,
                    port,
                    mac,
                    address,
                    floating,
                };
                addresses.push((index, held));
            }
            What::SecurityGroup(name) => security_groups.push(name),
            What::Volume {
                place,
                id,
                delete_on_termination,
                failure,
            } => {
                let failure = failure.map(|why| format!("volume {id}: {why}"));
                volumes.push((place, (id, delete_on_termination), failure));
            }
            What::Node(name) => node_name = Some(name),
            What::Start(one) => start = Some(one),
        }
    }
    addresses.sort_by_key(|(index, a)| (*index, a.port, a.floating, a.address));
    volumes.sort_by_key(|(place, ..)| *place);
    security_groups.sort();
    security_groups.dedup();
    let failures = volumes.iter_mut().filter_map(|(_, _, why)| why.take());
    let fault = fault(&server, failures.collect());
    ServerView {
        server,
        start,
        addresses: addresses.into_iter().map(|(_, held)| held).collect(),
        security_groups,
        node_name,
        volumes: volumes.into_iter().map(|(_, volume, _)| volume).collect(),
        fault,
    }
}
