//! `hextet manage check`: compares database, kernel and disk of a cloud on this host.
//!
//! It only looks, and may run beside `hextet up`. What is in flight then looks like a leak: what
//! one look finds is believed when every later look, for a while, finds it too.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloud::Audit;
use model::{Finding, ImageId, NodeId};
use node::{Depth, Expected};
use store::{Store, row};

use crate::cli::Check;
use crate::config::{Config, Places, load};
use crate::up::node_settings;
use crate::{Failure, log};

/// How long things in flight may take to land.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Prints what is wrong, and says by its status whether there was something: 0 no, 1 yes, 2 it
/// could not be found out.
pub(crate) fn command(places: &Places, wish: &Check) -> ExitCode {
    log::start();
    let depth = if wish.deep { Depth::Deep } else { Depth::Quick };
    let checked = check(places, depth).and_then(|found| {
        match wish.json {
            true => json(&found)?,
            false => table(&found)?,
        }
        Ok(found)
    });
    match checked {
        Ok(found) if found.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("hextet: {}", cloud::chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// What is wrong with the cloud below a root.
///
/// # Errors
/// When there is no cloud, or its database cannot be read.
pub(crate) fn check(places: &Places, depth: Depth) -> Result<Vec<Finding>, Failure> {
    let config = load(places)?;
    if !places.database().is_file() {
        return Err(format!(
            "{} is not there: bring it back",
            places.database().display()
        )
        .into());
    }
    let store = Store::open(&places.database())?;
    let (began, running) = (Instant::now(), holder(places)?.is_some());
    let mut found = look(places, &config, &store, depth)?;
    // Nothing is in flight where nothing runs.
    while running && !found.is_empty() && began.elapsed() < PATIENCE {
        sleep(LOOK_EVERY);
        let again = look(places, &config, &store, Depth::Quick)?;
        found.retain(|finding| again.contains(finding) || finding.next == RESTORE);
    }
    Ok(found.into_iter().collect())
}

/// The process of a hextet that runs on this root: who holds its lock. To try the lock could make
/// one that starts just now believe that another runs.
pub(crate) fn holder(places: &Places) -> io::Result<Option<i32>> {
    let inode = match fs::metadata(places.run.join("lock")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?.ino(),
    };
    let held = fs::read_to_string("/proc/locks")?;
    Ok(held.lines().find_map(|line| holder_in(line, inode)))
}

/// `1: FLOCK  ADVISORY  WRITE 3471 00:1b:105 0 EOF` (proc_locks(5)).
fn holder_in(line: &str, inode: u64) -> Option<i32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let of: u64 = words.get(5)?.rsplit(':').next()?.parse().ok()?;
    let held = words.get(1) == Some(&"FLOCK") && of == inode;
    held.then(|| words[4].parse().ok()).flatten()
}

fn look(
    places: &Places,
    config: &Config,
    store: &Store,
    depth: Depth,
) -> Result<BTreeSet<Finding>, Failure> {
    let audit = cloud::audit(store)?;
    let mut found: BTreeSet<Finding> = audit.findings.iter().cloned().collect();
    found.extend(images(places, &audit.images, depth)?);
    // What is made up leaves nothing in the kernel.
    if config.node.fakes()?.is_none() {
        let settings = node_settings(places, config)?;
        let expected = expected(audit, settings.id);
        found.extend(node::check(&settings, expected, depth));
    }
    Ok(found)
}

fn expected(audit: Audit, node: NodeId) -> Expected {
    let here = audit.nodes.into_iter().find(|(id, _)| *id == node);
    Expected {
        documents: here.map(|(_, documents)| documents).unwrap_or_default(),
        running: audit.running,
        made: audit.made,
    }
}

const RESTORE: &str = "bring the file back from a backup, or delete the image";

/// The image store's files beside its records.
fn images(places: &Places, images: &[row::Image], depth: Depth) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    for image in images.iter().filter(|image| image.status == "active") {
        let path = places.images().join(image.id.to_string());
        let size = fs::metadata(&path).ok().map(|file| file.len());
        let wrong = match (size, &image.sha512) {
            (None, _) => Some("is not there".to_owned()),
            (Some(size), _) if Some(size) != image.size_bytes => Some(format!(
                "has {size} octets, and its record says {:?}",
                image.size_bytes
            )),
            (_, Some(sum)) if depth == Depth::Deep && !node::has_sha512(&path, sum)? => {
                Some("is not what its checksum says".to_owned())
            }
            _ => None,
        };
        found.extend(wrong.map(|wrong| {
            Finding::new(
                format!("image {}: {} {wrong}", image.id, path.display()),
                "no server can be made of it",
                RESTORE,
            )
        }));
    }
    for entry in fs::read_dir(places.images())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let (id, part) = name
            .split_once('.')
            .map_or((name.as_str(), false), |(id, _)| (id, true));
        let of = id
            .parse::<ImageId>()
            .ok()
            .and_then(|id| images.iter().find(|i| i.id == id));
        if !of.is_some_and(|image| (image.status == "active" && !part) || image.status == "saving")
        {
            let path = places.images().join(name);
            found.push(Finding::new(
                format!("{} belongs to no image", path.display()),
                "it takes room, and may hold what somebody deleted",
                "`hextet up` removes it when it starts; what stays is not hextet's",
            ));
        }
    }
    Ok(found)
}

fn json(found: &[Finding]) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&serde_json::json!({"findings": found}))?;
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

fn table(found: &[Finding]) -> Result<(), Failure> {
    let wide = |of: fn(&Finding) -> &str| found.iter().map(|f| of(f).chars().count()).max();
    let (what, why) = (wide(|f| &f.what).unwrap_or(0), wide(|f| f.why).unwrap_or(0));
    let mut out = io::stdout().lock();
    for f in found {
        writeln!(out, "{:<what$}  {:<why$}  {}", f.what, f.why, f.next)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_in_the_kernels_list() {
        let line = "3: FLOCK  ADVISORY  WRITE 3471 00:1b:105 0 EOF";
        assert_eq!(holder_in(line, 105), Some(3471));
        let posix = "3: POSIX  ADVISORY  WRITE 3471 00:1b:105 0 EOF";
        for (line, inode) in [(line, 5), (posix, 105), ("", 0)] {
            assert_eq!(holder_in(line, inode), None, "{line}");
        }
    }
}
