//! Trunks: ports that another port's card carries, and where they are.

use model::Subport;
use serde_json::{Value, json};
use testkit::{Answer, Client, FakeNode, TestCloud, assert_same};

use crate::shape;
use crate::world::{id, network, subnet};

const NET: &str = "/network/v2.0";
const TRUNKS: &str = "/network/v2.0/trunks";

/// A network, and who makes ports and trunks on it.
struct Scene {
    cloud: TestCloud,
    node: FakeNode,
    member: Client,
    network: String,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (network, _) = network(&member, "net", "2001:db8:a::/64").await;
    Scene {
        cloud,
        node,
        member,
        network,
    }
}

fn vlan(port: &str, id: u32) -> Value {
    json!({"port_id": port, "segmentation_type": "vlan", "segmentation_id": id})
}

impl Scene {
    async fn port(&self) -> String {
        let body = json!({"port": {"network_id": self.network}});
        id(&self
            .member
            .post(&format!("{NET}/ports"), body)
            .await
            .expect(201))
    }

    async fn ask(&self, port: &str, subports: &[Value]) -> Answer {
        let body = json!({"trunk": {"name": "t", "port_id": port, "sub_ports": subports}});
        self.member.post(TRUNKS, body).await
    }

    async fn trunk(&self, port: &str, subports: &[Value]) -> String {
        id(&self.ask(port, subports).await.expect(201))
    }

    async fn change(&self, trunk: &str, verb: &str, subports: &[Value]) -> Answer {
        let path = format!("{TRUNKS}/{trunk}/{verb}");
        self.member.put(&path, json!({"sub_ports": subports})).await
    }

    async fn now(&self, trunk: &str) -> Value {
        let shown = self.member.get(&format!("{TRUNKS}/{trunk}")).await;
        shown.expect(200)["trunk"].clone()
    }

    async fn port_now(&self, port: &str) -> Value {
        let shown = self.member.get(&format!("{NET}/ports/{port}")).await;
        shown.expect(200)["port"].clone()
    }

    async fn server(&self, networks: Value) -> String {
        let image = self.cloud.image(&self.member, "private").await;
        let body = json!({"server": {
            "name": "s", "imageRef": image, "flavorRef": "42", "networks": [networks],
        }});
        id(&self
            .member
            .post("/compute/v2.1/servers", body)
            .await
            .expect(202))
    }

    /// What the node hears of where a port is.
    async fn carried(&self, port: &str) -> Option<Subport> {
        self.node.wanted_port(port).await?.subport
    }
}

#[tokio::test]
async fn subports_are_where_their_trunks_server_is() {
    let s = scene().await;
    let (parent, one, two) = (s.port().await, s.port().await, s.port().await);
    let trunk = s.trunk(&parent, &[vlan(&one, 100)]).await;
    assert_eq!(s.now(&trunk).await["status"], "DOWN");
    assert_eq!(s.carried(&one).await, None, "it is nowhere yet");

    let server = s.server(json!({"port": parent})).await;
    s.node.boot_finishes(&server).await;
    let expected = |vlan| {
        Some(Subport {
            parent: parent.parse().unwrap(),
            vlan,
        })
    };
    assert_eq!(s.carried(&one).await, expected(100));
    assert_eq!(s.now(&trunk).await["status"], "BUILD");
    for port in [&parent, &one] {
        s.node.port_up(port).await;
    }
    assert_eq!(s.now(&trunk).await["status"], "ACTIVE");
    let shown = s.port_now(&one).await;
    assert_eq!(
        (&shown["device_owner"], &shown["device_id"]),
        (&json!("trunk:subport"), &json!(trunk))
    );

    // While the guest runs, too.
    s.change(&trunk, "add_subports", &[vlan(&two, 200)])
        .await
        .expect(200);
    assert_eq!(s.carried(&two).await, expected(200));
    s.change(&trunk, "remove_subports", &[json!({"port_id": one})])
        .await
        .expect(200);
    assert!(s.node.wanted_port(&one).await.is_none());
    let free = s.port_now(&one).await;
    assert_eq!(
        (&free["device_owner"], &free["device_id"], &free["status"]),
        (&json!(""), &json!(""), &json!("DOWN"))
    );

    assert_eq!(s.cloud.findings(), [""; 0]);

    // The interface leaves its server, and comes back.
    let interface = format!("/compute/v2.1/servers/{server}/os-interface/{parent}");
    s.member.delete(&interface).await.expect(202);
    assert!(s.node.wanted_port(&two).await.is_none());
    assert_eq!(s.cloud.findings(), [""; 0]);
    s.node.port_gone(&parent).await;
    assert_eq!(s.now(&trunk).await["status"], "DOWN");
    let body = json!({"interfaceAttachment": {"port_id": parent}});
    let path = format!("/compute/v2.1/servers/{server}/os-interface");
    s.member.post(&path, body).await.expect(200);
    assert_eq!(s.carried(&two).await, expected(200));

    // A server that goes takes them from its node, and a trunk that goes frees them.
    s.member
        .delete(&format!("/compute/v2.1/servers/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    assert!(s.node.wanted_port(&two).await.is_none());
    assert_eq!(s.cloud.findings(), [""; 0]);
    s.member
        .delete(&format!("{TRUNKS}/{trunk}"))
        .await
        .expect(204);
    for port in [&parent, &one, &two] {
        assert_eq!(s.port_now(port).await["device_owner"], "");
        s.member
            .delete(&format!("{NET}/ports/{port}"))
            .await
            .expect(204);
    }
}

#[tokio::test]
async fn a_trunk_and_its_port_show_what_is_carried() {
    let s = scene().await;
    let (parent, one, two) = (s.port().await, s.port().await, s.port().await);
    let trunk = s.trunk(&parent, &[vlan(&two, 200), vlan(&one, 100)]).await;
    let now = s.now(&trunk).await;
    assert_eq!(now["sub_ports"], json!([vlan(&one, 100), vlan(&two, 200)]));
    assert_eq!(
        (&now["name"], &now["admin_state_up"], &now["port_id"]),
        (&json!("t"), &json!(true), &json!(parent))
    );
    let subports = s
        .member
        .get(&format!("{TRUNKS}/{trunk}/get_subports"))
        .await;
    assert_eq!(subports.expect(200)["sub_ports"], now["sub_ports"]);

    let details = s.port_now(&parent).await["trunk_details"].clone();
    assert_eq!(details["trunk_id"], json!(trunk));
    let mut first = vlan(&one, 100);
    first["mac_address"] = s.port_now(&one).await["mac_address"].clone();
    assert_eq!(details["sub_ports"][0], first);
    assert_eq!(s.port_now(&one).await["trunk_details"], Value::Null);

    let listed = s
        .member
        .get(&format!("{TRUNKS}?port_id={parent}"))
        .await
        .expect(200);
    assert_eq!(listed["trunks"], json!([now]));
    let none = s
        .member
        .get(&format!("{TRUNKS}?port_id={one}"))
        .await
        .expect(200);
    assert_eq!(none["trunks"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused() {
    let s = scene().await;
    let (parent, one, two, used) = (
        s.port().await,
        s.port().await,
        s.port().await,
        s.port().await,
    );
    let trunk = s.trunk(&parent, &[vlan(&one, 100)]).await;
    let server = s.server(json!({"port": used})).await;
    s.node.boot_finishes(&server).await;
    let (wide, _) = network(&s.member, "wide", "2001:db8:b::/64").await;
    let narrow = json!({"network": {"mtu": 1400}});
    s.member
        .put(&format!("{NET}/networks/{}", s.network), narrow)
        .await
        .expect(200);
    let body = json!({"port": {"network_id": wide}});
    let wide = id(&s
        .member
        .post(&format!("{NET}/ports"), body)
        .await
        .expect(201));
    let stranger = s.cloud.stranger().await;
    let (theirs, _) = network(&stranger, "theirs", "2001:db8:c::/64").await;
    let body = json!({"port": {"network_id": theirs}});
    let theirs = id(&stranger
        .post(&format!("{NET}/ports"), body)
        .await
        .expect(201));

    let before = s.cloud.dump();
    for (subport, status, why) in [
        (vlan(&two, 100), 409, "already in use on trunk"),
        (vlan(&one, 200), 409, "currently a subport"),
        (vlan(&parent, 200), 409, "currently a parent port"),
        (vlan(&used, 200), 409, "in use by device"),
        (vlan(&wide, 200), 409, "cannot be greater than MTU 1400"),
        (vlan(&theirs, 200), 404, "could not be found"),
        (vlan(&two, 0), 400, "from 1 to 4094"),
        (vlan(&two, 4095), 400, "from 1 to 4094"),
        (
            json!({"port_id": two, "segmentation_type": "vlan"}),
            400,
            "segmentation_id is missing",
        ),
        (
            json!({"port_id": two, "segmentation_type": "inherit"}),
            400,
            "inherit takes the VLAN of a network",
        ),
        (
            json!({"port_id": two}),
            400,
            "segmentation_type must be vlan",
        ),
    ] {
        let answer = s
            .change(&trunk, "add_subports", std::slice::from_ref(&subport))
            .await;
        let said = shape::error(&answer, status, why);
        assert!(said.contains(why), "{answer:?}");
        let whole = s.ask(&two, &[subport]).await;
        assert!(whole.status.is_client_error(), "{whole:?}");
    }
    for (port, status) in [(&parent, 409), (&one, 409), (&theirs, 404)] {
        shape::error(&s.ask(port, &[]).await, status, "as a parent");
    }
    let other = s
        .change(&trunk, "remove_subports", &[json!({"port_id": two})])
        .await;
    shape::error(&other, 404, "a port of no trunk");
    for port in [&parent, &one] {
        let gone = s.member.delete(&format!("{NET}/ports/{port}")).await;
        shape::error(&gone, 409, "a trunk's port");
    }
    let free = json!({"port": {"device_owner": "", "device_id": ""}});
    let taken = s.member.put(&format!("{NET}/ports/{one}"), free).await;
    shape::error(&taken, 403, "a subport's device");
    assert_same(&before, &s.cloud.dump(), "refused requests");

    // Switched off, its subports stay as they are.
    let off = json!({"trunk": {"admin_state_up": false}});
    s.member
        .put(&format!("{TRUNKS}/{trunk}"), off)
        .await
        .expect(200);
    for (verb, subport) in [
        ("add_subports", vlan(&two, 200)),
        ("remove_subports", vlan(&one, 100)),
    ] {
        shape::error(&s.change(&trunk, verb, &[subport]).await, 409, verb);
    }
}

#[tokio::test]
async fn a_trunk_goes_with_the_port_that_a_server_made() {
    let s = scene().await;
    let subport = s.port().await;
    let server = s.server(json!({"uuid": s.network})).await;
    s.node.boot_finishes(&server).await;
    let listed = s
        .member
        .get(&format!("{NET}/ports?device_id={server}"))
        .await
        .expect(200);
    let parent = listed["ports"][0]["id"].as_str().unwrap().to_owned();
    let trunk = s.trunk(&parent, &[vlan(&subport, 7)]).await;
    assert!(s.carried(&subport).await.is_some());
    s.member
        .delete(&format!("/compute/v2.1/servers/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    assert_eq!(s.port_now(&subport).await["device_owner"], "");
    shape::error(
        &s.member.get(&format!("{TRUNKS}/{trunk}")).await,
        404,
        "it went",
    );
    assert!(s.node.wanted_port(&subport).await.is_none());
}

#[tokio::test]
async fn networks_are_vlans_of_physical_ones() {
    let s = scene().await;
    let admin = s.cloud.admin().await;
    let body = |id: u32| {
        json!({"network": {
            "shared": true, "mtu": 1400, "provider:network_type": "vlan",
            "provider:physical_network": "physnet1", "provider:segmentation_id": id,
        }})
    };
    let networks = format!("{NET}/networks");
    let ask = async |body: Value| admin.post(&networks, body).await;
    let made = ask(body(7)).await.expect(201);
    let shown = &made["network"];
    assert_eq!(
        (
            &shown["provider:segmentation_id"],
            &shown["provider:network_type"]
        ),
        (&json!(7), &json!("vlan"))
    );
    assert_eq!(
        s.node.wanted_network(&id(&made)).await.unwrap().vlan,
        Some(7)
    );
    let again = ask(body(7)).await;
    assert!(shape::error(&again, 409, "twice").contains("VLAN 7 on physical network physnet1"));
    let flat = json!({"network": {"provider:physical_network": "physnet1"}});
    assert!(shape::error(&ask(flat).await, 409, "flat too").contains("carries VLAN networks"));
    let other = id(&ask(body(8)).await.expect(201));
    let listed = admin
        .get(&format!("{networks}?provider:segmentation_id=8"))
        .await
        .expect(200);
    assert_eq!(listed["networks"][0]["id"], json!(other));
    let change = json!({"network": {"provider:segmentation_id": 9}});
    let fixed = admin.put(&format!("{networks}/{other}"), change).await;
    shape::error(&fixed, 400, "another VLAN");

    // A subport may have its network's VLAN inside its trunk, too.
    subnet(&admin, &other, json!({"cidr": "2001:db8:e::/64"})).await;
    let port = json!({"port": {"network_id": other}});
    let port = id(&s
        .member
        .post(&format!("{NET}/ports"), port)
        .await
        .expect(201));
    let inherited = json!({"port_id": port, "segmentation_type": "inherit"});
    let parent = s.port().await;
    let trunk = s.trunk(&parent, &[inherited]).await;
    assert_eq!(s.now(&trunk).await["sub_ports"], json!([vlan(&port, 8)]));
}
