//! Security groups: every change of a rule reaches the ports it concerns.

use model::{Direction, Peer, Protocol, Rule};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{id, network, server};

async fn group(client: &Client, name: &str) -> String {
    let body = json!({"security_group": {"name": name}});
    id(&client
        .post("/network/v2.0/security-groups", body)
        .await
        .expect(201))
}

async fn rule(client: &Client, group: &str, more: Value) -> String {
    let mut body = more;
    body["security_group_id"] = json!(group);
    body["direction"] = json!("ingress");
    let made = client
        .post(
            "/network/v2.0/security-group-rules",
            json!({"security_group_rule": body}),
        )
        .await;
    id(&made.expect(201))
}

async fn default_group(client: &Client) -> String {
    let list = client
        .get("/network/v2.0/security-groups?name=default")
        .await
        .expect(200);
    list["security_groups"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

struct Scene {
    _cloud: TestCloud,
    node: FakeNode,
    member: Client,
    port: String,
}

/// A running server with one port in the default group.
async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    let port = node.wanted_server(&server).await.unwrap().ports[0].to_string();
    Scene {
        _cloud: cloud,
        node,
        member,
        port,
    }
}

impl Scene {
    async fn ingress(&self) -> Vec<Rule> {
        let port = self.node.wanted_port(&self.port).await.unwrap();
        port.rules
            .into_iter()
            .filter(|r| r.direction == Direction::Ingress)
            .collect()
    }

    async fn set_groups(&self, groups: &[&String]) {
        let path = format!("/network/v2.0/ports/{}", self.port);
        self.member
            .put(&path, json!({"port": {"security_groups": groups}}))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_project_has_one_default_group() {
    let cloud = TestCloud::start().await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    let own = default_group(&member).await;
    assert_eq!(default_group(&member).await, own);
    assert_ne!(default_group(&stranger).await, own);
    let view = member
        .get(&format!("/network/v2.0/security-groups/{own}"))
        .await
        .expect(200);
    let rules = view["security_group"]["security_group_rules"]
        .as_array()
        .unwrap();
    let said = |direction: &str, ethertype: &str, remote: Value| {
        rules.iter().any(|r| {
            r["direction"] == direction
                && r["ethertype"] == ethertype
                && r["remote_group_id"] == remote
        })
    };
    for ethertype in ["IPv4", "IPv6"] {
        assert!(said("egress", ethertype, Value::Null));
        assert!(said("ingress", ethertype, json!(own)));
    }
    assert_eq!(rules.len(), 4);
    // A group of one's own lets out and nothing in.
    let other = group(&member, "web").await;
    let view = member
        .get(&format!("/network/v2.0/security-groups/{other}"))
        .await
        .expect(200);
    let rules = view["security_group"]["security_group_rules"]
        .as_array()
        .unwrap();
    assert!(rules.iter().all(|r| r["direction"] == "egress") && rules.len() == 2);
}

#[tokio::test]
async fn a_new_port_is_in_the_default_group() {
    let s = scene().await;
    let default = default_group(&s.member).await;
    let view = s
        .member
        .get(&format!("/network/v2.0/ports/{}", s.port))
        .await
        .expect(200);
    assert_eq!(view["port"]["security_groups"], json!([default]));
    let own = Some(Peer::Group(default.parse().unwrap()));
    assert!(s.ingress().await.iter().all(|r| r.peer == own));
    assert_eq!(s.ingress().await.len(), 2);
}

#[tokio::test]
async fn rules_reach_the_ports_of_their_group() {
    let s = scene().await;
    let web = group(&s.member, "web").await;
    s.set_groups(&[&web]).await;
    assert!(s.ingress().await.is_empty());
    let tcp = json!({"protocol": "tcp", "port_range_min": 80, "port_range_max": 81, "remote_ip_prefix": "2001:db8:9::1/64"});
    let first = rule(&s.member, &web, tcp).await;
    let ping = json!({"protocol": "icmp", "ethertype": "IPv6", "port_range_min": 128});
    rule(&s.member, &web, ping).await;
    let other = group(&s.member, "other").await;
    rule(&s.member, &other, json!({"protocol": "udp"})).await;
    let rules = s.ingress().await;
    assert_eq!(rules.len(), 2);
    let tcp = rules
        .iter()
        .find(|r| r.protocol == Some(Protocol::Tcp))
        .unwrap();
    assert_eq!(tcp.range, Some((80, Some(81))));
    assert_eq!(
        tcp.peer,
        Some(Peer::Prefix("2001:db8:9::/64".parse().unwrap()))
    );
    let ping = rules
        .iter()
        .find(|r| r.protocol == Some(Protocol::Icmpv6))
        .unwrap();
    assert_eq!(ping.range, Some((128, None)));
    s.set_groups(&[&web, &other]).await;
    assert_eq!(s.ingress().await.len(), 3);
    let path = format!("/network/v2.0/security-group-rules/{first}");
    s.member.delete(&path).await.expect(204);
    assert_eq!(s.ingress().await.len(), 2);
    let path = format!("/network/v2.0/security-groups/{web}");
    shape::error(&s.member.delete(&path).await, 409, "in use");
    s.set_groups(&[]).await;
    assert!(s.ingress().await.is_empty());
    s.member.delete(&path).await.expect(204);
}

#[tokio::test]
async fn the_same_rule_twice_is_a_conflict() {
    let s = scene().await;
    let web = group(&s.member, "web").await;
    rule(&s.member, &web, json!({"protocol": "icmpv6"})).await;
    for same in [
        json!({"protocol": "ipv6-icmp"}),
        json!({"protocol": 58}),
        json!({"protocol": "icmp", "ethertype": "ipv6"}),
    ] {
        let mut body = same;
        body["security_group_id"] = json!(web);
        body["direction"] = json!("ingress");
        let answer = s
            .member
            .post(
                "/network/v2.0/security-group-rules",
                json!({"security_group_rule": body}),
            )
            .await;
        shape::error(&answer, 409, "the same in other words");
    }
}

#[tokio::test]
async fn a_group_that_goes_takes_the_rules_that_name_it() {
    let s = scene().await;
    let (web, friends) = (
        group(&s.member, "web").await,
        group(&s.member, "friends").await,
    );
    s.set_groups(&[&web]).await;
    rule(&s.member, &web, json!({"remote_group_id": friends})).await;
    assert_eq!(s.ingress().await.len(), 1);
    s.member
        .delete(&format!("/network/v2.0/security-groups/{friends}"))
        .await
        .expect(204);
    assert!(s.ingress().await.is_empty());
}

#[tokio::test]
async fn deleting_a_default_group_needs_an_administrator() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let own = default_group(&member).await;
    let path = format!("/network/v2.0/security-groups/{own}");
    shape::error(&member.delete(&path).await, 409, "a default group");
    admin.delete(&path).await.expect(204);
    assert_ne!(default_group(&member).await, own, "it is made anew");
}

async fn stateless(client: &Client, name: &str) -> String {
    let body = json!({"security_group": {"name": name, "stateful": false}});
    let made = client.post("/network/v2.0/security-groups", body).await;
    let made = made.expect(201);
    assert_eq!(made["security_group"]["stateful"], false);
    id(&made)
}

#[tokio::test]
async fn a_ports_groups_are_all_stateful_or_all_stateless() {
    let s = scene().await;
    let default = default_group(&s.member).await;
    let (one, two) = (
        stateless(&s.member, "one").await,
        stateless(&s.member, "two").await,
    );
    let wanted = async || s.node.wanted_port(&s.port).await.unwrap();
    assert!(!wanted().await.stateless);
    let path = format!("/network/v2.0/ports/{}", s.port);
    let before = s._cloud.dump();
    let mixed = json!({"port": {"security_groups": [one, default]}});
    shape::error(&s.member.put(&path, mixed).await, 409, "both kinds");
    let network = wanted().await.network;
    let mixed = json!({"port": {"network_id": network, "security_groups": [default, two]}});
    let answer = s.member.post("/network/v2.0/ports", mixed).await;
    shape::error(&answer, 409, "both kinds");
    testkit::assert_same(&before, &s._cloud.dump(), "groups of both kinds");
    s.set_groups(&[&one, &two]).await;
    assert!(wanted().await.stateless);
    s.set_groups(&[]).await;
    assert!(!wanted().await.stateless);
    s.set_groups(&[&default]).await;
    assert!(!wanted().await.stateless);
}

#[tokio::test]
async fn a_group_that_ports_have_stays_of_its_kind() {
    let s = scene().await;
    let group = stateless(&s.member, "one").await;
    s.set_groups(&[&group]).await;
    let path = format!("/network/v2.0/security-groups/{group}");
    let change = async |body: Value| s.member.put(&path, json!({"security_group": body})).await;
    let before = s._cloud.dump();
    let refused = change(json!({"name": "new", "stateful": true})).await;
    shape::error(&refused, 409, "a port has it");
    testkit::assert_same(&before, &s._cloud.dump(), "a group in use");
    // What says nothing new is no change of it.
    let same = change(json!({"name": "new", "stateful": false})).await;
    assert_eq!(same.expect(200)["security_group"]["name"], "new");
    s.set_groups(&[]).await;
    let changed = change(json!({"stateful": true})).await.expect(200);
    assert_eq!(changed["security_group"]["stateful"], true);
    let list = s
        .member
        .get("/network/v2.0/security-groups?stateful=false")
        .await;
    assert_eq!(list.expect(200)["security_groups"], json!([]));
}
