//! Guests' files, cgroups and processes beside the servers that should be here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use linux::nft;
use linux::process::ProcessId;
use model::{Finding, ServerId};

use super::state::{self, State, USERS, state_dir};
use super::{GuestSettings, TGTD_GROUP};
use crate::Wanted;
use crate::check::{LEAK, MISSING, names};

/// Compares; changes nothing.
///
/// # Errors
/// When directories or `/proc` cannot be read.
pub fn check(
    settings: &GuestSettings,
    wanted: &Wanted,
    running: &BTreeSet<ServerId>,
) -> io::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let unwanted = |id: &ServerId| !wanted.servers.contains_key(id);
    for id in state::list(settings)?.iter().filter(|id| unwanted(id)) {
        found.push(leak(format!(
            "guest {id} has files here, and is no server of this node"
        )));
    }
    if let Some(dir) = &settings.cgroup {
        for name in names(dir)?.iter().filter(|name| *name != TGTD_GROUP) {
            let server = name.parse::<ServerId>();
            if fs::metadata(dir.join(name))?.is_dir() && server.as_ref().map_or(true, unwanted) {
                found.push(leak(format!(
                    "cgroup {} belongs to no server of this node",
                    dir.join(name).display()
                )));
            }
        }
    }
    let processes = processes(settings)?;
    for (id, pids) in &processes {
        if unwanted(id) {
            found.push(leak(format!(
                "processes {pids:?} run guest {id}, which is no server of this node"
            )));
        } else if pids.len() > 1 {
            found.push(Finding::new(
                format!("guest {id} is run by {} processes: {pids:?}", pids.len()),
                "two machines write one disk",
                "stop the server, and start it again",
            ));
        }
    }
    for id in running.iter().filter(|id| !unwanted(id)) {
        if !processes.contains_key(id) && !recorded(settings, *id) {
            found.push(Finding::new(
                format!("server {id} runs by its record, and has no process here"),
                "clients believe that it works",
                MISSING,
            ));
        }
    }
    found.extend(fence(settings)?);
    Ok(found)
}

/// Every QEMU is kept in, and nobody else is.
fn fence(settings: &GuestSettings) -> io::Result<Vec<Finding>> {
    let list = ["-n", "list", "set", "inet", &settings.fence, "guests"];
    // Without guests there is no such table.
    let fenced = nft::ask(&settings.base, &list).map(|text| users(&text));
    let fenced = fenced.unwrap_or_default();
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    for id in state::list(settings)? {
        let Some(state) = State::load(&state_dir(settings, id)) else {
            continue;
        };
        if state.process.is_some() || state.launching.is_some() {
            known.insert(state.uid);
        }
        if recorded(settings, id) && !fenced.contains(&state.uid) {
            found.push(Finding::new(
                format!("the QEMU of guest {id} (user {}) is not kept in", state.uid),
                "one who breaks out of the guest reaches this host's network",
                MISSING,
            ));
        }
    }
    let strangers = fenced.difference(&known);
    found.extend(strangers.map(|uid| leak(format!("user {uid} is kept in, and runs no guest"))));
    Ok(found)
}

/// The users in what nft says of a set.
fn users(text: &str) -> BTreeSet<u32> {
    let elements = text.split_once("elements = {").map_or("", |(_, rest)| rest);
    let elements = elements.split('}').next().unwrap_or_default();
    let numbers = elements.split(',').map(str::trim);
    numbers.filter_map(|number| number.parse().ok()).collect()
}

fn leak(what: String) -> Finding {
    Finding::new(
        what,
        "it takes memory and disk, and may still speak on the network",
        LEAK,
    )
}

/// Whether the process that the guest's own record names is alive.
fn recorded(settings: &GuestSettings, server: ServerId) -> bool {
    let process = State::load(&state_dir(settings, server)).and_then(|state| state.process);
    process.is_some_and(|process| linux::process::alive(ProcessId::from(process)))
}

/// Processes under guests' users that hold a guest's files open, even removed ones.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn processes(settings: &GuestSettings) -> io::Result<BTreeMap<ServerId, BTreeSet<i32>>> {
    let mut found: BTreeMap<ServerId, BTreeSet<i32>> = BTreeMap::new();
    let guests = settings.uid_base..settings.uid_base.saturating_add(USERS);
    for name in names(Path::new("/proc"))? {
        let dir = Path::new("/proc").join(&name);
        let (Ok(pid), Ok(of)) = (name.parse(), fs::metadata(&dir)) else {
            continue;
        };
        // A process that ended meanwhile has no descriptors.
        if guests.contains(&of.uid()) {
            let open = names(&dir.join("fd")).unwrap_or_default();
            let files = open
                .iter()
                .filter_map(|fd| fs::read_link(dir.join("fd").join(fd)).ok());
            for server in files.filter_map(|file| server_of(&file, settings)) {
                found.entry(server).or_default().insert(pid);
            }
        }
    }
    Ok(found)
}

fn server_of(file: &Path, settings: &GuestSettings) -> Option<ServerId> {
    let below = file.strip_prefix(&settings.state).ok()?;
    below.iter().next()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_out_of_a_set() {
        let text = "table inet x {\n\tset guests {\n\t\ttype uid\n\t\telements = { 2000000001,\n\t\t\t     2000000002 }\n\t}\n}\n";
        assert_eq!(users(text), [2_000_000_001, 2_000_000_002].into());
        assert_eq!(
            users("table inet x {\n\tset guests {\n\t\ttype uid\n\t}\n}\n"),
            [].into()
        );
    }
}
