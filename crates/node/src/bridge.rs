//! Bridges that the node's settings have it make: each holds an interface that leads to a physical
//! network.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use linux::netlink::{Link, Netlink};
use linux::netns::Netns;
use linux::sysctl;

/// Makes each bridge of `bridges` (with its interface) in `base`, and puts the interface into it. May
/// be repeated. A bridge that is there already keeps what else it holds.
///
/// # Errors
/// A sentence that says which interface cannot be used and why: one with addresses would lose its
/// host the way out.
pub fn ensure(base: &Netns, bridges: &BTreeMap<String, String>) -> io::Result<()> {
    if bridges.is_empty() {
        return Ok(());
    }
    let mut netlink = Netlink::open(base)?;
    for (bridge, interface) in bridges {
        let link = usable(&mut netlink, bridge, interface)?;
        if netlink.link(bridge)?.is_none() {
            let mac = link.mac.ok_or_else(|| {
                refused(format!("interface {interface} is no Ethernet interface"))
            })?;
            netlink.ensure_bridge(bridge, mac)?;
            // The host itself is nobody on it, until somebody says otherwise.
            sysctl::set(base, &format!("net/ipv6/conf/{bridge}/accept_ra"), "0")?;
            sysctl::set(base, &format!("net/ipv6/conf/{bridge}/addr_gen_mode"), "1")?;
        }
        netlink.set_master(interface, Some(bridge))?;
        netlink.set_up(interface)?;
        netlink.set_up(bridge)?;
    }
    Ok(())
}

/// The bridges that could not be made of their interfaces, each with why; changes nothing.
///
/// # Errors
/// When the namespace cannot be looked at.
pub fn look(
    base: &Netns,
    bridges: &BTreeMap<String, String>,
) -> io::Result<Vec<(String, io::Error)>> {
    let mut netlink = Netlink::open(base)?;
    let pairs = bridges.iter();
    let wrong = pairs.filter_map(|(bridge, interface)| {
        let error = usable(&mut netlink, bridge, interface).err()?;
        Some((bridge.clone(), error))
    });
    Ok(wrong.collect())
}

/// The interface, when the bridge may have it.
fn usable(netlink: &mut Netlink, bridge: &str, interface: &str) -> io::Result<Link> {
    let link = netlink.link(interface)?.ok_or_else(|| {
        refused(format!(
            "there is no interface {interface} for bridge {bridge}: correct [node.bridges]"
        ))
    })?;
    let addresses = netlink.addresses(interface)?;
    let addresses: Vec<IpAddr> = addresses.iter().map(|net| net.addr()).collect();
    check(bridge, &link, &addresses)?;
    Ok(link)
}

fn check(bridge: &str, link: &Link, addresses: &[IpAddr]) -> io::Result<()> {
    let interface = &link.name;
    match &link.master {
        Some(master) if master == bridge => return Ok(()),
        Some(master) => {
            return Err(refused(format!(
                "interface {interface} is in bridge {master} already: take it out (`ip link set {interface} nomaster`) before it can be in {bridge}"
            )));
        }
        None => {}
    }
    let own = |address: &&IpAddr| match address {
        IpAddr::V6(address) => !address.is_unicast_link_local(),
        IpAddr::V4(_) => true,
    };
    match addresses.iter().find(own) {
        None => Ok(()),
        Some(address) => Err(refused(format!(
            "interface {interface} has the address {address}, which would reach this host no more once the interface is in bridge {bridge}: make the bridge yourself, move the addresses to it, and leave --bridge_interface out"
        ))),
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use linux::netlink::LinkKind;

    use super::*;

    fn link(master: Option<&str>) -> Link {
        Link {
            index: 3,
            name: "eth1".into(),
            kind: LinkKind::Veth,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            master: master.map(Into::into),
            alias: None,
        }
    }

    #[test]
    fn a_host_is_not_cut_off() {
        let said = |master, addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            check("br300", &link(master), &addresses)
                .err()
                .map(|e| e.to_string())
        };
        assert_eq!(said(None, &["fe80::1"]), None);
        assert_eq!(said(Some("br300"), &["2001:db8::1"]), None);
        assert!(
            said(None, &["fe80::1", "2001:db8::1"])
                .unwrap()
                .contains("2001:db8::1")
        );
        assert!(said(None, &["192.0.2.1"]).unwrap().contains("192.0.2.1"));
        assert!(said(Some("br0"), &[]).unwrap().contains("br0"));
    }
}
