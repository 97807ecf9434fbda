//! Nodes that go and come back: nothing is lost, whatever was on its way.

use model::Key;
use serde_json::json;
use testkit::TestCloud;

use crate::world::{act, id, network, server, status};

#[tokio::test]
async fn a_node_that_was_away_hears_what_changed() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let (stays, goes) = (
        server(&member, &image, &net).await,
        server(&member, &image, &net).await,
    );
    node.boot_finishes(&stays).await;
    node.boot_finishes(&goes).await;
    let forgets = node.picture().forgets;
    node.disconnect().await;
    assert_eq!(status(&member, &stays).await, "ACTIVE");
    assert_eq!(act(&member, &stays, json!({"os-stop": null})).await, 202);
    member
        .delete(&format!("/compute/v2.1/servers/{goes}"))
        .await
        .expect(204);
    let (other, _) = network(&member, "new", "2001:db8:b::/64").await;
    node.reconnect().await;
    assert_eq!(
        node.picture().forgets,
        forgets,
        "it remembered, and heard only what changed"
    );
    assert!(node.wanted_network(&other).await.is_some());
    assert_eq!(
        node.wanted_server(&stays).await.unwrap().power,
        model::Power::Stopped
    );
    assert!(node.wanted_server(&goes).await.is_none());
    node.powers_off(&stays).await;
    node.guest_gone(&goes).await;
    assert_eq!(status(&member, &stays).await, "SHUTOFF");
    assert_eq!(
        member
            .get(&format!("/compute/v2.1/servers/{goes}"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_node_that_lost_its_memory_hears_everything() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, subnet) = network(&member, "net", "2001:db8:a::/64").await;
    let router = id(&member
        .post("/network/v2.0/routers", json!({"router": {}}))
        .await
        .expect(201));
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    member
        .put(&leg, json!({"subnet_id": subnet}))
        .await
        .expect(200);
    // More servers than one frame holds.
    let mut servers = Vec::new();
    for _ in 0..40 {
        servers.push(server(&member, &image, &net).await);
    }
    node.catch_up().await;
    let before = node.picture();
    node.forget();
    node.reconnect().await;
    let after = node.picture();
    assert_eq!(after.forgets, 1);
    assert_eq!(after.documents, before.documents);
    assert_eq!(after.generation, before.generation);
    assert_eq!(
        servers
            .iter()
            .filter(|s| after
                .documents
                .contains_key(&Key::Server(s.parse().unwrap())))
            .count(),
        40
    );
}

/// A database that was restored from a copy knows less than its nodes.
#[tokio::test]
async fn a_node_that_knows_more_than_there_is_starts_anew() {
    let (first, second) = (TestCloud::start().await, TestCloud::start().await);
    let member = first.member().await;
    for n in 0..5 {
        network(&member, "net", &format!("2001:db8:{n}::/64")).await;
    }
    let node = first.node("n1").await;
    let known = node.picture();
    assert!(known.generation >= 10);
    let mut moved = second.node("n1").await;
    assert!(moved.picture().generation < known.generation);
    moved.remember(&node);
    moved.reconnect().await;
    let anew = known.forgets + 1;
    moved
        .until("to be told to forget", |p| {
            p.forgets == anew && p.generation < known.generation
        })
        .await;
    assert!(moved.picture().documents.is_empty());
}

#[tokio::test]
async fn an_end_that_was_lost_with_the_stream_is_asked_for_again() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let gone = server(&member, &image, &net).await;
    node.boot_finishes(&gone).await;
    member
        .delete(&format!("/compute/v2.1/servers/{gone}"))
        .await
        .expect(204);
    let key = Key::Server(gone.parse().unwrap());
    let heard = |p: &testkit::Picture| p.tombstones.iter().filter(|k| **k == key).count();
    // It is asked at once, too: it may not have heard of the server before its end.
    node.until("to be asked", |p| heard(p) == 2).await;
    // The node takes the guest away, and the word of it is lost with the link.
    node.reconnect().await;
    node.until("to be asked again", |p| heard(p) > 2).await;
    assert_eq!(status(&member, &gone).await, "ACTIVE deleting");
    node.guest_gone(&gone).await;
    assert_eq!(
        member
            .get(&format!("/compute/v2.1/servers/{gone}"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_a_node_says_of_anothers_guest_is_passed_over() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let id = server(&member, &image, &net).await;
    node.boot_finishes(&id).await;
    let ports = member
        .get(&format!("/network/v2.0/ports?device_id={id}"))
        .await
        .expect(200);
    let port = ports["ports"][0]["id"].as_str().unwrap();
    let liar = cloud.node("n2").await;
    liar.guest_gone(&id).await;
    liar.port_gone(port).await;
    assert_eq!(status(&member, &id).await, "ACTIVE");
    let answer = member
        .get(&format!("/network/v2.0/ports/{port}"))
        .await
        .expect(200);
    assert_eq!(answer["port"]["status"], "ACTIVE");
    assert!(liar.wanted_port(port).await.is_none());
}

/// A node whose connection hangs dials again before the controller has noticed.
#[tokio::test]
async fn a_second_connection_of_a_node_replaces_the_first() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let mut again = node.twin().await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    node.disconnect().await;
    let id = server(&member, &image, &net).await;
    assert_eq!(status(&member, &id).await, "BUILD scheduling");
    again.boot_finishes(&id).await;
    assert_eq!(status(&member, &id).await, "ACTIVE");
    again.disconnect().await;
    let id = server(&member, &image, &net).await;
    assert_eq!(status(&member, &id).await, "ERROR");
}

#[tokio::test]
async fn hypervisors_and_services_are_the_nodes() {
    let cloud = TestCloud::start().await;
    let mut node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let list = admin
        .get("/compute/v2.1/os-hypervisors/detail")
        .await
        .expect(200);
    let first = &list["hypervisors"][0];
    assert_eq!(
        (&first["hypervisor_hostname"], &first["state"]),
        (&json!("n1"), &json!("up"))
    );
    assert_eq!(first["hypervisor_version"], 7_002_022);
    let image = cloud.image(&member, "i").await;
    let body =
        json!({"server": {"name": "s", "imageRef": image, "flavorRef": "42", "networks": []}});
    member.post("/compute/v2.1/servers", body).await.expect(202);
    let list = admin
        .get("/compute/v2.1/os-hypervisors/detail")
        .await
        .expect(200);
    assert_eq!(list["hypervisors"][0]["memory_mb_used"], 128);
    node.disconnect().await;
    let list = admin.get("/compute/v2.1/os-services").await.expect(200);
    assert_eq!(list["services"][0]["state"], "down");
    let zones = member
        .get("/compute/v2.1/os-availability-zone")
        .await
        .expect(200);
    assert_eq!(
        zones["availabilityZoneInfo"][0]["zoneState"]["available"],
        false
    );
    assert_eq!(member.get("/compute/v2.1/os-services").await.status, 403);
}
