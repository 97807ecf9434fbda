//! What each network's tables let pass, in a file that outlives us: connections that went by what
//! is allowed no more are ended after a crash, too.
//!
//! The file is never behind the kernel: what comes is written before it is applied, and what goes
//! is struck out once its connections have ended. It is not synced: connections do not survive what
//! takes the page cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use model::NetworkId;

use super::Scene;
use super::table::Table;
use crate::image::private_dir;
use crate::links::names;

/// Rules by their chain, and members by their group's set.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Allowed(BTreeMap<String, BTreeSet<String>>);

/// What is allowed no more.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lost {
    /// Ports whose chains lost a rule, by their taps.
    pub taps: BTreeSet<String>,
    /// Their assigned addresses, single ones of allowed pairs, and what left a group.
    pub prefixes: BTreeSet<IpNet>,
}

impl Allowed {
    /// Of a network's tables.
    pub(super) fn of(tables: &[Table]) -> Allowed {
        let inet = tables.iter().filter(|table| table.family == "inet");
        let mut all = BTreeMap::new();
        for table in inet {
            for (name, chain) in table.chains.iter().filter(|(_, c)| c.hook.is_none()) {
                all.insert(name.clone(), chain.rules.iter().cloned().collect());
            }
            for (name, set) in table.sets.iter().filter(|(name, _)| is_group(name)) {
                all.insert(name.clone(), set.elements.keys().cloned().collect());
            }
        }
        Allowed(all)
    }

    /// This and the other.
    pub(super) fn with(&self, other: &Allowed) -> Allowed {
        let mut all = self.clone();
        for (name, rules) in &other.0 {
            all.0
                .entry(name.clone())
                .or_default()
                .extend(rules.iter().cloned());
        }
        all
    }

    /// What `new` does not allow any more.
    pub(super) fn lost(&self, new: &Allowed, scene: &Scene<'_>) -> Lost {
        let mut lost = Lost::default();
        for (port, _) in &scene.ports {
            let tap = names::tap(port.id);
            let lost_rule = |name: String| {
                let (Some(old), Some(new)) = (self.0.get(&name), new.0.get(&name)) else {
                    return false;
                };
                !old.is_subset(new)
            };
            if lost_rule(format!("from_{tap}")) || lost_rule(format!("to_{tap}")) {
                let own = port.addresses.iter().copied();
                lost.prefixes.extend(own.map(IpNet::from));
                // Not of a whole subnet: that would end the connections of others.
                let pairs = port.allowed_prefixes.iter();
                let single = pairs.filter(|net| net.prefix_len() == net.max_prefix_len());
                lost.prefixes.extend(single);
                lost.taps.insert(tap);
            }
        }
        for (name, members) in self.0.iter().filter(|(name, _)| is_group(name)) {
            let now = prefixes(new.0.get(name).into_iter().flatten());
            let gone = prefixes(members.difference(new.0.get(name).unwrap_or(&BTreeSet::new())));
            // What is part of a wider one now is still there.
            let left = |net: &IpNet| !now.iter().any(|wide| wide.contains(net));
            lost.prefixes.extend(gone.into_iter().filter(left));
        }
        lost
    }

    /// What an earlier life of ours wrote; `None` when there is nothing that can be read.
    pub(super) fn load(dir: &Path, network: NetworkId) -> Option<Allowed> {
        serde_json::from_slice(&fs::read(path(dir, network)).ok()?).ok()
    }

    pub(super) fn save(&self, dir: &Path, network: NetworkId) -> io::Result<()> {
        private_dir(dir)?;
        let new = dir.join(format!(".{network}"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path(dir, network))
    }
}

fn is_group(set: &str) -> bool {
    set.starts_with("group") || set.starts_with("addresses")
}

/// Elements of sets, which are addresses or prefixes.
fn prefixes<'a>(elements: impl Iterator<Item = &'a String>) -> Vec<IpNet> {
    let net = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => text.parse().ok(),
    };
    elements.filter_map(net).collect()
}

/// Forgets a network.
pub(super) fn forget(dir: &Path, network: NetworkId) {
    let _ = fs::remove_file(path(dir, network));
}

fn path(dir: &Path, network: NetworkId) -> PathBuf {
    dir.join(format!("{network}.json"))
}
