//! Where ports are, and lists of ports by parts of their addresses.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::shape;
use crate::world::{id, network, server, subnet};

const PORTS: &str = "/network/v2.0/ports";

async fn host(client: &Client, port: &str) -> Value {
    let port = client.get(&format!("{PORTS}/{port}")).await.expect(200);
    port["port"]["binding:host_id"].clone()
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    let list = client.get(&format!("{PORTS}?{query}")).await.expect(200);
    let ports = list["ports"].as_array().unwrap();
    let mut ids: Vec<String> = ports
        .iter()
        .map(|p| p["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn an_administrator_says_what_host_a_port_is_for() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let body = json!({"port": {"network_id": net, "binding:host_id": "n7"}});
    shape::error(&member.post(PORTS, body.clone()).await, 403, "a host");
    let port = id(&admin.post(PORTS, body).await.expect(201));
    assert_eq!(host(&admin, &port).await, "n7");
    assert_eq!(
        listed(&admin, "binding:host_id=n7").await,
        std::slice::from_ref(&port)
    );
    assert!(listed(&admin, "binding:host_id=n8").await.is_empty());
    let path = format!("{PORTS}/{port}");
    let change = json!({"port": {"binding:host_id": ""}});
    admin.put(&path, change).await.expect(200);
    assert_eq!(host(&admin, &port).await, "");
    let change = json!({"port": {"binding:host_id": "x".repeat(256)}});
    shape::error(&admin.put(&path, change).await, 400, "a long host");
}

#[tokio::test]
async fn a_bound_port_is_on_its_servers_node_whatever_was_said() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let bound = listed(&member, &format!("device_id={server}")).await;
    let change = json!({"port": {"binding:host_id": "elsewhere"}});
    admin
        .put(&format!("{PORTS}/{}", bound[0]), change)
        .await
        .expect(200);
    assert_eq!(host(&admin, &bound[0]).await, "n1");
    assert_eq!(listed(&admin, "binding:host_id=n1").await, bound);
    // It is not told to projects, neither shown nor by a filter.
    assert_eq!(host(&member, &bound[0]).await, Value::Null);
    let all = listed(&member, "").await;
    assert_eq!(listed(&member, "binding:host_id=n8").await, all);
}

#[tokio::test]
async fn ports_are_found_by_a_part_of_their_address() {
    let cloud = TestCloud::start().await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    subnet(&member, &net, json!({"cidr": "192.0.2.0/24"})).await;
    let port = async |v4: &str, v6: &str| {
        let body = json!({"port": {
            "network_id": net, "fixed_ips": [{"ip_address": v4}, {"ip_address": v6}],
        }});
        id(&member.post(PORTS, body).await.expect(201))
    };
    let first = port("192.0.2.11", "2001:db8:1::abc").await;
    let second = port("192.0.2.12", "2001:db8:1::abd").await;
    let by = async |client: &Client, part: &str| {
        listed(client, &format!("fixed_ips=ip_address_substr%3D{part}")).await
    };
    assert_eq!(by(&member, ".0.2.11").await, std::slice::from_ref(&first));
    assert_eq!(by(&member, "::abd").await, std::slice::from_ref(&second));
    let mut both = vec![first, second];
    both.sort();
    assert_eq!(by(&member, "::ab").await, both);
    assert!(by(&member, "198.51").await.is_empty());
    assert!(by(&stranger, "::ab").await.is_empty());
}
