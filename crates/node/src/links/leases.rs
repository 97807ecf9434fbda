//! What DHCPv4 says to each port of a network.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use lan::{Lease, Leases};
use model::{Network, Subnet};

use crate::Wanted;

/// Each port's lease: the first of its addresses whose subnet has DHCP.
pub(super) fn leases(wanted: &Wanted, network: &Network) -> Leases {
    let ports = wanted.ports.values().filter(|p| p.network == network.id);
    let leases = ports.filter_map(|port| {
        let of = |address: &IpAddr| lease(*address, network);
        let mut lease = port.addresses.iter().find_map(of)?;
        let server = port.server.and_then(|id| wanted.servers.get(&id));
        lease.hostname = server.map(|server| server.hostname.clone());
        let options = port.dhcp_options.iter().filter(|option| !option.ipv6);
        let extra = options.filter_map(|o| Some((u8::try_from(o.code).ok()?, o.value.clone())));
        lease.extra = extra.collect();
        Some((port.mac, lease))
    });
    leases.collect()
}

fn lease(address: IpAddr, network: &Network) -> Option<Lease> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    let here = |s: &&Subnet| s.enable_dhcp && s.prefix.contains(&IpAddr::V4(address));
    let subnet = network.subnets.iter().find(here)?;
    let routes = subnet.host_routes.iter();
    Some(Lease {
        address,
        prefix: ipv4_net(subnet.prefix)?,
        gateway: subnet.gateway.and_then(ipv4),
        dns: subnet
            .dns_nameservers
            .iter()
            .copied()
            .filter_map(ipv4)
            .collect(),
        routes: routes
            .filter_map(|r| Some((ipv4_net(r.destination)?, ipv4(r.nexthop)?)))
            .collect(),
        mtu: u16::try_from(network.mtu).unwrap_or(u16::MAX),
        hostname: None,
        domain: network.dns_domain.clone(),
        extra: Vec::new(),
    })
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn ipv4_net(net: IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::{Mac, NetworkId, Port, PortId, SubnetId};

    use super::*;

    fn network(prefix: &str, gateway: &str) -> Network {
        let subnet = Subnet {
            id: SubnetId::random(),
            prefix: prefix.parse().unwrap(),
            gateway: Some(gateway.parse().unwrap()),
            enable_dhcp: true,
            ra_mode: None,
            address_mode: None,
            dns_nameservers: vec!["2001:db8::53".parse().unwrap()],
            host_routes: Vec::new(),
            lifetimes: model::Lifetimes::default(),
            pref64: None,
        };
        Network {
            id: NetworkId::random(),
            mtu: 1400,
            physical_network: None,
            vlan: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets: vec![subnet],
            retired: Vec::new(),
        }
    }

    #[test]
    fn a_port_is_leased_its_first_address_that_has_dhcp() {
        let mut network = network("192.0.2.0/24", "192.0.2.1");
        let port = Port {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 2]),
            enabled: true,
            addresses: ["2001:db8:1::5", "198.51.100.5", "192.0.2.5"]
                .map(|a| a.parse().unwrap())
                .into(),
            port_security: true,
            allowed_prefixes: Vec::new(),
            allowed_macs: Vec::new(),
            rules: Vec::new(),
            server: None,
            stateless: false,
            security_groups: Vec::new(),
            qos: model::Qos::default(),
            delegated: Vec::new(),
            subport: None,
            dhcp_options: [(true, 23), (false, 42)]
                .map(|(ipv6, code)| model::DhcpOption {
                    ipv6,
                    code,
                    value: vec![1],
                })
                .into(),
        };
        let wanted = Wanted {
            ports: [(port.id, port)].into(),
            ..Wanted::default()
        };
        let found: Vec<Lease> = leases(&wanted, &network).into_values().collect();
        let [lease] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(lease.address, Ipv4Addr::new(192, 0, 2, 5));
        assert_eq!(lease.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(
            (lease.mtu, lease.dns.len()),
            (1400, 0),
            "no servers of IPv6"
        );
        assert_eq!(lease.extra, [(42, vec![1])], "options of IPv4 alone");
        network.subnets[0].enable_dhcp = false;
        assert!(leases(&wanted, &network).is_empty());
    }
}
