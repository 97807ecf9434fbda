//! One look at files and targets, and the steps that follow. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use model::{Volume, VolumeId, VolumeSeen};
use volume::{Daemon, Export, file, plan};

use super::{Failed, Orders, Portals};

/// What a pass goes by.
pub(super) struct Situation {
    /// `None`: nothing was told yet.
    pub orders: Option<Orders>,
    pub busy: BTreeSet<VolumeId>,
    pub failed: BTreeMap<VolumeId, Failed>,
    /// Volumes that the controller has said are to go.
    pub ending: BTreeSet<VolumeId>,
}

/// What it came to.
pub(super) struct Outcome {
    pub portals: Portals,
    /// Volumes whose files are to be made.
    pub make: Vec<Volume>,
    pub seen: Vec<VolumeSeen>,
    /// Volumes whose target and data were removed.
    pub gone: BTreeSet<VolumeId>,
    /// Volumes whose data is here, wanted or not.
    pub here: BTreeSet<VolumeId>,
    /// Those of them of which the controller has said nothing.
    pub strays: BTreeSet<VolumeId>,
    /// It is worth trying again soon.
    pub failed: bool,
}

pub(super) fn pass(daemon: &mut Daemon, situation: &Situation) -> Outcome {
    let mut outcome = Outcome {
        portals: daemon.portals(),
        make: Vec::new(),
        seen: Vec::new(),
        gone: BTreeSet::new(),
        here: BTreeSet::new(),
        strays: BTreeSet::new(),
        failed: false,
    };
    if let Some(orders) = &situation.orders {
        Pass {
            daemon,
            situation,
            orders,
            outcome: &mut outcome,
        }
        .run();
    }
    outcome
}

struct Pass<'a> {
    daemon: &'a mut Daemon,
    situation: &'a Situation,
    orders: &'a Orders,
    outcome: &'a mut Outcome,
}

impl Pass<'_> {
    fn run(&mut self) {
        let files = match file::list(&self.daemon.settings().files) {
            Ok(files) => files,
            Err(e) => {
                let failure = Some(format!("its directory cannot be read: {e}"));
                let volumes: Vec<_> = self.orders.volumes.values().collect();
                volumes
                    .into_iter()
                    .for_each(|v| self.see(v, false, failure.clone()));
                return;
            }
        };
        self.outcome.here = files.iter().map(|(id, _)| *id).collect();
        let sizes: BTreeMap<VolumeId, u64> = files
            .iter()
            .filter_map(|(id, size)| Some((*id, (*size)?)))
            .collect();
        let mut exports = Vec::new();
        for volume in self.orders.volumes.values() {
            match self.ready(volume, sizes.get(&volume.id).copied()) {
                Ok(true) => exports.push(Export::of(volume)),
                Ok(false) => self.see(volume, false, None),
                Err(why) => self.see(volume, false, Some(why)),
            }
        }
        let stray = self.serve(&exports);
        if self.orders.removal && stray.is_ok() {
            self.remove(files.iter().map(|(id, _)| *id));
            let idle = exports.is_empty() && self.situation.busy.is_empty();
            if idle
                && self.daemon.runs()
                && let Err(e) = self.daemon.end()
            {
                tracing::warn!("ending tgtd: {e}");
            }
        }
    }

    /// Whether a volume's file is whole and has its size.
    fn ready(&mut self, volume: &Volume, size: Option<u64>) -> Result<bool, String> {
        let wanted = u64::from(volume.size_gib) << 30;
        match size {
            Some(size) if size >= wanted => Ok(true),
            Some(_) => {
                let files = &self.daemon.settings().files;
                let extended = file::extend(files, volume.id, wanted);
                extended
                    .map(|()| true)
                    .map_err(|e| format!("it cannot be extended: {e}"))
            }
            None if self.situation.busy.contains(&volume.id) => self.unmade(volume),
            None if volume.made => {
                let dir = self.daemon.settings().files.display();
                Err(format!(
                    "its data is gone from its node ({dir}), and is never made anew: an operator has to mount the disk again, or the volume to be detached and deleted"
                ))
            }
            None => {
                self.outcome.portals.clone()?;
                let waits = |failed: &Failed| Instant::now() < failed.again;
                if !self.failure(volume).is_some_and(waits) {
                    self.outcome.make.push(volume.clone());
                }
                self.unmade(volume)
            }
        }
    }

    /// Why its file could not be made, if this very one was tried.
    fn failure(&self, volume: &Volume) -> Option<&Failed> {
        let failed = self.situation.failed.get(&volume.id);
        failed.filter(|failed| {
            let asked = &failed.asked;
            (asked.size_gib, &asked.image) == (volume.size_gib, &volume.image)
        })
    }

    /// It is not there yet; what failed is told until it is.
    fn unmade(&self, volume: &Volume) -> Result<bool, String> {
        match self.failure(volume) {
            Some(failed) => Err(failed.why.clone()),
            None => Ok(false),
        }
    }

    /// Makes tgtd serve what is ready. `Err` when something that is not wanted may still be served.
    fn serve(&mut self, exports: &[Export]) -> Result<(), ()> {
        if exports.is_empty() && !self.daemon.runs() {
            return Ok(());
        }
        let done = self.make_true(exports);
        let mut failures = match done {
            Ok(failures) => failures,
            Err(e) => {
                let all = exports.iter().map(|export| Some(export.volume));
                all.chain([None])
                    .map(|volume| (volume, e.to_string()))
                    .collect()
            }
        };
        for export in exports {
            let Some(volume) = self.orders.volumes.get(&export.volume) else {
                continue;
            };
            let failure = failures.remove(&Some(export.volume));
            self.see(volume, failure.is_none(), failure);
        }
        match failures.remove(&None) {
            None => Ok(()),
            Some(why) => {
                tracing::warn!("tgtd serves what it should not: {why}");
                self.outcome.failed = true;
                Err(())
            }
        }
    }

    fn make_true(&mut self, exports: &[Export]) -> io::Result<BTreeMap<Option<VolumeId>, String>> {
        if !exports.is_empty() {
            self.daemon.ensure()?;
        }
        let seen = match self.daemon.observe() {
            // Nobody needs it, and it may serve what it should not.
            Err(e) if exports.is_empty() && self.orders.removal => {
                tracing::warn!("tgtd is ended: {e}");
                return self.daemon.end().map(|()| BTreeMap::new());
            }
            // Text of a client's making is in it. What it does there has an end with tgtd, and who
            // may be served is back in a moment.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                tracing::error!("tgtd is started anew: {e}");
                self.daemon.end()?;
                return Err(e);
            }
            seen => seen?,
        };
        let mut failures = BTreeMap::new();
        for step in plan(exports, &seen) {
            if step.takes_away() && !self.orders.removal {
                continue;
            }
            if let Err(e) = self.daemon.apply(&step) {
                failures.entry(step.volume).or_insert_with(|| e.to_string());
            }
        }
        Ok(failures)
    }

    /// Removes the files of volumes that are to go. One of which the controller says nothing may
    /// be missing from its database alone: it stays.
    fn remove(&mut self, files: impl Iterator<Item = VolumeId>) {
        let wanted = &self.orders.volumes;
        for id in files.filter(|id| !wanted.contains_key(id) && !self.situation.busy.contains(id)) {
            if !self.situation.ending.contains(&id) {
                self.outcome.strays.insert(id);
                continue;
            }
            match file::remove(&self.daemon.settings().files, id) {
                Ok(()) => {
                    self.outcome.gone.insert(id);
                    self.outcome.here.remove(&id);
                }
                Err(e) => {
                    tracing::error!(volume = %id, "removing its data: {e}");
                    self.outcome.failed = true;
                }
            }
        }
    }

    fn see(&mut self, volume: &Volume, ready: bool, failure: Option<String>) {
        self.outcome.failed |= failure.is_some();
        self.outcome.seen.push(VolumeSeen {
            volume: volume.id,
            ready,
            size_gib: volume.size_gib,
            failure,
        });
    }
}
