//! Filters: what each port may send and receive, as nftables in its network's namespace; and
//! address translation in routers' namespaces.
//!
//! `guard` and `rules` render the two tables of a network from the documents, and `nat` that of a
//! router; this file makes the kernel hold them. What was applied is remembered together with the generation number of the
//! namespace's tables: while that stands, only what changed is said; when somebody else touched
//! the tables, or we are new here, the whole is said again. Addresses that ports were the first to
//! use, and what is noted of ports for an operator, are kept through both. Connections that went by what does not hold any more are ended.

mod allowed;
mod guard;
mod learned;
mod merged;
mod nat;
mod noted;
mod owned;
mod printed;
mod rules;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use linux::netns::Netns;
use linux::{conntrack, nft};
use model::{
    AddressGroup, AddressGroupId, Network, NetworkId, Port, Router, RouterPort, SecurityGroupId,
};

pub use guard::{SERVICE, SERVICE_IPV4, SERVICE_ULA};
pub(crate) use table::NAME as TABLE;
pub use table::Table;

use crate::links::names::Space;
use allowed::{Allowed, Lost};
use learned::{Learned, SEEN};
pub(crate) use noted::Noted;

/// Addresses by the security group that their ports are in.
pub type Members = BTreeMap<SecurityGroupId, BTreeSet<IpAddr>>;

/// What a network's tables are made of.
pub struct Scene<'a> {
    pub network: &'a Network,
    /// Guests' ports on this node, each with its mark, of 16 bits.
    pub ports: Vec<(&'a Port, u32)>,
    /// Routers' ports in this network.
    pub legs: Vec<&'a RouterPort>,
    pub groups: &'a BTreeMap<AddressGroupId, AddressGroup>,
    /// The addresses of security groups' ports, wherever these are.
    pub members: &'a Members,
}

impl Scene<'_> {
    /// Whether IPv4 is spoken in this network.
    fn has_ipv4(&self) -> bool {
        let mut prefixes = self.network.subnets.iter().map(|s| s.prefix);
        prefixes.any(|prefix| matches!(prefix, IpNet::V4(_)))
    }
}

/// The tables of one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// A network's tables as they should be.
    pub fn of(scene: &Scene<'_>) -> Tables {
        Tables(vec![guard::table(scene), rules::table(scene)])
    }

    /// A router's, one for each family.
    pub fn of_router(router: &Router) -> Tables {
        Tables(nat::tables(router))
    }

    /// All tables as one transaction.
    pub fn render(&self) -> String {
        self.0.iter().map(Table::render).collect()
    }

    /// What turns these tables into `new`; empty when nothing does, `None` when only replacing
    /// them will do.
    pub fn changes(&self, new: &Tables) -> Option<String> {
        let pairs = self.0.iter().zip(&new.0);
        pairs.map(|(old, new)| old.changes(new)).collect()
    }

    fn bridge(&self) -> Option<&Table> {
        self.0.iter().find(|table| table.family == "bridge")
    }
}

/// What the kernel was last told, by namespace.
pub struct Filters {
    /// Where it is written what networks let pass.
    dir: PathBuf,
    applied: BTreeMap<Space, Applied>,
    /// What may still have connections, by network.
    allowed: BTreeMap<NetworkId, Allowed>,
    /// Routers whose stale connections have yet to be ended.
    stale: BTreeSet<Space>,
}

struct Applied {
    tables: Tables,
    generation: u32,
}

impl Filters {
    /// Knows nothing yet. What networks let pass is written to files in `dir`.
    pub fn new(dir: PathBuf) -> Filters {
        let (applied, allowed, stale) = Default::default();
        Filters {
            dir,
            applied,
            allowed,
            stale,
        }
    }

    /// Makes a network's tables so, and ends what they let pass no more.
    pub fn apply(&mut self, ns: &Netns, scene: &Scene<'_>) -> io::Result<()> {
        let (id, tables) = (scene.network.id, Tables::of(scene));
        let new = Allowed::of(&tables.0);
        let old = self.allowed.get(&id).cloned();
        let old = old.or_else(|| Allowed::load(&self.dir, id));
        let before = old.clone().unwrap_or_default();
        let both = before.with(&new);
        if old.as_ref() != Some(&both) {
            both.save(&self.dir, id)?;
        }
        self.allowed.insert(id, both);
        self.set(ns, Space::Network(id), tables)?;
        let lost = before.lost(&new, scene);
        if lost != Lost::default() {
            end(ns, lost)?;
        }
        if self.allowed.get(&id) != Some(&new) {
            new.save(&self.dir, id)?;
            self.allowed.insert(id, new);
        }
        Ok(())
    }

    /// Makes a router's table so, and ends what was translated otherwise.
    pub fn apply_router(&mut self, ns: &Netns, router: &Router) -> io::Result<()> {
        let space = Space::Router(router.id);
        if self.set(ns, space, Tables::of_router(router))? {
            self.stale.insert(space);
        }
        if self.stale.contains(&space) {
            conntrack::end(ns, |flow| nat::stale(router, &flow.original, &flow.reply))?;
            self.stale.remove(&space);
        }
        Ok(())
    }

    /// Whether the namespace has tables of which we know.
    pub fn in_force(&self, space: Space) -> bool {
        self.applied.contains_key(&space)
    }

    /// Forgets namespaces that have gone.
    pub fn retain(&mut self, keep: impl Fn(Space) -> bool) {
        self.applied.retain(|space, _| keep(*space));
        let dir = &self.dir;
        self.allowed.retain(|id, _| {
            let stays = keep(Space::Network(*id));
            if !stays {
                allowed::forget(dir, *id);
            }
            stays
        });
        self.stale.retain(|space| keep(*space));
    }

    /// `false` when all was so already.
    fn set(&mut self, ns: &Netns, space: Space, tables: Tables) -> io::Result<bool> {
        if let Some(old) = self.applied.get(&space)
            && nft::generation(ns)? == old.generation
        {
            if old.tables == tables {
                return Ok(false);
            }
            // When this fails, the whole is the way out: no reason to give up.
            if alter(ns, &old.tables, &tables).is_ok_and(|done| done) {
                return self.record(ns, space, tables);
            }
        }
        replace(ns, &tables)?;
        self.record(ns, space, tables)
    }

    fn record(&mut self, ns: &Netns, space: Space, tables: Tables) -> io::Result<bool> {
        crash::point("filters: applied");
        let generation = nft::generation(ns)?;
        self.applied.insert(space, Applied { tables, generation });
        Ok(true)
    }
}

/// The addresses that a network's ports were the first to use.
pub(crate) fn chosen(ns: &Netns) -> io::Result<BTreeSet<Ipv6Addr>> {
    let learned = Learned::read(ns)?;
    let ipv6 = learned.addresses().filter_map(|address| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    });
    Ok(ipv6.collect())
}

/// Ends all connections of what is allowed no more, by assigned addresses and those that its ports
/// were the first to use. What is allowed still goes on: the next packet is judged anew.
fn end(ns: &Netns, lost: Lost) -> io::Result<()> {
    let sets: Vec<String> = lost.taps.iter().map(|tap| format!("{SEEN}{tap}")).collect();
    let learned = Learned::of(ns, sets.iter())?;
    let (mut prefixes, mut addresses) = (Vec::new(), BTreeSet::new());
    for net in lost.prefixes {
        match net.prefix_len() == net.max_prefix_len() {
            true => drop(addresses.insert(net.addr())),
            false => prefixes.push(net),
        }
    }
    addresses.extend(learned.addresses());
    let lost =
        |end: IpAddr| addresses.contains(&end) || prefixes.iter().any(|net| net.contains(&end));
    let concerned = |flow: &conntrack::Flow| flow.ends().into_iter().any(lost);
    conntrack::end(ns, concerned).map(drop)
}

/// Applies only what changed; `false` when that cannot be said.
fn alter(ns: &Netns, old: &Tables, new: &Tables) -> io::Result<bool> {
    let Some(changes) = old.changes(new) else {
        return Ok(false);
    };
    let forget = match (old.bridge(), new.bridge()) {
        (Some(old), Some(new)) => {
            let seen = old.sets.keys().filter(|name| name.starts_with(SEEN));
            let gone = seen.filter(|name| !new.sets.contains_key(*name));
            Learned::of(ns, gone)?.forget()
        }
        _ => String::new(),
    };
    nft::apply(ns, &(forget + &changes))?;
    Ok(true)
}

fn replace(ns: &Netns, tables: &Tables) -> io::Result<()> {
    let mut whole = tables.clone();
    for table in whole.0.iter_mut().filter(|table| table.family == "bridge") {
        // On the first visit there are no tables to read.
        if let Ok(learned) = Learned::read(ns) {
            learned.keep(table);
        }
    }
    nft::apply(ns, &whole.render())
}

fn mark_text(mark: u32) -> String {
    format!("{mark:#010x}")
}

/// A port's mark where it stands for a packet's receiver; its sender's stands below.
fn receiver_text(mark: u32) -> String {
    mark_text(mark << 16)
}
