//! Servers as they are looked at: filters, and what is joined to them.

use std::collections::HashMap;
use std::net::IpAddr;

use model::{Caller, Error, Kind, Result, Scope, ServerId};
use store::{Field, Query, Tx, Value, row};

use super::tag::ServerTagFilter;
use super::visible;
use crate::list::{self, Page};
use crate::port::{self, PortView};
use crate::{Cloud, floating_ip};

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

/// A server with its ports.
#[derive(Clone, Debug)]
pub struct ServerView {
    pub server: row::Server,
    /// In the order in which the guest sees them, with the names of their networks.
    pub ports: Vec<(PortView, String)>,
    /// Those that stand for its ports, by address.
    pub floating_ips: Vec<row::FloatingIp>,
    /// Names of its ports' security groups, in no special order.
    pub security_groups: Vec<String>,
    pub node_name: Option<String>,
    /// In the order in which they were made.
    pub attachments: Vec<row::Attachment>,
}

impl Cloud {
    /// A server the caller may see.
    pub fn get_server(&self, caller: &Caller, id: &ServerId) -> Result<ServerView> {
        self.store().read(|tx| {
            let server = visible(tx, caller, id)?;
            views(tx, vec![server])?
                .pop()
                .ok_or_else(|| Error::not_found(Kind::Server, id))
        })
    }

    /// The servers the caller may see; of all projects only when an administrator asks for them.
    pub fn list_servers(
        &self,
        caller: &Caller,
        page: &Page,
        filter: &ServerFilter,
        all_projects: bool,
    ) -> Result<Vec<ServerView>> {
        let mut page = page.clone();
        if page.order.is_empty() {
            page.order = vec![("created_ms".into(), store::Order::Descending)];
        }
        let mut query = filter.narrow(page.query::<row::Server>()?);
        if !(all_projects && caller.is_admin()) {
            let project = match &caller.scope {
                Scope::Project(project) => project.to_value(),
                _ => Value::Null,
            };
            query = query.seen_by("project_id", project);
        }
        self.store().read(|tx| {
            let servers = list::run(tx, &query)?;
            views(tx, servers)
        })
    }
}

/// Joins servers with their ports, in a fixed number of statements however many there are.
pub(super) fn views(tx: &Tx<'_>, servers: Vec<row::Server>) -> Result<Vec<ServerView>> {
    let ids: Vec<Value> = servers.iter().map(|s| s.id.to_value()).collect();
    let mut ports: Vec<row::Port> = tx.list(&Query::all().one_of("device_id", ids.clone()))?;
    ports.retain(|p| p.device_owner.starts_with("compute:"));
    ports.sort_by_key(|p| p.device_index);
    let networks =
        names::<row::Network, _>(tx, ports.iter().map(|p| p.network_id), |n| (n.id, n.name))?;
    let floating = floating_ip::of_ports(tx, ports.iter().map(|p| p.id.to_value()).collect())?;
    let joined = port::views(tx, ports)?;
    let groups = joined.iter().flat_map(|p| p.security_groups.clone());
    let groups = names::<row::SecurityGroup, _>(tx, groups, |g| (g.id, g.name))?;
    let nodes = names::<row::Node, _>(tx, servers.iter().filter_map(|s| s.node_id), |n| {
        (n.id, n.name)
    })?;
    let mut of_server: HashMap<String, Vec<PortView>> = HashMap::new();
    for view in joined {
        of_server
            .entry(view.port.device_id.clone())
            .or_default()
            .push(view);
    }
    let mut attachments = Query::all().one_of("server_id", ids);
    attachments.order.push(("place", store::Order::Ascending));
    let attachments: Vec<row::Attachment> = tx.list(&attachments)?;
    let join = |server: row::Server| {
        let ports = of_server.remove(&server.id.to_string()).unwrap_or_default();
        let of_it = |f: &&row::FloatingIp| ports.iter().any(|p| Some(p.port.id) == f.port_id);
        let floating_ips = floating.iter().filter(of_it).cloned().collect();
        let mut names: Vec<_> = ports
            .iter()
            .flat_map(|p| &p.security_groups)
            .filter_map(|g| groups.get(g).cloned())
            .collect();
        names.sort();
        names.dedup();
        let named = |p: PortView| {
            (
                networks
                    .get(&p.port.network_id)
                    .cloned()
                    .unwrap_or_default(),
                p,
            )
        };
        ServerView {
            ports: ports
                .into_iter()
                .map(named)
                .map(|(name, p)| (p, name))
                .collect(),
            floating_ips,
            security_groups: names,
            attachments: attachments
                .iter()
                .filter(|a| a.server_id == server.id)
                .cloned()
                .collect(),
            node_name: server.node_id.and_then(|id| nodes.get(&id).cloned()),
            server,
        }
    };
    Ok(servers.into_iter().map(join).collect())
}

fn names<R: store::Row, Id: Field + Eq + std::hash::Hash>(
    tx: &Tx<'_>,
    ids: impl Iterator<Item = Id>,
    pair: impl Fn(R) -> (Id, String),
) -> Result<HashMap<Id, String>> {
    let mut unique: Vec<Value> = Vec::new();
    for value in ids.map(|id| id.to_value()) {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    let rows: Vec<R> = tx.list(&Query::all().one_of("id", unique))?;
    Ok(rows.into_iter().map(pair).collect())
}
