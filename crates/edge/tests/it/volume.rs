//! Volumes: from a request to a node and back.

use serde_json::{Value, json};
use testkit::{Client, FakeNode, Person, TestCloud};

use crate::shape;
use crate::world::id;

const VOLUMES: &str = "/volume/v3/volumes";

struct Scene {
    cloud: TestCloud,
    node: FakeNode,
    member: Client,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    Scene {
        cloud,
        node,
        member,
    }
}

impl Scene {
    async fn volume(&self, more: Value) -> String {
        let mut body = json!({"size": 1});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self.member.post(VOLUMES, json!({"volume": body})).await;
        id(&made.expect(202))
    }

    async fn ready(&self) -> String {
        let id = self.volume(json!({})).await;
        self.node.volume_ready(&id).await;
        id
    }

    async fn now(&self, id: &str) -> Value {
        let answer = self.member.get(&format!("{VOLUMES}/{id}")).await;
        answer.expect(200)["volume"].clone()
    }

    async fn status(&self, id: &str) -> String {
        self.now(id).await["status"].as_str().unwrap().to_owned()
    }

    async fn act(&self, id: &str, action: Value) -> testkit::Answer {
        let path = format!("{VOLUMES}/{id}/action");
        self.member.post(&path, action).await
    }
}

#[tokio::test]
async fn a_volume_is_made_and_goes() {
    let s = scene().await;
    let id = s.volume(json!({"name": "data"})).await;
    assert_eq!(s.status(&id).await, "creating");
    let wanted = s.node.wanted_volume(&id).await.unwrap();
    assert_eq!(
        (wanted.size_gib, wanted.image, wanted.chaps),
        (1, None, vec![])
    );
    assert_eq!(
        wanted.target,
        format!("iqn.2024-07.internal.hextet:volume-{id}")
    );
    assert!(!wanted.made);
    s.node.volume_ready(&id).await;
    let wanted = s.node.wanted_volume(&id).await.unwrap();
    assert!(wanted.made, "its node knows that there was data");
    let now = s.now(&id).await;
    assert_eq!(now["status"], "available");
    assert_eq!(now["bootable"], "false");
    let path = format!("{VOLUMES}/{id}");
    assert_eq!(s.member.delete(&path).await.status, 202);
    assert_eq!(s.status(&id).await, "deleting");
    assert!(s.node.wanted_volume(&id).await.is_none());
    assert_eq!(s.member.delete(&path).await.status, 202, "once more");
    s.node.volume_gone(&id).await;
    shape::error(&s.member.get(&path).await, 404, "it is gone");
    assert_eq!(s.cloud.dump().count("volume"), 0);
}

#[tokio::test]
async fn a_volume_of_an_image_has_its_data() {
    let s = scene().await;
    let image = s.cloud.image(&s.member, "disk").await;
    let id = s.volume(json!({"imageRef": image})).await;
    let wanted = s.node.wanted_volume(&id).await.unwrap().image.unwrap();
    assert_eq!(
        (wanted.id.to_string(), wanted.size_bytes),
        (image.clone(), 6)
    );
    let now = s.now(&id).await;
    assert_eq!(now["bootable"], "true");
    assert_eq!(now["volume_image_metadata"]["image_id"], image);
    assert_eq!(now["volume_image_metadata"]["size"], "6");
}

#[tokio::test]
async fn a_volume_that_cannot_be_made_says_why() {
    let s = scene().await;
    let id = s.volume(json!({})).await;
    let why = "volume file: no space left on device: free some";
    s.node.volume_fails(&id, why).await;
    let now = s.now(&id).await;
    assert_eq!(now["status"], "error");
    assert_eq!(now["metadata"]["fault"], why);
    let path = format!("{VOLUMES}/{id}/metadata");
    let own = s.member.get(&path).await.expect(200);
    assert_eq!(own["metadata"], json!({}), "the fault is not the user's");
    // Its node finds room after all.
    s.node.volume_ready(&id).await;
    assert_eq!(s.status(&id).await, "available");
}

#[tokio::test]
async fn a_volume_without_a_place_is_an_error_that_can_be_deleted() {
    let s = scene().await;
    let large = s.volume(json!({"size": 5000})).await;
    let now = s.now(&large).await;
    assert_eq!(now["status"], "error");
    let why = now["metadata"]["fault"].as_str().unwrap();
    assert!(why.contains("5000 GiB of disk left"), "{why}");
    let alone = TestCloud::start().await;
    let member = alone.member().await;
    let made = member.post(VOLUMES, json!({"volume": {"size": 1}})).await;
    let volume = made.expect(202)["volume"].clone();
    let why = volume["metadata"]["fault"].as_str().unwrap();
    assert!(why.contains("No node that keeps volumes"), "{why}");
    for (member, id) in [(&s.member, large), (&member, id(&json!({"v": volume})))] {
        let path = format!("{VOLUMES}/{id}");
        assert_eq!(member.delete(&path).await.status, 202);
        shape::error(&member.get(&path).await, 404, "no node had it");
    }
}

/// What is placed counts, whether it is there yet or not.
#[tokio::test]
async fn volumes_fill_a_node() {
    let s = scene().await;
    s.volume(json!({"size": 900})).await;
    let id = s.volume(json!({"size": 101})).await;
    assert_eq!(s.status(&id).await, "error");
    let id = s.volume(json!({"size": 100})).await;
    s.node.volume_ready(&id).await;
    let answer = s.act(&id, json!({"os-extend": {"new_size": 101}})).await;
    let why = shape::error(&answer, 400, "no room");
    assert!(why.contains("0 GiB left"), "{why}");
}

#[tokio::test]
async fn a_volume_grows_through_its_node() {
    let s = scene().await;
    let id = s.ready().await;
    let extend = json!({"os-extend": {"new_size": 3}});
    assert_eq!(s.act(&id, extend.clone()).await.status, 202);
    let now = s.now(&id).await;
    assert_eq!(
        (&now["status"], &now["size"]),
        (&json!("extending"), &json!(1))
    );
    assert_eq!(s.node.wanted_volume(&id).await.unwrap().size_gib, 3);
    shape::error(&s.act(&id, extend).await, 400, "it is extending");
    s.node.volume_ready(&id).await;
    let now = s.now(&id).await;
    assert_eq!(
        (&now["status"], &now["size"]),
        (&json!("available"), &json!(3))
    );
    for size in [3, 2, 0] {
        let answer = s.act(&id, json!({"os-extend": {"new_size": size}})).await;
        shape::error(&answer, 400, "not larger");
    }
}

#[tokio::test]
async fn an_extension_that_fails_says_why() {
    let s = scene().await;
    let id = s.ready().await;
    s.act(&id, json!({"os-extend": {"new_size": 3}})).await;
    let fails = |seen: &mut model::VolumeSeen| {
        seen.size_gib = 1;
        seen.failure = Some("disk full".into());
    };
    s.node.sees_volume(&id, fails).await;
    let now = s.now(&id).await;
    assert_eq!(now["status"], "error_extending");
    assert_eq!(
        (&now["size"], &now["metadata"]["fault"]),
        (&json!(1), &json!("disk full"))
    );
}

#[tokio::test]
async fn paths_may_name_the_tokens_project() {
    let s = scene().await;
    let id = s.ready().await;
    let own = s.cloud.project_id(Person::Member);
    let other = s.cloud.project_id(Person::Stranger);
    let path = format!("/volume/v3/{own}/volumes/{id}");
    assert_eq!(s.member.get(&path).await.expect(200)["volume"]["id"], id);
    let list = format!("/volume/v3/{own}/volumes?limit=1");
    let page = s.member.get(&list).await.expect(200);
    let next = page["volumes_links"][0]["href"].as_str().unwrap();
    assert!(
        next.contains(&format!("/volume/v3/{own}/volumes?")),
        "{next}"
    );
    for client in [s.cloud.admin().await, s.cloud.member().await] {
        let answer = client.get(&format!("/volume/v3/{other}/volumes")).await;
        shape::error(&answer, 400, "another's project");
    }
    let nobody = s.cloud.client_with(None).await;
    shape::error(&nobody.get(&path).await, 401, "no token");
    let root = format!("/volume/v3/{own}/");
    nobody.get(&root).await.expect(200);
}

#[tokio::test]
async fn an_administrator_sees_all_projects_when_asked() {
    let s = scene().await;
    let id = s.ready().await;
    let admin = s.cloud.admin().await;
    let seen = async |client: &Client, query: &str| {
        let answer = client.get(&format!("{VOLUMES}/detail{query}")).await;
        answer.expect(200)["volumes"].as_array().unwrap().len()
    };
    assert_eq!(seen(&admin, "").await, 0);
    assert_eq!(seen(&admin, "?all_tenants=1").await, 1);
    let stranger = s.cloud.stranger().await;
    assert_eq!(seen(&stranger, "?all_tenants=1").await, 0);
    assert_eq!(seen(&s.member, "?status=available&size=1").await, 1);
    assert_eq!(seen(&s.member, "?status=error").await, 0);
    let path = format!("{VOLUMES}/{id}/action");
    let force = json!({"os-force_delete": {}});
    let refused = s.member.post(&path, force.clone()).await;
    shape::error(&refused, 403, "force is for administrators");
    assert_eq!(admin.post(&path, force).await.status, 202);
}

#[tokio::test]
async fn an_end_that_was_lost_with_the_stream_is_asked_for_again() {
    let mut s = scene().await;
    let id = s.ready().await;
    s.node.disconnect().await;
    let path = format!("{VOLUMES}/{id}");
    assert_eq!(s.member.delete(&path).await.status, 202);
    s.node.reconnect().await;
    s.node.reconnect().await;
    let key = model::Key::Volume(id.parse().unwrap());
    let asked = s.node.picture().tombstones;
    assert!(
        asked.iter().filter(|k| **k == key).count() >= 2,
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_this_cloud_does_not_have_is_refused_in_a_sentence() {
    let s = scene().await;
    let id = s.ready().await;
    let before = s.cloud.dump();
    for body in [
        json!({}),
        json!({"size": 0}),
        json!({"size": -1}),
        json!({"size": "large"}),
        json!({"size": 1, "source_volid": id}),
        json!({"size": 1, "snapshot_id": id}),
        json!({"size": 1, "multiattach": true}),
        json!({"size": 1, "imageRef": id}),
        json!({"size": 1, "imageRef": "x"}),
        json!({"size": 1, "availability_zone": "mars"}),
        json!({"size": 1, "name": "x".repeat(256)}),
        json!({"size": 1, "metadata": {"": "x"}}),
        json!({"size": 1, "metadata": {"x": 1}}),
    ] {
        let answer = s.member.post(VOLUMES, json!({"volume": body})).await;
        shape::error(&answer, 400, &body.to_string());
    }
    let typed = json!({"volume": {"size": 1, "volume_type": "gold"}});
    shape::error(&s.member.post(VOLUMES, typed).await, 404, "no such type");
    for action in [
        json!({"os-attach": {"instance_uuid": id, "mountpoint": "/dev/vdb"}}),
        json!({"os-reset_status": {"status": "available"}}),
        json!({"os-retype": {"new_type": "default"}}),
        json!({"os-dance": null}),
        json!({"os-extend": {}}),
        json!({"os-extend": null}),
        json!({"os-set_bootable": {"bootable": "perhaps"}}),
        json!({"os-extend": {"new_size": 2}, "os-detach": {}}),
        json!({}),
    ] {
        shape::error(&s.act(&id, action.clone()).await, 400, &action.to_string());
    }
    let snapshot = json!({"snapshot": {"volume_id": id}});
    let answer = s.member.post("/volume/v3/snapshots", snapshot).await;
    shape::error(&answer, 400, "no snapshots");
    let backup = json!({"backup": {"volume_id": id}});
    let answer = s.member.post("/volume/v3/backups", backup).await;
    shape::error(&answer, 400, "no backups");
    testkit::assert_same(&before, &s.cloud.dump(), "bad requests");
}

#[tokio::test]
async fn limits_of_volumes_are_shown_set_and_kept() {
    let s = scene().await;
    let (admin, project) = (s.cloud.admin().await, s.cloud.project_id(Person::Member));
    let path = format!("/volume/v3/os-quota-sets/{project}");
    let limits = json!({"quota_set": {"volumes": "2", "gigabytes": 5, "snapshots": 0}});
    let set = admin.put(&path, limits).await.expect(200)["quota_set"].clone();
    assert_eq!((&set["volumes"], &set["gigabytes"]), (&json!(2), &json!(5)));
    assert_eq!((&set["backups"], &set["id"]), (&json!(0), &Value::Null));
    let id = s.ready().await;
    let too_large = s.act(&id, json!({"os-extend": {"new_size": 6}})).await;
    shape::error(&too_large, 413, "over its gigabytes");
    let body = |size: u32| json!({"volume": {"size": size}});
    let answer = s.member.post(VOLUMES, body(5)).await;
    let why = shape::error(&answer, 413, "over its gigabytes");
    assert!(why.contains("1G has been consumed"), "{why}");
    s.ready().await;
    shape::error(&s.member.post(VOLUMES, body(1)).await, 413, "a third");
    let shown = s
        .member
        .get(&format!("{path}?usage=True"))
        .await
        .expect(200);
    let expected = json!({"limit": 2, "in_use": 2, "reserved": 0});
    assert_eq!(shown["quota_set"]["volumes"], expected);
    let limits = s.member.get("/volume/v3/limits").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["maxTotalVolumes"], 2);
    assert_eq!(limits["limits"]["absolute"]["totalGigabytesUsed"], 2);
    for (body, expected) in [
        (json!({"quota_set": {"snapshots": 7}}), 400),
        (json!({"quota_set": {"volumes": -2}}), 400),
        (json!({"quota_set": {"volumes": "many"}}), 400),
        (json!({}), 400),
    ] {
        shape::error(&admin.put(&path, body).await, expected, "no limit");
    }
    let own = json!({"quota_set": {"volumes": 100}});
    shape::error(&s.member.put(&path, own).await, 403, "a member");
    admin.delete(&path).await.expect(200);
    let defaults = s.member.get(&format!("{path}/defaults")).await.expect(200);
    let shown = s.member.get(&path).await.expect(200);
    assert_eq!(shown, defaults);
    let class = "/volume/v3/os-quota-class-sets/default";
    let body = json!({"quota_class_set": {"volumes": 3}});
    let set = admin.put(class, body).await.expect(200);
    assert_eq!(set["quota_class_set"]["volumes"], 3);
    assert_eq!(
        admin.get(class).await.expect(200)["quota_class_set"]["id"],
        "default"
    );
}

#[tokio::test]
async fn a_microversion_that_is_not_there_is_406() {
    let s = scene().await;
    for (version, expected) in [
        ("volume 3.0", 200),
        ("volume latest", 200),
        ("compute 2.1", 200),
        ("volume 3.1", 406),
        ("volume 2.0", 406),
        ("volume x", 406),
    ] {
        let request = s.member.request(http::Method::GET, VOLUMES);
        let answer = request
            .header("openstack-api-version", version)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), expected, "{version}");
        assert_eq!(answer.header("openstack-api-version"), "volume 3.0");
    }
}
