//! Filters: what each port may send and receive, as nftables in its network's namespace.
//!
//! `guard` and `rules` render the two tables of a network from the documents; this file makes the
//! kernel hold them. What was applied is remembered together with the generation number of the
//! namespace's tables: while that stands, only what changed is said; when somebody else touched
//! the tables, or we are new here, the whole is said again. Addresses that ports were the first to
//! use are kept through both.

mod guard;
mod learned;
mod rules;
mod table;

use std::collections::BTreeMap;
use std::io;

use linux::netns::Netns;
use linux::nft;
use model::{AddressGroup, AddressGroupId, Network, NetworkId, Port, RouterPort};

pub use guard::SERVICE;
pub use table::Table;

use learned::Learned;

/// What a network's tables are made of.
pub struct Scene<'a> {
    pub network: &'a Network,
    /// Guests' ports on this node, each with its mark.
    pub ports: Vec<(&'a Port, u32)>,
    /// Routers' ports in this network.
    pub legs: Vec<&'a RouterPort>,
    pub groups: &'a BTreeMap<AddressGroupId, AddressGroup>,
}

/// The two tables of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    pub bridge: Table,
    pub inet: Table,
}

impl Tables {
    /// The tables as they should be.
    pub fn of(scene: &Scene<'_>) -> Tables {
        Tables {
            bridge: guard::table(scene),
            inet: rules::table(scene),
        }
    }

    /// Both tables as one transaction.
    pub fn render(&self) -> String {
        self.bridge.render() + &self.inet.render()
    }

    /// What turns these tables into `new`; empty when nothing does, `None` when only replacing
    /// them will do.
    pub fn changes(&self, new: &Tables) -> Option<String> {
        Some(self.bridge.changes(&new.bridge)? + &self.inet.changes(&new.inet)?)
    }
}

/// What the kernel was last told, by network.
#[derive(Default)]
pub struct Filters {
    applied: BTreeMap<NetworkId, Applied>,
}

struct Applied {
    tables: Tables,
    generation: u32,
}

impl Filters {
    /// Makes a network's tables so.
    pub fn apply(&mut self, ns: &Netns, network: NetworkId, tables: Tables) -> io::Result<()> {
        if let Some(old) = self.applied.get(&network)
            && nft::generation(ns)? == old.generation
        {
            if old.tables == tables {
                return Ok(());
            }
            // When this fails, the whole is the way out: no reason to give up.
            if alter(ns, &old.tables, &tables).is_ok_and(|done| done) {
                return self.record(ns, network, tables);
            }
        }
        replace(ns, &tables)?;
        self.record(ns, network, tables)
    }

    /// Whether the network has tables of which we know.
    pub fn in_force(&self, network: NetworkId) -> bool {
        self.applied.contains_key(&network)
    }

    /// Forgets networks whose namespaces have gone.
    pub fn retain(&mut self, keep: impl Fn(NetworkId) -> bool) {
        self.applied.retain(|network, _| keep(*network));
    }

    fn record(&mut self, ns: &Netns, network: NetworkId, tables: Tables) -> io::Result<()> {
        let generation = nft::generation(ns)?;
        self.applied.insert(network, Applied { tables, generation });
        Ok(())
    }
}

/// Applies only what changed; `false` when that cannot be said.
fn alter(ns: &Netns, old: &Tables, new: &Tables) -> io::Result<bool> {
    let Some(changes) = old.changes(new) else {
        return Ok(false);
    };
    let kept = &new.bridge.sets;
    let gone = old
        .bridge
        .sets
        .keys()
        .filter(|name| !kept.contains_key(*name));
    let forget = Learned::of(ns, gone)?.forget();
    nft::apply(ns, &(forget + &changes))?;
    Ok(true)
}

fn replace(ns: &Netns, tables: &Tables) -> io::Result<()> {
    let mut whole = tables.clone();
    // On the first visit there are no tables to read.
    if let Ok(learned) = Learned::read(ns) {
        learned.keep(&mut whole.bridge);
    }
    nft::apply(ns, &whole.render())
}

fn mark_text(mark: u32) -> String {
    format!("{mark:#010x}")
}
