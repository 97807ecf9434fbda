//! What guests' QEMUs may reach from the node's own namespace: the portals of their volumes, and
//! nothing else. A filter on what local processes send, which knows them by their users.
//!
//! QEMU itself opens these connections, so a guest that breaks out of its machine finds itself
//! where the node's own services are: behind this.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV6;
use std::sync::{Mutex, MutexGuard, PoisonError};

use linux::netns::Netns;
use linux::nft;

/// The portals that each guest's user may reach.
type Allowed = BTreeMap<u32, BTreeSet<SocketAddrV6>>;

/// The filter of one node.
#[derive(Debug)]
pub(super) struct Fence {
    ns: Netns,
    table: String,
    wanted: Mutex<Allowed>,
    /// What the kernel was told last, and the generation of its tables then; unknown at first.
    /// Held while it is told.
    applied: Mutex<Option<(Allowed, u32)>>,
}

impl Fence {
    /// `known` are the guests that an earlier life of ours started.
    pub(super) fn new(ns: Netns, table: String, known: Allowed) -> Fence {
        Fence {
            ns,
            table,
            wanted: Mutex::new(known),
            applied: Mutex::new(None),
        }
    }

    /// Lets a user reach these portals and nothing else. Blocks until that is so.
    pub(super) fn set(&self, uid: u32, portals: BTreeSet<SocketAddrV6>) -> io::Result<()> {
        lock(&self.wanted).insert(uid, portals);
        self.apply()
    }

    /// Forgets a user who has no process any more. Blocks.
    pub(super) fn remove(&self, uid: u32) -> io::Result<()> {
        lock(&self.wanted).remove(&uid);
        self.apply()
    }

    /// Makes the kernel hold it, also after somebody else has touched its tables. One call tells
    /// what all that wait behind it want. Blocks.
    pub(super) fn apply(&self) -> io::Result<()> {
        let mut applied = lock(&self.applied);
        let wanted = lock(&self.wanted).clone();
        if let Some((known, generation)) = applied.as_ref()
            && *known == wanted
            && *generation == nft::generation(&self.ns)?
        {
            return Ok(());
        }
        nft::apply(&self.ns, &render(&self.table, &wanted))?;
        *applied = Some((wanted, nft::generation(&self.ns)?));
        Ok(())
    }
}

/// Takes a node's filter away.
pub(super) fn purge(ns: &Netns, table: &str) -> io::Result<()> {
    nft::apply(ns, &render(table, &Allowed::new()))
}

/// The whole table in place of the one that is there; none when there is nobody to be kept in.
fn render(table: &str, allowed: &Allowed) -> String {
    let clear = format!("table inet {table}\ndelete table inet {table}\n");
    if allowed.is_empty() {
        return clear;
    }
    let users: Vec<_> = allowed.keys().map(u32::to_string).collect();
    let portals = allowed.iter().flat_map(|(uid, portals)| {
        let element = move |p: &SocketAddrV6| format!("{uid} . {} . {}", p.ip(), p.port());
        portals.iter().map(element)
    });
    let portals: Vec<_> = portals.collect();
    let elements = match portals.is_empty() {
        true => String::new(),
        false => format!("\n    elements = {{ {} }}", portals.join(", ")),
    };
    let users = users.join(", ");
    format!(
        "{clear}table inet {table} {{
  set guests {{
    type uid
    elements = {{ {users} }}
  }}
  set portals {{
    type uid . ipv6_addr . inet_service{elements}
  }}
  chain output {{
    type filter hook output priority filter
    meta skuid . ip6 daddr . tcp dport @portals accept
    meta skuid @guests reject with icmpx admin-prohibited
  }}
}}
"
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_users_and_their_portals() {
        assert_eq!(
            render("t", &Allowed::new()),
            "table inet t\ndelete table inet t\n"
        );
        let portals = ["[::1]:3260", "[2001:db8::5]:3261"];
        let portals = portals.map(|portal| portal.parse().unwrap()).into();
        let text = render("t", &[(7, portals), (8, BTreeSet::new())].into());
        assert!(text.contains("elements = { 7, 8 }"), "{text}");
        let both = "elements = { 7 . ::1 . 3260, 7 . 2001:db8::5 . 3261 }";
        assert!(text.contains(both), "{text}");
        let none = render("t", &[(8, BTreeSet::new())].into());
        assert!(!none.contains("inet_service\n    elements"), "{none}");
    }
}
