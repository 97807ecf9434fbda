//! Floating IPs over IPv6: which family one has, and which address of a port it stands for.

use serde_json::{Value, json};

use crate::floating_ip::{FLOATING, Scene, external, scene, text};
use crate::shape;
use crate::world::{server_now, subnet};

/// As [`scene`], with IPv6 on both sides; and the subnets of IPv6 outside and inside.
pub(crate) async fn dual() -> (Scene, String, String) {
    let s = scene().await;
    let outer = subnet(&s.admin, &s.ext, json!({"cidr": "2001:db8:e::/64"})).await;
    let slaac =
        json!({"cidr": "2001:db8:6::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let inner = subnet(&s.member, &s.net, slaac).await;
    let leg = format!("/network/v2.0/routers/{}/add_router_interface", s.router);
    let body = json!({"subnet_id": inner});
    s.member.put(&leg, body).await.expect(200);
    (s, outer, inner)
}

async fn address_in(s: &Scene, port: &str, subnet: &str) -> Value {
    let path = format!("/network/v2.0/ports/{port}");
    let port = s.member.get(&path).await.expect(200);
    let held = port["port"]["fixed_ips"].as_array().unwrap().clone();
    let there = |ip: &&Value| ip["subnet_id"] == json!(subnet);
    held.iter().find(there).unwrap()["ip_address"].clone()
}

#[tokio::test]
async fn an_external_network_of_ipv6_gives_ipv6() {
    let s = scene().await;
    let (six, _) = external(&s.admin, json!({"cidr": "2001:db8:e::/64"})).await;
    let made = s.make(json!({"floating_network_id": six})).await;
    let address = text(&made["floating_ip_address"]).to_owned();
    assert!(address.starts_with("2001:db8:e:"), "{address}");
    let list = format!("{FLOATING}?floating_ip_address={address}");
    let found = s.member.get(&list).await.expect(200);
    assert_eq!(found["floatingips"][0]["id"], made["id"]);
    let chosen = json!({"floating_network_id": six, "floating_ip_address": "2001:db8:e::0:99"});
    let made = s.try_make(&s.admin, chosen).await.expect(201);
    let made = &made["floatingip"]["floating_ip_address"];
    assert_eq!(made, "2001:db8:e::99");
}

#[tokio::test]
async fn of_both_families_it_is_ipv4_unless_somebody_chooses() {
    let (s, outer, _) = dual().await;
    let address = |made: &Value| text(&made["floating_ip_address"]).to_owned();
    let made = s.make(json!({})).await;
    assert!(address(&made).starts_with("203.0.113."));
    let made = s.make(json!({"subnet_id": outer})).await;
    assert!(address(&made).starts_with("2001:db8:e:"));
    let chosen = json!({"floating_ip_address": "2001:db8:e::99"});
    let made = s.try_make(&s.admin, chosen).await.expect(201);
    assert_eq!(address(&made["floatingip"]), "2001:db8:e::99");
}

#[tokio::test]
async fn it_stands_for_an_address_of_its_family() {
    let (s, outer, inner) = dual().await;
    let (one, two) = (s.port(json!({})).await, s.port(json!({})).await);
    let made = s.make(json!({"subnet_id": outer, "port_id": one})).await;
    let fixed = address_in(&s, &one, &inner).await;
    assert_eq!(made["status"], "ACTIVE");
    assert_eq!(made["fixed_ip_address"], fixed);
    assert_eq!(made["router_id"], json!(s.router));
    // One of each family may stand for a port.
    let four = s.make(json!({"port_id": one})).await;
    assert_eq!(
        four["fixed_ip_address"],
        address_in(&s, &one, &s.subnet).await
    );
    let pair = |made: &Value, fixed: &Value| {
        let floating = text(&made["floating_ip_address"]).to_owned();
        (floating, text(fixed).to_owned())
    };
    let mut wanted = [pair(&made, &fixed), pair(&four, &four["fixed_ip_address"])];
    let mut there = s.wanted().await;
    wanted.sort();
    there.sort();
    assert_eq!(there, wanted);

    let fixed = address_in(&s, &two, &inner).await;
    let named = json!({"port_id": two, "fixed_ip_address": fixed});
    let moved = s.change(&made["id"], named).await;
    assert_eq!(moved["fixed_ip_address"], fixed);
    let before = s.cloud.dump();
    let four = address_in(&s, &two, &s.subnet).await;
    for body in [
        json!({"port_id": two, "fixed_ip_address": four}),
        json!({"port_id": two, "fixed_ip_address": "2001:db8:6::77"}),
    ] {
        let what = body.to_string();
        shape::error(&s.put(&made["id"], body).await, 400, &what);
    }
    let taken = json!({"subnet_id": outer, "port_id": two});
    shape::error(&s.try_make(&s.member, taken).await, 409, "taken");
    testkit::assert_same(&before, &s.cloud.dump(), "refused");
}

#[tokio::test]
async fn of_several_prefixes_the_first_is_taken() {
    let (s, outer, _) = dual().await;
    let more =
        json!({"cidr": "2001:db8:7::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let more = subnet(&s.member, &s.net, more).await;
    let leg = format!("/network/v2.0/routers/{}/add_router_interface", s.router);
    let body = json!({"subnet_id": more});
    s.member.put(&leg, body).await.expect(200);
    let port = s.port(json!({})).await;
    let made = s.make(json!({"subnet_id": outer, "port_id": port})).await;
    assert_eq!(made["status"], "ACTIVE");
    let second = address_in(&s, &port, &more).await;
    let named = json!({"port_id": port, "fixed_ip_address": second});
    let moved = s.change(&made["id"], named).await;
    assert_eq!(moved["fixed_ip_address"], second);
}

#[tokio::test]
async fn what_it_needs_stays() {
    let (s, outer, inner) = dual().await;
    let port = s.port(json!({})).await;
    let made = s.make(json!({"subnet_id": outer, "port_id": port})).await;
    let router = format!("/network/v2.0/routers/{}", s.router);
    let four = json!([{"subnet_id": s.ext_subnet}]);
    let gateway = json!({"network_id": s.ext, "external_fixed_ips": four});
    let gateway = json!({"router": {"external_gateway_info": gateway}});
    let remove = format!("{router}/remove_router_interface");
    let before = s.cloud.dump();
    for (path, body) in [
        (&router, gateway.clone()),
        (&remove, json!({"subnet_id": inner})),
    ] {
        let what = body.to_string();
        shape::error(&s.member.put(path, body).await, 409, &what);
    }
    let path = format!("/network/v2.0/subnets/{outer}");
    shape::error(&s.admin.delete(&path).await, 409, "its own address");
    testkit::assert_same(&before, &s.cloud.dump(), "refused");

    // Where the router has no address of the family, it does not reach.
    s.change(&made["id"], json!({"port_id": null})).await;
    s.member.put(&router, gateway).await.expect(200);
    let again = s.put(&made["id"], json!({"port_id": port})).await;
    shape::error(&again, 404, "no way");
    assert_eq!(s.now(&made["id"]).await["status"], "DOWN");
}

#[tokio::test]
async fn an_address_that_autoconfiguration_made_outside_stays_too() {
    let s = scene().await;
    let slaac =
        json!({"cidr": "2001:db8:e::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let (six, of_six) = external(&s.admin, slaac).await;
    let made = s.make(json!({"floating_network_id": six})).await;
    let path = format!("/network/v2.0/subnets/{of_six}");
    shape::error(&s.admin.delete(&path).await, 409, "its own address");
    let one = format!("{FLOATING}/{}", text(&made["id"]));
    s.member.delete(&one).await.expect(204);
    s.admin.delete(&path).await.expect(204);
}

#[tokio::test]
async fn it_is_free_when_the_subnets_mode_takes_its_address() {
    let (s, outer, inner) = dual().await;
    let port = s.port(json!({})).await;
    let made = s.make(json!({"subnet_id": outer, "port_id": port})).await;
    let path = format!("/network/v2.0/subnets/{inner}");
    let mode = "dhcpv6-stateful";
    let body = json!({"subnet": {"ipv6_ra_mode": mode, "ipv6_address_mode": mode}});
    s.member.put(&path, body).await.expect(200);
    let now = s.now(&made["id"]).await;
    assert_eq!(
        (&now["status"], &now["port_id"]),
        (&json!("DOWN"), &Value::Null)
    );
    assert!(s.wanted().await.is_empty());
}

#[tokio::test]
async fn a_server_shows_it() {
    let (s, outer, _) = dual().await;
    let image = s.cloud.image(&s.member, "i").await;
    let server = crate::world::server(&s.member, &image, &s.net).await;
    let ports = format!("/network/v2.0/ports?device_id={server}");
    let ports = s.member.get(&ports).await.expect(200);
    let port = text(&ports["ports"][0]["id"]);
    let made = s.make(json!({"subnet_id": outer, "port_id": port})).await;
    let now = server_now(&s.member, &server).await;
    let shown = now["addresses"]["net"].as_array().unwrap();
    let floating = |a: &&Value| a["OS-EXT-IPS:type"] == "floating";
    let shown = shown.iter().find(floating).unwrap();
    assert_eq!(shown["addr"], made["floating_ip_address"]);
    assert_eq!(shown["version"], 6);
}
