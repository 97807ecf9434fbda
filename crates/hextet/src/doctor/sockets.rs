//! Sockets that hextet's processes hold, and those that `hextet up` would open.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::SocketAddrV6;

use doctor::Place;
use doctor::host::listeners::{Door, Held, Process, Space, Trouble};
use linux::netns::Netns;
use linux::sockets::{self, Socket};
use linux::{spawn, stream};
use node::links::names;

use super::{Host, Look};
use crate::demo::processes;

/// The first process: a service manager, which keeps listeners for `up` while it is stopped.
const INIT: i32 = 1;

pub(super) fn look(look: &mut Look<'_>) {
    let held = held(&look.host);
    look.facts.listeners.held = look.seen("sockets", held);
    if look.host.up.is_none() {
        let doors = doors(&look.host);
        look.facts.listeners.doors = look.seen("what `hextet up` listens on", doors);
    }
}

fn held(host: &Host<'_>) -> io::Result<Vec<Held>> {
    let mut pids: BTreeSet<i32> = host.up.into_iter().collect();
    let mut spaces = vec![(Netns::current()?, Space::Host)];
    if let Some(node) = &host.node {
        pids.extend(
            node::guest::processes(&node.guests())?
                .into_values()
                .flatten(),
        );
        pids.extend(spawn::of_user(node.volumes().uid)?.iter().map(|id| id.pid));
        spaces.push((node.base.clone(), Space::Host));
        let networks = names::networks_prefix(&node.short());
        for name in Netns::list(&names::prefix(&node.short()))? {
            let space = match name.starts_with(&networks) {
                true => Space::Network,
                false => Space::Host,
            };
            spaces.extend(Netns::open(&name).ok().map(|ns| (ns, space)));
        }
    }
    // Descriptors first: a socket that is closed in between is then in no table.
    let inodes: Vec<(i32, u64)> = pids
        .iter()
        .flat_map(|pid| sockets::held(*pid).into_iter().map(|inode| (*pid, inode)))
        .collect();
    let mut tables: HashMap<u64, (Socket, Space)> = HashMap::new();
    for (ns, space) in spaces {
        let listed = sockets::list(&ns)?.into_iter();
        tables.extend(listed.map(|(inode, socket)| (inode, (socket, space))));
    }
    let held = inodes.into_iter().filter_map(|(pid, inode)| {
        let (socket, space) = tables.get(&inode)?;
        Some(Held {
            process: process(pid),
            socket: socket.clone(),
            space: *space,
        })
    });
    Ok(held.collect())
}

/// What the settings have `up` listen on, and cannot be listened on.
fn doors(host: &Host<'_>) -> io::Result<Vec<Door>> {
    let own = Netns::current()?;
    let mut found = Vec::new();
    for (place, address) in wanted(host) {
        let trouble = match stream::can_listen_v6(&own, address) {
            Ok(_) => continue,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => match holder(&own, address)? {
                Some(Process { pid: INIT, .. }) => continue,
                by => Trouble::Taken(by),
            },
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => Trouble::Absent,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            Err(e) => Trouble::Other(e.to_string()),
        };
        found.push(Door {
            address,
            place,
            trouble,
        });
    }
    Ok(found)
}

fn wanted(host: &Host<'_>) -> Vec<(Place, SocketAddrV6)> {
    let (config, place) = (&host.config, |names: &[&str]| host.settings.place(names));
    let mut wanted = vec![(place(&["listen"]), config.listen)];
    wanted.extend(config.metrics.map(|at| (place(&["metrics"]), at)));
    let balancer = config.edge.balancer;
    wanted.extend(balancer.map(|at| (place(&["edge", "balancer"]), at)));
    let classic = config.edge.classic.iter();
    wanted.extend(classic.map(|(service, at)| (place(&["edge", "classic", service.name()]), *at)));
    wanted
}

/// Who listens where somebody else wants to.
fn holder(ns: &Netns, wanted: SocketAddrV6) -> io::Result<Option<Process>> {
    let is_there = |socket: &Socket| {
        let ip = socket.local.ip();
        let same = ip == *wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
        // What takes IPv4 alone is in nobody's way.
        socket.listens && !socket.inet4 && socket.local.port() == wanted.port() && same
    };
    let listed = sockets::list(ns)?;
    let there: Vec<u64> = listed
        .iter()
        .filter(|(_, socket)| is_there(socket))
        .map(|(inode, _)| *inode)
        .collect();
    let holds = |pid: &i32| {
        sockets::held(*pid)
            .iter()
            .any(|inode| there.contains(inode))
    };
    Ok(processes::all().into_iter().find(holds).map(process))
}

fn process(pid: i32) -> Process {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Process {
        pid,
        name: name.trim_end().to_owned(),
    }
}
