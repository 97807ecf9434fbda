//! Security groups and networks by the compute API: the network API's own, in older words.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::shape;
use crate::world::{SOMEONE, network};

const GROUPS: &str = "/compute/v2.1/os-security-groups";
const RULES: &str = "/compute/v2.1/os-security-group-rules";

async fn group(client: &Client, name: &str) -> Value {
    let body = json!({"security_group": {"name": name, "description": "d"}});
    client.post(GROUPS, body).await.expect(200)["security_group"].clone()
}

async fn rule(client: &Client, group: &Value, more: Value) -> testkit::Answer {
    let mut body = more;
    body["parent_group_id"] = group["id"].clone();
    client
        .post(RULES, json!({"security_group_rule": body}))
        .await
}

#[tokio::test]
async fn a_group_is_the_network_apis() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let made = group(&member, " web ").await;
    let path = format!("{GROUPS}/{}", made["id"].as_str().unwrap());
    assert_eq!(made["name"], " web ");
    assert_eq!(made["rules"], json!([]), "what may leave is not shown here");
    assert_eq!(member.get(&path).await.expect(200)["security_group"], made);
    let list = member.get(GROUPS).await.expect(200);
    let list = list["security_groups"].as_array().unwrap();
    assert!(list.contains(&made), "{list:?}");
    let body = json!({"security_group": {"name": "new", "description": "e"}});
    let changed = member.put(&path, body).await.expect(200);
    assert_eq!(changed["security_group"]["name"], "new");
    let own = path.replace(GROUPS, "/network/v2.0/security-groups");
    let shown = member.get(&own).await.expect(200)["security_group"].clone();
    assert_eq!(
        (&shown["name"], &shown["description"]),
        (&json!("new"), &json!("e"))
    );
    let body = json!({"security_group": {"name": "x".repeat(256), "description": ""}});
    shape::error(&member.put(&path, body).await, 400, "a long name");
    let body = json!({"security_group": {"name": "default", "description": ""}});
    shape::error(&member.post(GROUPS, body).await, 400, "a second default");
    member.delete(&path).await.expect(202);
    shape::error(&member.get(&own).await, 404, "gone");
}

#[tokio::test]
async fn rules_are_what_may_come_in() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (web, friends) = (group(&member, "web").await, group(&member, "friends").await);
    let tcp = json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 22});
    let made = rule(&member, &web, tcp.clone()).await.expect(200);
    let made = &made["security_group_rule"];
    assert_eq!(made["ip_range"], json!({"cidr": "0.0.0.0/0"}));
    assert_eq!(
        (&made["from_port"], &made["group"]),
        (&json!(22), &json!({}))
    );
    shape::error(&rule(&member, &web, tcp).await, 400, "the same again");
    let of_group =
        json!({"ip_protocol": "icmp", "from_port": -1, "to_port": -1, "group_id": friends["id"]});
    let made = rule(&member, &web, of_group).await.expect(200);
    let made = &made["security_group_rule"];
    assert_eq!(
        (&made["from_port"], &made["ip_range"]),
        (&json!(-1), &json!({}))
    );
    let named = json!({"name": "friends", "tenant_id": friends["tenant_id"]});
    assert_eq!(made["group"], named);
    // A prefix stays as it was written, and means what it holds.
    let cidr =
        json!({"ip_protocol": "udp", "from_port": 53, "to_port": 53, "cidr": "192.0.2.7/24"});
    let made = rule(&member, &web, cidr).await.expect(200);
    let made = &made["security_group_rule"];
    assert_eq!(made["ip_range"]["cidr"], "192.0.2.7/24");
    let id = made["id"].as_str().unwrap();
    let own = format!("/network/v2.0/security-group-rules/{id}");
    let shown = member.get(&own).await.expect(200)["security_group_rule"].clone();
    assert_eq!(shown["remote_ip_prefix"], "192.0.2.7/24");
    assert_eq!(shown["normalized_cidr"], "192.0.2.0/24");
    let same =
        json!({"ip_protocol": "udp", "from_port": 53, "to_port": 53, "cidr": "192.0.2.0/24"});
    shape::error(
        &rule(&member, &web, same).await,
        400,
        "the same in other words",
    );
    let path = format!("{GROUPS}/{}", web["id"].as_str().unwrap());
    let rules = async || {
        let shown = member.get(&path).await.expect(200);
        shown["security_group"]["rules"].as_array().unwrap().len()
    };
    assert_eq!(rules().await, 3);
    member.delete(&format!("{RULES}/{id}")).await.expect(202);
    let friends = format!("{GROUPS}/{}", friends["id"].as_str().unwrap());
    member.delete(&friends).await.expect(202);
    assert_eq!(rules().await, 1);
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused() {
    let cloud = TestCloud::start().await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    let web = group(&member, "web").await;
    let before = cloud.dump();
    for (wrong, status) in [
        (
            json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 21}),
            400,
        ),
        (
            json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 65_536}),
            400,
        ),
        (
            json!({"ip_protocol": "pigeon", "from_port": 1, "to_port": 2}),
            400,
        ),
        (
            json!({"ip_protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "x"}),
            400,
        ),
        (
            json!({"ip_protocol": "tcp", "from_port": 1, "to_port": 2, "group_id": "x"}),
            400,
        ),
        (
            json!({"ip_protocol": "tcp", "from_port": 1, "to_port": 2, "group_id": SOMEONE}),
            404,
        ),
    ] {
        shape::error(&rule(&member, &web, wrong).await, status, "no such rule");
    }
    let tcp = json!({"ip_protocol": "tcp", "from_port": 1, "to_port": 2});
    shape::error(
        &rule(&member, &json!({"id": "x"}), tcp.clone()).await,
        400,
        "no id",
    );
    shape::error(
        &rule(&member, &json!({"id": SOMEONE}), tcp.clone()).await,
        404,
        "no group",
    );
    shape::error(&rule(&stranger, &web, tcp).await, 404, "another's");
    testkit::assert_same(&before, &cloud.dump(), "rules that cannot be");
}

#[tokio::test]
async fn networks_have_labels() {
    let cloud = TestCloud::start().await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    for path in [
        "/compute/v2.1/os-networks",
        "/compute/v2.1/os-tenant-networks",
    ] {
        let list = member.get(path).await.expect(200)["networks"].clone();
        let one = member.get(&format!("{path}/{net}")).await.expect(200)["network"].clone();
        assert_eq!(list, json!([one]));
        assert_eq!((&one["id"], &one["label"]), (&json!(net), &json!("net")));
        shape::error(
            &stranger.get(&format!("{path}/{net}")).await,
            404,
            "another's",
        );
    }
}

/// A client that lost the id names nothing.
#[tokio::test]
async fn an_empty_id_is_not_there() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let answer = member.delete("/compute/v2.1/os-security-groups/").await;
    shape::error(&answer, 404, "a thing without an id");
    let answer = member.delete("/compute/v2.1/os-security-groups").await;
    shape::error(&answer, 405, "all of them");
}
