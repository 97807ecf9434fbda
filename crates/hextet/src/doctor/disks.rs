//! File systems and the modes of what is kept on them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use doctor::host::disk::{Disk, Disks, Exposed};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Host, Look};

pub(super) fn look(look: &mut Look<'_>) {
    let seen = disks(&look.host);
    look.facts.disks = look.seen("disks", seen);
}

fn disks(host: &Host<'_>) -> io::Result<Disks> {
    let mut disks = Vec::new();
    let mut known = BTreeSet::new();
    for (holds, path) in kept(host) {
        // One finding a file system, however much of ours is on it.
        if let Some(device) = device(&path)?
            && known.insert(device)
        {
            disks.push(disk(holds, &path)?);
        }
    }
    let mut exposed = Vec::new();
    for (path, should) in private(host) {
        exposed.extend(
            mode(&path)?
                .filter(|mode| mode & 0o077 != 0)
                .map(|mode| Exposed {
                    path: path.display().to_string(),
                    mode,
                    should,
                }),
        );
    }
    let mut gone = Vec::new();
    for (path, holds) in needed(host) {
        if there(&path)?.is_none() {
            gone.push((path.display().to_string(), holds.to_owned()));
        }
    }
    Ok(Disks {
        disks,
        exposed,
        gone,
    })
}

/// What `init` made and nobody else makes.
fn needed(host: &Host<'_>) -> [(PathBuf, &'static str); 3] {
    [
        (host.places.database(), "the database"),
        (host.places.token_key(), "the key of tokens"),
        (host.places.node_id(), "this node's id"),
    ]
}

/// What is kept where, the most important first.
fn kept(host: &Host<'_>) -> Vec<(&'static str, PathBuf)> {
    let places = host.places;
    let mut kept = vec![
        ("the database", places.state.clone()),
        ("images", places.images()),
    ];
    if let Some(node) = &host.node {
        kept.extend([
            ("guests' disks", node.guests().state),
            ("volumes", node.volumes.clone()),
        ]);
    }
    kept
}

/// What is its owner's alone, with its mode; those that all may enter are none of it.
fn private(host: &Host<'_>) -> Vec<(PathBuf, u32)> {
    let places = host.places;
    let directories = [places.state.clone(), places.run.clone()].map(|path| (path, 0o700));
    let files = [
        places.token_key(),
        places.database(),
        places.etc.join("ca.key"),
        places.etc.join("clouds.yaml"),
        places.etc.join("openrc"),
    ];
    directories
        .into_iter()
        .chain(files.map(|path| (path, 0o600)))
        .collect()
}

fn disk(holds: &str, path: &Path) -> io::Result<Disk> {
    let seen = statvfs(path)?;
    Ok(Disk {
        holds: holds.into(),
        path: path.display().to_string(),
        free_bytes: seen.blocks_available() * seen.fragment_size(),
        least_bytes: node::image::RESERVE,
        // btrfs counts none, and has no end of them.
        free_files: (seen.files() > 0).then(|| seen.files_available()),
        read_only: seen.flags().contains(FsFlags::ST_RDONLY),
    })
}

fn device(path: &Path) -> io::Result<Option<u64>> {
    Ok(there(path)?.map(|seen| seen.dev()))
}

fn mode(path: &Path) -> io::Result<Option<u32>> {
    Ok(there(path)?.map(|seen| seen.permissions().mode() & 0o777))
}

/// Nothing where it is not made yet.
fn there(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        seen => seen.map(Some),
    }
}
