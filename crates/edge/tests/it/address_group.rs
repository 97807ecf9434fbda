//! Address groups: the members of a security group that a rule names, as nodes hear them.

use serde_json::json;
use testkit::{Client, FakeNode, TestCloud};

use crate::world::{id, network};

struct Scene {
    _cloud: TestCloud,
    node: FakeNode,
    member: Client,
    network: String,
    group: String,
    rule: String,
}

/// A group of no ports that a rule of another group names.
async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (network, _) = network(&member, "net", "2001:db8:1::/64").await;
    let group = async |name: &str| {
        let body = json!({"security_group": {"name": name}});
        id(&member
            .post("/network/v2.0/security-groups", body)
            .await
            .expect(201))
    };
    let (web, friends) = (group("web").await, group("friends").await);
    assert!(
        node.wanted_group(&friends).await.is_none(),
        "no rule names it yet"
    );
    let body = json!({"security_group_rule": {
        "security_group_id": web, "direction": "ingress", "remote_group_id": friends,
    }});
    let rule = id(&member
        .post("/network/v2.0/security-group-rules", body)
        .await
        .expect(201));
    Scene {
        _cloud: cloud,
        node,
        member,
        network,
        group: friends,
        rule,
    }
}

impl Scene {
    async fn port(&self, address: &str) -> String {
        let body = json!({"port": {
            "network_id": self.network, "security_groups": [self.group],
            "fixed_ips": [{"ip_address": address}],
        }});
        id(&self
            .member
            .post("/network/v2.0/ports", body)
            .await
            .expect(201))
    }

    async fn members(&self) -> Vec<String> {
        let group = self.node.wanted_group(&self.group).await.unwrap();
        let mut all: Vec<String> = group.addresses.iter().map(ToString::to_string).collect();
        all.sort();
        all
    }
}

#[tokio::test]
async fn members_come_and_go_with_their_ports() {
    let s = scene().await;
    assert!(s.members().await.is_empty());
    let first = s.port("2001:db8:1::a").await;
    let second = s.port("2001:db8:1::b").await;
    assert_eq!(s.members().await, ["2001:db8:1::a", "2001:db8:1::b"]);
    let path = format!("/network/v2.0/ports/{first}");
    let change = async |body| s.member.put(&path, json!({"port": body})).await.expect(200);
    change(json!({"fixed_ips": [{"ip_address": "2001:db8:1::c"}]})).await;
    assert_eq!(s.members().await, ["2001:db8:1::b", "2001:db8:1::c"]);
    change(json!({"security_groups": []})).await;
    assert_eq!(s.members().await, ["2001:db8:1::b"]);
    change(json!({"security_groups": [s.group]})).await;
    assert_eq!(s.members().await, ["2001:db8:1::b", "2001:db8:1::c"]);
    s.member
        .delete(&format!("/network/v2.0/ports/{second}"))
        .await
        .expect(204);
    assert_eq!(s.members().await, ["2001:db8:1::c"]);
}

#[tokio::test]
async fn a_subnet_that_goes_takes_its_addresses_out() {
    let s = scene().await;
    let slaac =
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let auto = crate::world::subnet(&s.member, &s.network, slaac).await;
    let body = json!({"port": {
        "network_id": s.network, "security_groups": [s.group], "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": auto}],
    }});
    s.member.post("/network/v2.0/ports", body).await.expect(201);
    assert_eq!(s.members().await, ["2001:db8:2:0:f816:3eff:fe00:1"]);
    s.member
        .delete(&format!("/network/v2.0/subnets/{auto}"))
        .await
        .expect(204);
    assert!(s.members().await.is_empty());
}

#[tokio::test]
async fn a_group_that_no_rule_names_any_more_is_not_told() {
    let s = scene().await;
    s.port("2001:db8:1::a").await;
    s.member
        .delete(&format!("/network/v2.0/security-group-rules/{}", s.rule))
        .await
        .expect(204);
    assert!(s.node.wanted_group(&s.group).await.is_none());
}
