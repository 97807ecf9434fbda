//! What a subnet may be: the decisions, without the database.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{Error, Lifetimes, RaMode, Result, SubnetId, ip_from_bits, ip_to_bits};
use store::{Json, row};

use super::{NewSubnet, net};
use crate::{list, now_ms};

/// Subnets of one network: its document must stay small enough for every node.
const MAX_SUBNETS: usize = 64;

/// Where no host of a subnet can have an address: this host, loopback, link-local, multicast, and
/// what stands for IPv4 in IPv6 (RFC 6890; RFC 4291, section 2.5.5.2); and where every network has
/// its metadata.
const RESERVED: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "::/127",
    "::ffff:0:0/96",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
];

/// The subnet a request asks for, with the defaults filled in.
pub(crate) fn place(
    network: &row::Network,
    others: &[row::Subnet],
    new: &NewSubnet,
    prefix: IpNet,
) -> Result<row::Subnet> {
    if let Some(other) = others.iter().map(net).find(|o| overlap(o, &prefix)) {
        return Err(Error::invalid(format!(
            "Requested subnet with cidr: {prefix} for network: {} overlaps with another subnet: {other}",
            network.id
        )));
    }
    if others.len() >= MAX_SUBNETS {
        return Err(Error::conflict(format!(
            "Network {} has {MAX_SUBNETS} subnets, the most one can have.",
            network.id
        )));
    }
    let gateway = new.gateway.unwrap_or_else(|| default_gateway(&prefix));
    let pools = match &new.pools {
        Some(pools) => pools.clone(),
        None => default_pools(&prefix, gateway),
    };
    let subnet = drawn_up(network, new, prefix, gateway, pools);
    check_modes(&subnet)?;
    check(&subnet)?;
    Ok(subnet)
}

fn drawn_up(
    network: &row::Network,
    new: &NewSubnet,
    prefix: IpNet,
    gateway: Option<IpAddr>,
    pools: Vec<(IpAddr, IpAddr)>,
) -> row::Subnet {
    let now = now_ms();
    let project = new.project.clone();
    row::Subnet {
        id: SubnetId::random(),
        network_id: network.id,
        project_id: project.unwrap_or_else(|| network.project_id.clone()),
        name: new.name.clone(),
        description: new.description.clone(),
        prefix: prefix.network(),
        prefix_length: u32::from(prefix.prefix_len()),
        gateway,
        enable_dhcp: new.enable_dhcp,
        ra_mode: Json(new.ra_mode),
        address_mode: Json(new.address_mode),
        pools: Json(pools),
        dns_nameservers: Json(new.dns_nameservers.clone()),
        host_routes: Json(new.host_routes.clone()),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        lifetimes: Json(new.lifetimes),
        pref64: Json(new.pref64),
        subnet_pool_id: None,
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn is_v4(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V4(_))
}

/// A prefix's family in words.
fn family(v4: bool) -> &'static str {
    if v4 { "IPv4" } else { "IPv6" }
}

/// The first and the last address that a host can have, as numbers. The first of a prefix names the
/// subnet's routers (RFC 4291, section 2.6.1) or, in IPv4, the subnet, where the last is its
/// broadcast address; links of two and prefixes of one address have no such (RFC 3021, RFC 6164).
fn hosts(prefix: &IpNet) -> (u128, u128) {
    let (first, last) = (ip_to_bits(prefix.network()), ip_to_bits(prefix.broadcast()));
    match last - first {
        0 | 1 => (first, last),
        _ => (first + 1, last - u128::from(is_v4(prefix))),
    }
}

/// Whether a host of the prefix can have an address.
pub(crate) fn is_host(prefix: &IpNet, address: IpAddr) -> bool {
    let (first, last) = hosts(prefix);
    prefix.contains(&address) && (first..=last).contains(&ip_to_bits(address))
}

fn default_gateway(prefix: &IpNet) -> Option<IpAddr> {
    let address = ip_from_bits(ip_to_bits(prefix.network()) | 1);
    // A prefix of one address has none to spare.
    (prefix.prefix_len() < prefix.max_prefix_len() && prefix.contains(&address)).then_some(address)
}

/// Every host's address but the gateway.
fn default_pools(prefix: &IpNet, gateway: Option<IpAddr>) -> Vec<(IpAddr, IpAddr)> {
    let (first, last) = hosts(prefix);
    let inside = gateway.filter(|g| prefix.contains(g)).map(ip_to_bits);
    let ranges = match inside {
        Some(gateway) => vec![
            (first, gateway.saturating_sub(1)),
            (gateway.saturating_add(1), last),
        ],
        None => vec![(first, last)],
    };
    let some = ranges.into_iter().filter(|(a, b)| a <= b);
    some.map(|(a, b)| (ip_from_bits(a), ip_from_bits(b)))
        .collect()
}

pub(super) fn check_modes(subnet: &row::Subnet) -> Result<()> {
    let (ra, address) = (subnet.ra_mode.0, subnet.address_mode.0);
    for (name, mode) in [("ipv6_ra_mode", ra), ("ipv6_address_mode", address)] {
        if mode.is_some() && subnet.prefix.is_ipv4() {
            return Err(Error::invalid(format!(
                "{name} is not valid when ip_version is 4: leave it out"
            )));
        }
    }
    if !subnet.enable_dhcp && (ra.is_some() || address.is_some()) {
        return Err(Error::invalid(
            "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False",
        ));
    }
    if let (Some(r), Some(a)) = (ra, address)
        && r != a
    {
        return Err(Error::invalid(
            "ipv6_ra_mode and ipv6_address_mode must be the same when both are set",
        ));
    }
    if let (Some(mode), None) = (ra, address)
        && mode != RaMode::Dhcpv6Stateful
    {
        return Err(Error::invalid(format!(
            "ipv6_ra_mode {0} needs ipv6_address_mode {0}: hosts that hear the prefix make their own addresses, and would not have those of the pool that ports get without it",
            mode.as_str()
        )));
    }
    let own_addresses = |mode: Option<RaMode>| mode.is_some_and(|m| m != RaMode::Dhcpv6Stateful);
    if (own_addresses(ra) || own_addresses(address)) && subnet.prefix_length != 64 {
        return Err(Error::invalid(format!(
            "Invalid CIDR {} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64",
            net(subnet)
        )));
    }
    Ok(())
}

pub(super) fn check(subnet: &row::Subnet) -> Result<()> {
    list::check_name("name", &subnet.name)?;
    list::check_name("description", &subnet.description)?;
    list::check_tags(&subnet.tags.0)?;
    let prefix = net(subnet);
    let reserved = RESERVED.iter().filter_map(|text| text.parse().ok());
    if reserved.into_iter().any(|r: IpNet| overlap(&r, &prefix)) {
        return Err(Error::invalid(format!(
            "cidr {prefix} is no prefix that hosts can have addresses in"
        )));
    }
    if subnet.enable_dhcp && is_v4(&prefix) && prefix.prefix_len() > 30 {
        return Err(Error::invalid(format!(
            "Subnet has a prefix length that is incompatible with DHCP service enabled: give cidr {prefix} enable_dhcp False, or one of at most /30"
        )));
    }
    check_lifetimes(subnet)?;
    check_gateway(subnet, &prefix)?;
    check_pools(subnet, &prefix)?;
    check_options(subnet)
}

fn check_lifetimes(subnet: &row::Subnet) -> Result<()> {
    let Lifetimes {
        valid_s,
        preferred_s,
    } = subnet.lifetimes.0;
    if preferred_s > valid_s || valid_s == 0 {
        return Err(Error::invalid(format!(
            "ipv6_preferred_lifetime {preferred_s} must not exceed ipv6_valid_lifetime {valid_s}, which must not be 0"
        )));
    }
    let Some(prefix) = subnet.pref64.0 else {
        return Ok(());
    };
    if subnet.prefix.is_ipv4() || ![96, 64, 56, 48, 40, 32].contains(&prefix.prefix_len()) {
        return Err(Error::invalid(format!(
            "ipv6_pref64 {prefix} must be an IPv6 subnet's, and of 96, 64, 56, 48, 40 or 32 bits (RFC 8781)"
        )));
    }
    Ok(())
}

fn check_gateway(subnet: &row::Subnet, prefix: &IpNet) -> Result<()> {
    let Some(gateway) = subnet.gateway else {
        return Ok(());
    };
    let valid = match gateway {
        IpAddr::V4(_) => is_host(prefix, gateway),
        // A router may stand at the subnet's first address, whose name it is.
        IpAddr::V6(v6) => {
            prefix.contains(&gateway) || (!is_v4(prefix) && v6.is_unicast_link_local())
        }
    };
    match valid {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "Gateway {gateway} is not valid on subnet {prefix}"
        ))),
    }
}

fn check_pools(subnet: &row::Subnet, prefix: &IpNet) -> Result<()> {
    let mut pools = subnet.pools.0.clone();
    pools.sort();
    for (first, last) in &pools {
        if first > last || !is_host(prefix, *first) || !is_host(prefix, *last) {
            return Err(Error::invalid(format!(
                "The allocation pool {first}-{last} is not valid in subnet {prefix}"
            )));
        }
        if let Some(gateway) = subnet.gateway.filter(|g| (*first..=*last).contains(g)) {
            return Err(Error::conflict(format!(
                "Gateway ip {gateway} conflicts with allocation pool {first}-{last}"
            )));
        }
    }
    match pools.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
        Some(pair) => Err(Error::conflict(format!(
            "Found overlapping allocation pools: {}-{} {}-{}",
            pair[0].0, pair[0].1, pair[1].0, pair[1].1
        ))),
        None => Ok(()),
    }
}

/// What hosts are told beside their address is of the subnet's own family: it reaches no other.
fn check_options(subnet: &row::Subnet) -> Result<()> {
    let v4 = subnet.prefix.is_ipv4();
    let (servers, routes) = (&subnet.dns_nameservers.0, &subnet.host_routes.0);
    if servers.len() > 5 || routes.len() > 20 {
        return Err(Error::invalid(
            "a subnet takes at most 5 dns_nameservers and 20 host_routes",
        ));
    }
    if let Some(server) = servers.iter().find(|s| s.is_ipv4() != v4) {
        return Err(Error::invalid(format!(
            "dns_nameservers: {server} is no {0} address: an {0} subnet names only such",
            family(v4)
        )));
    }
    let strange = |r: &&model::Route| r.nexthop.is_ipv4() != v4 || is_v4(&r.destination) != v4;
    match routes.iter().find(strange) {
        Some(route) => Err(Error::invalid(format!(
            "host_routes: {} by {} is no {} route, as this subnet's must be",
            route.destination,
            route.nexthop,
            family(v4)
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
