//! Servers: what is wanted of them, and how a client sees them.

mod attach;
mod boot;
mod create;
mod disks;
mod hardware;
mod interface;
pub(crate) mod log;
mod metadata;
mod password;
mod state;
mod tag;
mod view;

use std::net::IpAddr;

use model::{Caller, Error, Kind, NodeId, ProjectId, Result, ServerId};
use store::{Depth, Query, Tx, Value, row};

use crate::{Cloud, image, list};

pub use attach::GroupChange;
pub use create::{Hints, NewServer};
pub use disks::{DiskSource, NewDisk};
pub use interface::ServerNetwork;
pub use metadata::Others;
pub use state::{ServerAction, vm_state};
pub use tag::{ServerTagChange, ServerTagFilter, split_tags};
pub(crate) use view::find;
pub use view::{NamePattern, ServerAddress, ServerFilter, ServerView};

pub(crate) use boot::image_file;
pub(crate) use state::{find_again, lose, set_status, stop_waiting};
use state::{remove, save};

/// What to change; of what can be absent, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct ServerUpdate {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub access_v4: Option<Option<IpAddr>>,
    pub access_v6: Option<Option<IpAddr>>,
}

impl Cloud {
    /// Changes what is given.
    pub fn update_server(
        &self,
        caller: &Caller,
        id: &ServerId,
        update: &ServerUpdate,
    ) -> Result<ServerView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            if let Some(name) = &update.name {
                list::check_required_name("name", name)?;
                server.name.clone_from(name);
            }
            if let Some(description) = &update.description {
                server.description.clone_from(description);
            }
            server.access_v4 = update.access_v4.unwrap_or(server.access_v4);
            server.access_v6 = update.access_v6.unwrap_or(server.access_v6);
            save(tx, &mut server)?;
            view::find(tx, caller, id, Depth::WithStart)
        })
    }

    /// Wants a server gone. It vanishes when its node has taken it away.
    pub fn delete_server(&self, caller: &Caller, id: &ServerId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = unlocked(tx, caller, id)?;
            // What no node has, or one that was forgotten, no node takes away.
            let held = match server.node_id {
                Some(node) => tx.node(node)?.is_some(),
                None => false,
            };
            match held {
                false => remove(tx, &server),
                true if server.deleting => Ok(()),
                true => {
                    server.deleting = true;
                    log::record(tx, caller, id, "delete", None)?;
                    save(tx, &mut server)
                }
            }
        })
    }

    /// The newest lines of a server's console: the one question that waits for a node, because
    /// only the node holds the answer.
    pub async fn console(
        &self,
        caller: &Caller,
        id: &ServerId,
        lines: Option<usize>,
    ) -> Result<String> {
        caller.require_member()?;
        let server = self.store().read(|tx| visible(tx, caller, id))?;
        let node = server.node_id.ok_or_else(|| not_ready(id))?;
        let started = server
            .seen
            .0
            .as_ref()
            .is_some_and(|seen| seen.started_epoch > 0);
        if !started {
            return Err(not_ready(id));
        }
        self.inner.nodes.console(node, *id, lines).await
    }
}

/// A server's ports in the guest's order.
pub(crate) fn ports_of(tx: &Tx<'_>, id: &ServerId) -> Result<Vec<row::Port>> {
    let mut ports: Vec<row::Port> =
        tx.list(&Query::equal("device_id", Value::Text(id.to_string())))?;
    ports.retain(|p| p.device_owner.starts_with("compute:"));
    ports.sort_by_key(|p| p.device_index);
    Ok(ports)
}

/// A name for a node that tells a project when two of its servers share one, and nothing else.
pub fn host_id(project: &ProjectId, node: NodeId) -> String {
    use sha2::{Digest, Sha224};
    image::hex(&Sha224::digest(format!("{project}{node}")))
}

/// A host name (RFC 1123) made of a server's name.
pub fn hostname(name: &str, id: &ServerId) -> String {
    let spaced = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let joined: String = spaced.collect();
    let parts: Vec<_> = joined.split('-').filter(|part| !part.is_empty()).collect();
    let mut host = parts.join("-");
    host.truncate(63);
    match host.trim_end_matches('-') {
        "" => format!("server-{id}"),
        host => host.to_owned(),
    }
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &ServerId) -> Result<row::Server> {
    let server: row::Server = tx.get(id)?;
    list::seen(caller.sees(&server.project_id), server, Kind::Server, id)
}

/// A server the caller may change.
///
/// # Errors
/// `NotFound`, or `Conflict` when it is locked and the caller no administrator.
pub(crate) fn unlocked(tx: &Tx<'_>, caller: &Caller, id: &ServerId) -> Result<row::Server> {
    let server = visible(tx, caller, id)?;
    match server.locked && !caller.is_admin() {
        false => Ok(server),
        true => Err(Error::conflict(format!("Instance {id} is locked"))),
    }
}

fn not_ready(id: &ServerId) -> Error {
    Error::conflict(format!(
        "Instance {id} is not ready: it has not been started yet"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_made_of_names() {
        let id = ServerId::random();
        let check =
            |name: &str, expected: &str| assert_eq!(hostname(name, &id), expected, "{name}");
        check("web 1", "web-1");
        check("Grüße.example", "gr-e-example");
        check("---", &format!("server-{id}"));
        check(&"a".repeat(200), &"a".repeat(63));
    }
}
