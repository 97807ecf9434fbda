//! What DHCPv6 says to each port of a network.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use lan::{Binding, Bindings, Given};
use model::{Dhcp6, Lifetimes, Network, Port, Subnet};

use crate::Wanted;

/// What is said in a network; `None` where DHCPv6 is silent.
pub(super) fn bindings(wanted: &Wanted, network: &Network) -> Option<Bindings> {
    let provider = network.physical_network.is_some();
    let served = |subnet: &&Subnet| subnet.dhcp6(provider) != Dhcp6::Silent;
    let subnets: Vec<_> = network.subnets.iter().filter(served).collect();
    let ports = wanted.ports.values().filter(|p| p.network == network.id);
    let ports: Vec<_> = ports.collect();
    if subnets.is_empty() && ports.iter().all(|port| port.delegated.is_empty()) {
        return None;
    }
    let mut dns: Vec<Ipv6Addr> = Vec::new();
    for server in subnets.iter().flat_map(|subnet| &subnet.dns_nameservers) {
        match server {
            IpAddr::V6(server) if !dns.contains(server) => dns.push(*server),
            _ => {}
        }
    }
    let on_link = network.subnets.iter().filter_map(|s| match s.prefix {
        IpNet::V6(prefix) => Some(prefix),
        IpNet::V4(_) => None,
    });
    let bound = ports.iter().map(|port| {
        let mut binding = binding(port, &subnets, provider);
        binding.dns = dns.clone();
        binding.domains = vec![network.dns_domain.clone()];
        (port.mac, binding)
    });
    Some(Bindings {
        on_link: on_link.collect(),
        ports: bound.collect(),
    })
}

fn binding(port: &Port, subnets: &[&Subnet], provider: bool) -> Binding {
    let addresses = port.addresses.iter().filter_map(|address| {
        let IpAddr::V6(value) = *address else {
            return None;
        };
        let here =
            |s: &&&Subnet| s.dhcp6(provider) == Dhcp6::Addresses && s.prefix.contains(address);
        let subnet = subnets.iter().find(here)?;
        Some(given(value, subnet.lifetimes))
    });
    let prefixes = port.delegated.iter();
    let extra = port.dhcp_options.iter().filter(|option| option.ipv6);
    Binding {
        addresses: addresses.collect(),
        prefixes: prefixes
            .map(|prefix| given(*prefix, Lifetimes::default()))
            .collect(),
        extra: extra.map(|o| (o.code, o.value.clone())).collect(),
        ..Binding::default()
    }
}

fn given<T>(value: T, lifetimes: Lifetimes) -> Given<T> {
    Given {
        value,
        preferred_s: lifetimes.preferred_s,
        valid_s: lifetimes.valid_s,
    }
}
