//! Networks, ports, addresses, routers, floating IPs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use model::{Finding, NetworkId, PortId, RouterId, SubnetId};
use store::row;

use super::{Rows, contradiction};
use crate::{rbac, resolver, router, subnet, trunk};

/// What contradicts itself.
pub(super) fn findings(rows: &Rows) -> Vec<Finding> {
    let mut found = addresses(rows);
    found.extend(legs(rows));
    found.extend(gateways(rows));
    found.extend(floating(rows));
    found.extend(rules(rows));
    found.extend(resolvers(rows));
    found.extend(pools(rows));
    found.extend(scopes(rows));
    found.extend(external(rows));
    found.extend(subports(rows));
    found
}

/// A port that is a VLAN of another's card is where that port is, and nobody else's.
fn subports(rows: &Rows) -> Vec<Finding> {
    let ports: BTreeMap<PortId, &row::Port> = rows.ports.iter().map(|p| (p.id, p)).collect();
    let trunks: BTreeMap<_, _> = rows.trunks.iter().map(|t| (t.id, t)).collect();
    let mut found = Vec::new();
    let mut carried = BTreeSet::new();
    for subport in &rows.subports {
        carried.insert(subport.port_id);
        let port = ports.get(&subport.port_id);
        let trunk = trunks.get(&subport.trunk_id);
        let (Some(port), Some(parent)) = (port, trunk.and_then(|t| ports.get(&t.port_id))) else {
            continue; // What leads nowhere is damage, which was looked for.
        };
        if port.node_id != parent.node_id.filter(|_| !parent.detaching) {
            found.push(contradiction(
                format!(
                    "subport {} is on another node than its parent {}",
                    port.id, parent.id
                ),
                "it has no network",
            ));
        }
    }
    let astray = rows.ports.iter();
    let astray = astray.filter(|p| (p.device_owner == trunk::OWNER) != carried.contains(&p.id));
    found.extend(astray.map(|port| {
        contradiction(
            format!(
                "port {} and the trunks do not agree whether it is a subport",
                port.id
            ),
            "it can be given to nothing else, or to two",
        )
    }));
    found
}

/// A network is external as long as a policy makes it so for somebody.
fn external(rows: &Rows) -> Vec<Finding> {
    let policies = rows.policies.iter();
    let policies = policies.filter(|p| p.action == rbac::EXTERNAL);
    let by_policy: BTreeSet<&str> = policies.map(|p| p.object_id.as_str()).collect();
    let networks = rows.networks.iter();
    let wrong = networks.filter(|n| n.external != by_policy.contains(n.id.to_string().as_str()));
    let finding = |network: &row::Network| {
        contradiction(
            format!(
                "network {} and its RBAC policies do not agree whether it is external",
                network.id
            ),
            "routers may have a gateway there that nobody allows, or none where one is allowed",
        )
    };
    wrong.map(finding).collect()
}

/// A subnet's prefix is one of its pool's, and no other subnet of the pool meets it.
fn pools(rows: &Rows) -> Vec<Finding> {
    let mut found = Vec::new();
    for pool in &rows.subnet_pools {
        let of_it = rows.subnets.iter();
        let of_it = of_it.filter(|s| s.subnet_pool_id == Some(pool.id));
        let mut nets: Vec<(IpNet, SubnetId)> = of_it.map(|s| (subnet::net(s), s.id)).collect();
        nets.sort();
        let outside = nets
            .iter()
            .filter(|(net, _)| !pool.prefixes.0.iter().any(|p| p.contains(net)));
        found.extend(outside.map(|(net, id)| {
            contradiction(
                format!("prefix {net} of subnet {id} is not of its pool {}", pool.id),
                "the pool may give what is another's",
            )
        }));
        // In their order a prefix that holds others comes right before them.
        let twice = nets.windows(2).filter(|two| two[0].0.contains(&two[1].0));
        found.extend(twice.map(|two| {
            contradiction(
                format!(
                    "subnets {} and {} have the same part of pool {}",
                    two[0].1, two[1].1, pool.id
                ),
                "between them no router can tell where an address is",
            )
        }));
    }
    found
}

/// Within an address scope no address is there twice. Subnets of one pool are that pool's matter.
fn scopes(rows: &Rows) -> Vec<Finding> {
    let scope_of: BTreeMap<_, _> = rows
        .subnet_pools
        .iter()
        .filter_map(|pool| Some((pool.id, pool.address_scope_id?)))
        .collect();
    let mut nets: Vec<_> = rows
        .subnets
        .iter()
        .filter_map(|s| {
            let pool = s.subnet_pool_id?;
            Some((*scope_of.get(&pool)?, subnet::net(s), pool, s.id))
        })
        .collect();
    nets.sort();
    // In their order a prefix that holds others comes right before them.
    let meets = nets.windows(2).filter_map(|two| match two {
        [(scope, net, pool, id), (of, other, from, second)]
            if scope == of && pool != from && net.contains(other) =>
        {
            Some((scope, id, second))
        }
        _ => None,
    });
    let finding = |(scope, one, other)| {
        contradiction(
            format!("subnets {one} and {other} of address scope {scope} overlap"),
            "routers lead there without translation, to either of them",
        )
    };
    meets.map(finding).collect()
}

/// Networks with a subnet that hands out addresses have one resolver's port, and others none.
fn resolvers(rows: &Rows) -> Vec<Finding> {
    let mut found = Vec::new();
    for network in &rows.networks {
        let theirs = rows.subnets.iter().filter(|s| s.network_id == network.id);
        let served: BTreeSet<SubnetId> = theirs.filter(|s| s.enable_dhcp).map(|s| s.id).collect();
        let ports: Vec<PortId> = rows
            .ports
            .iter()
            .filter(|p| p.network_id == network.id && p.device_owner == resolver::OWNER)
            .map(|p| p.id)
            .collect();
        if ports.len() != usize::from(!served.is_empty()) {
            found.push(contradiction(
                format!(
                    "network {} has {} ports of a resolver, and {} subnets with enable_dhcp",
                    network.id,
                    ports.len(),
                    served.len()
                ),
                "guests there have nobody, or two, to ask for names",
            ));
        }
        let held = rows
            .allocations
            .iter()
            .filter(|a| ports.contains(&a.port_id));
        let astray = held.filter(|a| !served.contains(&a.subnet_id));
        found.extend(astray.map(|a| {
            contradiction(
                format!(
                    "the resolver of network {} has address {} in a subnet without enable_dhcp",
                    network.id, a.address
                ),
                "the subnet cannot be deleted, and the address is given to nobody",
            )
        }));
    }
    found
}

fn addresses(rows: &Rows) -> Vec<Finding> {
    let subnets: BTreeMap<SubnetId, &row::Subnet> =
        rows.subnets.iter().map(|s| (s.id, s)).collect();
    let ports: BTreeMap<PortId, &row::Port> = rows.ports.iter().map(|p| (p.id, p)).collect();
    let mut holders: BTreeMap<(NetworkId, IpAddr), PortId> = BTreeMap::new();
    let mut found = Vec::new();
    for held in &rows.allocations {
        let (address, port) = (held.address, held.port_id);
        if let Some(other) = holders.insert((held.network_id, address), port) {
            found.push(contradiction(
                format!(
                    "address {address} is held by port {other} and by port {port} of one network"
                ),
                "two guests answer to one address",
            ));
        }
        let Some(subnet) = subnets.get(&held.subnet_id) else {
            continue; // The database itself has said so.
        };
        let inside = u8::try_from(subnet.prefix_length)
            .ok()
            .and_then(|length| IpNet::new(subnet.prefix, length).ok());
        let on = ports.get(&port).map(|p| p.network_id);
        if !inside.is_some_and(|net| net.contains(&address))
            || on.is_some_and(|on| on != subnet.network_id)
            || subnet.network_id != held.network_id
        {
            found.push(contradiction(
                format!(
                    "address {address} of port {port} is not of its subnet {}",
                    subnet.id
                ),
                "the guest cannot be reached by it",
            ));
        }
    }
    found
}

/// Ports that routers and floating IPs hold.
fn legs(rows: &Rows) -> Vec<Finding> {
    let routers: BTreeSet<RouterId> = rows.routers.iter().map(|r| r.id).collect();
    let of_floating: BTreeSet<PortId> = rows.floating_ips.iter().map(|f| f.own_port_id).collect();
    let lost = rows
        .ports
        .iter()
        .filter(|port| match port.device_owner.as_str() {
            router::INTERFACE | router::GATEWAY => {
                !port.device_id.parse().is_ok_and(|id| routers.contains(&id))
            }
            "network:floatingip" => !of_floating.contains(&port.id),
            _ => false,
        });
    lost.map(|port| {
        contradiction(
            format!(
                "port {} is a {}, and its owner {} is not there",
                port.id, port.device_owner, port.device_id
            ),
            "its address can be given to nobody, and its network cannot be deleted",
        )
    })
    .collect()
}

fn gateways(rows: &Rows) -> Vec<Finding> {
    let mut found = Vec::new();
    for router in &rows.routers {
        let gateways = rows
            .ports
            .iter()
            .filter(|p| p.device_owner == router::GATEWAY && p.device_id == router.id.to_string());
        let networks: Vec<NetworkId> = gateways.map(|p| p.network_id).collect();
        let wanted: Vec<NetworkId> = router.external_network_id.into_iter().collect();
        if networks != wanted {
            found.push(contradiction(
                format!(
                    "router {} has gateway ports on {networks:?} and should on {wanted:?}",
                    router.id
                ),
                "what is behind it does not reach the outside",
            ));
        }
    }
    found
}

fn floating(rows: &Rows) -> Vec<Finding> {
    let holds = |port: Option<PortId>, address: Option<IpAddr>| {
        let mut held = rows.allocations.iter();
        held.any(|a| Some(a.port_id) == port && Some(a.address) == address)
    };
    let lost = rows.forwardings.iter().filter(|f| {
        let of = rows
            .floating_ips
            .iter()
            .find(|ip| ip.id == f.floating_ip_id);
        let same = of.is_some_and(|ip| ip.address.is_ipv4() == f.address.is_ipv4());
        !same || !holds(Some(f.port_id), Some(f.address))
    });
    let lost = lost.map(|f| {
        contradiction(
            format!(
                "port forwarding {} of floating IP {} stands for an address that is not there",
                f.id, f.floating_ip_id
            ),
            "what is sent to it goes nowhere, or to another guest",
        )
    });
    let wrong = rows.floating_ips.iter().filter(|f| {
        let whole = f.port_id.is_some();
        let ports = rows.forwardings.iter().any(|p| p.floating_ip_id == f.id);
        let half = whole != f.fixed_address.is_some()
            || f.router_id.is_some() != (whole || ports)
            || (whole && ports);
        let own = holds(Some(f.own_port_id), Some(f.address));
        let mixed = f
            .fixed_address
            .is_some_and(|a| a.is_ipv4() != f.address.is_ipv4());
        half || mixed || !own || (f.port_id.is_some() && !holds(f.port_id, f.fixed_address))
    });
    wrong
        .map(|f| {
            contradiction(
                format!(
                    "floating IP {} ({}) stands for a port or an address that is not there",
                    f.id, f.address
                ),
                "what is sent to it goes nowhere, or to another guest",
            )
        })
        .chain(lost)
        .collect()
}

fn rules(rows: &Rows) -> Vec<Finding> {
    let there = |id| rows.groups.iter().any(|g| g.id == id);
    let astray = rows
        .rules
        .iter()
        .filter(|r| r.remote_group_id.is_some_and(|id| !there(id)));
    astray
        .map(|r| {
            contradiction(
                format!("rule {} lets in a security group that is not there", r.id),
                "the rule allows nothing",
            )
        })
        .collect()
}
