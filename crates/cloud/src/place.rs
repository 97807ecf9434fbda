//! Placement: which node a new server goes to, and why none does.

use model::{Error, NodeId, Result, ServerId};

/// The one availability zone there is.
pub const ZONE: &str = "nova";

/// A node that could take a server.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub id: NodeId,
    pub name: String,
    /// MiB of memory that no server was promised.
    pub ram_left: u64,
    /// Servers on it.
    pub servers: Vec<ServerId>,
}

/// What a new server needs of its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub ram_mib: u32,
    /// The one node an administrator named.
    pub host: Option<String>,
    pub same_host: Vec<ServerId>,
    pub different_host: Vec<ServerId>,
    pub group: Option<Group>,
}

/// A server group as placement sees it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub policy: Policy,
    pub members: Vec<ServerId>,
}

/// How the servers of a group stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All on one node.
    Affinity,
    /// Each on another node.
    AntiAffinity,
    SoftAffinity,
    SoftAntiAffinity,
}

impl Policy {
    const ALL: [(Policy, &'static str); 4] = [
        (Policy::Affinity, "affinity"),
        (Policy::AntiAffinity, "anti-affinity"),
        (Policy::SoftAffinity, "soft-affinity"),
        (Policy::SoftAntiAffinity, "soft-anti-affinity"),
    ];

    /// The policy with a name.
    pub fn named(name: &str) -> Option<Policy> {
        let found = Policy::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(policy, _)| *policy)
    }

    /// The compute API's word.
    pub fn name(self) -> &'static str {
        Policy::ALL[self as usize].1
    }
}

/// Zone and node that `--availability-zone` names: `ZONE`, `ZONE:HOST` or `ZONE:HOST:NODE`. Host
/// and node are the same here.
///
/// # Errors
/// `Invalid` for a zone that is not there, or a text of another form.
pub(crate) fn zone_and_host(text: &str) -> Result<Option<String>> {
    let mut parts = text.split(':');
    let zone = parts.next().unwrap_or_default();
    let (host, node, more) = (parts.next(), parts.next(), parts.next());
    if more.is_some() || !(zone == ZONE || zone.is_empty() && host.is_some()) {
        return Err(Error::invalid(format!(
            "The requested availability zone '{text}' is not available: this cloud has one, {ZONE}"
        )));
    }
    let named = |part: Option<&str>| part.filter(|p| !p.is_empty()).map(str::to_owned);
    match (named(host), named(node)) {
        (Some(host), Some(node)) if host != node => Err(Error::invalid(format!(
            "Compute host {host} has no node {node}: each host here is its own node"
        ))),
        (host, node) => Ok(host.or(node)),
    }
}

/// The node for a server: of those that may take it, the one its group likes best and then the one
/// with the most memory left. The reason when there is none, in the words a client will read.
pub(crate) fn choose(candidates: &[Candidate], wish: &Wish) -> Result<NodeId, String> {
    let no = |why: String| Err(format!("No valid host was found. {why}"));
    if candidates.is_empty() {
        return no("No node is connected to this cloud.".into());
    }
    let mut left: Vec<&Candidate> = candidates.iter().collect();
    let holds = |c: &Candidate, of: &[ServerId]| of.iter().any(|id| c.servers.contains(id));
    if let Some(host) = &wish.host {
        left.retain(|c| c.name == *host);
        if left.is_empty() {
            return no(format!("Node {host} is not connected to this cloud."));
        }
    }
    left.retain(|c| c.ram_left >= u64::from(wish.ram_mib));
    if left.is_empty() {
        let which = match &wish.host {
            Some(host) => format!("Node {host} has not"),
            None => "No connected node has".into(),
        };
        return no(format!("{which} {} MiB of memory left.", wish.ram_mib));
    }
    if !wish.same_host.is_empty() {
        left.retain(|c| holds(c, &wish.same_host));
        if left.is_empty() {
            return no("The node of the servers in same_host has no room, or is not there.".into());
        }
    }
    left.retain(|c| !holds(c, &wish.different_host));
    if left.is_empty() {
        return no("Each node with room has a server that different_host names.".into());
    }
    let members = wish.group.as_ref().map_or(&[][..], |g| &g.members);
    match wish.group.as_ref().map(|g| g.policy) {
        Some(Policy::Affinity) if !members.is_empty() => {
            left.retain(|c| holds(c, members));
            if left.is_empty() {
                return no("Policy affinity: the node of the server group's members has no room, or is not connected.".into());
            }
        }
        Some(Policy::AntiAffinity) => {
            left.retain(|c| !holds(c, members));
            if left.is_empty() {
                return no(
                    "Policy anti-affinity: each node with room has a member of the server group."
                        .into(),
                );
            }
        }
        _ => {}
    }
    let count = |c: &Candidate| members.iter().filter(|m| c.servers.contains(m)).count() as i64;
    let liked = |c: &Candidate| match wish.group.as_ref().map(|g| g.policy) {
        Some(Policy::SoftAffinity) => count(c),
        Some(Policy::SoftAntiAffinity) => -count(c),
        _ => 0,
    };
    let best = left.into_iter().max_by_key(|c| (liked(c), c.ram_left));
    // The filters above leave one, or have returned.
    best.map(|c| c.id).ok_or_else(String::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(lefts: [u64; 3]) -> Vec<Candidate> {
        let named = |(n, ram_left): (usize, u64)| Candidate {
            id: NodeId::random(),
            name: format!("n{n}"),
            ram_left,
            servers: vec![ServerId::random()],
        };
        (1..).zip(lefts).map(named).collect()
    }

    #[track_caller]
    fn check(nodes: &[Candidate], wish: Wish, expected: &str) {
        let got = match choose(nodes, &wish) {
            Ok(id) => nodes.iter().find(|n| n.id == id).unwrap().name.clone(),
            Err(why) => why,
        };
        assert!(got.contains(expected), "{got}");
    }

    fn of(policy: Policy, members: &[&Candidate]) -> Wish {
        let members = members.iter().flat_map(|c| c.servers.clone()).collect();
        Wish {
            ram_mib: 100,
            group: Some(Group { policy, members }),
            ..Wish::default()
        }
    }

    #[test]
    fn the_most_memory_left_wins_among_those_that_may() {
        let n = nodes([300, 200, 50]);
        let plain = Wish {
            ram_mib: 100,
            ..Wish::default()
        };
        check(&n, plain.clone(), "n1");
        check(
            &n,
            Wish {
                ram_mib: 400,
                ..plain.clone()
            },
            "400 MiB",
        );
        check(&[], plain.clone(), "No node is connected");
        let host = |name: &str| Wish {
            host: Some(name.into()),
            ..plain.clone()
        };
        check(&n, host("n2"), "n2");
        check(&n, host("n3"), "Node n3 has not 100 MiB");
        check(&n, host("n9"), "Node n9 is not connected");
        let same = Wish {
            same_host: n[1].servers.clone(),
            ..plain.clone()
        };
        check(&n, same, "n2");
        let same = Wish {
            same_host: n[2].servers.clone(),
            ..plain.clone()
        };
        check(&n, same, "same_host");
        let different = Wish {
            different_host: n[0].servers.clone(),
            ..plain.clone()
        };
        check(&n, different, "n2");
        let both = [n[0].servers.clone(), n[1].servers.clone()].concat();
        check(
            &n,
            Wish {
                different_host: both,
                ..plain
            },
            "different_host",
        );
    }

    #[test]
    fn a_groups_policy_decides() {
        let n = nodes([300, 200, 50]);
        check(&n, of(Policy::Affinity, &[]), "n1");
        check(&n, of(Policy::Affinity, &[&n[1]]), "n2");
        check(&n, of(Policy::Affinity, &[&n[2]]), "Policy affinity");
        check(&n, of(Policy::AntiAffinity, &[&n[0]]), "n2");
        check(
            &n,
            of(Policy::AntiAffinity, &[&n[0], &n[1]]),
            "Policy anti-affinity",
        );
        check(&n, of(Policy::SoftAffinity, &[&n[1]]), "n2");
        check(&n, of(Policy::SoftAffinity, &[&n[2]]), "n1");
        check(&n, of(Policy::SoftAntiAffinity, &[&n[0]]), "n2");
        check(&n, of(Policy::SoftAntiAffinity, &[&n[0], &n[1]]), "n1");
    }

    #[test]
    fn zones_name_hosts_too() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(zone_and_host(text).unwrap().as_deref(), expected, "{text}");
        };
        check("nova", None);
        check("nova:n1", Some("n1"));
        check("nova:n1:n1", Some("n1"));
        check("nova::n1", Some("n1"));
        check(":n1", Some("n1"));
        for bad in ["mars", "mars:n1", "nova:n1:n2", "nova:n1:n1:n1", "Nova"] {
            assert!(zone_and_host(bad).is_err(), "{bad}");
        }
    }
}
