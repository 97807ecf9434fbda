//! What guests on ports are heard to use and ask.

use std::net::{IpAddr, Ipv6Addr};

use model::{AddressHeard, PortHeard, Seen};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{id, network, server};

const PORTS: &str = "/network/v2.0/ports";
/// 2026-01-01T00:00:00Z
const NEW_YEAR_MS: i64 = 1_767_225_600_000;

struct Scene {
    cloud: TestCloud,
    node: FakeNode,
    member: Client,
    net: String,
    server: String,
    /// The user's own, on the server.
    port: String,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let body = json!({"port": {"network_id": net}});
    let port = id(&member.post(PORTS, body).await.expect(201));
    let body = json!({"interfaceAttachment": {"port_id": port}});
    let path = format!("/compute/v2.1/servers/{server}/os-interface");
    member.post(&path, body).await.expect(200);
    Scene {
        cloud,
        node,
        member,
        net,
        server,
        port,
    }
}

impl Scene {
    async fn hears(&self, node: &FakeNode, heard: &PortHeard) {
        let port = self.port.parse().unwrap();
        node.sees(vec![Seen::PortHeard(port, heard.clone())]).await;
    }

    async fn observed(&self) -> Value {
        let port = self.member.get(&format!("{PORTS}/{}", self.port)).await;
        let port = port.expect(200)["port"].clone();
        let names = [
            "observed_addresses",
            "dad_failures",
            "last_rs",
            "last_ra",
            "last_dhcp",
        ];
        names.iter().map(|name| port[name].clone()).collect()
    }
}

fn address(text: &str, seconds: i64) -> AddressHeard {
    AddressHeard {
        address: text.parse().unwrap(),
        last_ms: NEW_YEAR_MS + seconds * 1000,
    }
}

fn heard() -> PortHeard {
    PortHeard {
        addresses: vec![address("192.0.2.5", 1), address("2001:db8:1::77", 61)],
        dad_failures: vec![address("2001:db8:1::b", 2)],
        last_rs_ms: Some(NEW_YEAR_MS),
        last_ra_ms: Some(NEW_YEAR_MS + 5000),
        last_dhcp_ms: None,
    }
}

#[tokio::test]
async fn a_port_shows_what_its_guest_uses_and_asks() {
    let s = scene().await;
    let nothing = json!([[], [], null, null, null]);
    assert_eq!(s.observed().await, nothing);
    s.hears(&s.node, &heard()).await;
    let all = json!([
        [{"ip_address": "192.0.2.5", "last_seen": "2026-01-01T00:00:01Z"},
         {"ip_address": "2001:db8:1::77", "last_seen": "2026-01-01T00:01:01Z"}],
        [{"ip_address": "2001:db8:1::b", "last_seen": "2026-01-01T00:00:02Z"}],
        "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z", null
    ]);
    assert_eq!(s.observed().await, all);
    let list = s.member.get(&format!("{PORTS}?network_id={}", s.net)).await;
    let list = list.expect(200)["ports"].clone();
    let shown = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["last_rs"] != Value::Null);
    assert_eq!(shown.count(), 1);

    // The port itself did not change, and what is said again changes nothing at all.
    let (version, before) = (s.cloud.cloud.version(), s.cloud.dump());
    s.hears(&s.node, &heard()).await;
    assert_eq!(s.cloud.cloud.version(), version);
    testkit::assert_same(&before, &s.cloud.dump(), "said again");

    // A node that was started anew has forgotten when; addresses are those of now.
    s.hears(&s.node, &PortHeard::default()).await;
    let times = json!([[], [], "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z", null]);
    assert_eq!(s.observed().await, times);

    // Nobody writes it but the node that has the port.
    let other = s.cloud.node("n2").await;
    s.hears(&other, &heard()).await;
    assert_eq!(s.observed().await, times);
    for field in [
        "observed_addresses",
        "dad_failures",
        "last_rs",
        "last_ra",
        "last_dhcp",
    ] {
        let body = json!({"port": {field: null}});
        let path = format!("{PORTS}/{}", s.port);
        shape::error(&s.member.put(&path, body).await, 400, field);
    }

    // A port that leaves its guest is heard of no more.
    s.hears(&s.node, &heard()).await;
    let path = format!("/compute/v2.1/servers/{}/os-interface/{}", s.server, s.port);
    s.member.delete(&path).await.expect(202);
    assert_eq!(s.observed().await, all);
    s.node.port_gone(&s.port).await;
    assert_eq!(s.observed().await, nothing);
    s.hears(&s.node, &heard()).await;
    assert_eq!(s.observed().await, nothing);
}

#[tokio::test]
async fn what_a_node_tells_of_a_port_is_bounded() {
    let s = scene().await;
    let all = (0..1000).map(|n| AddressHeard {
        address: IpAddr::V6(Ipv6Addr::from_bits(n)),
        last_ms: NEW_YEAR_MS,
    });
    let heard = PortHeard {
        addresses: all.clone().collect(),
        dad_failures: all.collect(),
        ..PortHeard::default()
    };
    s.hears(&s.node, &heard).await;
    let observed = s.observed().await;
    for place in 0..2 {
        assert_eq!(observed[place].as_array().unwrap().len(), PortHeard::MAX);
    }
    let path = format!("{PORTS}/{}", s.port);
    s.member.delete(&path).await.expect(204);
    s.hears(&s.node, &heard).await;
    s.member.get(&path).await.expect(404);
}

#[tokio::test]
async fn clients_find_it_among_the_extensions() {
    let s = TestCloud::start().await;
    let path = "/network/v2.0/extensions/hextet-port-observed";
    let found = s.member().await.get(path).await.expect(200);
    assert_eq!(found["extension"]["alias"], "hextet-port-observed");
}
