//! Properties of what ports are given: no address twice, and never one that no host can have.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;
use model::{Mac, NetworkId, PortId};
use proptest::prelude::*;
use store::{Json, Query, Store};

use super::*;
use crate::subnet::{NewSubnet, place};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_address_is_given_once_and_only_to_a_host(
        v4 in 26_u8..=30,
        v6 in 122_u8..=126,
        gateway in 0_u8..4,
        steps in proptest::collection::vec((any::<bool>(), any::<u8>()), 1..80),
    ) {
        let store = Store::open(Path::new(":memory:")).unwrap();
        let cidrs = [format!("192.0.2.0/{v4}"), format!("2001:db8::/{v6}")];
        store.write(|tx| {
            let subnets = scene(tx, &cidrs, gateway)?;
            let mut ports: Vec<row::Port> = Vec::new();
            for (number, (take, which)) in steps.iter().enumerate() {
                if *take {
                    ports.extend(one_more(tx, &subnets, number)?);
                } else if !ports.is_empty() {
                    let gone = ports.remove(usize::from(*which) % ports.len());
                    tx.delete::<row::Port>(&gone.id)?;
                }
                check(tx, &subnets)?;
            }
            Ok(())
        }).unwrap();
    }
}

/// Subnets of one network, with the n-th of their addresses as their gateways; 0 for none.
fn scene(tx: &mut Tx<'_>, cidrs: &[String], gateway: u8) -> Result<Vec<row::Subnet>> {
    let network = row::Network {
        id: NetworkId::random(),
        project_id: "p".into(),
        name: String::new(),
        description: String::new(),
        enabled: true,
        external: false,
        mtu: 1500,
        network_type: "local".into(),
        physical_network: None,
        port_security: true,
        tags: Json(Vec::new()),
        revision: 1,
        created_ms: 0,
        updated_ms: 0,
        dns_domain: String::new(),
        retired: Json::default(),
        is_default: false,
        qos_policy_id: None,
        segmentation_id: None,
    };
    tx.insert(&network)?;
    let mut subnets = Vec::new();
    for cidr in cidrs {
        let prefix: IpNet = cidr.parse().unwrap();
        let wanted = ip_from_bits(ip_to_bits(prefix.network()) + u128::from(gateway));
        let new = NewSubnet {
            network: network.id,
            project: None,
            name: String::new(),
            description: String::new(),
            prefix: Some(prefix),
            pool: None,
            gateway: Some(Some(wanted).filter(|g| subnet::is_host(&prefix, *g))),
            enable_dhcp: true,
            ra_mode: None,
            address_mode: None,
            lifetimes: model::Lifetimes::default(),
            pref64: None,
            pools: None,
            dns_nameservers: Vec::new(),
            host_routes: Vec::new(),
            tags: Vec::new(),
        };
        let subnet = place(&network, &subnets, &new, prefix)?;
        tx.insert(&subnet)?;
        subnets.push(subnet);
    }
    Ok(subnets)
}

/// A port with an address of each subnet; none when one of them is used up.
fn one_more(tx: &mut Tx<'_>, subnets: &[row::Subnet], number: usize) -> Result<Option<row::Port>> {
    let port = row::Port {
        id: PortId::random(),
        network_id: subnets[0].network_id,
        project_id: "p".into(),
        name: String::new(),
        description: String::new(),
        enabled: true,
        mac: Mac([0xfa, 0x16, 0x3e, 0, 0, u8::try_from(number).unwrap()]),
        device_id: String::new(),
        device_owner: String::new(),
        device_index: 0,
        server_made: false,
        node_id: None,
        detaching: false,
        status: "DOWN".into(),
        port_security: true,
        allowed_address_pairs: Json(Vec::new()),
        tags: Json(Vec::new()),
        revision: 1,
        created_ms: 0,
        updated_ms: 0,
        dns_name: String::new(),
        dns_domain: String::new(),
        advertising: Json::default(),
        delegated: Json::default(),
        dhcp_options: Json::default(),
        host: String::new(),
        qos_policy_id: None,
    };
    tx.insert(&port)?;
    match allocate(tx, &port, subnets, None) {
        Ok(()) => Ok(Some(port)),
        Err(Error::NoAddress(_)) => {
            tx.delete::<row::Port>(&port.id)?;
            let used_up = |s: &row::Subnet| {
                let pools = s.pools.0.iter();
                let size: u128 = pools
                    .map(|(a, b)| ip_to_bits(*b) - ip_to_bits(*a) + 1)
                    .sum();
                tx.addresses_held(&s.id).unwrap().len() as u128 == size
            };
            assert!(subnets.iter().any(used_up), "an address was left");
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn check(tx: &Tx<'_>, subnets: &[row::Subnet]) -> Result<()> {
    let held: Vec<row::Allocation> = tx.list(&Query::all())?;
    let unique: BTreeSet<IpAddr> = held.iter().map(|a| a.address).collect();
    assert_eq!(unique.len(), held.len(), "an address was given twice");
    for one in held {
        let s = subnets.iter().find(|s| s.id == one.subnet_id).unwrap();
        assert!(
            subnet::is_host(&subnet::net(s), one.address),
            "{}",
            one.address
        );
        assert_ne!(Some(one.address), s.gateway, "the gateway's own");
    }
    Ok(())
}
