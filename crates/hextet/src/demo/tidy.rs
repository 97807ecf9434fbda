//! Taking a demo away, whatever state it is in: after it, nothing of it is left on the machine.

use std::fs;
use std::path::Path;

use linux::netns::Netns;

use super::place::Place;
use super::processes;
use crate::config::{Places, load};
use crate::up::node_settings;
use crate::{Failure, purge};

/// What was there before it was removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) guests: usize,
    pub(super) namespaces: usize,
}

/// Removes a demo and its directory. Blocks.
///
/// # Errors
/// What could not be removed, or is still there after all.
pub(super) fn remove(place: &Place) -> Result<Removed, Failure> {
    let (root, places) = (place.root(), place.places()?);
    let spaces = prefixes(place, &places);
    let guests = guests(&places);
    let namespaces = spaces.iter().map(|p| names(p).len()).sum();
    purge::demo(place, &places)?;
    fs::remove_dir_all(root).map_err(|e| format!("cannot remove {}: {e}", root.display()))?;
    let left = left(root, &guests, &spaces);
    if !left.is_empty() {
        return Err(format!("still there after the demo: {}", left.join(", ")).into());
    }
    let guests = guests.len();
    Ok(Removed { guests, namespaces })
}

/// How the names of all namespaces of a demo and its cloud begin.
pub(super) fn prefixes(place: &Place, places: &Places) -> Vec<String> {
    let cloud = load(places).and_then(|config| node_settings(places, &config));
    let cloud = cloud.map(|s| node::links::names::prefix(&s.short()));
    let own = [place.node_name(), place.outside_name()];
    own.into_iter().chain(cloud.ok()).collect()
}

/// How the names of the namespaces of its guests' networks begin.
///
/// # Errors
/// When its settings cannot be read.
pub(super) fn networks_prefix(places: &Places) -> Result<String, Failure> {
    let settings = load(places).and_then(|config| node_settings(places, &config))?;
    Ok(node::links::names::networks_prefix(&settings.short()))
}

/// The servers that have a directory here and a QEMU.
fn guests(places: &Places) -> Vec<String> {
    let Ok(entries) = fs::read_dir(places.state.join("guests")) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| processes::qemu_of(name).is_some())
        .collect()
}

fn left(root: &Path, guests: &[String], spaces: &[String]) -> Vec<String> {
    let ups = processes::up_of(root).into_iter().map(|id| id.pid);
    let qemus = guests
        .iter()
        .filter_map(|g| Some(processes::qemu_of(g)?.pid));
    let processes = ups.chain(qemus).map(|pid| format!("process {pid}"));
    let namespaces = spaces.iter().flat_map(|prefix| names(prefix));
    let namespaces = namespaces.map(|name| format!("network namespace {name}"));
    processes.chain(namespaces).collect()
}

fn names(prefix: &str) -> Vec<String> {
    Netns::list(prefix).unwrap_or_default()
}
