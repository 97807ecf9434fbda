//! Port forwardings: what a floating IP's ports stand for, what needs them, and what they refuse.

use model::Forwarding;
use serde_json::{Value, json};
use testkit::Answer;

use crate::floating_ip::{FLOATING, Scene, scene, text};
use crate::floating_ip6::dual;
use crate::shape;
use crate::world::id;

/// A forwarding from 2022 to 22 of a port; `more` says what else, or otherwise.
async fn ask(s: &Scene, floating: &Value, port: &str, more: Value) -> Answer {
    let mut body = json!({
        "internal_port_id": port, "internal_port": 22, "external_port": 2022, "protocol": "tcp",
    });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    let path = format!("{FLOATING}/{}/port_forwardings", text(floating));
    s.member.post(&path, json!({"port_forwarding": body})).await
}

async fn forward(s: &Scene, floating: &Value, port: &str, more: Value) -> Value {
    let made = ask(s, floating, port, more).await.expect(201);
    made["port_forwarding"].clone()
}

fn path(floating: &Value, forwarding: &Value) -> String {
    let (of, id) = (text(floating), text(&forwarding["id"]));
    format!("{FLOATING}/{of}/port_forwardings/{id}")
}

async fn wanted(s: &Scene) -> Vec<Forwarding> {
    let router = s.node.wanted_router(&s.router).await.unwrap();
    assert!(router.floating_ips.is_empty());
    router.forwardings
}

#[tokio::test]
async fn a_port_of_a_floating_ip_stands_for_a_guests() {
    let s = scene().await;
    let (one, two) = (s.port(json!({})).await, s.port(json!({})).await);
    let floating = s.make(json!({})).await;
    let (of, outside) = (&floating["id"], text(&floating["floating_ip_address"]));
    assert_eq!(floating["port_forwardings"], json!([]));
    let made = forward(&s, of, &one, json!({})).await;
    assert_eq!(made["internal_ip_address"], json!(s.fixed(&one).await));
    let now = s.now(of).await;
    assert_eq!(now["port_forwardings"], json!([made]));
    assert_eq!(
        (&now["status"], &now["router_id"], &now["port_id"]),
        (&json!("ACTIVE"), &json!(s.router), &Value::Null)
    );
    let expected = Forwarding {
        floating: outside.parse().unwrap(),
        protocol: 6,
        external: (2022, 2022),
        fixed: s.fixed(&one).await.parse().unwrap(),
        internal: (22, 22),
    };
    assert_eq!(wanted(&s).await, std::slice::from_ref(&expected));
    let change = async |body: Value| {
        let body = json!({"port_forwarding": body});
        s.member.put(&path(of, &made), body).await
    };
    let body = json!({"internal_port_id": two, "internal_port": 80, "protocol": "UDP"});
    let changed = change(body).await.expect(200);
    let changed = &changed["port_forwarding"];
    assert_eq!(changed["internal_ip_address"], json!(s.fixed(&two).await));
    let moved = Forwarding {
        protocol: 17,
        fixed: s.fixed(&two).await.parse().unwrap(),
        internal: (80, 80),
        ..expected
    };
    assert_eq!(wanted(&s).await, [moved]);
    let body = json!({"description": "mine"});
    let named = change(body).await.expect(200)["port_forwarding"].clone();
    assert_eq!(
        (&named["description"], &named["external_port"]),
        (&json!("mine"), &json!(2022))
    );
    s.member.delete(&path(of, &made)).await.expect(204);
    shape::error(&s.member.get(&path(of, &made)).await, 404, "gone");
    assert!(wanted(&s).await.is_empty());
    let now = s.now(of).await;
    assert_eq!(
        (&now["status"], &now["router_id"]),
        (&json!("DOWN"), &Value::Null)
    );
}

#[tokio::test]
async fn ranges_stand_for_as_many_ports_or_for_one() {
    let s = scene().await;
    let port = s.port(json!({})).await;
    let floating = s.make(json!({})).await;
    let of = &floating["id"];
    let ranges = |external: &str, internal: &str| {
        json!({
            "external_port": null, "internal_port": null,
            "external_port_range": external, "internal_port_range": internal,
        })
    };
    let same = forward(&s, of, &port, ranges("1:65535", "1:65535")).await;
    assert_eq!(
        (&same["external_port"], &same["external_port_range"]),
        (&Value::Null, &json!("1:65535"))
    );
    // Of another protocol the same ports are free.
    let udp = |mut body: Value| {
        body["protocol"] = json!("udp");
        body
    };
    forward(&s, of, &port, udp(ranges("100:102", "200:202"))).await;
    forward(&s, of, &port, udp(ranges("110:119", "53"))).await;
    let all: Vec<_> = wanted(&s).await;
    let all = all.iter().map(|f| (f.external, f.internal));
    assert_eq!(
        all.collect::<Vec<_>>(),
        [
            ((1, 65_535), (1, 65_535)),
            ((100, 102), (200, 202)),
            ((110, 119), (53, 53))
        ]
    );
    let list = async |query: &str| {
        let path = format!("{FLOATING}/{}/port_forwardings?{query}", text(of));
        let found = s.member.get(&path).await.expect(200);
        found["port_forwardings"].as_array().unwrap().len()
    };
    assert_eq!(list("protocol=udp").await, 2);
    assert_eq!(list("external_port_range=100:102").await, 1);
    assert_eq!(list("external_port=100").await, 0, "it is a range");
    assert_eq!(list(&format!("internal_port_id={port}")).await, 3);
    let before = s.cloud.dump();
    for wrong in [
        ranges("10:12", "20:21"),
        ranges("10", "20:21"),
        ranges("12:10", "22:20"),
        ranges("0:1", "1:2"),
        ranges("1:65536", "1:65536"),
        ranges("nonsense", "1"),
        ranges("10:12:14", "1"),
        json!({"external_port_range": "10:12"}),
        json!({"external_port": 0}),
        json!({"internal_port": 0}),
        json!({"external_port": 65_536}),
        json!({"external_port": null}),
        json!({"internal_port": null}),
        json!({"protocol": null}),
        json!({"protocol": "icmp"}),
        json!({"protocol": "47"}),
        json!({"internal_ip_address": "192.0.2.250"}),
        json!({"internal_ip_address": "nonsense"}),
        json!({"description": "x".repeat(256)}),
        // What another has, outside or inside.
        udp(json!({"external_port": 102})),
        udp(json!({"internal_port": 53})),
        json!({}),
    ] {
        let answer = ask(&s, of, &port, wrong.clone()).await;
        shape::error(&answer, 400, &wrong.to_string());
    }
    let large = udp(ranges("1000:9000", "2000:10000"));
    let answer = ask(&s, of, &port, large).await;
    shape::error(&answer, 409, "more than a router takes");
    testkit::assert_same(&before, &s.cloud.dump(), "forwardings that cannot be");
}

#[tokio::test]
async fn a_floating_ip_stands_for_a_port_or_its_ports_do() {
    let s = scene().await;
    let (one, two) = (s.port(json!({})).await, s.port(json!({})).await);
    let (whole, parts) = (
        s.make(json!({"port_id": one})).await,
        s.make(json!({})).await,
    );
    let (whole, parts) = (&whole["id"], &parts["id"]);
    let answer = ask(&s, whole, &two, json!({})).await;
    shape::error(&answer, 409, "it stands for a port");
    let answer = ask(&s, parts, &one, json!({})).await;
    shape::error(&answer, 409, "another stands for the port");
    let made = forward(&s, parts, &two, json!({})).await;
    let body = json!({"port_id": one});
    shape::error(&s.put(parts, body).await, 409, "it has forwardings");
    let body = json!({"port_id": two});
    shape::error(&s.put(whole, body).await, 409, "the port has forwardings");
    let body = json!({"internal_port_id": one});
    let body = json!({"port_forwarding": body});
    let answer = s.member.put(&path(parts, &made), body).await;
    shape::error(&answer, 409, "another stands for the port");
    // To stand for no port is what it does.
    let now = s.change(parts, json!({"port_id": null})).await;
    assert_eq!(now["port_forwardings"], json!([made]));
    assert_eq!(now["router_id"], json!(s.router));
    let of = format!("{FLOATING}/{}", text(parts));
    shape::error(&s.member.delete(&of).await, 409, "it has forwardings");
    // By another's path it is not there.
    let astray = path(whole, &made);
    shape::error(&s.member.get(&astray).await, 404, "of another");
    shape::error(&s.member.delete(&astray).await, 404, "of another");
    s.member.delete(&path(parts, &made)).await.expect(204);
    s.member.delete(&of).await.expect(204);
}

#[tokio::test]
async fn what_a_forwarding_needs_stays() {
    let s = scene().await;
    let port = s.port(json!({})).await;
    let floating = s.make(json!({})).await;
    let made = forward(&s, &floating["id"], &port, json!({})).await;
    let router = format!("/network/v2.0/routers/{}", s.router);
    let body = json!({"subnet_id": s.subnet});
    let leave = format!("{router}/remove_router_interface");
    shape::error(&s.member.put(&leave, body.clone()).await, 409, "needed");
    let no_gateway = json!({"router": {"external_gateway_info": {}}});
    let answer = s.member.put(&router, no_gateway.clone()).await;
    shape::error(&answer, 409, "needed");
    let network = format!("/network/v2.0/networks/{}", s.ext);
    shape::error(&s.admin.delete(&network).await, 409, "needed");
    s.member
        .delete(&path(&floating["id"], &made))
        .await
        .expect(204);
    s.member.put(&leave, body).await.expect(200);
    s.member.put(&router, no_gateway).await.expect(200);
}

#[tokio::test]
async fn a_forwarding_goes_with_the_address_it_leads_to() {
    let s = scene().await;
    let ip = |address: &str| json!({"ip_address": address});
    let both = json!({"fixed_ips": [ip("192.0.2.50"), ip("192.0.2.51")]});
    let port = s.port(both).await;
    let floating = s.make(json!({})).await;
    let of = &floating["id"];
    let unclear = ask(&s, of, &port, json!({})).await;
    shape::error(&unclear, 400, "which address");
    for (address, external) in [("192.0.2.50", 50), ("192.0.2.51", 51)] {
        let more = json!({"internal_ip_address": address, "external_port": external});
        forward(&s, of, &port, more).await;
    }
    assert_eq!(wanted(&s).await.len(), 2);
    let port = format!("/network/v2.0/ports/{port}");
    let body = json!({"port": {"fixed_ips": [ip("192.0.2.51")]}});
    s.member.put(&port, body).await.expect(200);
    let left = wanted(&s).await;
    assert_eq!((left.len(), left[0].external), (1, (51, 51)));
    s.member.delete(&port).await.expect(204);
    assert!(wanted(&s).await.is_empty());
    let now = s.now(of).await;
    assert_eq!(
        (&now["status"], &now["router_id"]),
        (&json!("DOWN"), &Value::Null)
    );
}

#[tokio::test]
async fn ipv6_is_forwarded_as_ipv4_is() {
    let (s, outer, _) = dual().await;
    let port = s.port(json!({})).await;
    let floating = s.make(json!({"subnet_id": outer})).await;
    let made = forward(&s, &floating["id"], &port, json!({})).await;
    assert!(text(&made["internal_ip_address"]).starts_with("2001:db8:6:"));
    let wanted = wanted(&s).await;
    assert_eq!(wanted[0].fixed.to_string(), made["internal_ip_address"]);
    let four = s.fixed(&port).await;
    let mixed = json!({"internal_ip_address": four, "external_port": 2023, "internal_port": 23});
    let answer = ask(&s, &floating["id"], &port, mixed).await;
    shape::error(&answer, 400, "of another family");
    // Its IPv4 address is free for a floating IP of its own.
    let whole = s.make(json!({"port_id": port})).await;
    assert_eq!(whole["fixed_ip_address"], json!(four));
}

#[tokio::test]
async fn a_guest_behind_no_router_or_another_is_not_reached() {
    let s = scene().await;
    let (other, inside) = crate::world::network(&s.member, "other", "192.0.3.0/24").await;
    let far = s.port(json!({"network_id": other})).await;
    let near = s.port(json!({})).await;
    let floating = s.make(json!({})).await;
    let of = &floating["id"];
    let lone = ask(&s, of, &far, json!({})).await;
    shape::error(&lone, 400, "behind no router");
    let body = json!({"router": {"external_gateway_info": {"network_id": s.ext}}});
    let router = id(&s
        .member
        .post("/network/v2.0/routers", body)
        .await
        .expect(201));
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    s.member
        .put(&leg, json!({"subnet_id": inside}))
        .await
        .expect(200);
    let made = forward(&s, of, &near, json!({})).await;
    let more = json!({"external_port": 2023});
    let answer = ask(&s, of, &far, more).await;
    shape::error(&answer, 400, "behind another router");
    // The only one may go elsewhere.
    let body = json!({"port_forwarding": {"internal_port_id": far}});
    s.member.put(&path(of, &made), body).await.expect(200);
    assert_eq!(s.now(of).await["router_id"], json!(router));
    assert!(wanted(&s).await.is_empty());
}
