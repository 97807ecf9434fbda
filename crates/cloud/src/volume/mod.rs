//! Volumes: what is wanted of them, and how a client sees them.

mod change;
mod create;
mod state;

use std::collections::HashMap;

use model::{Caller, Error, Kind, Result, VolumeId};
use store::{Attached, Field, OfVolume, Query, Tx, row};

use crate::Cloud;
use crate::list::{self, Page};

pub use change::VolumeUpdate;
pub(crate) use change::delete;
pub use create::NewVolume;

pub(crate) use create::insert;
pub(crate) use state::{attached, refresh, take_in, take_out};

/// A volume with what is joined to it.
#[derive(Clone, Debug)]
pub struct VolumeView {
    pub volume: row::Volume,
    pub attachment: Option<Attached>,
    /// The name of the node that keeps it.
    pub node_name: Option<String>,
}

impl VolumeView {
    /// Why it is in error: what failed, why, what to do.
    pub fn failure(&self) -> Option<String> {
        let volume = &self.volume;
        let seen = volume.seen.0.as_ref();
        let failed = volume.status.starts_with("error");
        let why = volume
            .fault
            .clone()
            .or_else(|| seen.and_then(|s| s.failure.clone()));
        why.filter(|_| failed)
    }

    /// Its size in GiB as a client sees it: a larger one that is wanted counts once it is served.
    pub fn size_gib(&self) -> u32 {
        let volume = &self.volume;
        let served = volume.seen.0.as_ref().filter(|s| volume.made && s.ready);
        served.map_or(volume.size_gib, |s| s.size_gib.min(volume.size_gib))
    }
}

impl Cloud {
    /// A volume the caller may see.
    pub fn get_volume(&self, caller: &Caller, id: &VolumeId) -> Result<VolumeView> {
        self.store().read(|tx| {
            let volume = visible(tx, caller, id)?;
            view(tx, volume)
        })
    }

    /// The volumes the caller may see; of all projects only when an administrator asks for them.
    pub fn list_volumes(
        &self,
        caller: &Caller,
        page: &Page,
        all_projects: bool,
    ) -> Result<Vec<VolumeView>> {
        let mut page = page.clone();
        if page.order.is_empty() {
            page.order = vec![("created_ms".into(), store::Order::Descending)];
        }
        let query = list::owned(page.query::<row::Volume>()?, caller, all_projects);
        self.store().read(|tx| {
            let volumes = list::run(tx, &query)?;
            views(tx, volumes)
        })
    }
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &VolumeId) -> Result<row::Volume> {
    let volume: row::Volume = tx.get(id)?;
    list::seen(caller.sees(&volume.project_id), volume, Kind::Volume, id)
}

/// The attachment of a volume, if it has one.
pub(crate) fn attachment_of(tx: &Tx<'_>, id: &VolumeId) -> Result<Option<row::Attachment>> {
    Ok(tx.list(&Query::equal("volume_id", id.to_value()))?.pop())
}

/// The name under which a volume's target is known (RFC 7143, section 4.2.7.3). `internal` is set
/// aside for names that nobody registers.
pub(crate) fn target(id: &VolumeId) -> String {
    format!("iqn.2024-07.internal.hextet:volume-{id}")
}

pub(crate) fn view(tx: &Tx<'_>, volume: row::Volume) -> Result<VolumeView> {
    let id = volume.id;
    let mut views = views(tx, vec![volume])?;
    views
        .pop()
        .ok_or_else(|| Error::not_found(Kind::Volume, id))
}

/// Joins volumes with their attachments and nodes, in one statement however many there are.
fn views(tx: &Tx<'_>, volumes: Vec<row::Volume>) -> Result<Vec<VolumeView>> {
    let parts = tx.of_volumes(volumes.iter().map(|v| &v.id))?;
    let mut parts: HashMap<VolumeId, OfVolume> =
        parts.into_iter().map(|of| (of.volume, of)).collect();
    let join = |volume: row::Volume| {
        let (attachment, node_name) = match parts.remove(&volume.id) {
            Some(of) => (of.attachment, of.node),
            None => (None, None),
        };
        VolumeView {
            volume,
            attachment,
            node_name,
        }
    };
    Ok(volumes.into_iter().map(join).collect())
}
