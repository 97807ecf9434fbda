//! Compute microversions: each adds what it added to nova, and nothing before it.

use http::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, assert_same};

use crate::shape;
use crate::world::{KEY, World};

const NOVA: &str = "/compute/v2.1";

async fn ask(client: &Client, minor: u32, method: Method, path: &str, body: Value) -> Answer {
    let version = format!("compute 2.{minor}");
    let request = client
        .request(method, &format!("{NOVA}{path}"))
        .header("openstack-api-version", &version);
    let answer = match body {
        Value::Null => request.send().await,
        body => request.json(&body).send().await,
    };
    assert_eq!(
        answer.header("openstack-api-version"),
        version,
        "{answer:?}"
    );
    let old = answer.header("x-openstack-nova-api-version");
    assert_eq!(old, format!("2.{minor}"));
    assert!(answer.header("vary").contains("OpenStack-API-Version"));
    answer
}

async fn get(client: &Client, minor: u32, path: &str) -> Value {
    let answer = ask(client, minor, Method::GET, path, Value::Null).await;
    answer.expect(200)
}

#[tokio::test]
async fn the_version_document_says_how_far() {
    let world = World::new().await;
    let document = world.member.get(NOVA).await.expect(200)["version"].clone();
    assert_eq!(
        (&document["min_version"], &document["version"]),
        (&json!("2.1"), &json!("2.26"))
    );
}

#[tokio::test]
async fn each_version_of_a_server_has_its_keys() {
    let world = World::new().await;
    let path = format!("/servers/{}", world.id("servers"));
    let since = [
        ("OS-EXT-SRV-ATTR:hostname", 3),
        ("OS-EXT-SRV-ATTR:reservation_id", 3),
        ("OS-EXT-SRV-ATTR:launch_index", 3),
        ("OS-EXT-SRV-ATTR:kernel_id", 3),
        ("OS-EXT-SRV-ATTR:ramdisk_id", 3),
        ("OS-EXT-SRV-ATTR:root_device_name", 3),
        ("OS-EXT-SRV-ATTR:user_data", 3),
        ("locked", 9),
        ("host_status", 16),
        ("description", 19),
        ("tags", 26),
    ];
    let first = get(&world.admin, 1, &path).await["server"].clone();
    let first: Vec<String> = first.as_object().unwrap().keys().cloned().collect();
    for minor in 1..=26 {
        let server = get(&world.admin, minor, &path).await["server"].clone();
        let mut wanted = first.clone();
        let added = since.iter().filter(|(_, began)| *began <= minor);
        wanted.extend(added.map(|(key, _)| (*key).to_owned()));
        wanted.sort();
        let mut keys: Vec<String> = server.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, wanted, "2.{minor}");
        // What tells of hosts is an administrator's alone.
        let server = get(&world.member, minor, &path).await["server"].clone();
        let told = server.as_object().unwrap().keys();
        let told: Vec<_> = told
            .filter(|key| key.starts_with("OS-EXT-SRV-ATTR") || *key == "host_status")
            .collect();
        assert!(told.is_empty(), "2.{minor}: {told:?}");
    }
    let server = get(&world.admin, 26, &path).await["server"].clone();
    assert_eq!(
        (&server["host_status"], &server["locked"]),
        (&json!("UP"), &json!(false))
    );
    assert_eq!(server["OS-EXT-SRV-ATTR:hostname"], "s");
    assert_eq!(server["tags"], json!(["blue"]));
}

#[tokio::test]
async fn descriptions_come_with_2_19() {
    let world = World::new().await;
    let member = &world.member;
    let path = format!("/servers/{}", world.id("servers"));
    let body = json!({"server": {"description": "the web"}});
    let before = world.cloud.dump();
    let answer = ask(member, 18, Method::PUT, &path, body.clone()).await;
    shape::error(&answer, 400, "a description before its time");
    let body_of_new = json!({"server": {
        "name": "d", "imageRef": world.id("images"), "flavorRef": "42", "description": "x",
        "networks": [{"uuid": world.id("networks")}],
    }});
    let answer = ask(member, 18, Method::POST, "/servers", body_of_new.clone()).await;
    shape::error(&answer, 400, "a description before its time");
    assert_same(
        &before,
        &world.cloud.dump(),
        "a description before its time",
    );
    ask(member, 19, Method::PUT, &path, body).await.expect(200);
    assert_eq!(
        get(member, 19, &path).await["server"]["description"],
        "the web"
    );
    let made = ask(member, 19, Method::POST, "/servers", body_of_new)
        .await
        .expect(202);
    let path = format!("/servers/{}", crate::world::id(&made));
    assert_eq!(get(member, 19, &path).await["server"]["description"], "x");
}

#[tokio::test]
async fn key_pairs_have_types_and_owners() {
    let world = World::new().await;
    let (admin, member) = (&world.admin, &world.member);
    let keys = "/os-keypairs";
    let pair = |more: Value| {
        let mut pair = json!({"name": "new", "public_key": KEY});
        pair.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"keypair": pair})
    };
    let owner = world.id("users");
    let before = world.cloud.dump();
    for (client, minor, more, status) in [
        (member, 1, json!({"type": "ssh"}), 400),
        (member, 9, json!({"user_id": owner}), 400),
        (member, 2, json!({"type": "x509"}), 400),
        (member, 2, json!({"type": "gpg"}), 400),
        (&world.stranger, 10, json!({"user_id": owner}), 403),
        (admin, 10, json!({"user_id": "nobody"}), 404),
    ] {
        let answer = ask(client, minor, Method::POST, keys, pair(more.clone())).await;
        shape::error(&answer, status, &more.to_string());
        assert_same(&before, &world.cloud.dump(), &more.to_string());
    }
    let made = ask(member, 1, Method::POST, keys, pair(json!({})))
        .await
        .expect(200);
    assert!(made["keypair"].get("type").is_none());
    let one = "/os-keypairs/new";
    ask(member, 1, Method::DELETE, one, Value::Null)
        .await
        .expect(202);
    let ssh = pair(json!({"type": "ssh"}));
    let made = ask(member, 2, Method::POST, keys, ssh).await.expect(201);
    assert_eq!(made["keypair"]["type"], "ssh");
    ask(member, 2, Method::DELETE, one, Value::Null)
        .await
        .expect(204);
    let theirs = pair(json!({"user_id": owner}));
    ask(admin, 10, Method::POST, keys, theirs).await.expect(201);
    assert_eq!(
        get(member, 10, one).await["keypair"]["user_id"],
        json!(owner)
    );
    let named = format!("{one}?user_id={owner}");
    get(admin, 10, &named).await;
    shape::error(
        &ask(admin, 9, Method::GET, &named, Value::Null).await,
        404,
        "before 2.10",
    );
    let answer = ask(&world.stranger, 10, Method::GET, &named, Value::Null).await;
    shape::error(&answer, 403, "another's keys");
    ask(admin, 10, Method::DELETE, &named, Value::Null)
        .await
        .expect(204);
    let list = get(admin, 10, &format!("{keys}?user_id={owner}")).await;
    assert_eq!(list["keypairs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tags_come_with_2_26() {
    let world = World::new().await;
    let member = &world.member;
    let path = format!("/servers/{}/tags", world.id("servers"));
    let answer = ask(member, 25, Method::GET, &path, Value::Null).await;
    shape::error(&answer, 404, "tags before their time");
    let body = json!({"tags": ["red", "green", "red"]});
    let tags = ask(member, 26, Method::PUT, &path, body).await.expect(200);
    assert_eq!(tags, json!({"tags": ["green", "red"]}));
    let one = |tag: &str| format!("{path}/{tag}");
    let put = async |tag: &str| ask(member, 26, Method::PUT, &one(tag), Value::Null).await;
    let added = put("blue").await;
    assert_eq!(added.status, 201);
    assert!(
        added.header("location").ends_with("/tags/blue"),
        "{added:?}"
    );
    assert_eq!(put("blue").await.status, 204);
    let show = ask(member, 26, Method::GET, &one("blue"), Value::Null).await;
    assert_eq!(show.status, 204);
    let matches = async |query: &str| {
        let list = get(member, 26, &format!("/servers?{query}")).await;
        list["servers"].as_array().unwrap().len()
    };
    for (query, expected) in [
        ("tags=red,green", 1),
        ("tags=red,pink", 0),
        ("tags=re", 0),
        ("tags-any=pink,red", 1),
        ("tags-any=pink", 0),
        ("not-tags=red,pink", 1),
        ("not-tags=red,green", 0),
        ("not-tags-any=pink", 1),
        ("not-tags-any=pink,red", 0),
        ("tags=blue,green,red", 1),
    ] {
        assert_eq!(matches(query).await, expected, "{query}");
    }
    let delete = async |path: &str| ask(member, 26, Method::DELETE, path, Value::Null).await;
    assert_eq!(delete(&one("blue")).await.status, 204);
    let before = world.cloud.dump();
    shape::error(&delete(&one("blue")).await, 404, "no tag");
    for bad in ["a%2Cb", "a%2Fb", "%20", &"x".repeat(61)] {
        shape::error(&put(bad).await, 400, bad);
    }
    let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
    for bad in [
        json!(many),
        json!(["a,b"]),
        json!([""]),
        json!([7]),
        json!("red"),
    ] {
        let answer = ask(member, 26, Method::PUT, &path, json!({"tags": bad})).await;
        shape::error(&answer, 400, "tags that are none");
    }
    assert_same(&before, &world.cloud.dump(), "tags that are none");
    assert_eq!(delete(&path).await.status, 204);
    assert_eq!(get(member, 26, &path).await, json!({"tags": []}));
}

#[tokio::test]
async fn consoles_crash_dumps_groups_and_services() {
    let world = World::new().await;
    let (admin, member) = (&world.admin, &world.member);
    let server = format!("/servers/{}", world.id("servers"));
    let console = |protocol: &str, kind: &str| json!({"remote_console": {"protocol": protocol, "type": kind}});
    let path = format!("{server}/remote-consoles");
    for (minor, protocol, status) in [
        (5, "vnc", 404),
        (6, "vnc", 400),
        (7, "mks", 400),
        (8, "mks", 400),
    ] {
        let body = console(protocol, "novnc");
        let answer = ask(member, minor, Method::POST, &path, body).await;
        shape::error(&answer, status, protocol);
    }
    let path = format!("{server}/action");
    for (minor, action) in [
        (5, json!({"os-getVNCConsole": {"type": "novnc"}})),
        (6, json!({"os-getVNCConsole": {"type": "novnc"}})),
        (16, json!({"trigger_crash_dump": null})),
        (17, json!({"trigger_crash_dump": null})),
    ] {
        let answer = ask(member, minor, Method::POST, &path, action).await;
        shape::error(&answer, 400, "what is not there");
    }
    let migrations = format!("{server}/migrations");
    assert_eq!(get(admin, 23, &migrations).await, json!({"migrations": []}));
    let answer = ask(member, 23, Method::GET, &migrations, Value::Null).await;
    shape::error(&answer, 403, "an administrator's list");
    let group = format!("/os-server-groups/{}", world.id("os-server-groups"));
    assert!(
        get(member, 12, &group).await["server_group"]
            .get("project_id")
            .is_none()
    );
    let shown = get(member, 13, &group).await["server_group"].clone();
    assert_eq!(shown["project_id"], json!(world.id("projects")));
    assert_eq!(shown["user_id"], json!(world.id("users")));
    let soft = json!({"server_group": {"name": "g", "policies": ["soft-affinity"]}});
    let answer = ask(member, 14, Method::POST, "/os-server-groups", soft.clone()).await;
    shape::error(&answer, 400, "a policy before its time");
    ask(member, 15, Method::POST, "/os-server-groups", soft)
        .await
        .expect(200);
    assert!(
        get(admin, 10, "/os-services").await["services"][0]
            .get("forced_down")
            .is_none()
    );
    assert_eq!(
        get(admin, 11, "/os-services").await["services"][0]["forced_down"],
        false
    );
}

#[tokio::test]
async fn changes_since_a_moment() {
    let world = World::new().await;
    let list = async |query: &str| world.member.get(&format!("{NOVA}/servers?{query}")).await;
    let count = |answer: Answer| answer.expect(200)["servers"].as_array().unwrap().len();
    assert_eq!(count(list("changes-since=2020-01-01T00:00:00Z").await), 1);
    assert_eq!(count(list("changes-since=2999-01-01").await), 0);
    shape::error(&list("changes-since=yesterday").await, 400, "no moment");
    assert_eq!(count(list("config_drive=true").await), 1);
    assert_eq!(count(list("reservation_id=r-nothing").await), 0);
}
