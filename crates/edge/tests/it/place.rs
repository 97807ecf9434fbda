//! Where servers go: zones, hosts, hints and server groups, on three nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Client, FakeNode, Person, TestCloud, assert_same};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::shape;
use crate::world::{SOMEONE, id, network, server_now};

struct Hall {
    cloud: TestCloud,
    _nodes: [FakeNode; 3],
    admin: Client,
    member: Client,
    image: String,
    net: String,
}

impl Hall {
    async fn new() -> Hall {
        let cloud = TestCloud::start().await;
        let nodes = [
            cloud.node("n1").await,
            cloud.node("n2").await,
            cloud.node("n3").await,
        ];
        let (admin, member) = (cloud.admin().await, cloud.member().await);
        let image = cloud.image(&admin, "i").await;
        let public = json!([{"op": "replace", "path": "/visibility", "value": "public"}]);
        admin.patch_image(&image, public).await.expect(200);
        let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
        Hall {
            cloud,
            _nodes: nodes,
            admin,
            member,
            image,
            net,
        }
    }

    fn body(&self, more: Value, hints: Value) -> Value {
        let mut body = json!({"server": {
            "name": "s", "imageRef": self.image, "flavorRef": "42",
            "networks": [{"uuid": self.net}],
        }});
        if let Some(more) = more.as_object() {
            body["server"].as_object_mut().unwrap().extend(more.clone());
        }
        if hints.is_object() {
            body["os:scheduler_hints"] = hints;
        }
        body
    }

    async fn make(&self, hints: Value) -> String {
        let body = self.body(Value::Null, hints);
        id(&self
            .member
            .post("/compute/v2.1/servers", body)
            .await
            .expect(202))
    }

    async fn host(&self, server: &str) -> String {
        let server = server_now(&self.admin, server).await;
        let host = server["OS-EXT-SRV-ATTR:host"].as_str();
        host.map_or_else(|| server["fault"]["message"].to_string(), str::to_owned)
    }

    async fn group(&self, policy: &str) -> String {
        let body = json!({"server_group": {"name": "g", "policies": [policy]}});
        let request = self
            .member
            .request(http::Method::POST, "/compute/v2.1/os-server-groups");
        let request = request.header("openstack-api-version", "compute 2.15");
        id(&request.json(&body).send().await.expect(200))
    }
}

#[tokio::test]
async fn groups_keep_their_servers_together_or_apart() {
    let hall = Hall::new().await;
    let together = hall.group("affinity").await;
    let mut hosts = BTreeSet::new();
    for _ in 0..3 {
        let server = hall.make(json!({"group": together})).await;
        hosts.insert(hall.host(&server).await);
    }
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    let apart = hall.group("anti-affinity").await;
    let mut hosts = BTreeSet::new();
    for _ in 0..3 {
        let server = hall.make(json!({"group": apart})).await;
        hosts.insert(hall.host(&server).await);
    }
    assert_eq!(hosts, BTreeSet::from(["n1", "n2", "n3"].map(str::to_owned)));
    let fourth = hall.make(json!({"group": apart})).await;
    assert_eq!(server_now(&hall.member, &fourth).await["status"], "ERROR");
    let why = hall.host(&fourth).await;
    assert!(
        why.contains("No valid host was found. Policy anti-affinity"),
        "{why}"
    );
    let soft = hall.group("soft-anti-affinity").await;
    let mut hosts = Vec::new();
    for _ in 0..4 {
        let server = hall.make(json!({"group": soft})).await;
        hosts.push(hall.host(&server).await);
    }
    assert_eq!(
        hosts[..3].iter().collect::<BTreeSet<_>>().len(),
        3,
        "{hosts:?}"
    );
    let path = format!("/compute/v2.1/os-server-groups/{apart}");
    let shown = hall.member.get(&path).await.expect(200)["server_group"].clone();
    assert_eq!(shown["policies"], json!(["anti-affinity"]));
    assert_eq!(shown["members"].as_array().unwrap().len(), 4);
    let list = hall
        .member
        .get("/compute/v2.1/os-server-groups")
        .await
        .expect(200);
    assert_eq!(list["server_groups"].as_array().unwrap().len(), 3);
    let limits = hall.member.get("/compute/v2.1/limits").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["totalServerGroupsUsed"], 3);
    hall.member.delete(&path).await.expect(204);
    shape::error(&hall.member.get(&path).await, 404, "a group that went");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_a_group_that_are_made_at_once_stay_apart() {
    let hall = Hall::new().await;
    let group = hall.group("anti-affinity").await;
    let start = Arc::new(Barrier::new(4));
    let mut running = JoinSet::new();
    for _ in 0..4 {
        let (start, client) = (start.clone(), hall.cloud.member().await);
        let body = hall.body(Value::Null, json!({"group": group}));
        running.spawn(async move {
            start.wait().await;
            id(&client.post("/compute/v2.1/servers", body).await.expect(202))
        });
    }
    let mut hosts = BTreeSet::new();
    let mut lost = 0;
    for server in running.join_all().await {
        match server_now(&hall.admin, &server).await["OS-EXT-SRV-ATTR:host"].as_str() {
            Some(host) => assert!(hosts.insert(host.to_owned()), "two on {host}"),
            None => lost += 1,
        }
    }
    assert_eq!((hosts.len(), lost), (3, 1));
}

#[tokio::test]
async fn hints_name_other_servers() {
    let hall = Hall::new().await;
    let first = hall.make(Value::Null).await;
    let home = hall.host(&first).await;
    let same = hall.make(json!({"same_host": first})).await;
    assert_eq!(hall.host(&same).await, home);
    let other = hall.make(json!({"different_host": [first]})).await;
    assert_ne!(hall.host(&other).await, home);
    let third = hall.make(json!({"different_host": [first, other]})).await;
    let nowhere = json!({"different_host": [first, other, third]});
    let nowhere = hall.make(nowhere).await;
    let why = hall.host(&nowhere).await;
    assert!(why.contains("different_host"), "{why}");
    // Another's server is none: whether it shares a node stays unknown.
    let stranger = hall.cloud.stranger().await;
    let (net, _) = network(&stranger, "net", "2001:db8:2::/64").await;
    let body = |hints: Value| {
        let mut body = hall.body(json!({"networks": [{"uuid": net}]}), hints);
        body["server"]["name"] = json!("t");
        body
    };
    let before = hall.cloud.dump();
    let hint = body(json!({"same_host": [first]}));
    let answer = stranger.post("/compute/v2.1/servers", hint).await;
    shape::error(&answer, 400, "another's server in a hint");
    let theirs = hall.group("affinity").await;
    let middle = hall.cloud.dump();
    let answer = stranger
        .post("/compute/v2.1/servers", body(json!({"group": theirs})))
        .await;
    shape::error(&answer, 400, "another's group in a hint");
    assert_same(&middle, &hall.cloud.dump(), "another's group");
    drop(before);
    let all = body(json!({"different_host": [first, other, third]}));
    let made = stranger
        .post("/compute/v2.1/servers", all)
        .await
        .expect(202);
    assert_ne!(server_now(&stranger, &id(&made)).await["status"], "ERROR");
}

#[tokio::test]
async fn an_administrator_names_a_host() {
    let hall = Hall::new().await;
    let (net, _) = network(&hall.admin, "net", "2001:db8:2::/64").await;
    let make = async |client: &Client, zone: &str| {
        let more = json!({"availability_zone": zone, "networks": [{"uuid": net}]});
        let body = hall.body(more, Value::Null);
        client.post("/compute/v2.1/servers", body).await
    };
    for (zone, host) in [("nova:n2", "n2"), ("nova:n3:n3", "n3"), ("nova::n1", "n1")] {
        let made = make(&hall.admin, zone).await.expect(202);
        assert_eq!(hall.host(&id(&made)).await, host);
    }
    let made = make(&hall.admin, "nova:n9").await.expect(202);
    let why = hall.host(&id(&made)).await;
    assert!(why.contains("Node n9 is not connected"), "{why}");
    let before = hall.cloud.dump();
    let cases = [
        (&hall.admin, "mars", 400),
        (&hall.admin, "mars:n1", 400),
        (&hall.admin, "nova:n1:n2", 400),
        (&hall.member, "nova:n1", 403),
    ];
    for (client, zone, status) in cases {
        shape::error(&make(client, zone).await, status, zone);
        assert_same(&before, &hall.cloud.dump(), zone);
    }
    let zones = hall.member.get("/compute/v2.1/os-availability-zone").await;
    let zones = zones.expect(200)["availabilityZoneInfo"].clone();
    assert_eq!(
        zones,
        json!([{"zoneName": "nova", "zoneState": {"available": true}, "hosts": null}])
    );
    let detail = "/compute/v2.1/os-availability-zone/detail";
    shape::error(&hall.member.get(detail).await, 403, "hosts of a zone");
    let detail = hall.admin.get(detail).await.expect(200);
    let hosts = &detail["availabilityZoneInfo"][0]["hosts"];
    assert_eq!(hosts["n2"]["nova-compute"]["available"], true);
}

#[tokio::test]
async fn what_is_no_group_or_hint_changes_nothing() {
    let hall = Hall::new().await;
    let group = hall.group("affinity").await;
    hall.make(json!({"group": group})).await;
    let alpha = hall.cloud.project_id(Person::Member);
    let limit = json!({"quota_set": {"server_groups": 1, "server_group_members": 1}});
    let path = format!("/compute/v2.1/os-quota-sets/{alpha}");
    hall.admin.put(&path, limit).await.expect(200);
    let before = hall.cloud.dump();
    for (hints, status) in [
        (json!({"group": SOMEONE}), 400),
        (json!({"group": "nonsense"}), 400),
        (json!({"group": 7}), 400),
        (json!({"same_host": ["nonsense"]}), 400),
        (json!({"same_host": [SOMEONE]}), 400),
        (json!({"different_host": {}}), 400),
        (json!({"different_host": vec![SOMEONE; 101]}), 400),
        (json!({"group": group}), 403),
    ] {
        let body = hall.body(Value::Null, hints.clone());
        let answer = hall.member.post("/compute/v2.1/servers", body).await;
        shape::error(&answer, status, &hints.to_string());
        assert_same(&before, &hall.cloud.dump(), &hints.to_string());
    }
    for (wanted, status) in [
        (json!({"name": "g", "policies": []}), 400),
        (
            json!({"name": "g", "policies": ["affinity", "anti-affinity"]}),
            400,
        ),
        (json!({"name": "g", "policies": ["distance"]}), 400),
        (json!({"name": "", "policies": ["affinity"]}), 400),
        (json!({"name": "g", "policies": ["affinity"]}), 403),
    ] {
        let body = json!({"server_group": wanted});
        let answer = hall
            .member
            .post("/compute/v2.1/os-server-groups", body.clone())
            .await;
        shape::error(&answer, status, &body.to_string());
        assert_same(&before, &hall.cloud.dump(), &body.to_string());
    }
    let path = format!("/compute/v2.1/os-server-groups/{group}");
    let stranger = hall.cloud.stranger().await;
    shape::error(&stranger.get(&path).await, 404, "another's group");
    shape::error(&stranger.delete(&path).await, 404, "another's group");
}

#[tokio::test]
async fn groups_are_paged_by_place() {
    let hall = Hall::new().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(hall.group("affinity").await);
    }
    all.sort();
    for (query, expected) in [
        ("offset=1", &all[1..]),
        ("limit=1&offset=1", &all[1..2]),
        ("limit=2&offset=2", &all[2..]),
        ("limit=1&offset=9", &[]),
    ] {
        let path = format!("/compute/v2.1/os-server-groups?{query}");
        let list = hall.member.get(&path).await.expect(200);
        let list = list["server_groups"].as_array().unwrap().clone();
        let ids: Vec<&str> = list.iter().map(|g| g["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
}
