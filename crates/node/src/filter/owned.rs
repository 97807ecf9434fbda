//! Which MACs and addresses are whose, as the bridge table has them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use model::{Mac, Port};

use super::{SERVICE, SERVICE_IPV4, SERVICE_ULA, Scene};

const LINK_LOCAL: &str = "0xfe800000000000000000000000000000/10";

/// Where a port may find addresses that nobody assigned.
pub(super) fn local(scene: &Scene<'_>) -> Vec<String> {
    let prefixes = scene
        .network
        .subnets
        .iter()
        .filter_map(|s| match s.prefix {
            IpNet::V6(prefix) => Some(prefix.trunc()),
            IpNet::V4(_) => None,
        })
        .collect();
    let prefixes = Ipv6Net::aggregate(&prefixes)
        .into_iter()
        .map(|p| prefix(&p));
    prefixes.chain([LINK_LOCAL.to_owned()]).collect()
}

/// What no guest may use: our own addresses, routers' addresses, and gateways outside this cloud.
/// A guest that was given the gateway's address is the gateway.
pub(super) fn services(scene: &Scene<'_>) -> Vec<Ipv6Addr> {
    let mut found = vec![SERVICE, SERVICE_ULA];
    found.extend(scene.network.resolver.iter().copied().filter_map(ipv6));
    for leg in &scene.legs {
        found.push(leg.mac.link_local());
        found.extend(leg.addresses.iter().filter_map(|net| ipv6(net.addr())));
    }
    let given: Vec<_> = scene
        .ports
        .iter()
        .flat_map(|(port, _)| assigned(port))
        .collect();
    let gateways = scene
        .network
        .subnets
        .iter()
        .filter_map(|s| s.gateway.and_then(ipv6));
    found.extend(gateways.filter(|g| !given.contains(g)));
    found
}

/// The same of IPv4: our own addresses.
pub(super) fn services_ipv4(scene: &Scene<'_>) -> String {
    let resolver = scene.network.resolver.iter().filter(|a| a.is_ipv4());
    let texts = [SERVICE_IPV4.to_string()].into_iter();
    let texts: Vec<_> = texts.chain(resolver.map(IpAddr::to_string)).collect();
    texts.join(", ")
}

/// The MACs that a port may send from: its own, and those of its allowed address pairs.
pub(super) fn macs(port: &Port) -> impl Iterator<Item = Mac> {
    [port.mac]
        .into_iter()
        .chain(port.allowed_macs.iter().copied())
}

pub(super) fn mac_text(port: &Port) -> String {
    match port.allowed_macs.is_empty() {
        true => port.mac.to_string(),
        false => {
            let texts: BTreeSet<_> = macs(port).map(|mac| mac.to_string()).collect();
            format!("{{ {} }}", texts.into_iter().collect::<Vec<_>>().join(", "))
        }
    }
}

/// The addresses that no other port may take: what is a port's by decree, and each single address
/// that it may speak from.
pub(super) fn reserved(port: &Port) -> Vec<Ipv6Addr> {
    let single = port.allowed_prefixes.iter().filter_map(|net| match net {
        IpNet::V6(net) if net.prefix_len() == 128 => Some(net.addr()),
        _ => None,
    });
    assigned(port).into_iter().chain(single).collect()
}

/// The addresses that are a port's by decree.
fn assigned(port: &Port) -> Vec<Ipv6Addr> {
    let given = port.addresses.iter().filter_map(|a| ipv6(*a));
    given.chain([port.mac.link_local()]).collect()
}

/// Its addresses and prefixes without overlaps, which nft refuses.
pub(super) fn own_ipv6(port: &Port) -> String {
    let mut nets: Vec<Ipv6Net> = assigned(port).into_iter().map(Ipv6Net::from).collect();
    // A card with such a MAC makes itself a link-local address of it.
    let links = port.allowed_macs.iter().map(|mac| mac.link_local());
    nets.extend(links.map(Ipv6Net::from));
    nets.extend(port.allowed_prefixes.iter().filter_map(|net| match net {
        IpNet::V6(net) => Some(net.trunc()),
        IpNet::V4(_) => None,
    }));
    nets.extend(port.delegated.iter().map(Ipv6Net::trunc));
    let texts: Vec<_> = Ipv6Net::aggregate(&nets).iter().map(prefix).collect();
    texts.join(", ")
}

/// The same for IPv4; empty when the port has no IPv4 address.
pub(super) fn own_ipv4(port: &Port) -> String {
    let own = port
        .addresses
        .iter()
        .copied()
        .filter(IpAddr::is_ipv4)
        .map(IpNet::from);
    let mut nets: Vec<IpNet> = own.collect();
    if nets.is_empty() {
        return String::new();
    }
    nets.extend(
        port.allowed_prefixes
            .iter()
            .filter(|net| net.addr().is_ipv4())
            .map(IpNet::trunc),
    );
    let texts: Vec<_> = IpNet::aggregate(&nets)
        .iter()
        .map(IpNet::to_string)
        .collect();
    texts.join(", ")
}

fn ipv6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

pub(super) fn hex(address: &Ipv6Addr) -> String {
    format!("0x{:032x}", address.to_bits())
}

fn prefix(net: &Ipv6Net) -> String {
    match net.prefix_len() {
        128 => hex(&net.network()),
        length => format!("{}/{length}", hex(&net.network())),
    }
}
