//! The inet table: security groups' rules, and what reaches the host.
//!
//! A packet between guests passes two chains: its sender's and its receiver's, found by the marks that
//! the bridge table set, because a MAC may be that of several ports. A rule that matches returns, so that the second chain is asked as well; at a chain's end everything is dropped.
//!
//! Connection tracking spares what answers both chains, but for a stateless port's: its chains are
//! asked of every packet. What it exchanges with others is not even tracked, unless the other is a
//! stateful port here, which is owed its answers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use model::{AddressGroupId, Direction, Mac, Peer, Port, Protocol, Rule, SecurityGroupId};

use super::guard::to;
use super::owned::macs;
use super::table::Table;
use super::{SERVICE, SERVICE_IPV4, SERVICE_ULA, Scene, mark_text, receiver_text};
use crate::links::names;

/// Renders the inet table of a network.
pub(super) fn table(scene: &Scene<'_>) -> Table {
    let mut table = Table::new("inet");
    table.counters = ["filtered_egress", "filtered_ingress", "filtered_input"].into();
    table.map("from", "type mark : verdict");
    table.map("to", "type mark : verdict");
    forward(&mut table, scene);
    table.base(
        "input",
        "type filter hook input priority 0; policy drop;",
        &input(scene),
    );
    for rule in guarded(scene).flat_map(|(port, _)| &port.rules) {
        match rule.peer {
            Some(Peer::Group(id)) => add_group(&mut table, scene, id),
            Some(Peer::Addresses(id)) => add_addresses(&mut table, scene, id),
            Some(Peer::Prefix(_)) | None => {}
        }
    }
    for (port, mark) in guarded(scene) {
        let tap = names::tap(port.id);
        table.element("from", mark_text(*mark), format!("jump from_{tap}"));
        table.element("to", receiver_text(*mark), format!("jump to_{tap}"));
        table.chain(&format!("from_{tap}"), chain(port, Direction::Egress));
        table.chain(&format!("to_{tap}"), chain(port, Direction::Ingress));
    }
    table
}

fn guarded<'a>(scene: &'a Scene<'a>) -> impl Iterator<Item = &'a (&'a Port, u32)> {
    scene.ports.iter().filter(|(port, _)| port.port_security)
}

/// Neighbour Discovery, multicast listening and errors are what a link needs (RFC 4890); whether a
/// guest may send them is the guard's question.
const LINK: &str = "icmpv6 type { 1-4, 130-136, 143 } accept";

fn forward(table: &mut Table, scene: &Scene<'_>) {
    let stateless = guarded(scene).any(|(port, _)| port.stateless);
    let established = match stateless {
        true => "ct state established,related goto established",
        false => "ct state established,related accept",
    };
    let rules = [
        established,
        LINK,
        "meta mark & 0x0000ffff vmap @from",
        "meta mark & 0xffff0000 vmap @to",
    ];
    let hook = "type filter hook forward priority 0; policy accept;";
    table.base("forward", hook, &rules);
    if stateless {
        spare_none(table, scene);
    }
}

/// What stateless ports add: no tracking, and their chains for what was tracked for another's sake.
fn spare_none(table: &mut Table, scene: &Scene<'_>) {
    table.map("stateless_from", "type mark : verdict");
    table.map("stateless_to", "type mark : verdict");
    for (port, mark) in guarded(scene).filter(|(port, _)| port.stateless) {
        let tap = names::tap(port.id);
        let (from, to) = (mark_text(*mark), receiver_text(*mark));
        table.element("stateless_from", from, format!("jump from_{tap}"));
        table.element("stateless_to", to, format!("jump to_{tap}"));
    }
    let asked = [
        LINK,
        "meta mark & 0x0000ffff vmap @stateless_from",
        "meta mark & 0xffff0000 vmap @stateless_to",
        "accept",
    ];
    table.chain("established", asked.map(str::to_owned).into());
    // Here the receiver is known by its MAC alone. One that any stateful port may have is its.
    let (stateless, stateful): (Vec<_>, Vec<_>) = guarded(scene).partition(|(p, _)| p.stateless);
    let stateful = stateful.iter().flat_map(|(port, _)| macs(port));
    let stateful: BTreeSet<Mac> = stateful.collect();
    let stateless = stateless.iter().map(|(port, _)| port.mac);
    let stateless = stateless.filter(|mac| !stateful.contains(mac));
    let texts = |mac: Mac| mac.to_string();
    table.set("stateless", "type ether_addr", stateless.map(texts));
    table.set(
        "stateful",
        "type ether_addr",
        stateful.iter().copied().map(texts),
    );
    // Connection tracking comes at -200.
    table.base(
        "prerouting",
        "type filter hook prerouting priority -300; policy accept;",
        &[
            "ether saddr @stateless ether daddr != @stateful notrack",
            "ether daddr @stateless ether saddr != @stateful notrack",
        ],
    );
}

/// All that a guest reaches of the host: the services on this network's own addresses.
fn input(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = vec![
        "ct state established,related accept".to_owned(),
        LINK.to_owned(),
    ];
    for address in [SERVICE, SERVICE_ULA] {
        rules.push(format!(
            "ip6 daddr {address} icmpv6 type echo-request accept"
        ));
        rules.push(format!("ip6 daddr {address} tcp dport 80 accept"));
    }
    for address in &scene.network.resolver {
        let to = to(*address);
        let echo = if address.is_ipv4() { "icmp" } else { "icmpv6" };
        rules.push(format!("{to} {echo} type echo-request accept"));
        rules.push(format!(
            "{to} meta l4proto {{ tcp, udp }} th dport 53 accept"
        ));
    }
    if scene.has_ipv4() {
        rules.push(format!(
            "ip daddr {SERVICE_IPV4} icmp type echo-request accept"
        ));
        rules.push(format!("ip daddr {SERVICE_IPV4} tcp dport 80 accept"));
        // DHCP is heard on a packet socket, which comes before this.
        rules.push("udp dport 67 drop".to_owned());
    }
    rules.push("counter name filtered_input".to_owned());
    rules
}

fn chain(port: &Port, direction: Direction) -> Vec<String> {
    // Rules only ever allow: their order means nothing, and two groups may hold the same one.
    let matches: BTreeSet<_> = port
        .rules
        .iter()
        .filter(|r| r.direction == direction)
        .filter_map(condition)
        .collect();
    let counter = match direction {
        Direction::Egress => "filtered_egress",
        Direction::Ingress => "filtered_ingress",
    };
    let mut rules = Vec::new();
    if !port.stateless {
        rules.push("ct state invalid drop".to_owned());
    }
    rules.extend(
        matches
            .into_iter()
            .map(|condition| format!("{condition} return")),
    );
    rules.push(format!("counter name {counter} drop"));
    rules
}

/// A rule as nft's conditions; `None` for one that can match nothing, such as an IPv6 rule for an
/// IPv4 peer.
fn condition(rule: &Rule) -> Option<String> {
    let family = match rule.ipv6 {
        true => "meta nfproto ipv6",
        false => "meta nfproto ipv4",
    };
    let parts = [Some(family.to_owned()), peer(rule)?, protocol(rule)];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

fn peer(rule: &Rule) -> Option<Option<String>> {
    let (ip, version) = match rule.ipv6 {
        true => ("ip6", 6),
        false => ("ip", 4),
    };
    let side = match rule.direction {
        Direction::Ingress => "saddr",
        Direction::Egress => "daddr",
    };
    match &rule.peer {
        None => Some(None),
        Some(Peer::Prefix(net)) if net.addr().is_ipv6() != rule.ipv6 => None,
        // nft makes a needless comparison of a prefix of length 0.
        Some(Peer::Prefix(net)) if net.prefix_len() == 0 => Some(None),
        Some(Peer::Prefix(net)) => Some(Some(format!("{ip} {side} {}", bare(net)))),
        Some(Peer::Group(id)) => Some(Some(format!("{ip} {side} @{}", group(*id, version)))),
        Some(Peer::Addresses(id)) => {
            let set = addresses(*id, version);
            Some(Some(format!("{ip} {side} @{set}")))
        }
    }
}

/// A single address is written without its length.
pub(super) fn bare(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.trunc().to_string(),
    }
}

fn protocol(rule: &Rule) -> Option<String> {
    let name = match rule.protocol? {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        // Clients say `icmp` of IPv6 rules too.
        Protocol::Icmp | Protocol::Icmpv6 if rule.ipv6 => {
            return Some(icmp("icmpv6", 58, rule.range));
        }
        Protocol::Icmp => return Some(icmp("icmp", 1, rule.range)),
        Protocol::Icmpv6 => return Some(icmp("icmpv6", 58, rule.range)),
        // Those of them that have ports (DCCP, UDP-Lite) have them where TCP has.
        Protocol::Number(number) => {
            let name = format!("meta l4proto {number}");
            return Some(match rule.range {
                None => name,
                Some(range) => format!("{name} th dport {}", ports(range)),
            });
        }
    };
    Some(match rule.range {
        None => format!("meta l4proto {name}"),
        Some(range) => format!("{name} dport {}", ports(range)),
    })
}

fn ports(range: (u16, Option<u16>)) -> String {
    match range {
        (low, Some(high)) if high != low => format!("{low}-{high}"),
        (low, _) => low.to_string(),
    }
}

fn icmp(name: &str, number: u8, range: Option<(u16, Option<u16>)>) -> String {
    match range {
        None => format!("meta l4proto {number}"),
        Some((kind, None)) => format!("{name} type {kind}"),
        Some((kind, Some(code))) => format!("{name} type {kind} {name} code {code}"),
    }
}

/// A group that has not been heard of yet has no members.
fn add_group(table: &mut Table, scene: &Scene<'_>, id: SecurityGroupId) {
    let of = |ipv6: bool| {
        let members = scene.members.get(&id).into_iter().flatten();
        members
            .filter(move |a| a.is_ipv6() == ipv6)
            .map(IpAddr::to_string)
    };
    table.set(&group(id, 6), "type ipv6_addr", of(true));
    table.set(&group(id, 4), "type ipv4_addr", of(false));
}

/// The same holds for what an address group is.
fn add_addresses(table: &mut Table, scene: &Scene<'_>, id: AddressGroupId) {
    let prefixes = scene.groups.get(&id).map(|g| g.prefixes.as_slice());
    let of = |ipv6: bool| {
        let prefixes = prefixes.unwrap_or_default().iter();
        prefixes
            .filter(move |net| net.addr().is_ipv6() == ipv6)
            .map(bare)
    };
    table.set(
        &addresses(id, 6),
        "type ipv6_addr; flags interval",
        of(true),
    );
    table.set(
        &addresses(id, 4),
        "type ipv4_addr; flags interval",
        of(false),
    );
}

/// The set of a security group's members.
fn group(id: SecurityGroupId, version: u8) -> String {
    format!("group{version}_{}", id.0.simple())
}

/// The set of an address group's prefixes.
fn addresses(id: AddressGroupId, version: u8) -> String {
    format!("addresses{version}_{}", id.0.simple())
}
