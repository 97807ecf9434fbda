//! Nodes that never come back, and what their users can do then.

use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{id, network, server, server_now, status};

const SERVICES: &str = "/compute/v2.1/os-services";
const SERVERS: &str = "/compute/v2.1/servers";
const VOLUMES: &str = "/volume/v3/volumes";

/// A cloud whose second node has a server, a volume, and one of each that is to go.
struct Scene {
    cloud: TestCloud,
    _first: FakeNode,
    node: FakeNode,
    admin: Client,
    member: Client,
    kept: String,
    going: String,
    kept_volume: String,
    going_volume: String,
}

async fn volume(member: &Client, node: &FakeNode) -> String {
    let made = member.post(VOLUMES, json!({"volume": {"size": 1}})).await;
    let made = id(&made.expect(202));
    node.volume_ready(&made).await;
    made
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let mut first = cloud.node("n1").await;
    let node = cloud.node("n2").await;
    // What is made now goes to the other.
    first.disconnect().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let kept = server(&member, &image, &net).await;
    let going = server(&member, &image, &net).await;
    node.boot_finishes(&kept).await;
    node.boot_finishes(&going).await;
    let kept_volume = volume(&member, &node).await;
    let going_volume = volume(&member, &node).await;
    let path = format!("{SERVERS}/{going}");
    member.delete(&path).await.expect(204);
    let path = format!("{VOLUMES}/{going_volume}");
    member.delete(&path).await.expect(202);
    first.reconnect().await;
    Scene {
        cloud,
        _first: first,
        node,
        admin,
        member,
        kept,
        going,
        kept_volume,
        going_volume,
    }
}

impl Scene {
    async fn services(&self) -> Vec<(Value, Value)> {
        let listed = self.admin.get(SERVICES).await.expect(200);
        let each = listed["services"].as_array().unwrap().iter();
        each.map(|s| (s["id"].clone(), s["host"].clone())).collect()
    }

    async fn there(&self, path: String) -> bool {
        self.member.get(&path).await.status == 200
    }
}

#[tokio::test]
async fn a_node_that_is_down_can_be_forgotten_and_holds_nobody_up() {
    let mut s = scene().await;
    let path = format!("{SERVICES}/2");
    let before = s.cloud.dump();
    shape::error(&s.admin.delete(&path).await, 409, "it is connected");
    shape::error(&s.member.delete(&path).await, 404, "by a member");
    testkit::assert_same(&before, &s.cloud.dump(), "refusals");
    s.node.disconnect().await;
    assert_eq!(status(&s.member, &s.going).await, "ACTIVE deleting");

    assert_eq!(s.admin.delete(&path).await.status, 204);
    shape::error(&s.admin.delete(&path).await, 404, "it is forgotten");
    assert_eq!(s.services().await, [(json!(1), json!("n1"))]);
    assert!(!s.there(format!("{SERVERS}/{}", s.going)).await);
    assert!(!s.there(format!("{VOLUMES}/{}", s.going_volume)).await);
    let kept = server_now(&s.member, &s.kept).await;
    assert_eq!(kept["status"], "ERROR");
    let fault = kept["fault"]["message"].as_str().unwrap();
    assert!(fault.contains("node was removed"), "{fault}");

    // Nothing waits for the node any more.
    let (kept, volume) = (
        format!("{SERVERS}/{}", s.kept),
        format!("{VOLUMES}/{}", s.kept_volume),
    );
    s.member.delete(&kept).await.expect(204);
    s.member.delete(&volume).await.expect(202);
    assert!(!s.there(kept).await && !s.there(volume).await);
    assert_eq!(s.cloud.findings(), [] as [String; 0]);

    // It comes back all the same, and hears what it must remove.
    s.node.reconnect().await;
    for gone in [&s.kept, &s.going] {
        assert!(s.node.wanted_server(gone).await.is_none());
    }
    assert!(s.node.wanted_volume(&s.kept_volume).await.is_none());
    assert_eq!(s.services().await.len(), 2);
}

#[tokio::test]
async fn a_forgotten_node_that_comes_back_has_what_was_not_deleted() {
    let mut s = scene().await;
    s.node.disconnect().await;
    assert_eq!(s.admin.delete(&format!("{SERVICES}/2")).await.status, 204);
    let findings = s.cloud.findings();
    assert!(
        matches!(findings.as_slice(), [one] if one.contains(&s.kept_volume)),
        "{findings:?}"
    );
    s.node.reconnect().await;
    assert_eq!(status(&s.member, &s.kept).await, "ACTIVE");
    assert!(s.node.wanted_server(&s.kept).await.is_some());
    assert!(s.node.wanted_volume(&s.kept_volume).await.is_some());
    assert!(s.node.wanted_server(&s.going).await.is_none());
    assert_eq!(s.cloud.findings(), [] as [String; 0]);
}

#[tokio::test]
async fn a_number_stays_the_same_when_another_node_goes() {
    let cloud = TestCloud::start().await;
    let (mut first, _second) = (cloud.node("n1").await, cloud.node("n2").await);
    let admin = cloud.admin().await;
    first.disconnect().await;
    assert_eq!(admin.delete(&format!("{SERVICES}/1")).await.status, 204);
    for (path, list, name) in [
        ("/os-services", "services", "host"),
        ("/os-hypervisors", "hypervisors", "hypervisor_hostname"),
    ] {
        let left = admin.get(&format!("/compute/v2.1{path}")).await.expect(200);
        let left = left[list].as_array().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((&left[0]["id"], &left[0][name]), (&json!(2), &json!("n2")));
    }
}

#[tokio::test]
async fn a_service_says_when_its_node_was_last_heard() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let said = async || {
        let list = admin.get(SERVICES).await.expect(200);
        list["services"][0]["updated_at"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let came = said().await;
    // Clocks have milliseconds: the node speaks until one has passed.
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let mut heard = came.clone();
    while heard == came {
        let id = server(&member, &image, &net).await;
        node.boot_finishes(&id).await;
        heard = said().await;
    }
    assert!(heard > came);
    node.disconnect().await;
    assert_eq!(said().await, heard, "it is kept when the connection ends");
}
