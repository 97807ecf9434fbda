//! Bridges that lead to physical networks, and what fits through them.

use super::found;
use crate::finding::{Finding, Place};
use crate::table;

/// The least an IPv6 link may have (RFC 8200, section 5).
const LEAST_MTU: u32 = 1280;

/// What was seen of bridges.
#[derive(Debug, Default)]
pub struct Links {
    /// The network namespace that they are in; empty: the host's own.
    pub netns: String,
    pub bridges: Vec<Bridge>,
    /// Bridges that `up` would make and cannot, each with why.
    pub refused: Vec<(Place, String)>,
    /// Flat networks of the cloud.
    pub networks: Vec<FlatNetwork>,
    /// Where the settings name bridges, or would.
    pub settings: Place,
}

/// The bridge of a physical network.
#[derive(Clone, Debug)]
pub struct Bridge {
    pub physical_network: String,
    pub name: String,
    /// Where the settings name it.
    pub place: Place,
    pub seen: Seen,
}

/// What is there by a bridge's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// Nothing yet: `up` makes it.
    ToBeMade,
    /// An interface that is no bridge.
    NoBridge,
    Bridge {
        mtu: u32,
        up: bool,
    },
}

/// A flat network of the cloud.
#[derive(Clone, Debug)]
pub struct FlatNetwork {
    pub id: String,
    pub name: String,
    pub physical_network: String,
    pub mtu: u32,
}

pub(super) fn check(seen: &Links) -> Vec<Finding> {
    let ip = match seen.netns.as_str() {
        "" => "ip".to_owned(),
        netns => format!("ip -n {netns}"),
    };
    let mut all: Vec<Finding> = seen.bridges.iter().filter_map(|b| bridge(&ip, b)).collect();
    all.extend(seen.refused.iter().map(|(place, why)| refused(place, why)));
    let of = |network: &FlatNetwork| {
        let name = &network.physical_network;
        seen.bridges.iter().find(|b| b.physical_network == *name)
    };
    all.extend(
        seen.networks
            .iter()
            .filter_map(|network| match of(network) {
                Some(bridge) => too_large(&ip, network, bridge),
                None => Some(unknown(network, &seen.settings)),
            }),
    );
    all
}

fn bridge(ip: &str, bridge: &Bridge) -> Option<Finding> {
    let name = &bridge.name;
    let of = &bridge.physical_network;
    let (kind, what, fix) = match bridge.seen {
        Seen::Nothing => (
            &table::BRIDGE_MISSING,
            format!("there is no bridge {name}, which is to lead to the physical network {of}"),
            format!(
                "`{ip} link add {name} type bridge && {ip} link set {name} up`, put the interface that leads there into it, and tell your distribution; or correct the name here"
            ),
        ),
        Seen::NoBridge => (
            &table::BRIDGE_MISSING,
            format!(
                "{name}, which is to lead to the physical network {of}, is an interface and no bridge"
            ),
            format!("name a bridge here that holds {name}"),
        ),
        Seen::Bridge { up: false, .. } => (
            &table::BRIDGE_DOWN,
            format!("the bridge {name} of the physical network {of} is down"),
            format!("`{ip} link set {name} up`, and tell your distribution"),
        ),
        Seen::Bridge { mtu, .. } if mtu < LEAST_MTU => (
            &table::MTU_BELOW_IPV6,
            format!("the bridge {name} of the physical network {of} has an MTU of {mtu}"),
            format!(
                "`{ip} link set {name} mtu 1500`, and what is in it likewise (`{ip} link show master {name}`)"
            ),
        ),
        Seen::ToBeMade | Seen::Bridge { .. } => return None,
    };
    Some(found(kind, bridge.place.clone(), what, fix))
}

fn refused(place: &Place, why: &str) -> Finding {
    let (what, fix) = why
        .split_once(": ")
        .unwrap_or((why, "correct [node.bridges]"));
    found(
        &table::BRIDGE_INTERFACE,
        place.clone(),
        what.into(),
        fix.into(),
    )
}

fn too_large(ip: &str, network: &FlatNetwork, bridge: &Bridge) -> Option<Finding> {
    let Seen::Bridge { mtu, .. } = bridge.seen else {
        return None;
    };
    let FlatNetwork { id, name, .. } = network;
    let what = format!(
        "network {name} ({id}) tells guests an MTU of {}, and its bridge {} has {mtu}",
        network.mtu, bridge.name
    );
    let fix = format!(
        "`openstack network set --mtu {mtu} {id}`, or `{ip} link set {} mtu {}` with all that is in it and behind it",
        bridge.name, network.mtu
    );
    // Below what IPv6 needs that is the finding.
    let large = mtu >= LEAST_MTU && network.mtu > mtu;
    large.then(|| found(&table::MTU_BRIDGE, bridge.place.clone(), what, fix))
}

fn unknown(network: &FlatNetwork, settings: &Place) -> Finding {
    let FlatNetwork {
        name,
        id,
        physical_network,
        ..
    } = network;
    let what = format!(
        "network {name} ({id}) is on the physical network {physical_network}, for which no bridge is named"
    );
    let fix = format!(
        "`{physical_network} = \"BRIDGE\"` in [node.physical_networks], then start `hextet up` anew"
    );
    found(
        &table::PHYSICAL_NETWORK_UNKNOWN,
        settings.clone(),
        what,
        fix,
    )
}
