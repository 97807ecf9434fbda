//! `network_data.json`: the guest's links, its addresses and its DNS servers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::{AddressMode, Network, Port, Subnet};
use serde_json::{Value, json};

/// The document. A port's address names a network of its own, as nova has it; the subnet says how
/// the guest is to get it.
pub(super) fn render(ports: &[(Port, Network)]) -> Value {
    let links: Vec<Value> = ports.iter().map(link).collect();
    let with_subnets = ports.iter().flat_map(|(port, network)| {
        port.addresses.iter().filter_map(move |address| {
            let mut subnets = network.subnets.iter();
            let subnet = subnets.find(|s| s.prefix.contains(address))?;
            Some((port, network, *address, subnet))
        })
    });
    let networks: Vec<Value> = with_subnets
        .clone()
        .enumerate()
        .map(|(index, (port, network, address, subnet))| {
            let mut one = json!({
                "id": format!("network{index}"),
                "type": kind(subnet),
                "link": link_id(port),
                "network_id": network.id.to_string(),
            });
            // A guest that asks by DHCPv4 is told there, and a copy here would be set twice.
            if kind(subnet) != IPV4_DHCP {
                one["ip_address"] = json!(address.to_string());
                one["netmask"] = json!(subnet.prefix.netmask().to_string());
                one["routes"] = json!(routes(subnet));
                one["services"] = json!(services(&subnet.dns_nameservers));
            }
            one
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

const IPV4_DHCP: &str = "ipv4_dhcp";

fn kind(subnet: &Subnet) -> &'static str {
    match (subnet.prefix, subnet.address_mode) {
        (IpNet::V4(_), _) if subnet.enable_dhcp => IPV4_DHCP,
        (IpNet::V4(_), _) => "ipv4",
        (IpNet::V6(_), Some(AddressMode::Slaac)) => "ipv6_slaac",
        (IpNet::V6(_), Some(AddressMode::Dhcpv6Stateless)) => "ipv6_dhcpv6-stateless",
        (IpNet::V6(_), Some(AddressMode::Dhcpv6Stateful)) => "ipv6_dhcpv6-stateful",
        (IpNet::V6(_), None) => "ipv6",
    }
}

fn routes(subnet: &Subnet) -> Vec<Value> {
    let anywhere = match subnet.prefix {
        IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
    };
    let default = subnet.gateway.map(|gateway| (anywhere, gateway));
    let host = subnet
        .host_routes
        .iter()
        .map(|r| (r.destination, r.nexthop));
    let route = |(to, gateway): (IpNet, IpAddr)| {
        json!({
            "network": to.network().to_string(),
            "netmask": to.netmask().to_string(),
            "gateway": gateway.to_string(),
        })
    };
    default.into_iter().chain(host).map(route).collect()
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

    /// As nova has it: only what is leased by DHCPv4 is left to the guest to find out.
    #[test]
    fn every_mode_of_ipv6_is_said_whole() {
        let document = render(&sample().ports);
        let networks = document["networks"].as_array().unwrap();
        assert_eq!(networks.len(), 4);
        for (index, network) in networks.iter().enumerate() {
            assert_eq!(network["id"], format!("network{index}"));
            assert_eq!(network["link"], "tap12345678-00");
            assert_eq!(network["netmask"], "ffff:ffff:ffff:ffff::");
            let address = network["ip_address"].as_str().unwrap();
            let gateway = address.replace("::5", "::1");
            assert_eq!(network["routes"][0]["gateway"], gateway);
            assert_eq!(network["routes"].as_array().unwrap().len(), 2);
            assert_eq!(network["services"][0]["address"], "2001:db8::53");
        }
    }

    #[test]
    fn ipv4_is_leased_or_set() {
        let mut ports = sample().ports;
        ports[0].0.addresses = vec!["192.0.2.5".parse().unwrap()];
        let subnet = &mut ports[0].1.subnets[0];
        subnet.prefix = "192.0.2.0/24".parse().unwrap();
        subnet.gateway = Some("192.0.2.1".parse().unwrap());
        subnet.dns_nameservers = vec!["192.0.2.53".parse().unwrap()];
        subnet.host_routes.clear();
        subnet.enable_dhcp = false;
        let mut expected = json!({
            "id": "network0",
            "type": "ipv4",
            "link": "tap12345678-00",
            "network_id": "00000000-0000-0000-0000-000000000077",
            "ip_address": "192.0.2.5",
            "netmask": "255.255.255.0",
            "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}],
            "services": [{"type": "dns", "address": "192.0.2.53"}],
        });
        assert_eq!(render(&ports)["networks"], json!([expected]));
        ports[0].1.subnets[0].enable_dhcp = true;
        let fields = expected.as_object_mut().unwrap();
        for key in ["ip_address", "netmask", "routes", "services"] {
            fields.remove(key);
        }
        fields["type"] = json!("ipv4_dhcp");
        assert_eq!(render(&ports)["networks"], json!([expected]));
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
