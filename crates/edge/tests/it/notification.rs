//! What others are told: a story of requests and of nodes' words, and what it leaves in the outbox.

use std::collections::BTreeSet;
use std::path::Path;

use api::notification::{Notifier, SERVICES, page};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, Person, TestCloud, Transcript};

use crate::floating_ip::external;
use crate::world::{act, id, network, server};

const SERVERS: &str = "/compute/v2.1/servers";
const VOLUMES: &str = "/volume/v3/volumes";
const NET: &str = "/network/v2.0";

async fn watched() -> TestCloud {
    let cloud = TestCloud::start().await;
    let notifier = Notifier::new("controller".into(), cloud.url.clone());
    cloud.cloud.store().watch(Box::new(notifier)).unwrap();
    cloud
}

/// What waits in the outbox, taken out: exchange, routing key and message of each.
fn told(cloud: &TestCloud) -> Vec<(String, String, Value)> {
    let store = cloud.cloud.store();
    let all = store.read(|tx| tx.outbox(1000)).unwrap();
    if let Some(last) = all.last() {
        store.write(|tx| tx.empty_outbox(last.number)).unwrap();
    }
    let mut ids = BTreeSet::new();
    let open = |out: store::Outgoing| {
        let envelope: Value = serde_json::from_str(&out.message).unwrap();
        assert_eq!(envelope["oslo.version"], "2.0");
        let message = envelope["oslo.message"].as_str().unwrap();
        let message: Value = serde_json::from_str(message).unwrap();
        assert_eq!(message["message_id"], out.message_id.to_string());
        assert!(ids.insert(out.message_id));
        (
            out.exchange,
            format!("notifications.{}", out.priority),
            message,
        )
    };
    all.into_iter().map(open).collect()
}

async fn identity(admin: &Client, cloud: &TestCloud) {
    let v3 = "/identity/v3";
    let mut made = Vec::new();
    for (path, thing) in [
        ("domains", json!({"domain": {"name": "research"}})),
        ("projects", json!({"project": {"name": "web"}})),
        (
            "users",
            json!({"user": {"name": "ada", "password": "secret"}}),
        ),
        ("roles", json!({"role": {"name": "auditor"}})),
    ] {
        let name = path.trim_end_matches('s');
        let one = id(&admin.post(&format!("{v3}/{path}"), thing).await.expect(201));
        let one = format!("{v3}/{path}/{one}");
        let change = json!({name: {"description": "new"}});
        admin.patch(&one, change).await.expect(200);
        made.push(one);
    }
    let last = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let held = format!(
        "{}/users/{}/roles/{}",
        made[1],
        last(&made[2]),
        last(&made[3])
    );
    admin.put(&held, json!({})).await.expect(204);
    admin.delete(&held).await.expect(204);
    admin
        .patch(&made[0], json!({"domain": {"enabled": false}}))
        .await
        .expect(200);
    for one in made.iter().rev() {
        admin.delete(one).await.expect(204);
    }
    // What changes nothing is not told, nor what is refused.
    let project = format!("{v3}/projects/{}", cloud.project_id(Person::Member));
    admin
        .patch(&project, json!({"project": {}}))
        .await
        .expect(200);
    admin
        .delete(&format!("{v3}/domains/default"))
        .await
        .expect(403);
}

async fn images(cloud: &TestCloud, member: &Client) -> String {
    let gone = cloud.image(member, "gone").await;
    let patch = json!([{"op": "replace", "path": "/name", "value": "other"}]);
    member.patch_image(&gone, patch).await.expect(200);
    member
        .delete(&format!("/image/v2/images/{gone}"))
        .await
        .expect(204);
    cloud.image(member, "disk").await
}

async fn networks(admin: &Client, member: &Client) -> String {
    let (net, subnet) = network(member, "net", "192.0.2.0/24").await;
    let (ext, _) = external(admin, json!({"cidr": "203.0.113.0/24"})).await;
    let router = json!({"router": {"name": "r", "external_gateway_info": {"network_id": ext}}});
    let router = id(&member
        .post(&format!("{NET}/routers"), router)
        .await
        .expect(201));
    let router = format!("{NET}/routers/{router}");
    let leg = json!({"subnet_id": subnet});
    member
        .put(&format!("{router}/add_router_interface"), leg.clone())
        .await
        .expect(200);
    let group = json!({"security_group": {"name": "web"}});
    let group = member
        .post(&format!("{NET}/security-groups"), group)
        .await
        .expect(201);
    let group = id(&group);
    let rule = json!({"security_group_rule": {"security_group_id": group, "direction": "ingress"}});
    let rule = member
        .post(&format!("{NET}/security-group-rules"), rule)
        .await
        .expect(201);
    let rule = format!("{NET}/security-group-rules/{}", id(&rule));
    member.delete(&rule).await.expect(204);
    let port = json!({"port": {"network_id": net, "name": "p"}});
    let port = id(&member.post(&format!("{NET}/ports"), port).await.expect(201));
    let floating = json!({"floatingip": {"floating_network_id": ext, "port_id": port}});
    let floating = member
        .post(&format!("{NET}/floatingips"), floating)
        .await
        .expect(201);
    let floating = format!("{NET}/floatingips/{}", id(&floating));
    for (path, kind) in [
        (format!("{NET}/networks/{net}"), "network"),
        (format!("{NET}/subnets/{subnet}"), "subnet"),
        (format!("{NET}/ports/{port}"), "port"),
        (router.clone(), "router"),
        (format!("{NET}/security-groups/{group}"), "security_group"),
        (floating.clone(), "floatingip"),
    ] {
        let change = json!({kind: {"description": "new"}});
        member.put(&path, change).await.expect(200);
    }
    for gone in [
        floating,
        format!("{NET}/ports/{port}"),
        format!("{NET}/security-groups/{group}"),
    ] {
        member.delete(&gone).await.expect(204);
    }
    member
        .put(&format!("{router}/remove_router_interface"), leg)
        .await
        .expect(200);
    member.delete(&router).await.expect(204);
    let (gone, _) = network(member, "gone", "2001:db8:b::/64").await;
    let gone = member.delete(&format!("{NET}/networks/{gone}")).await;
    gone.expect(204);
    net
}

async fn servers(node: &FakeNode, member: &Client, image: &str, net: &str) {
    let one = server(member, image, net).await;
    node.prepares(&one).await;
    node.boot_finishes(&one).await;
    let path = format!("{SERVERS}/{one}");
    member
        .put(&path, json!({"server": {"name": "web"}}))
        .await
        .expect(200);
    assert_eq!(act(member, &one, json!({"os-stop": null})).await, 202);
    node.powers_off(&one).await;
    assert_eq!(act(member, &one, json!({"os-start": null})).await, 202);
    node.boot_finishes(&one).await;
    assert_eq!(
        act(member, &one, json!({"reboot": {"type": "HARD"}})).await,
        202
    );
    node.boot_finishes(&one).await;
    let volume = json!({"volume": {"size": 1, "name": "data"}});
    let volume = id(&member.post(VOLUMES, volume).await.expect(202));
    let stored = format!("{VOLUMES}/{volume}");
    node.volume_ready(&volume).await;
    member
        .put(&stored, json!({"volume": {"name": "more"}}))
        .await
        .expect(200);
    let extend = json!({"os-extend": {"new_size": 2}});
    member
        .post(&format!("{stored}/action"), extend)
        .await
        .expect(202);
    node.volume_ready(&volume).await;
    let held = json!({"volumeAttachment": {"volumeId": volume}});
    member
        .post(&format!("{path}/os-volume_attachments"), held)
        .await
        .expect(200);
    node.boot_finishes(&one).await;
    member
        .delete(&format!("{path}/os-volume_attachments/{volume}"))
        .await
        .expect(202);
    node.boot_finishes(&one).await;
    member.delete(&stored).await.expect(202);
    node.volume_gone(&volume).await;
    member.delete(&path).await.expect(204);
    node.guest_gone(&one).await;
    let broken = server(member, image, net).await;
    node.fails(&broken, "there is no KVM").await;
}

#[tokio::test]
async fn a_story_is_told() {
    let cloud = watched().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    identity(&admin, &cloud).await;
    let image = images(&cloud, &member).await;
    let net = networks(&admin, &member).await;
    servers(&node, &member, &image, &net).await;
    member.delete(&format!("{SERVERS}/none")).await.expect(404);
    let all = told(&cloud);
    check_keys(&all);
    let mut talk = Transcript::new(member, &cloud.url);
    for (exchange, key, message) in &all {
        let word = |name: &str| message[name].as_str().unwrap();
        let asked = message["_context_request_id"].as_str().is_some();
        let by = if asked { "asked for" } else { "seen" };
        assert_eq!(asked, message["_context_user_id"].is_string());
        let title = format!(
            "{exchange} {key} {} {} ({by})",
            word("publisher_id"),
            word("event_type")
        );
        talk.tell(&title, &masked(&message["payload"]));
    }
    talk.check(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"),
        "notification",
    );
}

/// Without what differs from run to run and is no id: MACs are drawn, and nova's times have a blank.
fn masked(payload: &Value) -> Value {
    match payload {
        Value::String(text) if text.starts_with("fa:16:3e:") => json!("{mac}"),
        Value::String(text) if text.ends_with("+00:00") => json!("{time}"),
        Value::Array(all) => all.iter().map(masked).collect(),
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), masked(v))).collect(),
        other => other.clone(),
    }
}

/// Every kind that the tables name was told, and no other; each with the keys they name.
fn check_keys(all: &[(String, String, Value)]) {
    let mut seen = BTreeSet::new();
    for (exchange, _, message) in all {
        let event_type = message["event_type"].as_str().unwrap();
        let service = SERVICES.iter().find(|s| s.exchange == exchange).unwrap();
        let kind = service.events.iter().find(|k| k.event_type == event_type);
        let kind = kind.unwrap_or_else(|| panic!("{event_type} is in no table"));
        let keys: BTreeSet<_> = message["payload"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            BTreeSet::from_iter([service.common, kind.payload].concat()),
            "{event_type}"
        );
        seen.insert(event_type);
    }
    let known = SERVICES.iter().flat_map(|s| s.events).map(|k| k.event_type);
    assert_eq!(seen, known.collect());
}

#[tokio::test]
async fn who_asked_is_told() {
    let cloud = watched().await;
    let member = cloud.member().await;
    let answer = member
        .post(
            &format!("{NET}/networks"),
            json!({"network": {"name": "net"}}),
        )
        .await;
    let request = answer.header("x-openstack-request-id").to_owned();
    let (_, _, message) = told(&cloud).into_iter().next().unwrap();
    assert_eq!(message["_context_request_id"], request);
    assert_eq!(message["_context_user_id"], cloud.user_id(Person::Member));
    assert_eq!(
        message["_context_project_id"],
        cloud.project_id(Person::Member)
    );
    assert_eq!(message["_context_roles"], json!(["member", "reader"]));
    assert_eq!(message["_context_is_admin"], false);
    assert_eq!(message["publisher_id"], "network.controller");
    assert!(!message.to_string().contains(member.token()));
}

#[tokio::test]
async fn nothing_is_written_unless_somebody_is_told() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    network(&member, "net", "2001:db8:a::/64").await;
    assert!(told(&cloud).is_empty());
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page());
}
