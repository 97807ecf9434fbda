//! Volumes of servers: attached, detached, booted from, and what is told when that fails.

mod boot;
mod refused;

use model::AttachmentSeen;
use serde_json::{Value, json};
use testkit::{Answer, Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{SOMEONE, act, id, network, server, server_now, status};

const SERVERS: &str = "/compute/v2.1/servers";
const VOLUMES: &str = "/volume/v3/volumes";

struct Scene {
    cloud: TestCloud,
    node: FakeNode,
    member: Client,
    image: String,
    network: String,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "disk").await;
    let (network, _) = network(&member, "net", "2001:db8:a::/64").await;
    Scene {
        cloud,
        node,
        member,
        image,
        network,
    }
}

impl Scene {
    async fn running(&self) -> String {
        let id = server(&self.member, &self.image, &self.network).await;
        self.node.boot_finishes(&id).await;
        id
    }

    async fn volume(&self) -> String {
        let body = json!({"volume": {"size": 1}});
        let id = id(&self.member.post(VOLUMES, body).await.expect(202));
        self.node.volume_ready(&id).await;
        id
    }

    async fn volume_now(&self, id: &str) -> Value {
        let answer = self.member.get(&format!("{VOLUMES}/{id}")).await;
        answer.expect(200)["volume"].clone()
    }

    async fn volume_status(&self, id: &str) -> String {
        let now = self.volume_now(id).await;
        now["status"].as_str().unwrap().to_owned()
    }

    async fn attach(&self, server: &str, volume: &str) -> Answer {
        let path = format!("{SERVERS}/{server}/os-volume_attachments");
        let body = json!({"volumeAttachment": {"volumeId": volume}});
        self.member.post(&path, body).await
    }

    async fn attached(&self, server: &str, volume: &str) {
        self.attach(server, volume).await.expect(200);
        self.node.boot_finishes(server).await;
    }

    async fn detach(&self, server: &str, volume: &str) -> Answer {
        let path = format!("{SERVERS}/{server}/os-volume_attachments/{volume}");
        self.member.delete(&path).await
    }

    async fn held(&self, server: &str) -> usize {
        let path = format!("{SERVERS}/{server}/os-volume_attachments");
        let list = self.member.get(&path).await.expect(200);
        list["volumeAttachments"].as_array().unwrap().len()
    }

    /// Result and reason of what was asked of a server last.
    async fn last_action(&self, server: &str, action: &str) -> (Value, Value) {
        let path = format!("{SERVERS}/{server}/os-instance-actions");
        let list = self.member.get(&path).await.expect(200);
        let all = list["instanceActions"].as_array().unwrap();
        let found = all.iter().find(|a| a["action"] == action);
        let request = found.expect("the action")["request_id"].as_str().unwrap();
        let one = self.member.get(&format!("{path}/{request}")).await;
        let one = &one.expect(200)["instanceAction"];
        let event = &one["events"][0];
        assert_eq!(one["message"], event["traceback"]);
        (event["result"].clone(), event["traceback"].clone())
    }

    async fn boot(&self, disks: Value, more: Value) -> Answer {
        let mut body = json!({
            "name": "s", "flavorRef": "42", "networks": [{"uuid": self.network}],
            "block_device_mapping_v2": disks,
        });
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        self.member.post(SERVERS, json!({"server": body})).await
    }
}

#[tokio::test]
async fn a_volume_is_attached_and_detached() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    let made = s.attach(&server, &volume).await.expect(200);
    let expected = json!({"volumeAttachment": {
        "id": volume, "volumeId": volume, "serverId": server, "device": "/dev/vdc",
    }});
    assert_eq!(made, expected);
    assert_eq!(s.volume_status(&volume).await, "attaching");
    // Who logs in stands in the volume's document, and the server's node is told where and how.
    let wanted = s.node.wanted_server(&server).await.unwrap().attachments;
    let kept = s.node.wanted_volume(&volume).await.unwrap();
    assert_eq!(kept.chaps, [wanted[0].chap.clone()]);
    assert_eq!(wanted[0].target, kept.target);
    assert_eq!(wanted[0].portals[0].to_string(), "[2001:db8:5::1]:3260");
    assert!(!wanted[0].root && !wanted[0].read_only);
    s.node.boot_finishes(&server).await;
    let now = s.volume_now(&volume).await;
    assert_eq!(now["status"], "in-use");
    assert_eq!(now["attachments"][0]["server_id"], server);
    assert_eq!(now["attachments"][0]["device"], "/dev/vdc");
    let view = server_now(&s.member, &server).await;
    let volumes = &view["os-extended-volumes:volumes_attached"];
    assert_eq!(volumes, &json!([{"id": volume}]));
    assert_eq!(
        s.last_action(&server, "attach_volume").await.0,
        json!("Success")
    );

    assert_eq!(s.detach(&server, &volume).await.status, 202);
    assert_eq!(s.volume_status(&volume).await, "detaching");
    let wanted = s.node.wanted_server(&server).await.unwrap();
    assert_eq!(wanted.attachments, []);
    // Until the server's node says so, the guest may still write to it.
    let kept = s.node.wanted_volume(&volume).await.unwrap();
    assert_eq!(kept.chaps.len(), 1);
    s.node.boot_finishes(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
    assert_eq!(s.node.wanted_volume(&volume).await.unwrap().chaps, []);
    assert_eq!(s.held(&server).await, 0);
    assert_eq!(
        s.last_action(&server, "detach_volume").await.0,
        json!("Success")
    );
    assert_eq!(s.cloud.dump().count("attachment"), 0);
}

#[tokio::test]
async fn an_attach_that_fails_leaves_all_as_it_was_and_says_why() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attach(&server, &volume).await.expect(200);
    assert_eq!(
        s.last_action(&server, "attach_volume").await,
        (Value::Null, Value::Null)
    );
    let why = "portal [2001:db8:5::1]:3260: connection refused";
    s.node.attach_fails(&server, why).await;
    // The node has yet to hear that it need not try again.
    assert_eq!(s.volume_status(&volume).await, "detaching");
    assert_eq!(s.node.wanted_server(&server).await.unwrap().attachments, []);
    s.node.boot_finishes(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
    assert_eq!(status(&s.member, &server).await, "ACTIVE");
    assert_eq!(s.held(&server).await, 0);
    let told = s.last_action(&server, "attach_volume").await;
    assert_eq!(told, (json!("Error"), json!(why)));
    s.attached(&server, &volume).await;
    assert_eq!(s.volume_status(&volume).await, "in-use");
}

/// What was attached once stays, whatever its portal does later.
#[tokio::test]
async fn trouble_with_a_volume_that_is_in_use_takes_nothing_away() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attached(&server, &volume).await;
    s.node.attach_fails(&server, "portal down").await;
    assert_eq!(s.volume_status(&volume).await, "in-use");
    assert_eq!(s.held(&server).await, 1);
    s.node.volume_fails(&volume, "tgtd ended").await;
    assert_eq!(s.volume_status(&volume).await, "in-use");
}

#[tokio::test]
async fn a_server_that_is_off_gets_its_volume_with_its_next_start() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    act(&s.member, &server, json!({"os-stop": null})).await;
    s.node.powers_off(&server).await;
    s.attach(&server, &volume).await.expect(200);
    assert_eq!(s.volume_status(&volume).await, "in-use");
    act(&s.member, &server, json!({"os-start": null})).await;
    let busy = s.detach(&server, &volume).await;
    shape::error(&busy, 409, "it is being started");
    s.node.boot_finishes(&server).await;
    assert_eq!(s.volume_status(&volume).await, "in-use");
    act(&s.member, &server, json!({"os-stop": null})).await;
    s.node.powers_off(&server).await;
    assert_eq!(s.volume_status(&volume).await, "in-use");
    assert_eq!(s.detach(&server, &volume).await.status, 202);
    assert_eq!(s.volume_status(&volume).await, "available");
}

#[tokio::test]
async fn what_goes_with_a_server_and_what_stays() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attached(&server, &volume).await;
    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    // Until its node says so, the guest may still write to it.
    assert_eq!(s.volume_status(&volume).await, "in-use");
    shape::error(&s.detach(&server, &volume).await, 409, "it is going");
    s.node.guest_gone(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
    assert_eq!(s.node.wanted_volume(&volume).await.unwrap().chaps, []);
}

/// A server that goes while a volume is on its way to it.
#[tokio::test]
async fn a_server_is_deleted_while_it_is_given_a_volume() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attach(&server, &volume).await.expect(200);
    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
    let dump = s.cloud.dump();
    assert_eq!(
        (dump.count("attachment"), dump.count("server_action")),
        (0, 0)
    );
}

#[tokio::test]
async fn no_answer_tells_a_secret() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attached(&server, &volume).await;
    let wanted = s.node.wanted_server(&server).await.unwrap();
    let chap = &wanted.attachments[0].chap;
    let admin = s.cloud.admin().await;
    for path in [
        format!("{VOLUMES}/detail?all_tenants=1"),
        format!("{VOLUMES}/{volume}"),
        format!("{SERVERS}/detail?all_tenants=1"),
        format!("{SERVERS}/{server}/os-volume_attachments"),
        format!("{SERVERS}/{server}/os-instance-actions"),
    ] {
        let answer = admin.get(&path).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            !text.contains(&chap.user) && !text.contains(&chap.secret),
            "{text}"
        );
    }
    let debug = format!("{:?} {:?}", wanted, s.node.wanted_volume(&volume).await);
    assert!(!debug.contains(&chap.secret), "{debug}");
}

/// A node that serves its volumes elsewhere after a restart.
#[tokio::test]
async fn a_server_hears_of_a_portal_that_moved() {
    let mut s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attached(&server, &volume).await;
    let portal = "[2001:db8:5::2]:3260".parse().unwrap();
    s.node.serves_volumes_at(vec![portal]).await;
    let wanted = s.node.wanted_server(&server).await.unwrap();
    assert_eq!(wanted.attachments[0].portals, [portal]);
}

#[tokio::test]
async fn what_is_asked_of_a_server_is_told_in_order() {
    let s = scene().await;
    let server = s.running().await;
    act(&s.member, &server, json!({"os-stop": null})).await;
    assert_eq!(s.last_action(&server, "stop").await.0, Value::Null);
    s.node.powers_off(&server).await;
    assert_eq!(s.last_action(&server, "stop").await.0, json!("Success"));
    act(&s.member, &server, json!({"os-start": null})).await;
    s.node.fails(&server, "QEMU ended at once").await;
    assert_eq!(
        s.last_action(&server, "start").await,
        (json!("Error"), json!("QEMU ended at once"))
    );
    act(&s.member, &server, json!({"reboot": {"type": "HARD"}})).await;
    s.node.boot_finishes(&server).await;
    assert_eq!(s.last_action(&server, "reboot").await.0, json!("Success"));
    let path = format!("{SERVERS}/{server}/os-instance-actions");
    let nothing = s.member.get(&format!("{path}/req-{SOMEONE}")).await;
    shape::error(&nothing, 404, "no such request");
    let stranger = s.cloud.stranger().await;
    shape::error(&stranger.get(&path).await, 404, "a stranger's server");
    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    let list = s.member.get(&path).await.expect(200);
    let mut words: Vec<&str> = list["instanceActions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["action"].as_str().unwrap())
        .collect();
    words.sort_unstable();
    assert_eq!(words, ["create", "delete", "reboot", "start", "stop"]);
}

/// A report that left before the node heard of the attachment says nothing of it.
#[tokio::test]
async fn an_old_report_does_not_end_an_attach() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    s.attach(&server, &volume).await.expect(200);
    s.node
        .sees_guest(&server, |seen| {
            seen.attachments.clear();
            seen.launched_ms = Some(1);
        })
        .await;
    assert_eq!(s.volume_status(&volume).await, "attaching");
    // Nor does one of another attachment.
    s.node
        .sees_guest(&server, |seen| {
            seen.attachments = vec![AttachmentSeen {
                id: model::AttachmentId::random(),
                failure: Some("x".into()),
            }]
        })
        .await;
    assert_eq!(s.volume_status(&volume).await, "attaching");
    shape::error(&s.detach(&server, &volume).await, 400, "not yet there");
}
