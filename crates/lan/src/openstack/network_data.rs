//! `network_data.json`: the guest's links, its addresses and its DNS servers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use model::{AddressMode, Network, Port, Subnet};
use serde_json::{Value, json};

/// The document. A port's address names a network of its own, as nova has it; the subnet's address
/// mode says how the guest is to get it.
pub(super) fn render(ports: &[(Port, Network)]) -> Value {
    let links: Vec<Value> = ports.iter().map(link).collect();
    let with_subnets = ports.iter().flat_map(|(port, network)| {
        let addresses = port.addresses.iter().filter_map(|address| match address {
            IpAddr::V6(_) => Some(*address),
            IpAddr::V4(_) => None,
        });
        addresses.filter_map(move |address| {
            let subnet = network
                .subnets
                .iter()
                .find(|s| s.prefix.contains(&address))?;
            Some((port, network, address, subnet))
        })
    });
    let networks: Vec<Value> = with_subnets
        .clone()
        .enumerate()
        .map(|(index, (port, network, address, subnet))| {
            json!({
                "id": format!("network{index}"),
                "type": kind(subnet.address_mode),
                "link": link_id(port),
                "network_id": network.id.to_string(),
                "ip_address": address.to_string(),
                "netmask": subnet.prefix.netmask().to_string(),
                "routes": routes(subnet),
                "services": services(&subnet.dns_nameservers),
            })
        })
        .collect();
    let servers: BTreeSet<IpAddr> = with_subnets
        .flat_map(|(.., subnet)| subnet.dns_nameservers.iter().copied())
        .collect();
    let services = services(&servers.into_iter().collect::<Vec<_>>());
    json!({"links": links, "networks": networks, "services": services})
}

fn link((port, network): &(Port, Network)) -> Value {
    json!({
        "id": link_id(port),
        "vif_id": port.id.to_string(),
        "type": "tap", // one of those that cloud-init takes for a network card
        "ethernet_mac_address": port.mac.to_string(),
        "mtu": network.mtu,
    })
}

/// As nova and neutron name it: what fits an interface's name.
fn link_id(port: &Port) -> String {
    format!("tap{}", &port.id.to_string()[..11])
}

fn kind(mode: Option<AddressMode>) -> &'static str {
    match mode {
        Some(AddressMode::Slaac) => "ipv6_slaac",
        Some(AddressMode::Dhcpv6Stateless) => "ipv6_dhcpv6-stateless",
        Some(AddressMode::Dhcpv6Stateful) => "ipv6_dhcpv6-stateful",
        None => "ipv6",
    }
}

fn routes(subnet: &Subnet) -> Vec<Value> {
    let route = |network: String, netmask: String, gateway: String| json!({"network": network, "netmask": netmask, "gateway": gateway});
    let default = subnet
        .gateway
        .map(|gateway| route("::".to_owned(), "::".to_owned(), gateway.to_string()));
    let host = subnet
        .host_routes
        .iter()
        .filter_map(|r| match r.destination {
            IpNet::V6(to) => Some(route(
                to.network().to_string(),
                to.netmask().to_string(),
                r.nexthop.to_string(),
            )),
            IpNet::V4(_) => None,
        });
    default.into_iter().chain(host).collect()
}

fn services(servers: &[IpAddr]) -> Vec<Value> {
    let service = |server: &IpAddr| json!({"type": "dns", "address": server.to_string()});
    servers.iter().map(service).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::tests::sample;

    #[test]
    fn golden() {
        let document = render(&sample().ports);
        assert_eq!(
            document["links"],
            json!([{
                "id": "tap12345678-00",
                "vif_id": "12345678-0000-0000-0000-000000000000",
                "type": "tap",
                "ethernet_mac_address": "fa:16:3e:01:02:03",
                "mtu": 1430,
            }])
        );
        assert_eq!(
            document["services"],
            json!([{"type": "dns", "address": "2001:db8::53"}])
        );
        assert_eq!(
            document["networks"][0],
            json!({
                "id": "network0",
                "type": "ipv6",
                "link": "tap12345678-00",
                "network_id": "00000000-0000-0000-0000-000000000077",
                "ip_address": "2001:db8:4::5",
                "netmask": "ffff:ffff:ffff:ffff::",
                "routes": [
                    {"network": "::", "netmask": "::", "gateway": "2001:db8:4::1"},
                    {"network": "fd00:9::", "netmask": "ffff:ffff::", "gateway": "2001:db8:4::9"},
                ],
                "services": [{"type": "dns", "address": "2001:db8::53"}],
            })
        );
        let kinds = document["networks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| &n["type"]);
        let expected = [
            "ipv6",
            "ipv6_slaac",
            "ipv6_dhcpv6-stateless",
            "ipv6_dhcpv6-stateful",
        ];
        assert!(kinds.eq(expected.iter()), "{document}");
    }

    #[test]
    fn an_address_outside_every_subnet_is_left_out() {
        let mut ports = sample().ports;
        ports[0].0.addresses = vec!["192.0.2.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let document = render(&ports);
        assert_eq!(document["networks"], json!([]));
        assert_eq!(document["links"].as_array().unwrap().len(), 1);
    }
}
