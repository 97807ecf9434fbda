//! Nodes whose guests are made up, for those who need an OpenStack and no machines.

use cloud::Cloud;
use node::fake::{self, FakeAgent, FakeSettings};

use super::{LINK_BUFFER, broken, node_id};
use crate::Failure;
use crate::config::{Config, Places};

/// Starts them all, each with its own link.
pub(super) fn start(
    places: &Places,
    config: &Config,
    count: u16,
    cloud: &Cloud,
) -> Result<(), Failure> {
    let host = node_id(places)?;
    tracing::warn!(count, "guests are made up: [node] hypervisor is \"fake\"");
    for number in 1..=count {
        let settings = FakeSettings {
            id: fake::id(host, number),
            name: format!("{}-{number}", config.node.name.as_deref().unwrap_or("fake")),
            dir: places.fake_node(number),
            physical_networks: config.node.physical_networks.keys().cloned().collect(),
        };
        tokio::spawn(link(cloud.clone(), FakeAgent::open(settings)?));
    }
    Ok(())
}

async fn link(cloud: Cloud, mut agent: FakeAgent) {
    loop {
        let (here, there) = tokio::io::duplex(LINK_BUFFER);
        let (served, connected) = tokio::join!(cloud.serve_node(here), agent.connect(there));
        broken(served.err().or(connected.err())).await;
    }
}
