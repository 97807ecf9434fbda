//! `hextet node purge`: takes away what this node made, from what is on disk and in the kernel.

use std::path::Path;
use std::time::Duration;

use node::{guest, links, volumes};

use crate::Failure;
use crate::config::{Places, load};
use crate::demo::{place::Place, processes};
use crate::files::{Readers, directory};
use crate::up::{LOCK_FREED, lock_within, node_settings};

/// Ends guests and what serves volumes, removes links, filters, volumes' data and the node's files. Settings, database and images stay.
/// Of a demo that was kept or killed, its `hextet up` and its network namespaces go as well.
///
/// # Errors
/// When a hextet runs on this root, or something cannot be removed.
pub(crate) fn purge(root: &Path, places: &Places) -> Result<(), Failure> {
    match Place::of(&std::path::absolute(root)?)? {
        Some(place) => demo(&place, places)?,
        None => node(places, Duration::ZERO)?,
    }
    eprintln!(
        "hextet: guests, volumes with their data, links, filters and the node's files are gone; settings, database and images are still below {}",
        root.display()
    );
    Ok(())
}

/// Takes away what a demo made, but not its directory.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn demo(place: &Place, places: &Places) -> Result<(), Failure> {
    for up in processes::up_of(place.root()) {
        processes::kill(up)?;
    }
    // Without settings there never was a node.
    if places.config().exists() {
        place.node()?;
        node(places, LOCK_FREED)?;
    }
    Ok(place.remove_namespaces()?)
}

fn node(places: &Places, patience: Duration) -> Result<(), Failure> {
    let config = load(places)?;
    directory(&places.run, Readers::Owner)?;
    let _lock = lock_within(places, patience)?;
    let mut files = vec![
        places.state.join("node/documents.jsonl"),
        places.state.join("cache"),
        places.run.join("filters"),
    ];
    match config.node.fakes()? {
        // They made nothing but their journals.
        Some(count) => files.extend((1..=count).map(|number| places.fake_node(number))),
        None => {
            let settings = node_settings(places, &config)?;
            guest::purge(&settings.guests())?;
            volumes::purge(settings.volumes())?;
            links::purge(&settings.short(), &settings.base)?;
        }
    }
    for path in files {
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {e}", path.display()).into());
            }
            _ => {}
        }
    }
    Ok(())
}
