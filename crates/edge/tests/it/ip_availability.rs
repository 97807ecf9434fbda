//! How many addresses networks have, and how many are held.

use serde_json::{Value, json};
use testkit::{Client, Person, TestCloud};

use crate::shape;
use crate::world::{id, subnet};

const PATH: &str = "/network/v2.0/network-ip-availabilities";

async fn network(client: &Client, name: &str) -> String {
    let body = json!({"network": {"name": name}});
    let made = client.post("/network/v2.0/networks", body).await;
    id(&made.expect(201))
}

async fn of(admin: &Client, network: &str) -> Value {
    let shown = admin.get(&format!("{PATH}/{network}")).await.expect(200);
    shown["network_ip_availability"].clone()
}

async fn listed(admin: &Client, query: &str) -> Vec<Value> {
    let list = admin.get(&format!("{PATH}{query}")).await.expect(200);
    list["network_ip_availabilities"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn addresses_are_counted_by_subnet_and_network() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let net = network(&member, "n").await;
    let empty = of(&admin, &net).await;
    assert_eq!(
        (&empty["total_ips"], &empty["used_ips"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(empty["subnet_ip_availability"], json!([]));
    let quiet = |cidr: &str| json!({"cidr": cidr, "enable_dhcp": false});
    let six = subnet(&member, &net, quiet("2001:db8:1::/64")).await;
    let four = subnet(&member, &net, quiet("192.0.2.0/24")).await;
    let port = json!({"port": {"network_id": net}});
    let port = id(&member.post("/network/v2.0/ports", port).await.expect(201));
    let now = of(&admin, &net).await;
    let (v6, v4) = ((1_u128 << 64) - 2, 253);
    let part = |id: &str| {
        let parts = now["subnet_ip_availability"].as_array().unwrap().iter();
        parts.clone().find(|s| s["subnet_id"] == id).unwrap()
    };
    assert_eq!(part(&six)["total_ips"].to_string(), v6.to_string());
    assert_eq!(part(&six)["ip_version"], 6);
    assert_eq!(part(&four)["total_ips"], v4);
    assert_eq!(part(&four)["cidr"], "192.0.2.0/24");
    assert_eq!(
        (&part(&six)["used_ips"], &part(&four)["used_ips"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(now["used_ips"], 2);
    let path = format!("/network/v2.0/ports/{port}");
    member.delete(&path).await.expect(204);
    assert_eq!(of(&admin, &net).await["used_ips"], 0);
}

/// More than 64 bits, and all of them digits.
#[tokio::test]
async fn large_numbers_are_exact() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let net = network(&member, "n").await;
    let body = json!({"cidr": "2001:db8::/40", "enable_dhcp": false, "gateway_ip": null});
    subnet(&member, &net, body).await;
    let answer = admin.get(&format!("{PATH}/{net}")).await;
    let text = String::from_utf8_lossy(&answer.body);
    let exact = format!("\"total_ips\":{}", (1_u128 << 88) - 1);
    assert_eq!(text.matches(&exact).count(), 2, "{exact} in {text}");
}

#[tokio::test]
async fn lists_are_filtered() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (a, b) = (network(&member, "a").await, network(&admin, "b").await);
    subnet(&member, &a, json!({"cidr": "2001:db8:1::/64"})).await;
    subnet(&member, &a, json!({"cidr": "192.0.2.0/24"})).await;
    let project = cloud.project_id(Person::Member);
    for (query, expected) in [
        ("", vec!["a", "b"]),
        ("&ip_version=6", vec!["a"]),
        ("&ip_version=4", vec!["a"]),
        ("&ip_version=5", vec![]),
        ("&network_name=b", vec!["b"]),
        (&format!("&network_id={b}"), vec!["b"]),
        (&format!("&project_id={project}"), vec!["a"]),
        (&format!("&tenant_id={project}"), vec!["a"]),
    ] {
        let found = listed(&admin, &format!("?sort_key=network_name{query}")).await;
        let names: Vec<_> = found
            .iter()
            .map(|n| n["network_name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    let six = &listed(&admin, "?ip_version=6").await[0];
    let parts = six["subnet_ip_availability"].as_array().unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(six["total_ips"], parts[0]["total_ips"]);
    let fields = &listed(&admin, "?fields=network_id&fields=used_ips").await[0];
    assert_eq!(fields.as_object().unwrap().len(), 2);
    let page = admin
        .get(&format!("{PATH}?limit=1&sort_key=network_name"))
        .await;
    let page = page.expect(200);
    let next = page["network_ip_availabilities_links"][0]["href"]
        .as_str()
        .unwrap();
    let next = &next[next.find("/network/").unwrap()..];
    let next = admin.get(next).await.expect(200);
    assert_eq!(next["network_ip_availabilities"][0]["network_id"], b);
    shape::error(
        &admin.get(&format!("{PATH}?sort_key=used_ips")).await,
        400,
        "no column",
    );
}

/// It tells of all projects' ports.
#[tokio::test]
async fn only_administrators_look() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let net = network(&member, "n").await;
    assert!(listed(&member, "").await.is_empty());
    shape::error(
        &member.get(&format!("{PATH}/{net}")).await,
        404,
        "no administrator",
    );
}
