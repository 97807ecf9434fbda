//! A server that is there: its metadata, its interfaces, its security groups, its lock.

use serde_json::{Value, json};
use testkit::{Client, Person, assert_same};

use crate::shape;
use crate::world::{SOMEONE, World, act, id, network, server_now};

const NOVA: &str = "/compute/v2.1/servers";

async fn interfaces(client: &Client, server: &str) -> Vec<Value> {
    let list = client.get(&format!("{NOVA}/{server}/os-interface")).await;
    let list = list.expect(200)["interfaceAttachments"].clone();
    list.as_array().unwrap().clone()
}

async fn attach(client: &Client, server: &str, wish: Value) -> testkit::Answer {
    let body = json!({"interfaceAttachment": wish});
    client
        .post(&format!("{NOVA}/{server}/os-interface"), body)
        .await
}

#[tokio::test]
async fn metadata_reaches_the_guest() {
    let world = World::new().await;
    let (member, server) = (&world.member, world.id("servers"));
    let path = format!("{NOVA}/{server}/metadata");
    let body = json!({"metadata": {"a": "1", "b": "2"}});
    let all = member.put(&path, body).await.expect(200);
    assert_eq!(all, json!({"metadata": {"a": "1", "b": "2"}}));
    let body = json!({"metadata": {"b": "3", "c": "4"}});
    let all = member.post(&path, body).await.expect(200);
    assert_eq!(all, json!({"metadata": {"a": "1", "b": "3", "c": "4"}}));
    let one = format!("{path}/d");
    let set = member.put(&one, json!({"meta": {"d": "5"}})).await;
    assert_eq!(set.expect(200), json!({"meta": {"d": "5"}}));
    assert_eq!(member.get(&one).await.expect(200)["meta"]["d"], "5");
    member.delete(&format!("{path}/a")).await.expect(204);
    let wanted = world.node.wanted_server(server).await.unwrap();
    let pairs: Vec<_> = wanted
        .metadata
        .iter()
        .map(|(k, v)| format!("{k}{v}"))
        .collect();
    assert_eq!(pairs, ["b3", "c4", "d5"]);
    let path = format!(
        "/compute/v2.1/os-quota-sets/{}",
        world.cloud.project_id(Person::Member)
    );
    let limit = json!({"quota_set": {"metadata_items": 3}});
    world.admin.put(&path, limit).await.expect(200);
    let before = world.cloud.dump();
    let path = format!("{NOVA}/{server}/metadata");
    for (method, path, body, status) in [
        ("PUT", format!("{path}/e"), json!({"meta": {"f": "1"}}), 400),
        (
            "PUT",
            format!("{path}/e"),
            json!({"meta": {"e": "1", "f": "1"}}),
            400,
        ),
        (
            "PUT",
            format!("{path}/e"),
            json!({"meta": {"e": "x".repeat(256)}}),
            400,
        ),
        ("PUT", format!("{path}/e"), json!({"meta": {"e": "1"}}), 403),
        ("POST", path.clone(), json!({"metadata": {"": "1"}}), 400),
        (
            "POST",
            path.clone(),
            json!({"metadata": {"nul\u{0}": "1"}}),
            400,
        ),
        ("POST", path.clone(), json!({"metadata": {"e": "1"}}), 403),
        ("DELETE", format!("{path}/e"), Value::Null, 404),
        ("GET", format!("{path}/e"), Value::Null, 404),
    ] {
        let request = member.request(method.parse().unwrap(), &path);
        let answer = request.json(&body).send().await;
        shape::error(&answer, status, &body.to_string());
        assert_same(&before, &world.cloud.dump(), &body.to_string());
    }
}

#[tokio::test]
async fn an_interface_comes_and_goes() {
    let world = World::new().await;
    let (member, server) = (&world.member, world.id("servers"));
    let (net, _) = network(member, "second", "2001:db8:2::/64").await;
    let wish = json!({"net_id": net, "fixed_ips": [{"ip_address": "2001:db8:2::77"}]});
    let made = attach(member, server, wish).await.expect(200)["interfaceAttachment"].clone();
    assert_eq!(made["fixed_ips"][0]["ip_address"], "2001:db8:2::77");
    let port = made["port_id"].as_str().unwrap();
    let own = attach(member, server, json!({"port_id": world.id("ports")})).await;
    let own = own.expect(200)["interfaceAttachment"]["port_id"].clone();
    let wanted = world.node.wanted_server(server).await.unwrap();
    let ports: Vec<String> = wanted.ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports[1..], [port, own.as_str().unwrap()]);
    assert!(world.node.wanted_port(port).await.is_some());
    let one = format!("{NOVA}/{server}/os-interface/{port}");
    member.get(&one).await.expect(200);
    assert_eq!(interfaces(member, server).await.len(), 3);
    // It leaves the documents at once, and its record when the node has unplugged it.
    member.delete(&one).await.expect(202);
    let wanted = world.node.wanted_server(server).await.unwrap();
    assert_eq!(wanted.ports.len(), 2);
    assert!(world.node.wanted_port(port).await.is_none());
    member.get(&one).await.expect(200);
    member.delete(&one).await.expect(202);
    world.node.port_gone(port).await;
    shape::error(&member.get(&one).await, 404, "a port that went");
    let path = format!("/network/v2.0/ports/{port}");
    shape::error(&member.get(&path).await, 404, "a port made for it");
    // The user's own port is free again.
    let own = own.as_str().unwrap();
    let one = format!("{NOVA}/{server}/os-interface/{own}");
    member.delete(&one).await.expect(202);
    world.node.port_gone(own).await;
    let path = format!("/network/v2.0/ports/{own}");
    let free = member.get(&path).await.expect(200)["port"].clone();
    assert_eq!(
        (&free["device_id"], &free["status"]),
        (&json!(""), &json!("DOWN"))
    );
    attach(member, server, json!({"port_id": own}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_node_that_missed_a_detach_hears_of_it_again() {
    let mut world = World::new().await;
    let server = world.id("servers").to_owned();
    let port = interfaces(&world.member, &server).await[0]["port_id"].clone();
    let port = port.as_str().unwrap().to_owned();
    let path = format!("{NOVA}/{server}/os-interface/{port}");
    world.member.delete(&path).await.expect(202);
    world.node.catch_up().await;
    let key = model::Key::Port(port.parse().unwrap());
    let before = world
        .node
        .picture()
        .tombstones
        .iter()
        .filter(|k| **k == key)
        .count();
    world.node.reconnect().await;
    world
        .node
        .until("the tombstone", |p| {
            p.tombstones.iter().filter(|k| **k == key).count() > before
        })
        .await;
    // A server that is deleted meanwhile takes its ports with it.
    assert_eq!(
        world
            .member
            .delete(&format!("{NOVA}/{server}"))
            .await
            .status,
        204
    );
    world.node.guest_gone(&server).await;
    let path = format!("/network/v2.0/ports/{port}");
    shape::error(&world.member.get(&path).await, 404, "a port made for it");
}

#[tokio::test]
async fn what_cannot_be_attached_changes_nothing() {
    let world = World::new().await;
    let (member, server) = (&world.member, world.id("servers"));
    let (net, _) = network(member, "second", "2001:db8:2::/64").await;
    let (foreign, _) = network(&world.stranger, "foreign", "2001:db8:3::/64").await;
    let bare = json!({"network": {"name": "bare"}});
    let bare = id(&member
        .post("/network/v2.0/networks", bare)
        .await
        .expect(201));
    let used = interfaces(member, server).await[0]["port_id"].clone();
    let before = world.cloud.dump();
    for (wish, status) in [
        (json!({"net_id": net, "port_id": world.id("ports")}), 400),
        (json!({"fixed_ips": [{"ip_address": "2001:db8:2::9"}]}), 400),
        (
            json!({"net_id": net, "fixed_ips": [{"ip_address": "2001:db8:9::9"}]}),
            400,
        ),
        (
            json!({"net_id": net, "fixed_ips": [{"ip_address": "nonsense"}]}),
            400,
        ),
        (json!({"net_id": "nonsense"}), 400),
        (json!({"port_id": "nonsense"}), 400),
        (json!({"net_id": SOMEONE}), 404),
        (json!({"port_id": SOMEONE}), 404),
        (json!({"net_id": foreign}), 404),
        (json!({"net_id": bare}), 400),
        (json!({"port_id": used}), 400),
    ] {
        let answer = attach(member, server, wish.clone()).await;
        shape::error(&answer, status, &wish.to_string());
        assert_same(&before, &world.cloud.dump(), &wish.to_string());
    }
    let path = format!("{NOVA}/{server}/os-interface/{}", world.id("ports"));
    shape::error(&member.delete(&path).await, 404, "a port of nobody");
}

#[tokio::test]
async fn security_groups_of_a_server() {
    let world = World::new().await;
    let (member, server) = (&world.member, world.id("servers"));
    let names = async || {
        let groups = server_now(member, server).await["security_groups"].clone();
        let mut names: Vec<String> = groups
            .as_array()
            .map(|g| {
                g.iter()
                    .map(|g| g["name"].as_str().unwrap().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    };
    assert_eq!(names().await, ["default"]);
    let add = |name: &str| json!({"addSecurityGroup": {"name": name}});
    let remove = |name: &str| json!({"removeSecurityGroup": {"name": name}});
    assert_eq!(act(member, server, add("web")).await, 202);
    assert_eq!(
        act(member, server, add(world.id("security-groups"))).await,
        202
    );
    assert_eq!(names().await, ["default", "web"]);
    let port = interfaces(member, server).await[0]["port_id"].clone();
    let document = world
        .node
        .wanted_port(port.as_str().unwrap())
        .await
        .unwrap();
    assert!(
        document
            .rules
            .iter()
            .any(|r| r.range == Some((80, Some(80))))
    );
    assert_eq!(act(member, server, remove("default")).await, 202);
    assert_eq!(names().await, ["web"]);
    let before = world.cloud.dump();
    assert_eq!(act(member, server, remove("default")).await, 400);
    assert_eq!(act(member, server, add("nothing")).await, 404);
    assert_eq!(act(member, server, add("")).await, 400);
    assert_eq!(
        act(member, server, json!({"addSecurityGroup": null})).await,
        400
    );
    assert_eq!(act(&world.stranger, server, add("default")).await, 404);
    assert_same(&before, &world.cloud.dump(), "groups that cannot be");
}

#[tokio::test]
async fn a_locked_server_is_an_administrators() {
    let world = World::new().await;
    let (member, server) = (&world.member, world.id("servers"));
    assert_eq!(act(member, server, json!({"lock": null})).await, 202);
    let before = world.cloud.dump();
    assert_eq!(act(member, server, json!({"os-stop": null})).await, 409);
    let path = format!("{NOVA}/{server}");
    shape::error(&member.delete(&path).await, 409, "a locked server");
    let body = json!({"metadata": {"a": "b"}});
    let answer = member.post(&format!("{path}/metadata"), body).await;
    shape::error(&answer, 409, "a locked server");
    let answer = attach(member, server, json!({"port_id": world.id("ports")})).await;
    shape::error(&answer, 409, "a locked server");
    assert_eq!(
        act(&world.stranger, server, json!({"unlock": null})).await,
        404
    );
    assert_same(&before, &world.cloud.dump(), "a locked server");
    assert_eq!(
        act(&world.admin, server, json!({"os-stop": null})).await,
        202
    );
    assert_eq!(act(member, server, json!({"unlock": null})).await, 202);
    assert_eq!(member.delete(&path).await.status, 204);
}

#[tokio::test]
async fn a_console_with_a_screen_is_refused_as_nova_does() {
    let world = World::new().await;
    let body = json!({"os-getVNCConsole": {"type": "novnc"}});
    let path = format!("{NOVA}/{}/action", world.id("servers"));
    let answer = world.member.post(&path, body.clone()).await;
    let said = shape::error(&answer, 400, "a console");
    assert_eq!(said, "Unavailable console type novnc.");
    shape::error(&world.stranger.post(&path, body).await, 404, "a console");
}
