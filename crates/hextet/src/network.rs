//! `hextet manage network create`: a physical network with all that leads to it, in one line.

use std::fs;
use std::net::IpAddr;

use cloud::{NewNetwork, NewSubnet};
use ipnet::IpNet;
use linux::netlink::Netlink;
use linux::netns::Netns;
use model::{Lifetimes, NetworkId, RaMode};
use toml_edit::{DocumentMut, Item, Table, value};

use crate::Failure;
use crate::cli::CreateNetwork;
use crate::config::{Places, load};
use crate::files::{Readers, directory, write};
use crate::up::{lock_within, open};

/// Makes the bridge, then the settings, then the network: each may be there already, so that what
/// broke off is done again.
///
/// # Errors
/// When `hextet up` runs, or something cannot be so; then there is no network.
pub(crate) fn create(places: &Places, wish: &CreateNetwork) -> Result<(), Failure> {
    let config = load(places)?;
    if config.node.fakes()?.is_some() {
        return Err(
            "nodes that are made up have no bridges: physical networks need a real one".into(),
        );
    }
    let subnets = subnets(wish)?;
    directory(&places.run, Readers::Owner)?;
    // A node reads its settings when it starts.
    let _lock = lock_within(places, std::time::Duration::ZERO).map_err(|e| {
        format!("{e}. Stop `hextet up` (guests go on), run this again, and start it")
    })?;
    let base = match &config.node.netns {
        Some(name) => Netns::open(name)?,
        None => Netns::current()?,
    };
    match &wish.bridge_interface {
        Some(interface) => {
            let bridges = [(wish.bridge.clone(), interface.clone())].into();
            node::bridge::ensure(&base, &bridges)?;
        }
        None if Netlink::open(&base)?.link(&wish.bridge)?.is_none() => {
            return Err(format!(
                "there is no bridge {}: make it, or say which interface it is to hold (--bridge_interface)",
                wish.bridge
            )
            .into());
        }
        None => {}
    }
    let text = fs::read_to_string(places.config())?;
    let text = with_bridge(&text, wish)?;
    write(&places.config(), text.as_bytes(), Readers::All)?;
    let network = open(places, &config)?.create_physical_network(
        &NewNetwork {
            project: wish.project_id.clone().map(Into::into),
            name: wish.label.clone(),
            shared: true,
            external: true,
            physical_network: Some(wish.label.clone()),
            network_type: Some(if wish.vlan.is_some() { "vlan" } else { "flat" }.into()),
            segmentation_id: wish.vlan,
            ..NewNetwork::default()
        },
        &subnets,
    )?;
    println!("{}", network.id);
    eprintln!(
        "hextet: network {} is made; `hextet --root {} up` serves it on bridge {}",
        wish.label,
        places.root.display(),
        wish.bridge
    );
    Ok(())
}

/// The subnets that the prefixes ask for. An outside router speaks for the IPv6 one.
fn subnets(wish: &CreateNetwork) -> Result<Vec<NewSubnet>, Failure> {
    let v6 = wish
        .fixed_range_v6
        .map(|net| (IpNet::V6(net), wish.gateway_v6.map(IpAddr::V6)));
    let v4 = wish
        .fixed_range_v4
        .map(|net| (IpNet::V4(net), wish.gateway.map(IpAddr::V4)));
    if v6.is_none() && v4.is_none() {
        return Err("give --fixed_range_v6 CIDR, or --fixed_range_v4 CIDR, or both".into());
    }
    let servers: Vec<IpAddr> = wish.dns1.into_iter().chain(wish.dns2).collect();
    let one = |(prefix, gateway): (IpNet, Option<IpAddr>)| {
        let ipv6 = prefix.addr().is_ipv6();
        NewSubnet {
            network: NetworkId::random(), // the network's own is filled in
            project: wish.project_id.clone().map(Into::into),
            name: format!("{}{}", wish.label, if ipv6 { "6" } else { "4" }),
            description: String::new(),
            prefix: Some(prefix),
            pool: None,
            gateway: gateway.map(Some),
            enable_dhcp: true,
            ra_mode: None,
            address_mode: (ipv6 && prefix.prefix_len() == 64).then_some(RaMode::Slaac),
            lifetimes: Lifetimes::default(),
            pref64: None,
            pools: None,
            dns_nameservers: servers
                .iter()
                .copied()
                .filter(|s| s.is_ipv6() == ipv6)
                .collect(),
            host_routes: Vec::new(),
            tags: Vec::new(),
        }
    };
    Ok(v6.into_iter().chain(v4).map(one).collect())
}

/// The settings with the bridge in them, and everything else as its owner wrote it.
fn with_bridge(text: &str, wish: &CreateNetwork) -> Result<String, Failure> {
    let mut settings: DocumentMut = text.parse()?;
    let node = table(settings.as_table_mut(), "node")?;
    set(table(node, "physical_networks")?, &wish.label, &wish.bridge)?;
    if let Some(interface) = &wish.bridge_interface {
        set(table(node, "bridges")?, &wish.bridge, interface)?;
    }
    Ok(settings.to_string())
}

fn table<'a>(within: &'a mut Table, name: &str) -> Result<&'a mut Table, Failure> {
    let item = within.entry(name).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let found = item.as_table_mut();
    found.ok_or_else(|| format!("[node]: {name} must be a table of its own in the settings").into())
}

fn set(table: &mut Table, name: &str, wanted: &str) -> Result<(), Failure> {
    match table.get(name).and_then(Item::as_str) {
        Some(there) if there != wanted => Err(format!(
            "the settings have {name} = \"{there}\" already: correct them, or say {there}"
        )
        .into()),
        _ => {
            table.insert(name, value(wanted));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> CreateNetwork {
        CreateNetwork {
            label: "public".into(),
            fixed_range_v6: Some("2001:db8:300::/64".parse().unwrap()),
            fixed_range_v4: None,
            bridge: "br300".into(),
            bridge_interface: Some("eth1".into()),
            vlan: None,
            gateway_v6: None,
            gateway: None,
            dns1: Some("2001:db8::53".parse().unwrap()),
            dns2: Some("192.0.2.53".parse().unwrap()),
            multi_host: "T".into(),
            project_id: None,
        }
    }

    #[test]
    fn settings_stay_as_their_owner_wrote_them() {
        let before = "# mine\nurl = \"https://[::1]:8443\"\n\n[node.physical_networks]\nother = \"br0\" # old\n";
        let after = with_bridge(before, &wish()).unwrap();
        assert_eq!(
            after,
            "# mine\nurl = \"https://[::1]:8443\"\n\n[node.physical_networks]\nother = \"br0\" # old\npublic = \"br300\"\n\n[node.bridges]\nbr300 = \"eth1\"\n"
        );
        assert_eq!(
            with_bridge(&after, &wish()).unwrap(),
            after,
            "may be repeated"
        );
        let mut another = wish();
        another.bridge = "br1".into();
        assert!(
            with_bridge(&after, &another)
                .unwrap_err()
                .to_string()
                .contains("br300")
        );
        assert!(with_bridge("", &wish()).unwrap().contains("br300"));
    }

    #[test]
    fn each_prefix_has_a_subnet_with_the_servers_of_its_family() {
        let mut wish = wish();
        let [v6] = &subnets(&wish).unwrap()[..] else {
            panic!()
        };
        assert_eq!((v6.name.as_str(), v6.dns_nameservers.len()), ("public6", 1));
        assert_eq!((v6.ra_mode, v6.address_mode), (None, Some(RaMode::Slaac)));
        wish.fixed_range_v4 = Some("192.0.2.0/24".parse().unwrap());
        let both = subnets(&wish).unwrap();
        assert_eq!(
            (both[1].name.as_str(), both[1].address_mode),
            ("public4", None)
        );
        (wish.fixed_range_v4, wish.fixed_range_v6) = (None, None);
        assert!(subnets(&wish).is_err());
    }
}
