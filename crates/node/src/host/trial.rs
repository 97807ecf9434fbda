//! A trial of what guests' networks are made of: the real calls and the real tables, in a namespace
//! that nobody sees and that goes with it.

use std::io;

use linux::netlink::{Netlink, VethEnd};
use linux::netns::Netns;
use linux::{conntrack, nft, sysctl, tap};
use model::{Network, Port, Router};
use serde_json::json;

use crate::filter::{Scene, Tables};
use crate::links::settings;

/// Something that guests' networks need, and this host does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What was tried, in words.
    pub what: &'static str,
    pub error: String,
    /// What to do.
    pub fix: &'static str,
}

/// What was tried, how, and what to do when it fails.
type Attempt = (&'static str, fn(&Netns) -> io::Result<()>, &'static str);

const ATTEMPTS: &[Attempt] = &[
    (
        "a bridge",
        bridge,
        "`modprobe bridge`, and the line `bridge` in /etc/modules-load.d/hextet.conf",
    ),
    (
        "a veth in a bridge",
        veth,
        "`modprobe veth`, and the line `veth` in /etc/modules-load.d/hextet.conf",
    ),
    (
        "a tap",
        |ns| tap::ensure(ns, "tap"),
        "`modprobe tun`, and the line `tun` in /etc/modules-load.d/hextet.conf; in a container, give it /dev/net/tun",
    ),
    (
        "bridged packets in the filters",
        |ns| sysctl::set_all(ns, settings::NETWORK),
        "`modprobe br_netfilter`, and the line `br_netfilter` in /etc/modules-load.d/hextet.conf",
    ),
    (
        "the settings of a router",
        |ns| sysctl::set_all(ns, settings::ROUTER),
        "start a kernel that has the setting that the error names",
    ),
    (
        "the filters of a network",
        |ns| nft::apply(ns, &network_tables()?),
        "`apt install nftables`, then `modprobe -a nf_tables nft_meta_bridge nft_ct`; see what the error names",
    ),
    (
        "the translation of a router",
        |ns| nft::apply(ns, &router_tables()?),
        "`modprobe -a nf_tables nft_nat nft_chain_nat`; see what the error names",
    ),
    (
        "the list of connections",
        |ns| conntrack::flows(ns).map(drop),
        "`modprobe -a nf_conntrack nf_conntrack_netlink`, and a line for each in /etc/modules-load.d/hextet.conf",
    ),
];

/// Tries everything.
pub fn trial() -> Vec<Lack> {
    let ns = match Netns::fresh("of a trial") {
        Ok(ns) => ns,
        Err(e) => {
            return vec![Lack {
                what: "a network namespace",
                error: e.to_string(),
                fix: "run as root; in a container, give it CAP_SYS_ADMIN and CAP_NET_ADMIN",
            }];
        }
    };
    let tried = ATTEMPTS.iter().filter_map(|(what, attempt, fix)| {
        let error = attempt(&ns).err()?.to_string();
        Some(Lack { what, error, fix })
    });
    tried.collect()
}

fn bridge(ns: &Netns) -> io::Result<()> {
    let mut netlink = Netlink::open(ns)?;
    netlink.ensure_bridge("br", [2, 0, 0, 0, 0, 1])?;
    Ok(netlink.set_up("br")?)
}

fn veth(ns: &Netns) -> io::Result<()> {
    let end = |name| VethEnd {
        ns,
        name,
        mac: None,
    };
    Netlink::ensure_veth(end("a"), end("b"))?;
    Ok(Netlink::open(ns)?.set_master("a", Some("br"))?)
}

/// The tables of a network of both families with a guest and a rule of each kind.
fn network_tables() -> io::Result<String> {
    let id = uuid::Uuid::nil();
    let subnet = |prefix: &str| {
        json!({"id": id, "prefix": prefix, "gateway": null, "enable_dhcp": true, "ra_mode": "slaac",
               "address_mode": "slaac", "dns_nameservers": [], "host_routes": []})
    };
    let network: Network = serde_json::from_value(json!({
        "id": id, "mtu": 1500, "physical_network": null,
        "subnets": [subnet("2001:db8::/64"), subnet("192.0.2.0/24")],
        "resolver": ["2001:db8::53", "192.0.2.53"],
    }))?;
    let rule = |direction: &str, protocol: &str, peer: Option<&str>| {
        json!({"direction": direction, "protocol": protocol, "range": [22, 22], "ipv6": true,
               "peer": peer.map(|prefix| json!({"prefix": prefix}))})
    };
    let port: Port = serde_json::from_value(json!({
        "id": id, "network": id, "mac": "fa:16:3e:00:00:01", "enabled": true, "port_security": true,
        "addresses": ["2001:db8::1", "192.0.2.1"], "allowed_prefixes": [], "server": null,
        "rules": [rule("ingress", "tcp", Some("2001:db8:1::/48")), rule("egress", "udp", None)],
    }))?;
    let scene = Scene {
        network: &network,
        ports: vec![(&port, 1)],
        legs: Vec::new(),
        groups: &Default::default(),
        members: &Default::default(),
    };
    Ok(Tables::of(&scene).render())
}

/// The tables of a router that translates both families.
fn router_tables() -> io::Result<String> {
    let id = uuid::Uuid::nil();
    let router: Router = serde_json::from_value(json!({
        "id": id, "enabled": true, "routes": [], "default_nexthops": [], "snat": true,
        "ports": [{"id": id, "network": id, "mac": "fa:16:3e:00:00:02", "external": true,
                   "addresses": ["2001:db8:ffff::2/64", "198.51.100.2/24"]}],
        "floating_ips": [{"id": id, "floating": "198.51.100.9", "fixed": "192.0.2.1"},
                         {"id": id, "floating": "2001:db8:ffff::9", "fixed": "2001:db8::1"}],
    }))?;
    Ok(Tables::of_router(&router).render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_what_guests_need() {
        let network = network_tables().unwrap();
        for part in ["table bridge hextet", "table inet hextet", "dport 22"] {
            assert!(network.contains(part), "{part}: {network}");
        }
        let router = router_tables().unwrap();
        for part in ["table ip hextet", "table ip6 hextet", "198.51.100.9"] {
            assert!(router.contains(part), "{part}: {router}");
        }
    }
}
