//! Floating IPs: what they stand for, what needs them, and who may have them.

use model::Router;
use serde_json::{Value, json};
use testkit::{Answer, Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{SOMEONE, id, network, subnet};

/// A router between `net` (192.0.2.0/24) and an external network (203.0.113.0/24).
pub(crate) struct Scene {
    pub(crate) cloud: TestCloud,
    pub(crate) node: FakeNode,
    pub(crate) admin: Client,
    pub(crate) member: Client,
    pub(crate) ext: String,
    pub(crate) ext_subnet: String,
    pub(crate) net: String,
    pub(crate) subnet: String,
    pub(crate) router: String,
}

pub(crate) const FLOATING: &str = "/network/v2.0/floatingips";

pub(crate) async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (ext, ext_subnet) = external(&admin, json!({"cidr": "203.0.113.0/24"})).await;
    let (net, subnet) = network(&member, "net", "192.0.2.0/24").await;
    let body = json!({"router": {"external_gateway_info": {"network_id": ext}}});
    let made = member.post("/network/v2.0/routers", body).await.expect(201);
    let router = id(&made);
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    let body = json!({"subnet_id": subnet});
    member.put(&leg, body).await.expect(200);
    Scene {
        cloud,
        node,
        admin,
        member,
        ext,
        ext_subnet,
        net,
        subnet,
        router,
    }
}

/// An external network with a subnet.
pub(crate) async fn external(admin: &Client, of: Value) -> (String, String) {
    let body = json!({"network": {"name": "ext", "router:external": true}});
    let made = admin.post("/network/v2.0/networks", body).await.expect(201);
    let network = id(&made);
    let subnet = subnet(admin, &network, of).await;
    (network, subnet)
}

impl Scene {
    pub(crate) async fn port(&self, more: Value) -> String {
        let mut body = json!({"network_id": self.net});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self
            .member
            .post("/network/v2.0/ports", json!({"port": body}))
            .await;
        id(&made.expect(201))
    }

    pub(crate) async fn try_make(&self, client: &Client, more: Value) -> Answer {
        let mut body = json!({"floating_network_id": self.ext});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client.post(FLOATING, json!({"floatingip": body})).await
    }

    pub(crate) async fn make(&self, more: Value) -> Value {
        let made = self.try_make(&self.member, more).await.expect(201);
        made["floatingip"].clone()
    }

    pub(crate) async fn put(&self, id: &Value, body: Value) -> Answer {
        let path = format!("{FLOATING}/{}", id.as_str().unwrap());
        self.member.put(&path, json!({"floatingip": body})).await
    }

    pub(crate) async fn change(&self, id: &Value, body: Value) -> Value {
        self.put(id, body).await.expect(200)["floatingip"].clone()
    }

    pub(crate) async fn now(&self, id: &Value) -> Value {
        let path = format!("{FLOATING}/{}", id.as_str().unwrap());
        self.member.get(&path).await.expect(200)["floatingip"].clone()
    }

    pub(crate) async fn fixed(&self, port: &str) -> String {
        let path = format!("/network/v2.0/ports/{port}");
        let port = self.member.get(&path).await.expect(200);
        let address = &port["port"]["fixed_ips"][0]["ip_address"];
        address.as_str().unwrap().to_owned()
    }

    pub(crate) async fn wanted(&self) -> Vec<(String, String)> {
        let router: Router = self.node.wanted_router(&self.router).await.unwrap();
        let pair = |f: &model::FloatingIp| (f.floating.to_string(), f.fixed.to_string());
        router.floating_ips.iter().map(pair).collect()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_floating_ip_holds_an_address_of_the_external_network() {
    let s = scene().await;
    let made = s.make(json!({"description": "mine"})).await;
    assert!(text(&made["floating_ip_address"]).starts_with("203.0.113."));
    assert_eq!(made["status"], "DOWN");
    for field in ["port_id", "router_id", "fixed_ip_address", "port_details"] {
        assert_eq!(made[field], Value::Null, "{field}");
    }
    let of_it = format!(
        "/network/v2.0/ports?device_id={}&device_owner=network:floatingip",
        text(&made["id"])
    );
    let ports = s.admin.get(&of_it).await.expect(200);
    let held = &ports["ports"][0];
    assert_eq!(
        held["fixed_ips"][0]["ip_address"],
        made["floating_ip_address"]
    );
    assert_eq!(held["security_groups"], json!([]));
    // It is the cloud's own: a project sees the floating IP, not its port.
    assert_eq!(s.member.get(&of_it).await.expect(200)["ports"], json!([]));
    let path = format!("/network/v2.0/ports/{}", text(&held["id"]));
    shape::error(&s.admin.delete(&path).await, 409, "a floating IP's port");
    let body = json!({"port": {"fixed_ips": []}});
    shape::error(&s.admin.put(&path, body).await, 409, "its address");
    let path = format!("{FLOATING}/{}", text(&made["id"]));
    s.member.delete(&path).await.expect(204);
    shape::error(&s.member.get(&path).await, 404, "gone");
    assert_eq!(s.admin.get(&of_it).await.expect(200)["ports"], json!([]));
}

#[tokio::test]
async fn a_floating_ip_stands_for_a_port_and_moves_by_one_request() {
    let s = scene().await;
    let (one, two) = (s.port(json!({})).await, s.port(json!({})).await);
    let made = s.make(json!({"port_id": one})).await;
    let (id, address) = (&made["id"], text(&made["floating_ip_address"]).to_owned());
    assert_eq!(made["status"], "ACTIVE");
    assert_eq!(made["port_id"], json!(one));
    assert_eq!(made["router_id"], json!(s.router));
    assert_eq!(made["fixed_ip_address"], json!(s.fixed(&one).await));
    assert_eq!(made["port_details"]["network_id"], json!(s.net));
    assert_eq!(s.wanted().await, [(address.clone(), s.fixed(&one).await)]);
    let moved = s.change(id, json!({"port_id": two})).await;
    assert_eq!(moved["fixed_ip_address"], json!(s.fixed(&two).await));
    assert_eq!(s.wanted().await, [(address, s.fixed(&two).await)]);
    let named = s.change(id, json!({"description": "x"})).await;
    assert_eq!(named["port_id"], json!(two), "it stays where it is");
    let free = s.change(id, json!({"port_id": null})).await;
    assert_eq!(
        (&free["status"], &free["router_id"]),
        (&json!("DOWN"), &Value::Null)
    );
    assert!(s.wanted().await.is_empty());
}

#[tokio::test]
async fn lists_find_floating_ips_by_what_they_are() {
    let s = scene().await;
    let port = s.port(json!({})).await;
    let one = s.make(json!({"port_id": port})).await;
    let two = s.make(json!({})).await;
    let fixed = s.fixed(&port).await;
    let ext = &s.ext;
    let check = async |query: String, expected: &[&Value]| {
        let list = s
            .member
            .get(&format!("{FLOATING}?{query}"))
            .await
            .expect(200);
        let found: Vec<&Value> = list["floatingips"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| &f["id"])
            .collect();
        let expected: Vec<&Value> = expected.iter().map(|f| &f["id"]).collect();
        assert_eq!(found, expected, "{query}");
    };
    let address = |f: &Value| text(&f["floating_ip_address"]).to_owned();
    check(format!("floating_ip_address={}", address(&one)), &[&one]).await;
    check(format!("floating_ip_address={}", address(&two)), &[&two]).await;
    check("floating_ip_address=nonsense".into(), &[]).await;
    check(format!("fixed_ip_address={fixed}"), &[&one]).await;
    check(format!("port_id={port}"), &[&one]).await;
    check(format!("router_id={}", s.router), &[&one]).await;
    check("status=DOWN".into(), &[&two]).await;
    check(
        format!("floating_network_id={ext}&sort_key=created_at&limit=1"),
        &[&one],
    )
    .await;
    check(format!("floating_network_id={SOMEONE}"), &[]).await;
}

#[tokio::test]
async fn what_a_floating_ip_cannot_stand_for_is_refused() {
    let s = scene().await;
    let (plain, plain_subnet) = network(&s.member, "plain", "198.51.100.0/24").await;
    let (v6, v6_subnet) = network(&s.member, "six", "2001:db8:6::/64").await;
    let in_net = async |net: &str| {
        let body = json!({"port": {"network_id": net}});
        id(&s.member.post("/network/v2.0/ports", body).await.expect(201))
    };
    let (alone, six) = (in_net(&plain).await, in_net(&v6).await);
    let double = json!({"fixed_ips": [{"subnet_id": s.subnet}, {"subnet_id": s.subnet}]});
    let (double, taken) = (s.port(double).await, s.port(json!({})).await);
    let first = s.make(json!({"port_id": taken})).await;
    let theirs = s.cloud.stranger().await;
    let (strange, _) = network(&theirs, "theirs", "192.0.2.0/24").await;
    let body = json!({"port": {"network_id": strange}});
    let strange = id(&theirs.post("/network/v2.0/ports", body).await.expect(201));
    let (six_only, _) = external(&s.admin, json!({"cidr": "2001:db8:e::/64"})).await;
    let body = json!({"network": {"name": "bare", "router:external": true}});
    let bare = s.admin.post("/network/v2.0/networks", body).await;
    let bare = id(&bare.expect(201));
    let before = s.cloud.dump();
    let check = async |client: &Client, body: Value, status: u16| {
        let answer = s.try_make(client, body.clone()).await;
        shape::error(&answer, status, &body.to_string());
        testkit::assert_same(&before, &s.cloud.dump(), &body.to_string());
        answer.json()["NeutronError"]["type"].clone()
    };
    let (admin, member) = (&s.admin, &s.member);
    check(member, json!({"floating_network_id": SOMEONE}), 404).await;
    check(member, json!({"floating_network_id": "x"}), 404).await;
    check(member, json!({"floating_network_id": s.net}), 400).await;
    check(member, json!({"floating_network_id": bare}), 400).await;
    let other = json!({"floating_network_id": six_only, "port_id": taken});
    check(member, other, 400).await;
    check(member, json!({"floating_ip_address": "203.0.113.9"}), 403).await;
    check(admin, json!({"floating_ip_address": "198.51.100.9"}), 400).await;
    check(admin, json!({"floating_ip_address": "203.0.113.255"}), 400).await;
    check(admin, json!({"floating_ip_address": "2001:db8::1"}), 400).await;
    check(
        admin,
        json!({"floating_ip_address": "::ffff:203.0.113.9"}),
        400,
    )
    .await;
    let held = &first["floating_ip_address"];
    check(admin, json!({"floating_ip_address": held}), 409).await;
    check(member, json!({"subnet_id": plain_subnet}), 400).await;
    check(member, json!({"subnet_id": v6_subnet}), 400).await;
    check(member, json!({"subnet_id": SOMEONE}), 400).await;
    check(member, json!({"subnet_id": "x"}), 400).await;
    check(member, json!({"port_id": SOMEONE}), 404).await;
    check(member, json!({"port_id": "x"}), 404).await;
    check(member, json!({"port_id": strange}), 404).await;
    check(admin, json!({"port_id": strange}), 404).await;
    check(member, json!({"port_id": six}), 400).await;
    check(member, json!({"port_id": double}), 400).await;
    check(member, json!({"fixed_ip_address": "192.0.2.9"}), 400).await;
    let other = json!({"port_id": double, "fixed_ip_address": "192.0.2.254"});
    check(member, other, 400).await;
    let other = json!({"port_id": double, "fixed_ip_address": "2001:db8::1"});
    check(member, other, 400).await;
    check(member, json!({"description": "x".repeat(256)}), 400).await;
    check(member, json!({"port_id": taken}), 409).await;
    assert_eq!(
        check(member, json!({"port_id": alone}), 404).await,
        "ExternalGatewayForFloatingIPNotFound"
    );
    let fixed = json!({"fixed_ip_address": "192.0.2.9"});
    shape::error(&s.put(&first["id"], fixed).await, 400, "no port is named");
    shape::error(
        &s.put(&first["id"], json!({"floating_ip_address": "203.0.113.8"}))
            .await,
        400,
        "it keeps its address",
    );
}

#[tokio::test]
async fn what_a_floating_ip_needs_stays() {
    let s = scene().await;
    let port = s.port(json!({})).await;
    let made = s.make(json!({"port_id": port})).await;
    let (other, _) = external(&s.admin, json!({"cidr": "198.51.100.0/24"})).await;
    let router = format!("/network/v2.0/routers/{}", s.router);
    let gateway = |info: Value| json!({"router": {"external_gateway_info": info}});
    let remove = format!("{router}/remove_router_interface");
    let before = s.cloud.dump();
    for (path, body) in [
        (&router, gateway(Value::Null)),
        (&router, gateway(json!({"network_id": other}))),
        (&remove, json!({"subnet_id": s.subnet})),
    ] {
        let what = body.to_string();
        shape::error(&s.member.put(path, body).await, 409, &what);
    }
    for path in [
        format!("/network/v2.0/subnets/{}", s.ext_subnet),
        format!("/network/v2.0/networks/{}", s.ext),
    ] {
        shape::error(&s.admin.delete(&path).await, 409, &path);
    }
    let body = json!({"network": {"router:external": false}});
    let path = format!("/network/v2.0/networks/{}", s.ext);
    shape::error(&s.admin.put(&path, body).await, 409, "still external");
    testkit::assert_same(&before, &s.cloud.dump(), "refused");
    // The same network again is no change.
    s.member
        .put(&router, gateway(json!({"network_id": s.ext})))
        .await
        .expect(200);
    s.change(&made["id"], json!({"port_id": null})).await;
    let body = json!({"subnet_id": s.subnet});
    s.member.put(&remove, body).await.expect(200);
    let body = gateway(Value::Null);
    s.member.put(&router, body).await.expect(200);
    // It stands for nothing any more, and goes with its network.
    s.admin.delete(&path).await.expect(204);
    let gone = format!("/network/v2.0/floatingips/{}", text(&made["id"]));
    s.member.get(&gone).await.expect(404);
}

#[tokio::test]
async fn a_floating_ip_is_free_when_its_port_or_address_goes() {
    let s = scene().await;
    let port = s.port(json!({})).await;
    let made = s.make(json!({"port_id": port})).await;
    let path = format!("/network/v2.0/ports/{port}");
    let same = json!({"port": {"fixed_ips": [{"ip_address": s.fixed(&port).await}]}});
    s.member.put(&path, same).await.expect(200);
    assert_eq!(s.now(&made["id"]).await["status"], "ACTIVE");
    let other = json!({"port": {"fixed_ips": [{"ip_address": "192.0.2.200"}]}});
    s.member.put(&path, other).await.expect(200);
    assert_eq!(s.now(&made["id"]).await["status"], "DOWN");
    assert!(s.wanted().await.is_empty());
    s.change(&made["id"], json!({"port_id": port})).await;
    assert_eq!(s.wanted().await.len(), 1);
    s.member.delete(&path).await.expect(204);
    let free = s.now(&made["id"]).await;
    assert_eq!(
        (&free["status"], &free["port_id"]),
        (&json!("DOWN"), &Value::Null)
    );
    assert!(s.wanted().await.is_empty());
}

#[tokio::test]
async fn a_server_shows_the_addresses_that_reach_it() {
    let s = scene().await;
    let image = s.cloud.image(&s.member, "i").await;
    let six =
        json!({"cidr": "2001:db8:6::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    subnet(&s.member, &s.net, six).await;
    let server = crate::world::server(&s.member, &image, &s.net).await;
    let ports = format!("/network/v2.0/ports?device_id={server}");
    let ports = s.member.get(&ports).await.expect(200);
    let port = &ports["ports"][0];
    let made = s.make(json!({"port_id": port["id"]})).await;
    let now = crate::world::server_now(&s.member, &server).await;
    let shown = now["addresses"]["net"].as_array().unwrap();
    let facts = |a: &Value| format!("{} {}", a["version"], text(&a["OS-EXT-IPS:type"]));
    assert_eq!(
        shown.iter().map(facts).collect::<Vec<_>>(),
        ["4 fixed", "6 fixed", "4 floating"]
    );
    assert_eq!(shown[2]["addr"], made["floating_ip_address"]);
    assert_eq!(shown[2]["OS-EXT-IPS-MAC:mac_addr"], port["mac_address"]);
    let bare = format!("/compute/v2.1/servers/{server}/ips");
    let bare = s.member.get(&bare).await.expect(200);
    assert_eq!(
        bare["addresses"]["net"][2],
        json!({"version": 4, "addr": made["floating_ip_address"]})
    );
    let path = format!("/compute/v2.1/servers/{server}");
    s.member.delete(&path).await.expect(204);
    s.node.guest_gone(&server).await;
    assert_eq!(s.now(&made["id"]).await["status"], "DOWN");
}
