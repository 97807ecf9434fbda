//! Both families side by side: which addresses ports, servers and routers get.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::floating_ip::external;
use crate::shape;
use crate::world::{id, network, server_now, subnet};

const SLAAC: [(&str, &str); 2] = [("ipv6_ra_mode", "slaac"), ("ipv6_address_mode", "slaac")];

fn slaac(cidr: &str) -> Value {
    let mut body = json!({"cidr": cidr});
    for (name, mode) in SLAAC {
        body[name] = json!(mode);
    }
    body
}

/// The addresses of a new port.
async fn port(client: &Client, network: &str, fixed_ips: Value) -> Vec<String> {
    let mut body = json!({"port": {"network_id": network}});
    if !fixed_ips.is_null() {
        body["port"]["fixed_ips"] = fixed_ips;
    }
    let made = client.post("/network/v2.0/ports", body).await.expect(201);
    addresses(&made["port"])
}

fn addresses(port: &Value) -> Vec<String> {
    let ips = port["fixed_ips"].as_array().unwrap().iter();
    ips.map(|f| f["ip_address"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_subnet_has_the_version_of_its_cidr() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let made = member
        .post("/network/v2.0/networks", json!({"network": {}}))
        .await;
    let net = id(&made.expect(201));
    let body = json!({"subnet": {
        "network_id": net, "cidr": "192.0.2.0/24", "dns_nameservers": ["192.0.2.53"],
        "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.9"}],
    }});
    let made = member.post("/network/v2.0/subnets", body).await.expect(201);
    let v4 = &made["subnet"];
    assert_eq!(
        (&v4["ip_version"], &v4["gateway_ip"]),
        (&json!(4), &json!("192.0.2.1"))
    );
    assert_eq!(
        v4["allocation_pools"],
        json!([{"start": "192.0.2.2", "end": "192.0.2.254"}])
    );
    let six = subnet(&member, &net, json!({"cidr": "2001:db8:1::/64"})).await;
    let wanted = node.wanted_network(&net).await.unwrap();
    let four = &wanted.subnets[0];
    assert_eq!(four.prefix.to_string(), "192.0.2.0/24");
    assert!(four.enable_dhcp && four.gateway.unwrap().is_ipv4());
    assert!(four.dns_nameservers[0].is_ipv4());
    assert_eq!(wanted.subnets[1].id.to_string(), six);
    for (query, expected) in [
        ("ip_version=4", vec!["192.0.2.0/24"]),
        ("ip_version=6", vec!["2001:db8:1::/64"]),
        ("cidr=192.0.2.0/24", vec!["192.0.2.0/24"]),
        ("gateway_ip=192.0.2.1", vec!["192.0.2.0/24"]),
        ("ip_version=5", vec![]),
    ] {
        let path = format!("/network/v2.0/subnets?{query}");
        let list = member.get(&path).await.expect(200);
        let found: Vec<&Value> = list["subnets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["cidr"])
            .collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn small_subnets_of_ipv4_are_as_sound_as_they_can_be() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let made = member
        .post("/network/v2.0/networks", json!({"network": {}}))
        .await;
    let net = id(&made.expect(201));
    let make = async |more: Value| {
        let mut body = more;
        body["network_id"] = json!(net);
        let body = json!({"subnet": body});
        member.post("/network/v2.0/subnets", body).await
    };
    for cidr in ["192.0.2.0/31", "192.0.2.7/32"] {
        let answer = make(json!({"cidr": cidr})).await;
        let message = shape::error(&answer, 400, cidr);
        assert!(message.contains("enable_dhcp"), "{message}");
    }
    let pair = make(json!({"cidr": "192.0.2.0/31", "enable_dhcp": false})).await;
    assert_eq!(pair.expect(201)["subnet"]["gateway_ip"], "192.0.2.1");
    let host = make(json!({"cidr": "192.0.2.7/32", "enable_dhcp": false})).await;
    assert_eq!(host.expect(201)["subnet"]["gateway_ip"], Value::Null);
    let none = make(json!({"cidr": "198.51.100.0/24", "gateway_ip": null})).await;
    let none = none.expect(201)["subnet"].clone();
    assert_eq!(none["gateway_ip"], Value::Null);
    assert_eq!(none["allocation_pools"][0]["start"], "198.51.100.1");
}

#[tokio::test]
async fn a_port_gets_an_address_of_each_family_and_all_automatic_ones() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, first) = network(&member, "net", "192.0.2.0/29").await;
    let second = subnet(&member, &net, json!({"cidr": "198.51.100.0/29"})).await;
    subnet(&member, &net, json!({"cidr": "2001:db8:1::/64"})).await;
    subnet(&member, &net, json!({"cidr": "2001:db8:2::/64"})).await;
    for cidr in ["2001:db8:a::/64", "2001:db8:b::/64"] {
        subnet(&member, &net, slaac(cidr)).await;
    }
    // 192.0.2.2 to .5, and then the other subnet's: the last one is the resolver's.
    for n in 2..6 {
        let held = port(&member, &net, Value::Null).await;
        assert_eq!(held.len(), 4, "{held:?}");
        assert_eq!(held[0], format!("192.0.2.{n}"));
        assert!(held[1].starts_with("2001:db8:1::") || held[1].starts_with("2001:db8:1:0:"));
        assert!(held[2].starts_with("2001:db8:a:"), "{held:?}");
        assert!(held[3].starts_with("2001:db8:b:"), "{held:?}");
    }
    let next = port(&member, &net, Value::Null).await;
    assert_eq!(next[0], "198.51.100.2");
    let by_subnet = port(&member, &net, json!([{"subnet_id": second}])).await;
    assert_eq!(by_subnet, ["198.51.100.3"]);
    let named = port(&member, &net, json!([{"ip_address": "198.51.100.5"}])).await;
    assert_eq!(named, ["198.51.100.5"]);
    let path = "/network/v2.0/ports?fixed_ips=ip_address=198.51.100.5";
    let found = member.get(path).await.expect(200);
    assert_eq!(found["ports"].as_array().unwrap().len(), 1);
    let wanted = found["ports"][0]["id"].as_str().unwrap();
    // It is on no node, so no node hears of it.
    assert!(node.wanted_port(wanted).await.is_none());
    let body = json!({"port": {"network_id": net, "fixed_ips": [{"subnet_id": first}]}});
    let before = cloud.dump();
    let answer = member.post("/network/v2.0/ports", body).await;
    let message = shape::error(&answer, 409, "the subnet asked for is full");
    assert!(message.contains(&first), "{message}");
    assert_eq!(
        answer.json()["NeutronError"]["type"],
        "IpAddressGenerationFailure"
    );
    testkit::assert_same(&before, &cloud.dump(), "a port without an address");
}

#[tokio::test]
async fn a_server_has_addresses_of_both_families() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "192.0.2.0/24").await;
    subnet(&member, &net, slaac("2001:db8:a::/64")).await;
    let image = cloud.image(&member, "i").await;
    let make = async |network: Value| {
        let body = json!({"server": {
            "name": "s", "imageRef": image, "flavorRef": "42", "networks": [network],
            "accessIPv4": "203.0.113.5", "accessIPv6": "2001:db8:ffff::5",
        }});
        id(&member.post("/compute/v2.1/servers", body).await.expect(202))
    };
    let one = make(json!({"uuid": net})).await;
    let two = make(json!({"uuid": net, "fixed_ip": "192.0.2.77"})).await;
    let now = server_now(&member, &one).await;
    let shown = now["addresses"]["net"].as_array().unwrap();
    let versions: Vec<&Value> = shown.iter().map(|a| &a["version"]).collect();
    assert_eq!(versions, [&json!(4), &json!(6)]);
    assert_eq!(now["accessIPv4"], "203.0.113.5");
    assert_eq!(now["accessIPv6"], "2001:db8:ffff::5");
    let six = shown[1]["addr"].as_str().unwrap();
    let listed = async |query: String| {
        let path = format!("/compute/v2.1/servers?{query}");
        let list = member.get(&path).await.expect(200);
        let servers = list["servers"].as_array().unwrap().iter();
        servers.map(|s| s["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed("ip=192.0.2.77".into()).await, [json!(two)]);
    assert_eq!(listed(format!("ip6={six}")).await, [json!(one)]);
    assert!(listed(format!("ip6={six}&ip=192.0.2.77")).await.is_empty());
    for query in ["ip=192.0.2", "ip=2001:db8::1", "ip6=192.0.2.77"] {
        let path = format!("/compute/v2.1/servers?{query}");
        shape::error(&member.get(&path).await, 400, query);
    }
    let ports = format!("/network/v2.0/ports?device_id={two}");
    let ports = member.get(&ports).await.expect(200);
    let wanted = ports["ports"][0]["id"].as_str().unwrap();
    let document = node.wanted_port(wanted).await.unwrap();
    assert_eq!(
        document.addresses,
        ["192.0.2.77".parse::<std::net::IpAddr>().unwrap()]
    );
    let path = format!("/compute/v2.1/servers/{two}");
    let body = json!({"server": {"accessIPv4": "", "accessIPv6": "[2001:db8::6]"}});
    let changed = member.put(&path, body).await.expect(200);
    assert_eq!(changed["server"]["accessIPv4"], "");
    assert_eq!(changed["server"]["accessIPv6"], "2001:db8::6");
    for wrong in [
        json!({"accessIPv4": "2001:db8::1"}),
        json!({"accessIPv6": "192.0.2.1"}),
        json!({"accessIPv4": "nonsense"}),
    ] {
        let answer = member.put(&path, json!({"server": wrong})).await;
        shape::error(&answer, 400, &wrong.to_string());
    }
}

/// On a network of another project a server takes the address it is given, as a port does.
#[tokio::test]
async fn only_the_owner_of_a_network_chooses_a_servers_address() {
    let cloud = TestCloud::start().await;
    let _node = cloud.node("n1").await;
    let (admin, stranger) = (cloud.admin().await, cloud.stranger().await);
    let (net, _) = network(&admin, "shared", "192.0.2.0/24").await;
    let path = format!("/network/v2.0/networks/{net}");
    let body = json!({"network": {"shared": true}});
    admin.put(&path, body).await.expect(200);
    let image = cloud.image(&stranger, "i").await;
    let make = async |network: Value| {
        let body = json!({"server": {
            "name": "s", "imageRef": image, "flavorRef": "42", "networks": [network],
        }});
        stranger.post("/compute/v2.1/servers", body).await
    };
    let before = cloud.dump();
    for address in ["192.0.2.1", "192.0.2.77"] {
        let answer = make(json!({"uuid": net, "fixed_ip": address})).await;
        shape::error(&answer, 403, address);
        testkit::assert_same(&before, &cloud.dump(), address);
    }
    make(json!({"uuid": net})).await.expect(202);
}

#[tokio::test]
async fn a_router_has_a_leg_for_each_ipv4_subnet_and_one_for_ipv6() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (net, a) = network(&member, "net", "192.0.2.0/24").await;
    let b = subnet(&member, &net, json!({"cidr": "198.51.100.0/24"})).await;
    let c = subnet(&member, &net, json!({"cidr": "2001:db8:1::/64"})).await;
    let d = subnet(&member, &net, slaac("2001:db8:2::/64")).await;
    let made = member
        .post("/network/v2.0/routers", json!({"router": {}}))
        .await;
    let router = id(&made.expect(201));
    let path = format!("/network/v2.0/routers/{router}");
    let leg = async |what: &str, body: Value, status: u16| {
        let path = format!("{path}/{what}_router_interface");
        member.put(&path, body).await.expect(status)
    };
    let mut ports = Vec::new();
    for s in [&a, &b, &c, &d] {
        let added = leg("add", json!({"subnet_id": s}), 200).await;
        ports.push(added["port_id"].clone());
    }
    leg("add", json!({"subnet_id": a}), 400).await;
    assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[2] == ports[3]);
    let wanted = node.wanted_router(&router).await.unwrap();
    let mut legs: Vec<String> = wanted
        .ports
        .iter()
        .map(|p| p.addresses.iter().map(|a| format!("{a} ")).collect())
        .collect();
    legs.sort();
    assert_eq!(
        legs,
        [
            "192.0.2.1/24 ",
            "198.51.100.1/24 ",
            "2001:db8:1::1/64 2001:db8:2::1/64 "
        ]
    );
    let gone = leg("remove", json!({"port_id": ports[2]}), 200).await;
    assert_eq!(gone["subnet_ids"].as_array().unwrap().len(), 2);
    // A port of the user's own: at most one IPv4 subnet, and no second leg of IPv6.
    let own = async |fixed_ips: Value| {
        let body = json!({"port": {"network_id": net, "fixed_ips": fixed_ips}});
        id(&member.post("/network/v2.0/ports", body).await.expect(201))
    };
    let two = own(json!([{"subnet_id": a}, {"subnet_id": b}])).await;
    leg("add", json!({"port_id": two}), 400).await;
    leg("add", json!({"subnet_id": c}), 200).await;
    let six = own(json!([{"subnet_id": d}])).await;
    leg("add", json!({"port_id": six}), 400).await;
    let (_, same) = network(&member, "other", "192.0.2.128/25").await;
    leg("add", json!({"subnet_id": same}), 400).await;
    let mixed = json!({"routes": [{"destination": "203.0.113.0/24", "nexthop": "2001:db8:1::9"}]});
    let answer = member.put(&path, json!({"router": mixed})).await;
    shape::error(&answer, 400, "families are mixed");
    let routes = json!({"routes": [
        {"destination": "203.0.113.0/24", "nexthop": "192.0.2.9"},
        {"destination": "2001:db8:9::/64", "nexthop": "2001:db8:1::9"},
    ]});
    member
        .put(&path, json!({"router": routes}))
        .await
        .expect(200);
    leg("remove", json!({"subnet_id": a}), 409).await;
    leg("remove", json!({"subnet_id": b}), 200).await;
    let _ = admin;
}

/// The family that an external network gets later, and routes that need a gateway.
#[tokio::test]
async fn a_gateway_takes_an_address_of_a_family_that_is_new() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (ext, _) = external(&admin, json!({"cidr": "2001:db8:e::/64"})).await;
    let gateway = json!({"network_id": ext});
    let make = async || {
        let body = json!({"router": {"external_gateway_info": gateway}});
        id(&member.post("/network/v2.0/routers", body).await.expect(201))
    };
    let (one, other) = (make().await, make().await);
    let (_, inside) = network(&member, "net", "203.0.113.0/26").await;
    let leg = format!("/network/v2.0/routers/{other}/add_router_interface");
    member
        .put(&leg, json!({"subnet_id": inside}))
        .await
        .expect(200);
    subnet(&admin, &ext, json!({"cidr": "203.0.113.0/24"})).await;
    let wanted = node.wanted_router(&one).await.unwrap();
    assert_eq!(wanted.ports[0].addresses.len(), 2);
    assert_eq!(wanted.default_nexthops.len(), 2);
    // Its own prefix is part of the new one.
    let wanted = node.wanted_router(&other).await.unwrap();
    assert_eq!(wanted.default_nexthops.len(), 1);
    subnet(&admin, &ext, json!({"cidr": "198.51.100.0/24"})).await;
    let wanted = node.wanted_router(&one).await.unwrap();
    assert_eq!(wanted.ports[0].addresses.len(), 2, "one of each is enough");
    let path = format!("/network/v2.0/routers/{one}");
    let routes = json!([{"destination": "192.0.2.0/24", "nexthop": "203.0.113.9"}]);
    let body = json!({"router": {"routes": routes}});
    member.put(&path, body).await.expect(200);
    let body = json!({"router": {"external_gateway_info": null}});
    shape::error(&member.put(&path, body).await, 409, "a route needs it");
    let body = json!({"router": {"external_gateway_info": null, "routes": []}});
    member.put(&path, body).await.expect(200);
    let body = json!({"router": {"external_gateway_info": gateway, "routes": routes}});
    member.put(&path, body).await.expect(200);
    member.delete(&path).await.expect(204);
}

/// What nodes hear of groups and rules: both families, each once, in order.
#[tokio::test]
async fn groups_and_rules_are_of_both_families() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "192.0.2.0/24").await;
    subnet(&member, &net, json!({"cidr": "2001:db8:1::/64"})).await;
    let image = cloud.image(&member, "i").await;
    for _ in 0..2 {
        crate::world::server(&member, &image, &net).await;
    }
    let ports = "/network/v2.0/ports?device_owner=compute:nova";
    let ports = member.get(ports).await.expect(200);
    let port = &ports["ports"][0];
    let group = port["security_groups"][0].as_str().unwrap();
    for rule in [
        json!({"protocol": "icmp"}),
        json!({"protocol": "icmpv6"}),
        json!({"protocol": "tcp", "remote_ip_prefix": "198.51.100.7"}),
        json!({"protocol": "tcp", "remote_ip_prefix": "2001:db8::/32"}),
    ] {
        let mut body = rule;
        body["security_group_id"] = json!(group);
        body["direction"] = json!("ingress");
        let body = json!({"security_group_rule": body});
        let path = "/network/v2.0/security-group-rules";
        member.post(path, body).await.expect(201);
    }
    let stranger = cloud.stranger().await;
    let path = "/network/v2.0/security-groups";
    let theirs = stranger.get(path).await.expect(200);
    let body = json!({"security_group_rule": {
        "security_group_id": group, "direction": "ingress",
        "remote_group_id": theirs["security_groups"][0]["id"],
    }});
    let path = "/network/v2.0/security-group-rules";
    let answer = member.post(path, body).await;
    shape::error(&answer, 404, "another project's group");
    let document = node
        .wanted_port(port["id"].as_str().unwrap())
        .await
        .unwrap();
    let v4 = document.rules.iter().filter(|r| !r.ipv6).count();
    assert_eq!((v4, document.rules.len()), (4, 8));
    let text = format!("{:?}", document.rules);
    for part in ["Icmp)", "Icmpv6)", "198.51.100.7/32", "2001:db8::/32"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let members = node.members(group).await;
    assert_eq!(members.len(), 4);
    assert!(members.is_sorted() && members[0].is_ipv4() && members[3].is_ipv6());
}

#[tokio::test]
async fn a_gateway_has_an_address_of_each_family_of_the_external_network() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (ext, four) = external(&admin, json!({"cidr": "203.0.113.0/24"})).await;
    subnet(&admin, &ext, json!({"cidr": "198.51.100.0/24"})).await;
    subnet(&admin, &ext, slaac("2001:db8:e::/64")).await;
    subnet(&admin, &ext, slaac("2001:db8:f::/64")).await;
    let body = json!({"router": {"external_gateway_info": {"network_id": ext}}});
    let made = member.post("/network/v2.0/routers", body).await.expect(201);
    let info = &made["router"]["external_gateway_info"];
    assert_eq!(info["enable_snat"], true);
    let held: Vec<&str> = info["external_fixed_ips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["ip_address"].as_str().unwrap())
        .collect();
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held[0].starts_with("203.0.113.") && held[1].starts_with("2001:db8:e:"));
    let router = id(&made);
    let wanted = node.wanted_router(&router).await.unwrap();
    let hops: Vec<String> = wanted
        .default_nexthops
        .iter()
        .map(|h| h.to_string())
        .collect();
    assert_eq!(hops, ["203.0.113.1", "2001:db8:e::1"]);
    assert!(wanted.snat);
    let path = format!("/network/v2.0/routers/{router}");
    let bare =
        json!({"router": {"external_gateway_info": {"network_id": ext, "enable_snat": false}}});
    shape::error(
        &member.put(&path, bare.clone()).await,
        403,
        "not its network",
    );
    let now = admin.put(&path, bare).await.expect(200);
    let after = &now["router"]["external_gateway_info"];
    assert_eq!(after["enable_snat"], false);
    assert_eq!(after["external_fixed_ips"], info["external_fixed_ips"]);
    assert!(!node.wanted_router(&router).await.unwrap().snat);
    let chosen = json!({"router": {"external_gateway_info": {
        "network_id": ext, "external_fixed_ips": [{"subnet_id": four, "ip_address": "203.0.113.77"}],
    }}});
    let leg = node.wanted_router(&router).await.unwrap().ports[0].id;
    admin.put(&path, chosen).await.expect(200);
    let wanted = node.wanted_router(&router).await.unwrap();
    assert_eq!(wanted.ports[0].id, leg, "the port stays");
    assert_eq!(wanted.ports[0].addresses.len(), 1);
    assert_eq!(wanted.ports[0].addresses[0].to_string(), "203.0.113.77/24");
    assert!(wanted.snat, "the default again");
}
