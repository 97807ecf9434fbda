//! Servers: from a request to a guest and back, with a node that does what the test says.

mod create;

use model::{Power, Reboot};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::world::{act, id, network, server, server_now, status};

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
    async fn server(&self) -> String {
        server(&self.member, &self.image, &self.network).await
    }

    async fn running(&self) -> String {
        let id = self.server().await;
        self.node.boot_finishes(&id).await;
        id
    }

    async fn status(&self, id: &str) -> String {
        status(&self.member, id).await
    }

    async fn ports(&self, id: &str) -> Vec<Value> {
        let path = format!("/network/v2.0/ports?device_id={id}");
        let ports = self.member.get(&path).await.expect(200)["ports"].clone();
        ports.as_array().unwrap().clone()
    }

    async fn delete(&self, id: &str) {
        let path = format!("/compute/v2.1/servers/{id}");
        assert_eq!(self.member.delete(&path).await.status, 204);
    }

    async fn is_gone(&self, id: &str) -> bool {
        let path = format!("/compute/v2.1/servers/{id}");
        self.member.get(&path).await.status == 404
    }
}

#[tokio::test]
async fn a_server_becomes_active_with_its_ports() {
    let s = scene().await;
    let id = s.server().await;
    assert_eq!(s.status(&id).await, "BUILD scheduling");
    let wanted = s.node.wanted_server(&id).await.unwrap();
    assert_eq!(
        (wanted.power, wanted.start_epoch, wanted.ram_mib),
        (Power::Running, 1, 128)
    );
    s.node.prepares(&id).await;
    let port = &s.ports(&id).await[0];
    assert_eq!(port["status"], "DOWN");
    assert_eq!(port["device_owner"], "compute:nova");
    let document = s
        .node
        .wanted_port(port["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(document.server, Some(wanted.id));
    assert_eq!(
        document.mac.to_string(),
        port["mac_address"].as_str().unwrap()
    );
    assert_eq!(wanted.ports, [document.id]);
    s.node.boot_finishes(&id).await;
    assert_eq!(s.status(&id).await, "ACTIVE");
    assert_eq!(s.ports(&id).await[0]["status"], "ACTIVE");
    let server = server_now(&s.member, &id).await;
    assert_eq!(server["OS-EXT-STS:power_state"], 1);
    assert_eq!(server["OS-EXT-STS:vm_state"], "active");
    assert_eq!(server["progress"], 100);
    let address = &server["addresses"]["net"][0];
    assert_eq!(address["addr"], port["fixed_ips"][0]["ip_address"]);
    assert_eq!(server["security_groups"], json!([{"name": "default"}]));
}

#[tokio::test]
async fn stop_start_and_reboot_go_through_the_node() {
    let s = scene().await;
    let id = s.running().await;
    let wanted = async || s.node.wanted_server(&id).await.unwrap();
    assert_eq!(act(&s.member, &id, json!({"os-start": null})).await, 409);

    assert_eq!(act(&s.member, &id, json!({"os-stop": null})).await, 202);
    assert_eq!(s.status(&id).await, "ACTIVE powering-off");
    assert_eq!(wanted().await.power, Power::Stopped);
    for busy in [
        json!({"os-stop": null}),
        json!({"os-start": null}),
        json!({"reboot": {"type": "SOFT"}}),
    ] {
        assert_eq!(act(&s.member, &id, busy).await, 409);
    }
    s.node.powers_off(&id).await;
    assert_eq!(s.status(&id).await, "SHUTOFF");
    assert_eq!(
        server_now(&s.member, &id).await["OS-EXT-STS:power_state"],
        4
    );
    for wrong in [
        json!({"os-stop": null}),
        json!({"reboot": {"type": "SOFT"}}),
    ] {
        assert_eq!(act(&s.member, &id, wrong).await, 409);
    }

    assert_eq!(act(&s.member, &id, json!({"os-start": null})).await, 202);
    assert_eq!(s.status(&id).await, "SHUTOFF powering-on");
    assert_eq!(wanted().await.start_epoch, 2);
    s.node.boot_finishes(&id).await;
    assert_eq!(s.status(&id).await, "ACTIVE");

    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "soft"}})).await,
        202
    );
    assert_eq!(s.status(&id).await, "REBOOT rebooting");
    assert_eq!(
        (wanted().await.reboot_epoch, wanted().await.reboot),
        (1, Reboot::Soft)
    );
    assert_eq!(act(&s.member, &id, json!({"os-stop": null})).await, 409);
    s.node.boot_finishes(&id).await;
    assert_eq!(s.status(&id).await, "ACTIVE");

    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "HARD"}})).await,
        202
    );
    assert_eq!(s.status(&id).await, "HARD_REBOOT rebooting_hard");
    assert_eq!(
        (wanted().await.reboot_epoch, wanted().await.reboot),
        (2, Reboot::Hard)
    );
    s.node.boot_finishes(&id).await;
    assert_eq!(s.status(&id).await, "ACTIVE");
}

/// Nova takes a second hard reboot while one runs: it is how a client helps a guest that hangs.
#[tokio::test]
async fn a_hard_reboot_helps_a_soft_one_that_hangs() {
    let s = scene().await;
    let id = s.running().await;
    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "SOFT"}})).await,
        202
    );
    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "SOFT"}})).await,
        409
    );
    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "HARD"}})).await,
        202
    );
    assert_eq!(s.status(&id).await, "HARD_REBOOT rebooting_hard");
    let wanted = s.node.wanted_server(&id).await.unwrap();
    assert_eq!((wanted.reboot_epoch, wanted.reboot), (2, Reboot::Hard));
}

#[tokio::test]
async fn a_hard_reboot_starts_a_server_that_is_off() {
    let s = scene().await;
    let id = s.running().await;
    s.node.powers_off(&id).await;
    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "HARD"}})).await,
        202
    );
    assert_eq!(s.status(&id).await, "SHUTOFF powering-on");
    s.node.boot_finishes(&id).await;
    assert_eq!(s.status(&id).await, "ACTIVE");
}

#[tokio::test]
async fn a_guest_that_powers_itself_off_stays_off() {
    let mut s = scene().await;
    let id = s.running().await;
    s.node.powers_off(&id).await;
    assert_eq!(s.status(&id).await, "SHUTOFF");
    let wanted = s.node.wanted_server(&id).await.unwrap();
    assert_eq!((wanted.power, wanted.start_epoch), (Power::Running, 1));
    // A node that comes back and tells the same again changes nothing.
    s.node.reconnect().await;
    s.node.powers_off(&id).await;
    assert_eq!(s.status(&id).await, "SHUTOFF");
    assert_eq!(act(&s.member, &id, json!({"os-start": null})).await, 202);
    assert_eq!(s.node.wanted_server(&id).await.unwrap().start_epoch, 2);
}

#[tokio::test]
async fn a_late_report_of_a_deleted_guest_changes_nothing() {
    let s = scene().await;
    let id = s.running().await;
    let wanted = s.node.wanted_server(&id).await.unwrap();
    s.delete(&id).await;
    let late = model::GuestSeen {
        server: wanted.id,
        power: model::PowerSeen::Running,
        started_epoch: 1,
        rebooted_epoch: 0,
        failure: None,
        launched_ms: Some(7),
        attachments: Vec::new(),
        ended: None,
    };
    s.node.sees(vec![model::Seen::Guest(late.clone())]).await;
    assert_eq!(s.status(&id).await, "ACTIVE deleting");
    s.node.guest_gone(&id).await;
    s.node.sees(vec![model::Seen::Guest(late)]).await;
    assert!(s.is_gone(&id).await);
}

#[tokio::test]
async fn a_guest_that_ends_by_itself_is_an_event_that_says_by_what() {
    use model::Ended::{Exit, PoweredOff, Signal, Unknown};
    let s = scene().await;
    let id = s.running().await;
    let ends = [
        (PoweredOff, "Success", "powered itself off"),
        (Signal(9), "Error", "ended by signal 9 (SIGKILL)"),
        (Exit(1), "Error", "exited with status 1"),
        (Unknown, "Error", "nobody saw by what"),
    ];
    let path = format!("/compute/v2.1/servers/{id}/os-instance-actions");
    for (ended_ms, (how, result, said)) in (1..).zip(ends) {
        let ended_ms = 4_000_000_000_000 + ended_ms;
        // What is told twice is one end.
        for launched_ms in [7, 8] {
            let ended = |seen: &mut model::GuestSeen| {
                seen.power = model::PowerSeen::Stopped;
                seen.launched_ms = Some(launched_ms);
                let how = how.clone();
                seen.ended = Some(model::GuestEnd { ended_ms, how });
            };
            s.node.sees_guest(&id, ended).await;
        }
        assert_eq!(s.status(&id).await, "SHUTOFF");
        let list = s.member.get(&path).await.expect(200)["instanceActions"].clone();
        let list = list.as_array().unwrap();
        assert_eq!(list.len() as i64, 1 + ended_ms - 4_000_000_000_000);
        assert_eq!(
            (&list[0]["action"], &list[0]["user_id"]),
            (&json!("stop"), &json!(null))
        );
        assert!(
            list[0]["message"].as_str().unwrap().contains(said),
            "{list:?}"
        );
        let one = format!("{path}/{}", list[0]["request_id"].as_str().unwrap());
        let one = s.member.get(&one).await.expect(200)["instanceAction"].clone();
        assert_eq!(one["events"][0]["result"], result);
    }
}

/// A guest that is gone without anyone having asked for it is not forgotten.
#[tokio::test]
async fn a_guest_that_vanishes_is_still_a_server() {
    let s = scene().await;
    let id = s.running().await;
    s.node.guest_gone(&id).await;
    assert!(!s.is_gone(&id).await);
    assert!(s.node.wanted_server(&id).await.is_some());
}

#[tokio::test]
async fn a_users_own_port_outlives_its_server() {
    let s = scene().await;
    let body = json!({"port": {"network_id": s.network, "name": "mine"}});
    let port = id(&s.member.post("/network/v2.0/ports", body).await.expect(201));
    assert!(
        s.node.wanted_port(&port).await.is_none(),
        "no node needs it yet"
    );
    let body = json!({"server": {
        "name": "s", "imageRef": s.image, "flavorRef": "42", "networks": [{"port": port}],
    }});
    let server = id(&s
        .member
        .post("/compute/v2.1/servers", body)
        .await
        .expect(202));
    s.node.boot_finishes(&server).await;
    let path = format!("/network/v2.0/ports/{port}");
    let bound = s.member.get(&path).await.expect(200)["port"].clone();
    assert_eq!(
        (&bound["status"], &bound["device_id"]),
        (&json!("ACTIVE"), &json!(server))
    );
    s.delete(&server).await;
    s.node.guest_gone(&server).await;
    let free = s.member.get(&path).await.expect(200)["port"].clone();
    assert_eq!(
        (&free["status"], &free["device_id"]),
        (&json!("DOWN"), &json!(""))
    );
    assert_eq!(free["device_owner"], "");
    assert_eq!(free["fixed_ips"], bound["fixed_ips"]);
    assert!(s.node.wanted_port(&port).await.is_none());
    // And it can be used again.
    let body = json!({"server": {
        "name": "t", "imageRef": s.image, "flavorRef": "42", "networks": [{"port": port}],
    }});
    s.member
        .post("/compute/v2.1/servers", body)
        .await
        .expect(202);
}

#[tokio::test]
async fn a_guest_that_fails_is_an_error_with_its_reason() {
    let s = scene().await;
    let id = s.server().await;
    s.node
        .fails(&id, "the image could not be fetched: disk full")
        .await;
    let server = server_now(&s.member, &id).await;
    assert_eq!(server["status"], "ERROR");
    assert_eq!(server["fault"]["code"], 500);
    assert_eq!(
        server["fault"]["message"],
        "the image could not be fetched: disk full"
    );
    assert_eq!(server["OS-EXT-STS:vm_state"], "error");
    // What failed may be tried again, and then it is no failure any more.
    assert_eq!(
        act(&s.member, &id, json!({"reboot": {"type": "HARD"}})).await,
        202
    );
    s.node.boot_finishes(&id).await;
    let server = server_now(&s.member, &id).await;
    assert_eq!(
        (&server["status"], &server["fault"]),
        (&json!("ACTIVE"), &Value::Null)
    );
}

#[tokio::test]
async fn the_console_is_asked_of_the_node() {
    let mut s = scene().await;
    let id = s.server().await;
    let ask = json!({"os-getConsoleOutput": {"length": 10}});
    assert_eq!(act(&s.member, &id, ask.clone()).await, 409);
    s.node.boot_finishes(&id).await;
    assert_eq!(act(&s.member, &id, ask.clone()).await, 409, "it has none");
    s.node.prints(&id, "login: ");
    let path = format!("/compute/v2.1/servers/{id}/action");
    for ask in [
        ask.clone(),
        json!({"os-getConsoleOutput": {}}),
        json!({"os-getConsoleOutput": {"length": "5"}}),
    ] {
        let answer = s.member.post(&path, ask).await.expect(200);
        assert_eq!(answer, json!({"output": "login: "}));
    }
    s.node.disconnect().await;
    assert_eq!(act(&s.member, &id, ask).await, 409, "its node is away");
}

#[tokio::test]
async fn a_guest_tells_a_password_and_its_user_clears_it() {
    let s = scene().await;
    let id = s.server().await;
    s.node.boot_finishes(&id).await;
    let path = format!("/compute/v2.1/servers/{id}/os-server-password");
    let shown = async || s.member.get(&path).await.expect(200)["password"].clone();
    assert_eq!(shown().await, "");
    s.node.tells_password(&id, 0, "first").await;
    assert_eq!(shown().await, "first");
    let told = s.node.wanted_server(&id).await.unwrap().password;
    assert_eq!((told.text.as_deref(), told.epoch), (Some("first"), 1));

    // A second one, and word of the first that comes again, change nothing.
    s.node.tells_password(&id, 0, "first").await;
    s.node.tells_password(&id, 1, "second").await;
    assert_eq!(shown().await, "first");

    for _ in 0..2 {
        s.member.delete(&path).await.expect(204);
    }
    assert_eq!(shown().await, "");
    let told = s.node.wanted_server(&id).await.unwrap().password;
    assert_eq!((told.text, told.epoch), (None, 2));
    s.node.tells_password(&id, 0, "first").await;
    assert_eq!(shown().await, "", "it was cleared since");
    s.node.tells_password(&id, 2, "second").await;
    assert_eq!(shown().await, "second");
}
