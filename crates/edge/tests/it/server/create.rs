//! Servers as they are made: where they go, of what, and how many.

use serde_json::json;
use testkit::Person;

use super::scene;
use crate::shape;
use crate::world::{act, id, network, server_now};

#[tokio::test]
async fn without_a_node_there_is_no_valid_host() {
    let mut s = scene().await;
    s.node.disconnect().await;
    let id = s.server().await;
    let server = server_now(&s.member, &id).await;
    assert_eq!(server["status"], "ERROR");
    let why = server["fault"]["message"].as_str().unwrap();
    assert!(why.starts_with("No valid host was found."), "{why}");
    for action in [
        json!({"os-start": null}),
        json!({"os-stop": null}),
        json!({"reboot": {"type": "HARD"}}),
    ] {
        assert_eq!(act(&s.member, &id, action).await, 409);
    }
    s.node.reconnect().await;
    assert!(s.node.wanted_server(&id).await.is_none());
    s.delete(&id).await;
    assert!(s.is_gone(&id).await);
    assert!(s.ports(&id).await.is_empty());
}

#[tokio::test]
async fn a_node_that_is_full_takes_no_more() {
    let s = scene().await;
    let admin = s.cloud.admin().await;
    let flavor =
        json!({"flavor": {"name": "huge", "id": "huge", "ram": 600_000, "vcpus": 1, "disk": 0}});
    admin
        .post("/compute/v2.1/flavors", flavor)
        .await
        .expect(200);
    let body = json!({"server": {
        "name": "s", "imageRef": s.image, "flavorRef": "huge", "networks": "none",
    }});
    // `none` is for later microversions: an empty list says the same at 2.1.
    let answer = s.member.post("/compute/v2.1/servers", body.clone()).await;
    shape::error(&answer, 400, "networks: none");
    let body =
        json!({"server": {"name": "s", "imageRef": s.image, "flavorRef": "huge", "networks": []}});
    let first = id(&s
        .member
        .post("/compute/v2.1/servers", body.clone())
        .await
        .expect(202));
    let second = id(&s
        .member
        .post("/compute/v2.1/servers", body)
        .await
        .expect(202));
    assert_eq!(s.status(&first).await, "BUILD scheduling");
    assert_eq!(s.status(&second).await, "ERROR");
}

#[tokio::test]
async fn servers_go_where_there_is_most_room() {
    let s = scene().await;
    let other = s.cloud.node("n2").await;
    let mut on_first = 0;
    for _ in 0..6 {
        let id = s.server().await;
        on_first += usize::from(s.node.wanted_server(&id).await.is_some());
        let both =
            s.node.wanted_server(&id).await.is_some() && other.wanted_server(&id).await.is_some();
        assert!(!both, "one guest on two nodes");
    }
    assert_eq!(on_first, 3);
}

#[tokio::test]
async fn several_servers_are_made_at_once() {
    let s = scene().await;
    let body = json!({"server": {
        "name": "web", "imageRef": s.image, "flavorRef": "42", "networks": [{"uuid": s.network}],
        "min_count": 3, "max_count": 3,
    }});
    s.member
        .post("/compute/v2.1/servers", body.clone())
        .await
        .expect(202);
    let list = s
        .member
        .get("/compute/v2.1/servers?sort_key=name&sort_dir=asc")
        .await
        .expect(200);
    let names: Vec<&str> = list["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["web-1", "web-2", "web-3"]);
    let mut reserved = body;
    reserved["server"]["return_reservation_id"] = json!(true);
    let answer = s
        .member
        .post("/compute/v2.1/servers", reserved)
        .await
        .expect(202);
    assert!(answer["reservation_id"].as_str().unwrap().starts_with("r-"));
}

#[tokio::test]
async fn the_only_network_is_taken_when_none_is_named() {
    let s = scene().await;
    let body = json!({"server": {"name": "s", "imageRef": s.image, "flavorRef": "42"}});
    let id = id(&s
        .member
        .post("/compute/v2.1/servers", body.clone())
        .await
        .expect(202));
    assert_eq!(s.ports(&id).await.len(), 1);
    network(&s.member, "second", "2001:db8:b::/64").await;
    let answer = s.member.post("/compute/v2.1/servers", body).await;
    shape::error(&answer, 409, "two networks to choose from");
}

#[tokio::test]
async fn a_server_keeps_what_it_was_made_of() {
    let s = scene().await;
    let admin = s.cloud.admin().await;
    let flavor =
        json!({"flavor": {"name": "brief", "id": "brief", "ram": 64, "vcpus": 1, "disk": 0}});
    admin
        .post("/compute/v2.1/flavors", flavor)
        .await
        .expect(200);
    let key = json!({"keypair": {"name": "k", "public_key": crate::world::KEY}});
    s.member
        .post("/compute/v2.1/os-keypairs", key)
        .await
        .expect(200);
    let body = json!({"server": {
        "name": "Web 1", "imageRef": s.image, "flavorRef": "brief", "key_name": "k",
        "networks": [{"uuid": s.network, "fixed_ip": "2001:db8:a::77"}],
        "user_data": "I2Nsb3VkLWNvbmZpZw==", "metadata": {"role": "web"},
    }});
    let id = id(&s
        .member
        .post("/compute/v2.1/servers", body)
        .await
        .expect(202));
    let file = s
        .member
        .get(&format!("/image/v2/images/{}", s.image))
        .await
        .expect(200);
    assert_eq!(
        admin.delete("/compute/v2.1/flavors/brief").await.status,
        202
    );
    assert_eq!(
        s.member.delete("/compute/v2.1/os-keypairs/k").await.status,
        202
    );
    assert_eq!(
        s.member
            .delete(&format!("/image/v2/images/{}", s.image))
            .await
            .status,
        204
    );
    let wanted = s.node.wanted_server(&id).await.unwrap();
    assert_eq!(wanted.hostname, "web-1");
    assert_eq!(
        wanted.public_keys,
        [("k".to_owned(), crate::world::KEY.to_owned())]
    );
    assert_eq!(wanted.user_data.unwrap().0, b"#cloud-config");
    assert_eq!(wanted.metadata, [("role".to_owned(), "web".to_owned())]);
    assert_eq!(
        wanted.boot.disk.unwrap().sha512,
        file["os_hash_value"].as_str().unwrap()
    );
    assert_eq!(wanted.project.as_str(), s.cloud.project_id(Person::Member));
    s.node.boot_finishes(&id).await;
    let server = server_now(&s.member, &id).await;
    assert_eq!(server["addresses"]["net"][0]["addr"], "2001:db8:a::77");
    assert_eq!(server["flavor"]["id"], "brief");
}

#[tokio::test]
async fn a_failed_request_for_many_makes_none() {
    let s = scene().await;
    let body = json!({"server": {
        "name": "s", "imageRef": s.image, "flavorRef": "42", "min_count": 2,
        "networks": [{"uuid": s.network, "fixed_ip": "2001:db8:a::77"}],
    }});
    let before = s.cloud.dump();
    let answer = s.member.post("/compute/v2.1/servers", body).await;
    assert!([400, 409].contains(&answer.status.as_u16()), "{answer:?}");
    testkit::assert_same(
        &before,
        &s.cloud.dump(),
        "a request for two with one address",
    );
}

#[tokio::test]
async fn a_guest_that_is_being_prepared_is_spawning() {
    let s = scene().await;
    let id = s.server().await;
    s.node.prepares(&id).await;
    assert_eq!(s.status(&id).await, "BUILD spawning");
    for action in [
        json!({"os-stop": null}),
        json!({"os-start": null}),
        json!({"reboot": {"type": "HARD"}}),
    ] {
        assert_eq!(act(&s.member, &id, action).await, 409);
    }
}

#[tokio::test]
async fn a_server_that_is_deleted_while_it_builds_goes() {
    let s = scene().await;
    let id = s.server().await;
    let port = s.ports(&id).await[0]["id"].as_str().unwrap().to_owned();
    s.delete(&id).await;
    assert_eq!(s.status(&id).await, "BUILD deleting");
    assert!(s.node.wanted_server(&id).await.is_none());
    // What the node saw before it heard of it does not bring the server back.
    assert_eq!(act(&s.member, &id, json!({"os-start": null})).await, 409);
    s.delete(&id).await;
    let actions = format!("/compute/v2.1/servers/{id}/os-instance-actions");
    let actions = s.member.get(&actions).await.expect(200)["instanceActions"].clone();
    assert_eq!(actions.as_array().unwrap().len(), 2, "create and delete");
    s.node.guest_gone(&id).await;
    assert!(s.is_gone(&id).await);
    assert!(s.node.wanted_port(&port).await.is_none());
    let answer = s.member.get(&format!("/network/v2.0/ports/{port}")).await;
    shape::error(&answer, 404, "a port that was made with its server");
}
