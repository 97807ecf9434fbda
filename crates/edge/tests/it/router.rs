//! Routers: their legs, their gateway, and what a node hears of them.

use model::Router;
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

use crate::shape;
use crate::world::{id, network, subnet};

pub(crate) struct Scene {
    pub(crate) cloud: TestCloud,
    pub(crate) node: FakeNode,
    pub(crate) admin: Client,
    pub(crate) member: Client,
    pub(crate) router: String,
}

pub(crate) async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let made = member
        .post("/network/v2.0/routers", json!({"router": {"name": "r"}}))
        .await;
    let router = id(&made.expect(201));
    Scene {
        cloud,
        node,
        admin,
        member,
        router,
    }
}

impl Scene {
    pub(crate) async fn wanted(&self) -> Router {
        self.node.wanted_router(&self.router).await.unwrap()
    }

    pub(crate) async fn leg(&self, what: &str, body: Value, status: u16) -> Value {
        let path = format!(
            "/network/v2.0/routers/{}/{what}_router_interface",
            self.router
        );
        self.member.put(&path, body).await.expect(status)
    }

    pub(crate) async fn change(&self, router: Value, status: u16) -> Value {
        let path = format!("/network/v2.0/routers/{}", self.router);
        self.member
            .put(&path, json!({"router": router}))
            .await
            .expect(status)["router"]
            .clone()
    }

    pub(crate) async fn external(&self, cidr: &str) -> (String, String) {
        let body = json!({"network": {"name": "ext", "router:external": true}});
        let made = self
            .admin
            .post("/network/v2.0/networks", body)
            .await
            .expect(201);
        let network = id(&made);
        let subnet = subnet(&self.admin, &network, json!({"cidr": cidr})).await;
        (network, subnet)
    }
}

fn legs(router: &Router) -> Vec<String> {
    let mut all: Vec<String> = router
        .ports
        .iter()
        .flat_map(|p| {
            p.addresses
                .iter()
                .map(|a| format!("{a}{}", if p.external { " external" } else { "" }))
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_leg_carries_all_subnets_of_its_network() {
    let s = scene().await;
    assert!(s.wanted().await.ports.is_empty());
    let (net, first) = network(&s.member, "net", "2001:db8:1::/64").await;
    let second = subnet(
        &s.member,
        &net,
        json!({"cidr": "2001:db8:2::/64", "gateway_ip": "2001:db8:2::ff"}),
    )
    .await;
    let one = s.leg("add", json!({"subnet_id": first}), 200).await;
    let two = s.leg("add", json!({"subnet_id": second}), 200).await;
    assert_eq!(one["port_id"], two["port_id"]);
    assert_eq!(two["subnet_id"], json!(second));
    assert_eq!(
        legs(&s.wanted().await),
        ["2001:db8:1::1/64", "2001:db8:2::ff/64"]
    );
    let port = one["port_id"].as_str().unwrap();
    let view = s
        .member
        .get(&format!("/network/v2.0/ports/{port}"))
        .await
        .expect(200);
    assert_eq!(view["port"]["device_owner"], "network:router_interface");
    assert_eq!(view["port"]["device_id"], json!(s.router));
    let answer = s
        .member
        .delete(&format!("/network/v2.0/ports/{port}"))
        .await;
    shape::error(&answer, 409, "a router's port");
    s.leg("remove", json!({"subnet_id": first}), 200).await;
    assert_eq!(legs(&s.wanted().await), ["2001:db8:2::ff/64"]);
    s.leg("remove", json!({"port_id": port}), 200).await;
    assert!(legs(&s.wanted().await).is_empty());
    let path = format!("/network/v2.0/routers/{}", s.router);
    s.member.delete(&path).await.expect(204);
    assert!(s.node.wanted_router(&s.router).await.is_none());
}

#[tokio::test]
async fn a_port_made_before_can_be_a_leg() {
    let s = scene().await;
    let (net, _) = network(&s.member, "net", "2001:db8:1::/64").await;
    let body = json!({"port": {"network_id": net, "fixed_ips": [{"ip_address": "2001:db8:1::9"}]}});
    let port = id(&s.member.post("/network/v2.0/ports", body).await.expect(201));
    s.leg("add", json!({"port_id": port}), 200).await;
    assert_eq!(legs(&s.wanted().await), ["2001:db8:1::9/64"]);
    s.leg("add", json!({"port_id": port}), 409).await;
}

#[tokio::test]
async fn prefixes_of_one_router_do_not_overlap() {
    let s = scene().await;
    let (_, first) = network(&s.member, "a", "2001:db8:1::/64").await;
    let (_, same) = network(&s.member, "b", "2001:db8:1::/64").await;
    let (_, wider) = network(&s.member, "c", "2001:db8::/32").await;
    s.leg("add", json!({"subnet_id": first}), 200).await;
    s.leg("add", json!({"subnet_id": same}), 400).await;
    s.leg("add", json!({"subnet_id": wider}), 400).await;
    assert_eq!(legs(&s.wanted().await), ["2001:db8:1::1/64"]);
}

#[tokio::test]
async fn two_routers_cannot_both_be_the_gateway() {
    let s = scene().await;
    let (_, subnet) = network(&s.member, "a", "2001:db8:1::/64").await;
    s.leg("add", json!({"subnet_id": subnet}), 200).await;
    let made = s
        .member
        .post("/network/v2.0/routers", json!({"router": {}}))
        .await;
    let other = id(&made.expect(201));
    let path = format!("/network/v2.0/routers/{other}/add_router_interface");
    let answer = s.member.put(&path, json!({"subnet_id": subnet})).await;
    shape::error(&answer, 409, "a gateway address that is taken");
}

#[tokio::test]
async fn a_gateway_gives_the_default_next_hop() {
    let s = scene().await;
    let (ext, ext_subnet) = s.external("2001:db8:e::/64").await;
    let gateway = json!({"external_gateway_info": {"network_id": ext}});
    let view = s.change(gateway.clone(), 200).await;
    let info = &view["external_gateway_info"];
    assert_eq!(info["network_id"], json!(ext));
    assert_eq!(
        info["external_fixed_ips"][0]["subnet_id"],
        json!(ext_subnet)
    );
    let wanted = s.wanted().await;
    assert_eq!(
        wanted.default_nexthops,
        ["2001:db8:e::1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert!(wanted.ports.iter().all(|p| p.external));
    // The same again keeps the address.
    assert_eq!(s.change(gateway, 200).await["external_gateway_info"], *info);
    let path = format!("/network/v2.0/subnets/{ext_subnet}");
    let pool = json!([{"start": "2001:db8:e::100", "end": "2001:db8:e::1ff"}]);
    let body = json!({"subnet": {"gateway_ip": "2001:db8:e::fe", "allocation_pools": pool}});
    s.admin.put(&path, body).await.expect(200);
    assert_eq!(
        s.wanted().await.default_nexthops,
        ["2001:db8:e::fe".parse::<std::net::IpAddr>().unwrap()]
    );
    let body = json!({"network": {"router:external": false}});
    let answer = s
        .admin
        .put(&format!("/network/v2.0/networks/{ext}"), body)
        .await;
    shape::error(&answer, 409, "while it is a gateway");
    let chosen = json!({"external_gateway_info": {
        "network_id": ext, "external_fixed_ips": [{"ip_address": "2001:db8:e::77"}],
    }});
    s.change(chosen.clone(), 403).await;
    let path = format!("/network/v2.0/routers/{}", s.router);
    let by_admin = s.admin.put(&path, json!({"router": chosen})).await;
    by_admin.expect(200);
    assert_eq!(legs(&s.wanted().await), ["2001:db8:e::77/64 external"]);
    s.change(json!({"external_gateway_info": null}), 200).await;
    let wanted = s.wanted().await;
    assert_eq!((wanted.ports.len(), wanted.default_nexthops.len()), (0, 0));
    s.change(json!({"external_gateway_info": {"network_id": ext}}), 200)
        .await;
    assert_eq!(
        s.change(json!({"external_gateway_info": {}}), 200).await["external_gateway_info"],
        Value::Null
    );
}

#[tokio::test]
async fn routes_need_a_next_hop_that_is_reached() {
    let s = scene().await;
    let (_, subnet) = network(&s.member, "a", "2001:db8:1::/64").await;
    let route =
        json!({"routes": [{"destination": "2001:db8:99::/64", "nexthop": "2001:db8:1::7"}]});
    s.change(route.clone(), 400).await;
    s.leg("add", json!({"subnet_id": subnet}), 200).await;
    assert_eq!(
        s.change(route.clone(), 200).await["routes"],
        route["routes"]
    );
    assert_eq!(s.wanted().await.routes.len(), 1);
    s.leg("remove", json!({"subnet_id": subnet}), 409).await;
    s.change(json!({"routes": null}), 200).await;
    s.leg("remove", json!({"subnet_id": subnet}), 200).await;
}

#[tokio::test]
async fn routes_come_and_go_one_by_one() {
    let s = scene().await;
    let (_, subnet) = network(&s.member, "a", "2001:db8:1::/64").await;
    s.leg("add", json!({"subnet_id": subnet}), 200).await;
    let route = |number: u8, by: &str| json!({"destination": format!("2001:db8:9{number}::/64"), "nexthop": by});
    let (one, two) = (route(1, "2001:db8:1::7"), route(2, "2001:db8:1::8"));
    let put = async |verb: &str, routes: Value| {
        let path = format!("/network/v2.0/routers/{}/{verb}_extraroutes", s.router);
        let body = json!({"router": {"routes": routes}});
        s.member.put(&path, body).await
    };
    let there = async |verb: &str, routes: Value| {
        put(verb, routes).await.expect(200)["router"]["routes"].clone()
    };
    assert_eq!(there("add", json!([one])).await, json!([one]));
    let both = json!([one, two]);
    assert_eq!(there("add", both.clone()).await, both, "one was there");
    assert_eq!(s.wanted().await.routes.len(), 2);
    let before = s.cloud.dump();
    for (verb, routes) in [
        ("add", json!([route(3, "2001:db8:3::1")])),
        ("add", json!([route(3, "192.0.2.1")])),
        ("add", json!([route(1, "2001:db8:1::9")])),
        (
            "add",
            json!([{"destination": "x", "nexthop": "2001:db8:1::9"}]),
        ),
        ("add", json!([{"destination": "2001:db8:9::/64"}])),
        ("add", json!("x")),
        (
            "remove",
            json!([{"destination": "x", "nexthop": "2001:db8:1::9"}]),
        ),
    ] {
        let what = format!("{verb} {routes}");
        shape::error(&put(verb, routes).await, 400, &what);
    }
    testkit::assert_same(&before, &s.cloud.dump(), "refused");
    let away = json!([one, route(5, "2001:db8:5::1")]);
    assert_eq!(there("remove", away).await, json!([two]));
    assert_eq!(there("remove", json!([two])).await, json!([]));
    assert!(s.wanted().await.routes.is_empty());
}

#[tokio::test]
async fn a_router_that_is_disabled_is_said_to_be() {
    let s = scene().await;
    assert_eq!(
        s.change(json!({"admin_state_up": false}), 200).await["status"],
        "DOWN"
    );
    assert!(!s.wanted().await.enabled);
}

#[tokio::test]
async fn what_a_router_stands_in_cannot_be_deleted() {
    let s = scene().await;
    let (net, subnet) = network(&s.member, "a", "2001:db8:1::/64").await;
    s.leg("add", json!({"subnet_id": subnet}), 200).await;
    for path in [
        format!("/network/v2.0/subnets/{subnet}"),
        format!("/network/v2.0/networks/{net}"),
        format!("/network/v2.0/routers/{}", s.router),
    ] {
        shape::error(&s.member.delete(&path).await, 409, "in use");
    }
    let body = json!({"subnet": {"gateway_ip": "2001:db8:1::fe"}});
    let answer = s
        .member
        .put(&format!("/network/v2.0/subnets/{subnet}"), body)
        .await;
    shape::error(&answer, 409, "a router holds the gateway");
}

#[tokio::test]
async fn a_leg_takes_another_address_of_its_subnet_and_no_other() {
    let s = scene().await;
    let (net, subnet) = network(&s.member, "a", "2001:db8:1::/64").await;
    let other = crate::world::subnet(&s.member, &net, json!({"cidr": "192.0.2.0/24"})).await;
    let leg = s.leg("add", json!({"subnet_id": subnet}), 200).await;
    let path = format!("/network/v2.0/ports/{}", leg["port_id"].as_str().unwrap());
    let ask = async |fixed_ips: Value| {
        let body = json!({"port": {"fixed_ips": fixed_ips}});
        s.member.put(&path, body).await
    };
    let addresses = async || {
        let ports = s.wanted().await.ports;
        let all = ports.iter().flat_map(|p| p.addresses.clone());
        all.map(|a| a.to_string()).collect::<Vec<_>>()
    };
    // Who names no address means the one that is there.
    ask(json!([{"subnet_id": subnet}])).await.expect(200);
    assert_eq!(addresses().await, ["2001:db8:1::1/64"]);
    let moved = json!([{"subnet_id": subnet, "ip_address": "2001:db8:1::9"}]);
    ask(moved).await.expect(200);
    assert_eq!(addresses().await, ["2001:db8:1::9/64"]);
    for astray in [
        json!([]),
        json!([{"subnet_id": other}]),
        json!([{"subnet_id": subnet}, {"subnet_id": other}]),
        json!([{"ip_address": "192.0.2.9"}]),
    ] {
        shape::error(&ask(astray).await, 409, "another subnet");
    }
    assert_eq!(addresses().await, ["2001:db8:1::9/64"]);
}

#[tokio::test]
async fn routers_of_other_kinds_are_refused() {
    let s = scene().await;
    for kind in ["ha", "distributed"] {
        let mut body = json!({"router": {}});
        body["router"][kind] = json!(true);
        let path = "/network/v2.0/routers";
        let asked = s.member.post(path, body.clone()).await;
        shape::error(&asked, 403, "a project's choice");
        shape::error(&s.admin.post(path, body.clone()).await, 400, "not here");
        s.change(body["router"].clone(), 403).await;
        body["router"][kind] = json!(false);
        s.change(body["router"].clone(), 200).await;
    }
}
