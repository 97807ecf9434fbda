//! What rules name, as nodes hear it: the members of a security group, and address groups.

use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{id, network};

const GROUPS: &str = "/network/v2.0/address-groups";
const RULES: &str = "/network/v2.0/security-group-rules";

struct Scene {
    _cloud: TestCloud,
    node: FakeNode,
    member: Client,
    network: String,
    group: String,
}

/// A group of no ports.
async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (network, _) = network(&member, "net", "2001:db8:1::/64").await;
    let body = json!({"security_group": {"name": "friends"}});
    let made = member.post("/network/v2.0/security-groups", body).await;
    let group = id(&made.expect(201));
    Scene {
        _cloud: cloud,
        node,
        member,
        network,
        group,
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
        let all = self.node.members(&self.group).await;
        all.iter().map(ToString::to_string).collect()
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
    // What it may have beside its own, too: but no whole prefix.
    let pairs = json!([{"ip_address": "2001:db8:1::ffff"}, {"ip_address": "2001:db8:9::/64"}]);
    change(json!({"allowed_address_pairs": pairs})).await;
    let both = ["2001:db8:1::c", "2001:db8:1::ffff"];
    assert_eq!(s.members().await, both);
    change(json!({"allowed_address_pairs": []})).await;
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
async fn what_is_told_of_a_new_member_does_not_grow_with_its_group() {
    let s = scene().await;
    let mut told = Vec::new();
    for n in 0x10..0x50 {
        let before = s.node.picture().octets;
        s.port(&format!("2001:db8:1::{n:x}")).await;
        s.node.catch_up().await;
        told.push(s.node.picture().octets - before);
    }
    assert_eq!(told[1], told[63], "{told:?}");
}

/// An address group of these.
async fn of(client: &Client, addresses: Value) -> String {
    let body = json!({"address_group": {"name": "partners", "addresses": addresses}});
    id(&client.post(GROUPS, body).await.expect(201))
}

/// A group that a rule names, by its path.
async fn named(s: &Scene, addresses: Value) -> (String, String, String) {
    let group = of(&s.member, addresses).await;
    let body = json!({"security_group_rule": {
        "security_group_id": s.group, "direction": "ingress", "ethertype": "IPv6",
        "remote_address_group_id": group,
    }});
    let rule = s.member.post(RULES, body).await.expect(201);
    assert_eq!(
        rule["security_group_rule"]["remote_address_group_id"],
        json!(group)
    );
    (format!("{GROUPS}/{group}"), group, id(&rule))
}

impl Scene {
    async fn prefixes(&self, group: &str) -> Vec<String> {
        let group = self.node.wanted_group(group).await.unwrap();
        group.prefixes.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn nodes_hear_of_an_address_group_while_a_rule_names_it() {
    let s = scene().await;
    let lone = of(&s.member, json!(["2001:db8:7::/48"])).await;
    assert!(s.node.wanted_group(&lone).await.is_none());
    let parts = json!(["2001:db8:7::/49", "2001:db8:7:8000::/49", "192.0.2.1/32"]);
    let (path, group, rule) = named(&s, parts).await;
    // What lies side by side is one.
    let told = s.prefixes(&group).await;
    assert_eq!(told, ["192.0.2.1/32", "2001:db8:7::/48"]);
    let change = async |what: &str, addresses: Value| {
        let path = format!("{path}/{what}");
        let answer = s.member.put(&path, json!({"addresses": addresses}));
        answer.await.expect(200)["address_group"]["addresses"].clone()
    };
    let all = change("add_addresses", json!(["2001:db8:9::9", "192.0.2.1/31"])).await;
    let expected = json!([
        "192.0.2.0/31",
        "192.0.2.1/32",
        "2001:db8:7::/49",
        "2001:db8:7:8000::/49",
        "2001:db8:9::9/128"
    ]);
    assert_eq!(all, expected);
    assert_eq!(
        s.prefixes(&group).await,
        ["192.0.2.0/31", "2001:db8:7::/48", "2001:db8:9::9/128"]
    );
    let gone = json!(["2001:db8:7::7/49", "192.0.2.0/31"]);
    change("remove_addresses", gone).await;
    assert_eq!(
        s.prefixes(&group).await,
        ["192.0.2.1/32", "2001:db8:7:8000::/49", "2001:db8:9::9/128"]
    );
    shape::error(&s.member.delete(&path).await, 409, "a rule names it");
    let rule = format!("{RULES}/{rule}");
    s.member.delete(&rule).await.expect(204);
    assert!(s.node.wanted_group(&group).await.is_none());
    s.member.delete(&path).await.expect(204);
    shape::error(&s.member.get(&path).await, 404, "gone");
}

#[tokio::test]
async fn a_node_that_connects_hears_of_all_groups_that_rules_name() {
    let s = scene().await;
    let (_, group, _) = named(&s, json!(["2001:db8:7::/48"])).await;
    let lone = of(&s.member, json!(["2001:db8:7::/48"])).await;
    let late = s._cloud.node("n2").await;
    assert!(late.wanted_group(&group).await.is_some());
    assert!(late.wanted_group(&lone).await.is_none());
}

#[tokio::test]
async fn a_rule_is_the_same_when_it_names_the_same_group() {
    let s = scene().await;
    let (_, group, _) = named(&s, json!([])).await;
    let body = |remote: &str| {
        json!({"security_group_rule": {
            "security_group_id": s.group, "direction": "ingress", "ethertype": "IPv6",
            "remote_address_group_id": remote,
        }})
    };
    let answer = s.member.post(RULES, body(&group)).await;
    shape::error(&answer, 409, "the same rule");
    let other = of(&s.member, json!([])).await;
    s.member.post(RULES, body(&other)).await.expect(201);
    let path = format!("{RULES}?remote_address_group_id={other}");
    let list = s.member.get(&path).await.expect(200);
    assert_eq!(list["security_group_rules"].as_array().unwrap().len(), 1);
    // The compute API, which knows no such groups, does not call them everybody.
    let path = format!("/compute/v2.1/os-security-groups/{}", s.group);
    let view = s.member.get(&path).await.expect(200);
    assert_eq!(view["security_group"]["rules"][0]["ip_range"], json!({}));
}

#[tokio::test]
async fn addresses_that_are_none_are_refused() {
    let s = scene().await;
    let group = of(&s.member, json!(["192.0.2.0/24"])).await;
    let before = s._cloud.dump();
    let many: Vec<String> = (0..1025).map(|n| format!("2001:db8::{n:x}/128")).collect();
    let make = async |addresses: Value| {
        let body = json!({"address_group": {"addresses": addresses}});
        s.member.post(GROUPS, body).await
    };
    for wrong in [
        json!(["192.0.2.1"]),
        json!(["this is bad"]),
        json!(["192.0.2.0/33"]),
        json!(["::ffff:192.0.2.0/120"]),
        json!([7]),
        json!("192.0.2.0/24"),
        json!(many),
    ] {
        shape::error(&make(wrong).await, 400, "no address of a group");
    }
    for (what, addresses, status) in [
        ("add_addresses", json!(["this is bad"]), 400),
        ("add_addresses", json!(["192.0.2.7/24"]), 400),
        ("add_addresses", json!(many), 400),
        ("remove_addresses", json!(["this is bad"]), 400),
        ("remove_addresses", json!(["192.0.2.1"]), 404),
        ("remove_addresses", json!(["192.0.2.0/24", "::1"]), 404),
    ] {
        let path = format!("{GROUPS}/{group}/{what}");
        let answer = s.member.put(&path, json!({"addresses": addresses})).await;
        shape::error(&answer, status, "no such change");
    }
    let path = format!("{GROUPS}/{group}");
    let body = json!({"address_group": {"addresses": []}});
    shape::error(&s.member.put(&path, body).await, 400, "by its own request");
    testkit::assert_same(&before, &s._cloud.dump(), "refused requests");
    let full: Vec<String> = many.into_iter().skip(1).collect();
    make(json!(full)).await.expect(201);
}
