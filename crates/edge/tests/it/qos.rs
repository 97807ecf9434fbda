//! QoS policies: who makes them, what has them, and what nodes hear.

use model::{Bandwidth, Qos};
use serde_json::{Value, json};
use testkit::{Answer, Client, FakeNode, Person, TestCloud, assert_same};

use crate::shape;
use crate::world::{SOMEONE, id, network, server};

const NET: &str = "/network/v2.0";
const POLICIES: &str = "/network/v2.0/qos/policies";

async fn policy(admin: &Client, body: Value) -> String {
    let made = admin.post(POLICIES, json!({"policy": body})).await;
    id(&made.expect(201))
}

async fn ask_rule(client: &Client, policy: &str, kind: &str, body: Value) -> Answer {
    let path = format!("{POLICIES}/{policy}/{kind}_rules");
    client
        .post(&path, json!({format!("{kind}_rule"): body}))
        .await
}

async fn rule(admin: &Client, policy: &str, kind: &str, body: Value) -> String {
    let made = ask_rule(admin, policy, kind, body).await;
    let rule = id(&made.expect(201));
    format!("{POLICIES}/{policy}/{kind}_rules/{rule}")
}

/// Gives a network or port a policy.
async fn bind(client: &Client, kind: &str, id: &str, policy: Option<&str>) -> Answer {
    let path = format!("{NET}/{kind}s/{id}");
    client
        .put(&path, json!({kind: {"qos_policy_id": policy}}))
        .await
}

async fn shown(client: &Client, kind: &str, id: &str) -> Value {
    let answer = client.get(&format!("{NET}/{kind}s/{id}")).await;
    answer.expect(200)[kind].clone()
}

fn bandwidth(max_kbps: u32, burst_kbit: u32) -> Option<Bandwidth> {
    Some(Bandwidth {
        max_kbps,
        burst_kbit,
    })
}

#[tokio::test]
async fn administrators_make_policies_for_projects() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (other, before) = (cloud.stranger().await, cloud.dump());
    let owner = cloud.project_id(Person::Member);
    for (body, expected) in [
        (json!({"name": "q"}), 403),
        (json!({"name": "x".repeat(256)}), 400),
        (json!({"description": "x".repeat(256)}), 400),
        (json!({"project_id": "x".repeat(256)}), 400),
    ] {
        let refused = member.post(POLICIES, json!({"policy": body})).await;
        shape::error(&refused, expected, "no policy");
    }
    assert_same(&before, &cloud.dump(), "refused policies");
    let own = policy(&admin, json!({"name": "own", "project_id": owner})).await;
    let limit = rule(&admin, &own, "bandwidth_limit", json!({"max_kbps": 9})).await;
    let path = format!("{POLICIES}/{own}");
    let shown = member.get(&path).await.expect(200)["policy"].clone();
    assert_eq!(shown["rules"][0]["max_kbps"], 9);
    assert_eq!(
        (&shown["shared"], &shown["revision_number"]),
        (&json!(false), &json!(2))
    );
    member.get(&limit).await.expect(200);
    let before = cloud.dump();
    for (client, expected) in [(&member, 403), (&other, 404)] {
        let body = json!({"policy": {"name": "x"}});
        shape::error(&client.put(&path, body).await, expected, "a policy");
        shape::error(&client.delete(&path).await, expected, "a policy");
        let body = json!({"bandwidth_limit_rule": {"max_kbps": 1}});
        shape::error(&client.put(&limit, body).await, expected, "a rule");
        shape::error(&client.delete(&limit).await, expected, "a rule");
        let asked = ask_rule(client, &own, "dscp_marking", json!({"dscp_mark": 8})).await;
        shape::error(&asked, 403, "a rule");
    }
    assert_same(&before, &cloud.dump(), "not an administrator's");
}

#[tokio::test]
async fn a_policy_has_one_rule_of_a_kind() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let (one, two) = (
        policy(&admin, json!({})).await,
        policy(&admin, json!({})).await,
    );
    let limit = json!({"max_kbps": 1, "direction": "ingress"});
    let ingress = rule(&admin, &one, "bandwidth_limit", limit.clone()).await;
    let egress = rule(&admin, &one, "bandwidth_limit", json!({"max_kbps": 2})).await;
    let mark = rule(&admin, &one, "dscp_marking", json!({"dscp_mark": 8})).await;
    let before = cloud.dump();
    for (kind, body, expected) in [
        ("bandwidth_limit", limit.clone(), 409),
        ("bandwidth_limit", json!({"max_kbps": 3}), 409),
        ("bandwidth_limit", json!({"max_kbps": -1}), 400),
        (
            "bandwidth_limit",
            json!({"max_kbps": 2_147_483_648_u64}),
            400,
        ),
        (
            "bandwidth_limit",
            json!({"max_kbps": 1, "direction": "any"}),
            400,
        ),
        (
            "bandwidth_limit",
            json!({"max_kbps": 1, "dscp_mark": 8}),
            400,
        ),
        ("dscp_marking", json!({"dscp_mark": 10}), 409),
        ("dscp_marking", json!({"dscp_mark": 58}), 400),
        ("minimum_bandwidth", json!({"min_kbps": 1}), 409),
        ("minimum_packet_rate", json!({"min_kpps": 1}), 409),
        ("packet_rate_limit", json!({"max_kpps": 1}), 409),
    ] {
        let asked = ask_rule(&admin, &one, kind, body).await;
        shape::error(&asked, expected, kind);
    }
    let turned = json!({"bandwidth_limit_rule": {"direction": "egress"}});
    shape::error(&admin.put(&ingress, turned).await, 409, "there is one");
    // Neither of another policy nor of another kind.
    let at = |policy: &str, kind: &str, rule: &str| {
        let rule = rule.rsplit('/').next().unwrap();
        format!("{POLICIES}/{policy}/{kind}_rules/{rule}")
    };
    for path in [
        at(&two, "bandwidth_limit", &ingress),
        at(&one, "dscp_marking", &ingress),
        at(&one, "bandwidth_limit", &mark),
        at(&one, "bandwidth_limit", SOMEONE),
    ] {
        let answer = admin.get(&path).await;
        shape::error(&answer, 404, "another's");
        assert_eq!(answer.json()["NeutronError"]["type"], "QosRuleNotFound");
        shape::error(&admin.delete(&path).await, 404, "another's");
    }
    assert_same(&before, &cloud.dump(), "refused rules");
    admin.delete(&egress).await.expect(204);
    let turned = json!({"bandwidth_limit_rule": {"direction": "egress", "max_burst_kbps": 7}});
    let turned = admin.put(&ingress, turned).await.expect(200);
    assert_eq!(turned["bandwidth_limit_rule"]["max_kbps"], 1);
    let all = format!("{POLICIES}/{one}/bandwidth_limit_rules");
    for (query, count) in [("?direction=egress", 1), ("?direction=ingress", 0), ("", 1)] {
        let list = admin.get(&format!("{all}{query}")).await.expect(200);
        let list = list["bandwidth_limit_rules"].as_array().unwrap();
        assert_eq!(list.len(), count, "{query}");
    }
    let path = format!("{POLICIES}/{one}");
    admin.delete(&path).await.expect(204);
    shape::error(&admin.get(&mark).await, 404, "it went with its policy");
}

#[tokio::test]
async fn who_sees_a_policy_uses_it() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let secret = policy(&admin, json!({"name": "secret"})).await;
    let open = policy(&admin, json!({"name": "open", "shared": true})).await;
    let (net, _) = network(&member, "n", "2001:db8:1::/64").await;
    let body = json!({"port": {"network_id": net, "qos_policy_id": open}});
    let port = id(&member.post(&format!("{NET}/ports"), body).await.expect(201));
    for (kind, thing) in [("network", &net), ("port", &port)] {
        for unknown in [secret.as_str(), SOMEONE, "nonsense"] {
            let refused = bind(&member, kind, thing, Some(unknown)).await;
            shape::error(&refused, 404, "no policy of its own");
            let said = refused.json()["NeutronError"]["type"].clone();
            assert_eq!(said, "QosPolicyNotFound");
        }
        bind(&member, kind, thing, Some(&open)).await.expect(200);
        bind(&member, kind, thing, None).await.expect(200);
        // What an administrator gave of his own stays.
        bind(&admin, kind, thing, Some(&secret)).await.expect(200);
        for other in [None, Some(open.as_str())] {
            let refused = bind(&member, kind, thing, other).await;
            shape::error(&refused, 403, "an administrator's");
        }
        bind(&member, kind, thing, Some(&secret)).await.expect(200);
    }
    let view = shown(&member, "port", &port).await;
    assert_eq!(view["qos_policy_id"], json!(secret));
    assert_eq!(view["qos_network_policy_id"], json!(secret));
    for kind in ["network", "port"] {
        let list = format!("{NET}/{kind}s?qos_policy_id={secret}&fields=id");
        let list = member.get(&list).await.expect(200);
        assert_eq!(list[format!("{kind}s")].as_array().unwrap().len(), 1);
    }
    for (kind, thing) in [("network", &net), ("port", &port)] {
        let refused = admin.delete(&format!("{POLICIES}/{secret}")).await;
        shape::error(&refused, 409, "in use");
        let said = refused.json()["NeutronError"]["type"].clone();
        assert_eq!(said, "QosPolicyInUse");
        bind(&admin, kind, thing, None).await.expect(200);
    }
    let path = format!("{POLICIES}/{secret}");
    admin.delete(&path).await.expect(204);
}

#[tokio::test]
async fn sharing_ends_when_nobody_needs_it() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let other = cloud.stranger().await;
    let one = policy(&admin, json!({})).await;
    let body = json!({"rbac_policy": {
        "object_type": "qos_policy", "object_id": one, "action": "access_as_shared",
        "target_tenant": cloud.project_id(Person::Member),
    }});
    let rbac = format!("{NET}/rbac-policies");
    let rbac = format!("{rbac}/{}", id(&admin.post(&rbac, body).await.expect(201)));
    let (net, _) = network(&member, "n", "2001:db8:1::/64").await;
    bind(&member, "network", &net, Some(&one)).await.expect(200);
    shape::error(&admin.delete(&rbac).await, 409, "it is needed");
    let path = format!("{POLICIES}/{one}");
    shape::error(&other.get(&path).await, 404, "not for it");
    let share = |shared: bool| json!({"policy": {"shared": shared}});
    admin.put(&path, share(true)).await.expect(200);
    other.get(&path).await.expect(200);
    admin.delete(&rbac).await.expect(204);
    shape::error(&admin.put(&path, share(false)).await, 409, "it is needed");
    bind(&member, "network", &net, None).await.expect(200);
    admin.put(&path, share(false)).await.expect(200);
    shape::error(&member.get(&path).await, 404, "no longer for it");
}

#[tokio::test]
async fn a_projects_default_is_for_its_new_networks() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let owner = cloud.project_id(Person::Member);
    let default = json!({"is_default": true, "project_id": owner});
    let one = policy(&admin, default.clone()).await;
    let second = admin.post(POLICIES, json!({"policy": default})).await;
    shape::error(&second, 409, "a second default");
    let (net, _) = network(&member, "n", "2001:db8:1::/64").await;
    assert_eq!(
        shown(&member, "network", &net).await["qos_policy_id"],
        json!(one)
    );
    let (others, _) = network(&admin, "n", "2001:db8:2::/64").await;
    assert!(shown(&admin, "network", &others).await["qos_policy_id"].is_null());
    let body = json!({"policy": {"is_default": false}});
    let path = format!("{POLICIES}/{one}");
    admin.put(&path, body).await.expect(200);
    let list = format!("{POLICIES}?is_default=true");
    assert_eq!(member.get(&list).await.expect(200)["policies"], json!([]));
    let (net, _) = network(&member, "m", "2001:db8:3::/64").await;
    assert!(shown(&member, "network", &net).await["qos_policy_id"].is_null());
}

#[tokio::test]
async fn a_routers_port_has_no_policy_of_its_own() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let one = policy(&admin, json!({})).await;
    let (net, subnet) = network(&admin, "n", "2001:db8:1::/64").await;
    let router = json!({"router": {}});
    let router = admin.post(&format!("{NET}/routers"), router).await;
    let leg = format!(
        "{NET}/routers/{}/add_router_interface",
        id(&router.expect(201))
    );
    let body = json!({"port": {"network_id": net, "qos_policy_id": one}});
    let port = id(&admin.post(&format!("{NET}/ports"), body).await.expect(201));
    let refused = admin.put(&leg, json!({"port_id": port})).await;
    shape::error(&refused, 409, "it has a policy");
    let made = admin.put(&leg, json!({"subnet_id": subnet})).await;
    let made = made.expect(200)["port_id"].as_str().unwrap().to_owned();
    let refused = bind(&admin, "port", &made, Some(&one)).await;
    shape::error(&refused, 409, "a router's");
}

/// What the node keeps for a port.
async fn wanted(node: &FakeNode, port: &str) -> Qos {
    node.wanted_port(port).await.unwrap().qos
}

#[tokio::test]
async fn nodes_hear_what_holds_for_a_port() {
    let cloud = TestCloud::start().await;
    let (admin, node) = (cloud.admin().await, cloud.node("n1").await);
    let image = cloud.image(&admin, "image").await;
    let (net, _) = network(&admin, "n", "2001:db8:1::/64").await;
    let server = server(&admin, &image, &net).await;
    node.boot_finishes(&server).await;
    let ports = admin.get(&format!("{NET}/ports?device_id={server}")).await;
    let port = ports.expect(200)["ports"][0]["id"].clone();
    let port = port.as_str().unwrap();
    assert_eq!(wanted(&node, port).await, Qos::default());

    let broad = policy(&admin, json!({})).await;
    bind(&admin, "network", &net, Some(&broad))
        .await
        .expect(200);
    let limit = json!({"max_kbps": 1000, "direction": "ingress"});
    let limit = rule(&admin, &broad, "bandwidth_limit", limit).await;
    let mut expected = Qos {
        ingress: bandwidth(1000, 800),
        ..Qos::default()
    };
    assert_eq!(wanted(&node, port).await, expected);
    rule(&admin, &broad, "dscp_marking", json!({"dscp_mark": 26})).await;
    let body = json!({"bandwidth_limit_rule": {"max_kbps": 500, "max_burst_kbps": 9}});
    admin.put(&limit, body).await.expect(200);
    expected.ingress = bandwidth(500, 9);
    expected.dscp = Some(26);
    assert_eq!(wanted(&node, port).await, expected);

    // Its own stands for the network's as a whole.
    let own = policy(&admin, json!({})).await;
    bind(&admin, "port", port, Some(&own)).await.expect(200);
    assert_eq!(wanted(&node, port).await, Qos::default());
    let egress = rule(&admin, &own, "bandwidth_limit", json!({"max_kbps": 10})).await;
    let of_own = Qos {
        egress: bandwidth(10, 8),
        ..Qos::default()
    };
    assert_eq!(wanted(&node, port).await, of_own);
    admin.delete(&egress).await.expect(204);
    assert_eq!(wanted(&node, port).await, Qos::default());
    bind(&admin, "port", port, None).await.expect(200);
    assert_eq!(wanted(&node, port).await, expected);
    bind(&admin, "network", &net, None).await.expect(200);
    assert_eq!(wanted(&node, port).await, Qos::default());
}
