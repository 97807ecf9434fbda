//! Trunks: a port whose card carries other ports, each as a VLAN.
//!
//! A subport is bound where its trunk's port is: what binds or frees that one calls [`follow`].

mod subport;

use std::collections::HashMap;

use model::{Caller, Error, Kind, PortId, ProjectId, Result, TrunkId};
use store::{Field, Json, OfTrunk, Query, Tx, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, now_ms, port};

pub use subport::NewSubport;
pub(crate) use subport::{OWNER, document, follow};

/// A trunk to make.
#[derive(Clone, Debug)]
pub struct NewTrunk {
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    /// Whether its subports may change later.
    pub enabled: bool,
    /// The port whose card carries the others.
    pub port: PortId,
    pub subports: Vec<NewSubport>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct TrunkUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
}

/// A trunk with its subports.
#[derive(Clone, Debug)]
pub struct TrunkView {
    pub trunk: row::Trunk,
    /// Ports and their VLANs, by VLAN.
    pub subports: Vec<(PortId, u16)>,
    /// `ACTIVE`, `BUILD` or `DOWN`.
    pub status: &'static str,
}

impl Cloud {
    /// A trunk the caller may see.
    pub fn get_trunk(&self, caller: &Caller, id: &TrunkId) -> Result<TrunkView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The trunks the caller may see.
    pub fn list_trunks(&self, caller: &Caller, page: &Page) -> Result<Vec<TrunkView>> {
        let query = list::owned(page.query::<row::Trunk>()?, caller, true);
        self.store().read(|tx| {
            let trunks = list::run(tx, &query)?;
            views(tx, trunks)
        })
    }

    /// A new trunk with its first subports.
    ///
    /// # Errors
    /// `Conflict` for a port that cannot carry others, or is in use otherwise.
    pub fn create_trunk(&self, caller: &Caller, new: &NewTrunk) -> Result<TrunkView> {
        caller.require_member()?;
        let now = now_ms();
        let trunk = row::Trunk {
            id: TrunkId::random(),
            project_id: owner_of(caller, new.project.as_ref())?,
            name: new.name.clone(),
            description: new.description.clone(),
            port_id: new.port,
            enabled: new.enabled,
            tags: Json::default(),
            revision: 1,
            created_ms: now,
            updated_ms: now,
        };
        check(&trunk)?;
        self.store().write(|tx| {
            quota::check(tx, &trunk.project_id, Resource::Trunk, 1)?;
            let parent = port::visible(tx, caller, &trunk.port_id)?;
            subport::check_parent(tx, caller, &parent)?;
            tx.insert(&trunk)?;
            subport::add(tx, caller, &trunk, &parent, &new.subports)?;
            view(tx, trunk.clone())
        })
    }

    /// Changes what is given.
    pub fn update_trunk(
        &self,
        caller: &Caller,
        id: &TrunkId,
        update: &TrunkUpdate,
    ) -> Result<TrunkView> {
        self.change_trunk(caller, id, |_, trunk| {
            let TrunkUpdate {
                name,
                description,
                enabled,
            } = update;
            trunk.name = name.clone().unwrap_or_else(|| trunk.name.clone());
            let text = description.clone();
            trunk.description = text.unwrap_or_else(|| trunk.description.clone());
            trunk.enabled = enabled.unwrap_or(trunk.enabled);
            check(trunk)
        })
    }

    /// Gives a trunk further subports.
    ///
    /// # Errors
    /// `Conflict` for a trunk that is switched off, or a port that is in use.
    pub fn add_subports(
        &self,
        caller: &Caller,
        id: &TrunkId,
        new: &[NewSubport],
    ) -> Result<TrunkView> {
        self.change_trunk(caller, id, |tx, trunk| {
            check_enabled(trunk)?;
            let parent: row::Port = tx.get(&trunk.port_id)?;
            subport::add(tx, caller, trunk, &parent, new)
        })
    }

    /// Takes subports out of a trunk.
    ///
    /// # Errors
    /// `NotFound` for a port that is none of its, `Conflict` for a trunk that is switched off.
    pub fn remove_subports(
        &self,
        caller: &Caller,
        id: &TrunkId,
        ports: &[PortId],
    ) -> Result<TrunkView> {
        self.change_trunk(caller, id, |tx, trunk| {
            check_enabled(trunk)?;
            subport::remove(tx, trunk, ports)
        })
    }

    /// Removes a trunk; its ports stay.
    pub fn delete_trunk(&self, caller: &Caller, id: &TrunkId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let trunk = visible(tx, caller, id)?;
            caller.check_revision(trunk.revision)?;
            end(tx, &trunk)
        })
    }

    fn change_trunk(
        &self,
        caller: &Caller,
        id: &TrunkId,
        change: impl Fn(&mut Tx<'_>, &mut row::Trunk) -> Result<()>,
    ) -> Result<TrunkView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut trunk = visible(tx, caller, id)?;
            caller.check_revision(trunk.revision)?;
            change(tx, &mut trunk)?;
            trunk.revision += 1;
            trunk.updated_ms = now_ms();
            tx.update(&trunk)?;
            view(tx, trunk)
        })
    }
}

/// A trunk the caller may see.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &TrunkId) -> Result<row::Trunk> {
    let trunk: row::Trunk = tx.get(id)?;
    list::seen(caller.sees(&trunk.project_id), trunk, Kind::Trunk, id)
}

/// The trunk that a port carries.
pub(crate) fn of_parent(tx: &Tx<'_>, port: &PortId) -> Result<Option<row::Trunk>> {
    let carried = tx.list(&Query::equal("port_id", port.to_value()))?;
    Ok(carried.into_iter().next())
}

/// A port goes, or may go.
///
/// # Errors
/// `Conflict` while a trunk has it.
pub(crate) fn check_free(tx: &Tx<'_>, port: &PortId) -> Result<()> {
    if let Some(trunk) = of_parent(tx, port)? {
        return Err(Error::conflict(format!(
            "Port {port} is currently a parent port for trunk {}.",
            trunk.id
        )));
    }
    match tx.find::<row::Subport>(port.to_value())? {
        Some(subport) => Err(Error::conflict(format!(
            "Port {port} is currently a subport for trunk {}.",
            subport.trunk_id
        ))),
        None => Ok(()),
    }
}

/// A port goes, and with it what hangs on it here.
pub(crate) fn forget(tx: &mut Tx<'_>, port: &PortId) -> Result<()> {
    tx.delete::<row::Subport>(port)?;
    match of_parent(tx, port)? {
        Some(trunk) => end(tx, &trunk),
        None => Ok(()),
    }
}

fn end(tx: &mut Tx<'_>, trunk: &row::Trunk) -> Result<()> {
    for subport in subport::of_trunk(tx, &trunk.id)? {
        subport::release(tx, &subport)?;
    }
    tx.delete::<row::Trunk>(&trunk.id).map(drop)
}

fn view(tx: &Tx<'_>, trunk: row::Trunk) -> Result<TrunkView> {
    let mut views = views(tx, vec![trunk])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a trunk", "it vanished"))
}

/// Joins trunks with their ports, in one statement however many there are.
fn views(tx: &Tx<'_>, trunks: Vec<row::Trunk>) -> Result<Vec<TrunkView>> {
    let mut ports: HashMap<TrunkId, Vec<OfTrunk>> = HashMap::new();
    for port in tx.of_trunks(trunks.iter().map(|t| &t.id))? {
        ports.entry(port.trunk).or_default().push(port);
    }
    let join = |trunk: row::Trunk| {
        let mut ports = ports.remove(&trunk.id).unwrap_or_default();
        ports.sort_by_key(|p| p.vlan);
        TrunkView {
            status: status(&ports),
            subports: ports
                .iter()
                .filter_map(|p| Some((p.port, p.vlan?)))
                .collect(),
            trunk,
        }
    };
    Ok(trunks.into_iter().map(join).collect())
}

/// What its ports make of it. One that is switched off on its own keeps no trunk waiting.
fn status(ports: &[OfTrunk]) -> &'static str {
    let bound = ports.iter().any(|p| p.vlan.is_none() && p.bound);
    let mut wanted = ports.iter().filter(|p| p.enabled);
    match (bound, wanted.all(|p| p.status == "ACTIVE")) {
        (false, _) => "DOWN",
        (true, true) => "ACTIVE",
        (true, false) => "BUILD",
    }
}

fn check(trunk: &row::Trunk) -> Result<()> {
    list::check_name("name", &trunk.name)?;
    list::check_name("description", &trunk.description)
}

fn check_enabled(trunk: &row::Trunk) -> Result<()> {
    match trunk.enabled {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Trunk {} is currently disabled.",
            trunk.id
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(vlan: Option<u16>, status: &str) -> OfTrunk {
        OfTrunk {
            trunk: TrunkId::random(),
            port: PortId::random(),
            vlan,
            status: status.into(),
            enabled: true,
            bound: true,
        }
    }

    #[test]
    fn a_trunk_is_as_its_ports_are() {
        let (parent, up, down) = (
            port(None, "ACTIVE"),
            port(Some(5), "ACTIVE"),
            port(Some(6), "DOWN"),
        );
        let off = OfTrunk {
            enabled: false,
            ..down.clone()
        };
        let free = OfTrunk {
            bound: false,
            ..parent.clone()
        };
        let check = |ports: &[&OfTrunk], expected| {
            let ports: Vec<_> = ports.iter().map(|p| (*p).clone()).collect();
            assert_eq!(status(&ports), expected, "{ports:?}");
        };
        check(&[&parent], "ACTIVE");
        check(&[&parent, &up], "ACTIVE");
        check(&[&parent, &up, &down], "BUILD");
        check(&[&parent, &up, &off], "ACTIVE");
        check(&[&free, &up], "DOWN");
    }
}
