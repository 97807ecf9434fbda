//! Which addresses a port gets.

use std::net::IpAddr;

use model::{Error, Result, ip_from_bits, ip_to_bits};
use store::{Tx, row};

use super::FixedIp;
use crate::{floating_ip, password, router, subnet};

/// Addresses that a port may hold: a document must stay small enough for every node.
const MAX_FIXED_IPS: usize = 16;
/// How often a random address is drawn before the pool is gone through in order.
const DRAWS: usize = 32;

/// One address that a port is to have: this one, or a free one of the first subnet that has one.
struct Wish<'a> {
    subnets: Vec<&'a row::Subnet>,
    address: Option<IpAddr>,
}

/// Gives a port its addresses: those asked for, or one of each family and one more from each
/// subnet where hosts make their own.
pub(crate) fn allocate(
    tx: &mut Tx<'_>,
    port: &row::Port,
    subnets: &[row::Subnet],
    wanted: Option<&[FixedIp]>,
) -> Result<()> {
    let wishes = match wanted {
        Some(wanted) => asked_for(port, subnets, wanted)?,
        None => by_default(port, subnets),
    };
    for wish in wishes {
        let (subnet, address) = fulfil(tx, port, &wish)?;
        tx.insert(&row::Allocation {
            id: subnet::allocation_id(&subnet.id, address),
            subnet_id: subnet.id,
            address,
            port_id: port.id,
            network_id: port.network_id,
        })?;
    }
    Ok(())
}

fn asked_for<'a>(
    port: &row::Port,
    subnets: &'a [row::Subnet],
    wanted: &[FixedIp],
) -> Result<Vec<Wish<'a>>> {
    if wanted.len() > MAX_FIXED_IPS {
        return Err(Error::invalid(format!(
            "a port takes at most {MAX_FIXED_IPS} fixed_ips"
        )));
    }
    for (place, address) in wanted.iter().map(|w| w.address).enumerate() {
        if let Some(address) = address
            && wanted[..place].iter().any(|w| w.address == Some(address))
        {
            return Err(Error::invalid(format!(
                "Invalid input for fixed_ips. Reason: Duplicate IP address '{address}'."
            )));
        }
    }
    wanted.iter().map(|w| one_of(port, subnets, w)).collect()
}

fn one_of<'a>(port: &row::Port, subnets: &'a [row::Subnet], wanted: &FixedIp) -> Result<Wish<'a>> {
    let network = port.network_id;
    let found = match (wanted.subnet, wanted.address) {
        (Some(id), _) => subnets.iter().find(|s| s.id == id).ok_or_else(|| {
            format!("Failed to create port on network {network}, because fixed_ips included invalid subnet {id}")
        }),
        (None, Some(address)) => {
            let holds = |s: &&row::Subnet| subnet::net(s).contains(&address);
            subnets.iter().find(holds).ok_or_else(|| {
                format!("IP address {address} is not a valid IP for any subnet on the network {network}")
            })
        }
        (None, None) => Err("fixed_ips needs a subnet_id or an ip_address".to_owned()),
    };
    Ok(Wish {
        subnets: vec![found.map_err(Error::Invalid)?],
        address: wanted.address,
    })
}

/// A floating IP is IPv4 where there is IPv4. A router's gateway stands for itself in each family once; others listen to
/// every prefix that is announced.
fn by_default<'a>(port: &row::Port, subnets: &'a [row::Subnet]) -> Vec<Wish<'a>> {
    let any = |subnets: Vec<&'a row::Subnet>| Wish {
        subnets,
        address: None,
    };
    let (v4, v6): (Vec<_>, Vec<_>) = subnets.iter().partition(|s| s.prefix.is_ipv4());
    let (auto, fixed): (Vec<_>, Vec<_>) = match port.device_owner.as_str() {
        router::GATEWAY => (Vec::new(), v6),
        floating_ip::OWNER if v4.is_empty() => (Vec::new(), v6),
        floating_ip::OWNER => (Vec::new(), Vec::new()),
        _ => v6.into_iter().partition(|s| subnet::is_auto(s)),
    };
    let mut wishes = vec![any(v4), any(fixed)];
    wishes.extend(auto.into_iter().map(|s| any(vec![s])));
    wishes.retain(|wish| !wish.subnets.is_empty());
    wishes
}

fn fulfil<'a>(tx: &Tx<'_>, port: &row::Port, wish: &Wish<'a>) -> Result<(&'a row::Subnet, IpAddr)> {
    for s in &wish.subnets {
        let address = match wish.address {
            Some(address) => Some(this(tx, port, s, address)?),
            None => free(tx, port, s)?,
        };
        if let Some(address) = address {
            return Ok((s, address));
        }
    }
    let ids: Vec<_> = wish.subnets.iter().map(|s| s.id.to_string()).collect();
    Err(Error::NoAddress(format!(
        "No more IP addresses available on network {}: every address in the pools of subnet {} is held. Delete ports or floating IPs, or widen allocation_pools.",
        port.network_id,
        ids.join(", ")
    )))
}

/// The address a request names, if the port can have it.
fn this(tx: &Tx<'_>, port: &row::Port, s: &row::Subnet, address: IpAddr) -> Result<IpAddr> {
    let prefix = subnet::net(s);
    let router = port.device_owner.starts_with("network:router");
    // A router may have the address that is the subnet's own name in IPv6.
    let valid = subnet::is_host(&prefix, address)
        || (router && address.is_ipv6() && prefix.contains(&address));
    if !valid {
        return Err(Error::invalid(format!(
            "IP address {address} is not a valid IP for the specified subnet {prefix}"
        )));
    }
    let auto = subnet::auto_address(s, port.mac).filter(|_| !router);
    if auto.is_some_and(|auto| auto != address) {
        return Err(Error::invalid(format!(
            "IPv6 address {address} can not be directly assigned to a port on subnet {} since the subnet is configured for automatic addresses",
            s.id
        )));
    }
    match subnet::holder(tx, &s.id, address)? {
        Some(_) => Err(Error::AddressTaken(format!(
            "IP address {address} already allocated in subnet {}",
            s.id
        ))),
        None => Ok(address),
    }
}

/// An address for the network's own resolver: of IPv4 the last one, because those that users pick
/// themselves are mostly among the first. `None` when there is none left.
pub(crate) fn service_address(
    tx: &Tx<'_>,
    port: &row::Port,
    s: &row::Subnet,
) -> Result<Option<IpAddr>> {
    if s.prefix.is_ipv6() {
        let address = free(tx, port, s)?;
        let held = address.map(|a| subnet::holder(tx, &s.id, a)).transpose()?;
        let usable = held.flatten().is_none() && address != s.gateway;
        return Ok(address.filter(|_| usable));
    }
    let held = tx.addresses_held(&s.id)?;
    let held: std::collections::HashSet<u128> = held.into_iter().map(ip_to_bits).collect();
    let pools = s.pools.0.iter().rev();
    let mut all = pools.flat_map(|(a, b)| (ip_to_bits(*a)..=ip_to_bits(*b)).rev());
    Ok(all.find(|n| !held.contains(n)).map(ip_from_bits))
}

/// An address of the subnet that nobody holds.
fn free(tx: &Tx<'_>, port: &row::Port, s: &row::Subnet) -> Result<Option<IpAddr>> {
    let router = port.device_owner.starts_with("network:router");
    if let Some(auto) = subnet::auto_address(s, port.mac).filter(|_| !router) {
        return Ok(Some(auto));
    }
    let taken = |address| Ok::<bool, Error>(subnet::holder(tx, &s.id, address)?.is_some());
    let pools: Vec<(u128, u128)> = s
        .pools
        .0
        .iter()
        .map(|(a, b)| (ip_to_bits(*a), ip_to_bits(*b)))
        .collect();
    let size = pools
        .iter()
        .map(|(a, b)| b - a + 1)
        .fold(0, u128::saturating_add);
    if size > 1024 {
        for _ in 0..DRAWS {
            let address = nth(
                &pools,
                u128::from_be_bytes(password::random::<16>()?) % size,
            );
            if !taken(address)? {
                return Ok(Some(address));
            }
        }
    }
    first_gap(tx, s, &pools)
}

/// The least address of the pools that nobody holds, found by going through those that are held.
fn first_gap(tx: &Tx<'_>, s: &row::Subnet, pools: &[(u128, u128)]) -> Result<Option<IpAddr>> {
    let held = tx.addresses_held(&s.id)?;
    let held: std::collections::HashSet<u128> = held.into_iter().map(ip_to_bits).collect();
    let all = pools.iter().flat_map(|(a, b)| *a..=*b);
    Ok(all
        .into_iter()
        .find(|n| !held.contains(n))
        .map(ip_from_bits))
}

/// The n-th address of all pools together; `n` is less than their size.
fn nth(pools: &[(u128, u128)], mut n: u128) -> IpAddr {
    for (first, last) in pools {
        let size = last - first + 1;
        if n < size {
            return ip_from_bits(first + n);
        }
        n -= size;
    }
    ip_from_bits(0)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
