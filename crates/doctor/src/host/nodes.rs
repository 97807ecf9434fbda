//! The cloud's nodes, as the hextet that runs sees them.

use super::{at, found};
use crate::finding::Finding;
use crate::table;

const DAY_MS: i64 = 86_400_000;

/// What was seen of nodes.
#[derive(Debug, Default)]
pub struct Nodes {
    /// How many are connected; unknown where nothing runs, or tells.
    pub connected: Option<u64>,
    pub known: Vec<Node>,
    /// In milliseconds since 1970.
    pub now_ms: i64,
}

/// A node on record.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// When its last connection ended or began, in milliseconds since 1970.
    pub seen_ms: i64,
}

pub(super) fn check(seen: &Nodes) -> Vec<Finding> {
    let known = seen.known.len() as u64;
    let Some(connected) = seen.connected.filter(|connected| *connected < known) else {
        return Vec::new();
    };
    let longest = seen.known.iter().min_by_key(|node| node.seen_ms);
    let longest = longest.map_or(String::new(), |node| {
        let days = seen.now_ms.saturating_sub(node.seen_ms) / DAY_MS;
        format!("; the longest unheard of is {}, {days} days ago", node.name)
    });
    let what = format!("{connected} of {known} nodes are connected{longest}");
    let fix = "`openstack compute service list` says which are down, and the log of `hextet up` why; `openstack compute service delete ID` takes one off the record that never comes back";
    vec![found(&table::NODE_SILENT, at("nodes"), what, fix.into())]
}
