//! Volumes' files and tgtd's targets beside the volumes that should be here.

use std::collections::BTreeSet;
use std::io;

use model::{Finding, VolumeId};
use volume::{Daemon, DaemonSettings, Export, file, plan};

use crate::Wanted;
use crate::check::{LEAK, MISSING};

/// Compares; changes nothing. `made` are the volumes whose data has been whole once.
///
/// # Errors
/// When files cannot be read, or tgtd does not answer.
pub fn check(
    settings: DaemonSettings,
    wanted: &Wanted,
    made: &BTreeSet<VolumeId>,
) -> io::Result<Vec<Finding>> {
    let dir = settings.files.display().to_string();
    let (mut found, mut whole) = (Vec::new(), BTreeSet::new());
    for (id, size) in file::list(&settings.files)? {
        match (wanted.volumes.get(&id), size) {
            (Some(volume), Some(size)) => {
                whole.insert(id);
                if size != u64::from(volume.size_gib) << 30 {
                    found.push(missing(format!(
                        "the file of volume {id} in {dir} has {size} octets, and should have {} GiB",
                        volume.size_gib
                    )));
                }
            }
            (Some(_), None) if !made.contains(&id) => {}
            (Some(_), None) => found.push(leak(format!(
                "volume {id} is whole, and half of it lies in {dir} once more"
            ))),
            (None, _) => found.push(Finding::new(
                format!("a file in {dir} is of volume {id}, which is none of this node"),
                "it takes room, and may be all that is left of somebody's data",
                "restore the controller's database if it is of an earlier day, or remove the file",
            )),
        }
    }
    let lost = made
        .iter()
        .filter(|id| wanted.volumes.contains_key(id) && !whole.contains(id));
    found.extend(lost.map(|id| missing(format!("volume {id} has no file in {dir}"))));
    let served = wanted
        .volumes
        .values()
        .filter(|volume| whole.contains(&volume.id));
    let exports: Vec<Export> = served.map(Export::of).collect();
    found.extend(targets(settings, &exports)?);
    Ok(found)
}

fn targets(settings: DaemonSettings, exports: &[Export]) -> io::Result<Vec<Finding>> {
    let mut daemon = Daemon::find(settings)?;
    if !daemon.runs() {
        let unserved = !exports.is_empty();
        let finding = || missing("tgtd does not run, and there are volumes to serve".into());
        return Ok(unserved.then(finding).into_iter().collect());
    }
    if exports.is_empty() {
        return Ok(vec![leak(
            "tgtd runs, and there is no volume to serve".into(),
        )]);
    }
    let steps = plan(exports, &daemon.observe()?);
    Ok(steps
        .iter()
        .map(|step| {
            let doing: Vec<String> = step
                .requests
                .iter()
                .map(|request| request.doing())
                .collect();
            let whose = step
                .volume
                .map_or("no volume".into(), |id| format!("volume {id}"));
            missing(format!(
                "tgtd is not as it should be for {whose}: still to do is {}",
                doing.join(", ")
            ))
        })
        .collect())
}

fn leak(what: String) -> Finding {
    Finding::new(
        what,
        "it takes room, and may hold what somebody deleted",
        LEAK,
    )
}

fn missing(what: String) -> Finding {
    Finding::new(what, "who has it attached does not get its data", MISSING)
}
