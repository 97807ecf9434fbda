//! What a guest's metadata is made of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lan::Instance;
use model::{Network, NetworkId, Port, PortId, Router, Server};

use crate::Wanted;

/// Each server's instance, by its ports' networks and marks.
pub(super) fn instances(
    wanted: &Wanted,
    marks: &BTreeMap<PortId, u32>,
) -> BTreeMap<(NetworkId, u32), Arc<Instance>> {
    let mut found = BTreeMap::new();
    for server in wanted.servers.values() {
        let instance = Arc::new(instance(wanted, server));
        for (port, _) in &instance.ports {
            if let Some(mark) = marks.get(&port.id) {
                found.insert((port.network, *mark), instance.clone());
            }
        }
    }
    found
}

/// What a server's metadata is made of.
pub(crate) fn instance(wanted: &Wanted, server: &Server) -> Instance {
    let ports = server.ports.iter().filter_map(|id| {
        let port = wanted.ports.get(id)?;
        Some((port.clone(), wanted.networks.get(&port.network)?.clone()))
    });
    let ports: Vec<_> = ports.collect();
    Instance {
        server: server.clone(),
        floating: floating(wanted, &ports),
        ports,
    }
}

/// The floating addresses of IPv4 that routers translate to these ports.
fn floating(wanted: &Wanted, ports: &[(Port, Network)]) -> Vec<Ipv4Addr> {
    let has = |port: &Port, router: &Router, fixed: IpAddr| {
        let mut legs = router.ports.iter().filter(|leg| !leg.external);
        port.addresses.contains(&fixed) && legs.any(|leg| leg.network == port.network)
    };
    let routers = wanted.routers.values();
    let all = routers.flat_map(|r| r.floating_ips.iter().map(move |ip| (r, ip)));
    all.filter(|(router, ip)| ports.iter().any(|(port, _)| has(port, router, ip.fixed)))
        .filter_map(|(_, ip)| ipv4(ip.floating))
        .collect()
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
