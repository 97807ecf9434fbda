//! Values that are wrong in their meaning: each has its status, and leaves nothing behind.

use serde_json::{Value, json};
use testkit::{Client, assert_same};

use crate::shape;
use crate::world::{SOMEONE, World};

/// A request with the status it must get.
type Case = (&'static str, String, Value, u16);

async fn check(world: &World, client: &Client, cases: Vec<Case>) {
    let mut before = world.cloud.dump();
    let mut wrong = Vec::new();
    for (method, path, body, expected) in cases {
        let request = client.request(method.parse().unwrap(), &path);
        let answer = request.json(&body).send().await;
        let after = world.cloud.dump();
        if answer.status.as_u16() != expected {
            let text = format!("{method} {path} {body}");
            let got = String::from_utf8_lossy(&answer.body).into_owned();
            let cut = |text: String| text.chars().take(200).collect::<String>();
            wrong.push(format!(
                "{}\n    not {expected}: {} {}",
                cut(text),
                answer.status,
                cut(got)
            ));
            before = after;
            continue;
        }
        shape::error(&answer, expected, &body.to_string());
        assert_same(&before, &after, &format!("{path} {body}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn with(mut body: Value, more: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn subnets() {
    let world = World::new().await;
    let network = world.id("networks").to_owned();
    let make = |more: Value, status: u16| -> Case {
        let body = with(
            json!({"network_id": network, "cidr": "2001:db8:9::/64"}),
            more,
        );
        (
            "POST",
            "/network/v2.0/subnets".into(),
            json!({"subnet": body}),
            status,
        )
    };
    let change = |more: Value, status: u16| -> Case {
        let path = format!("/network/v2.0/subnets/{}", world.id("subnets"));
        ("PUT", path, json!({"subnet": more}), status)
    };
    let pool = |a: &str, b: &str| json!({"allocation_pools": [{"start": a, "end": b}]});
    let slaac = json!({"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let v4 = |more: Value| with(json!({"cidr": "192.0.2.0/24"}), more);
    let cases = vec![
        make(json!({"cidr": "2001:db8:9::1/64"}), 400),
        make(json!({"cidr": "2001:db8:9::/129"}), 400),
        make(json!({"cidr": "2001:db8:9::"}), 400),
        make(json!({"cidr": "[2001:db8:9::]/64"}), 400),
        make(json!({"cidr": "192.0.2.0/24", "ip_version": 6}), 400),
        make(json!({"cidr": "192.0.2.1/24"}), 400),
        make(json!({"cidr": "192.0.2.0/33"}), 400),
        make(json!({"cidr": "::/64"}), 400),
        make(json!({"cidr": "::ffff:192.0.2.0/120"}), 400),
        make(json!({"ip_version": 4}), 400),
        make(json!({"ip_version": 5}), 400),
        make(json!({"cidr": "::/0"}), 400),
        make(json!({"cidr": "fe80::/64"}), 400),
        make(json!({"cidr": "fd00:ec2::/64"}), 400),
        make(json!({"cidr": "ff02::/64"}), 400),
        make(json!({"cidr": "::1/128"}), 400),
        make(json!({"cidr": "2001:db8:a::/64"}), 400),
        make(json!({"cidr": "2001:db8:a::/72"}), 400),
        make(json!({"cidr": "2001:db8::/32"}), 400),
        make(v4(json!({"gateway_ip": "192.0.2.0"})), 400),
        make(v4(json!({"gateway_ip": "192.0.2.255"})), 400),
        make(v4(json!({"gateway_ip": "198.51.100.1"})), 400),
        make(v4(json!({"gateway_ip": "2001:db8::1"})), 400),
        make(v4(json!({"gateway_ip": "fe80::1"})), 400),
        make(v4(json!({"gateway_ip": "::ffff:192.0.2.1"})), 400),
        make(v4(json!({"gateway_ip": "192.0.2.01"})), 400),
        make(v4(pool("192.0.2.0", "192.0.2.9")), 400),
        make(v4(pool("192.0.2.9", "192.0.2.255")), 400),
        make(v4(pool("192.0.2.1", "192.0.2.9")), 409),
        make(v4(pool("192.0.2.9", "192.0.2.2")), 400),
        make(v4(pool("192.0.2.9", "2001:db8::9")), 400),
        make(v4(json!({"dns_nameservers": ["2001:db8::53"]})), 400),
        make(v4(json!({"ipv6_ra_mode": "slaac"})), 400),
        make(v4(json!({"ipv6_address_mode": "slaac"})), 400),
        make(v4(json!({"cidr": "192.0.2.0/31"})), 400),
        make(v4(json!({"cidr": "127.0.0.0/24"})), 400),
        make(v4(json!({"cidr": "169.254.0.0/16"})), 400),
        make(v4(json!({"cidr": "224.0.0.0/24"})), 400),
        make(v4(json!({"cidr": "0.0.0.0/0"})), 400),
        make(v4(json!({"cidr": "0.0.0.0/8"})), 400),
        make(
            v4(json!({"host_routes": [{"destination": "2001:db8::/64", "nexthop": "192.0.2.9"}]})),
            400,
        ),
        make(
            v4(
                json!({"host_routes": [{"destination": "198.51.100.0/24", "nexthop": "2001:db8::9"}]}),
            ),
            400,
        ),
        make(
            json!({"host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.9"}]}),
            400,
        ),
        make(json!({"network_id": SOMEONE}), 404),
        make(json!({"network_id": "nonsense"}), 404),
        make(json!({"gateway_ip": "2001:db8:8::1"}), 400),
        make(json!({"gateway_ip": "192.0.2.1"}), 400),
        make(json!({"gateway_ip": "ff02::1"}), 400),
        make(json!({"gateway_ip": "::"}), 400),
        make(json!({"gateway_ip": "nonsense"}), 400),
        make(pool("2001:db8:8::2", "2001:db8:8::9"), 400),
        make(pool("2001:db8:9::9", "2001:db8:9::2"), 400),
        make(pool("2001:db8:9::2", "2001:db8:a::2"), 400),
        make(pool("2001:db8:9::1", "2001:db8:9::9"), 409),
        make(pool("2001:db8:9::", "2001:db8:9::9"), 400),
        make(pool("192.0.2.1", "192.0.2.9"), 400),
        make(
            json!({"allocation_pools": [
                {"start": "2001:db8:9::2", "end": "2001:db8:9::9"},
                {"start": "2001:db8:9::9", "end": "2001:db8:9::f"},
            ]}),
            409,
        ),
        make(json!({"dns_nameservers": ["192.0.2.53"]}), 400),
        make(json!({"dns_nameservers": ["ns.example"]}), 400),
        make(
            json!({"dns_nameservers": ["::1", "::2", "::3", "::4", "::5", "::6"]}),
            400,
        ),
        make(
            json!({"host_routes": [{"destination": "2001:db8::1/64", "nexthop": "2001:db8:9::5"}]}),
            400,
        ),
        make(
            json!({"host_routes": [{"destination": "2001:db8:7::/64", "nexthop": "x"}]}),
            400,
        ),
        make(json!({"ipv6_ra_mode": "slaac"}), 400),
        make(
            json!({"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}),
            400,
        ),
        make(
            json!({"ipv6_ra_mode": "carrier-pigeon", "ipv6_address_mode": "slaac"}),
            400,
        ),
        make(with(slaac.clone(), json!({"enable_dhcp": false})), 400),
        make(with(slaac.clone(), json!({"cidr": "2001:db8:9::/80"})), 400),
        make(json!({"subnetpool_id": SOMEONE}), 404),
        make(json!({"project_id": "x".repeat(300)}), 400),
        make(json!({"tags": ["x".repeat(300)]}), 400),
        change(json!({"gateway_ip": "2001:db8:a::77"}), 409), // A router holds it.
        change(pool("2001:db8:8::2", "2001:db8:8::9"), 400),
        change(json!({"cidr": "2001:db8:10::/64"}), 400),
        change(json!({"network_id": network}), 400),
        change(json!({"ip_version": 6}), 400),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn networks() {
    let world = World::new().await;
    let make = |more: Value, status: u16| -> Case {
        (
            "POST",
            "/network/v2.0/networks".into(),
            json!({"network": more}),
            status,
        )
    };
    let path = format!("/network/v2.0/networks/{}", world.id("networks"));
    let cases = vec![
        make(json!({"mtu": 1279}), 400),
        make(json!({"mtu": 65_536}), 400),
        make(json!({"mtu": 0}), 400),
        make(json!({"name": "x".repeat(256)}), 400),
        make(json!({"description": "x".repeat(256)}), 400),
        make(json!({"tags": ["x".repeat(256)]}), 400),
        make(json!({"shared": true}), 403),
        make(json!({"router:external": true}), 403),
        make(json!({"provider:physical_network": "physnet1"}), 403),
        make(json!({"provider:network_type": "vxlan"}), 403),
        (
            "PUT",
            path.clone(),
            json!({"network": {"shared": true}}),
            403,
        ),
        (
            "PUT",
            path.clone(),
            json!({"network": {"router:external": true}}),
            403,
        ),
        ("PUT", path.clone(), json!({"network": {"mtu": 9}}), 400),
        ("DELETE", path, json!({}), 409),
    ];
    check(&world, &world.member, cases).await;
    let vlan = |id: u32| {
        let wanted = json!({
            "provider:network_type": "vlan", "provider:physical_network": "physnet1",
            "provider:segmentation_id": id,
        });
        make(wanted, 400)
    };
    let cases = vec![
        make(json!({"provider:network_type": "vxlan"}), 400),
        make(json!({"provider:network_type": "flat"}), 400),
        make(
            json!({"provider:network_type": "local", "provider:physical_network": "x"}),
            400,
        ),
        make(json!({"provider:segmentation_id": 7}), 400),
        make(
            json!({"provider:network_type": "vlan", "provider:segmentation_id": 7}),
            400,
        ),
        make(
            json!({"provider:network_type": "vlan", "provider:physical_network": "physnet1"}),
            400,
        ),
        vlan(0),
        vlan(4095),
        make(
            json!({"provider:physical_network": "physnet1", "provider:segmentation_id": 7}),
            400,
        ),
        make(json!({"provider:physical_network": ""}), 400),
        make(json!({"provider:physical_network": "nowhere"}), 400),
    ];
    check(&world, &world.admin, cases).await;
    let path = "/network/v2.0/networks";
    let nowhere = json!({"network": {"provider:physical_network": "nowhere"}});
    let refused = world.admin.post(path, nowhere).await.expect(400);
    let why = refused["NeutronError"]["message"].as_str().unwrap();
    assert!(
        why.contains("'nowhere' unknown") && why.contains("physnet1"),
        "{why}"
    );
    let flat = json!({"network": {"provider:physical_network": "physnet1"}});
    world.admin.post(path, flat.clone()).await.expect(201);
    shape::error(
        &world.admin.post(path, flat).await,
        409,
        "a physical network twice",
    );
}

#[tokio::test]
async fn ports() {
    let world = World::new().await;
    let network = world.id("networks").to_owned();
    let held = world
        .member
        .get(&format!("/network/v2.0/ports/{}", world.id("ports")))
        .await;
    let held = held.expect(200)["port"].clone();
    let (taken, mac) = (&held["fixed_ips"][0]["ip_address"], &held["mac_address"]);
    let make = |more: Value, status: u16| -> Case {
        let body = with(json!({"network_id": network}), more);
        (
            "POST",
            "/network/v2.0/ports".into(),
            json!({"port": body}),
            status,
        )
    };
    let fixed = |ip: Value| json!({"fixed_ips": [ip]});
    let change = |more: Value, status: u16| -> Case {
        let path = format!("/network/v2.0/ports/{}", world.id("ports"));
        ("PUT", path, json!({"port": more}), status)
    };
    let subnet = world.id("subnets");
    let cases = vec![
        make(json!({"network_id": SOMEONE}), 404),
        make(json!({"mac_address": mac}), 409),
        make(json!({"mac_address": "01:00:5e:00:00:01"}), 400),
        make(json!({"mac_address": "00:00:00:00:00:00"}), 400),
        make(json!({"mac_address": "fa:16:3e"}), 400),
        make(json!({"mac_address": "+a:16:3e:00:00:01"}), 400),
        make(fixed(json!({"ip_address": taken})), 409),
        make(
            fixed(json!({"subnet_id": subnet, "ip_address": taken})),
            409,
        ),
        make(fixed(json!({"ip_address": "2001:db8:b::1"})), 400),
        make(
            fixed(json!({"subnet_id": subnet, "ip_address": "2001:db8:b::1"})),
            400,
        ),
        make(fixed(json!({"subnet_id": SOMEONE})), 400),
        make(fixed(json!({"ip_address": "192.0.2.1"})), 400),
        make(fixed(json!({"ip_address": "fe80::1%eth0"})), 400),
        make(fixed(json!({})), 400),
        make(
            json!({"fixed_ips": [{"ip_address": "2001:db8:a::9"}, {"ip_address": "2001:db8:a::9"}]}),
            400,
        ),
        make(json!({"security_groups": [SOMEONE]}), 404),
        make(json!({"security_groups": ["nonsense"]}), 404),
        make(
            json!({"port_security_enabled": false, "security_groups": [world.id("security-groups")]}),
            409,
        ),
        make(
            json!({"port_security_enabled": false, "allowed_address_pairs": [{"ip_address": "2001:db8::1"}]}),
            409,
        ),
        make(
            json!({"allowed_address_pairs": [{"ip_address": "nonsense"}]}),
            400,
        ),
        make(
            json!({"allowed_address_pairs": [{"ip_address": "2001:db8::/129"}]}),
            400,
        ),
        make(json!({"binding:vnic_type": "direct"}), 400),
        make(json!({"device_owner": "network:dhcp"}), 403),
        make(json!({"device_id": "x".repeat(256)}), 400),
        make(
            json!({"allowed_address_pairs": [{"ip_address": "2001:db8::1", "mac_address": "01:00:5e:00:00:01"}]}),
            400,
        ),
        make(
            json!({"allowed_address_pairs": [{"ip_address": "2001:db8::1"}, {"ip_address": "2001:db8::1/128"}]}),
            400,
        ),
        change(json!({"mac_address": "fa:16:3e"}), 400),
        change(json!({"mac_address": "01:00:5e:00:00:01"}), 400),
        change(json!({"network_id": network}), 400),
        change(json!({"device_owner": "network:router_interface"}), 403),
        change(fixed(json!({"ip_address": "2001:db8:b::1"})), 400),
        change(json!({"security_groups": [SOMEONE]}), 404),
        change(json!({"port_security_enabled": false}), 409),
        (
            "POST",
            "/network/v2.0/ports".into(),
            json!({"ports": [
                {"network_id": network, "name": "first"},
                {"network_id": network, "fixed_ips": [{"ip_address": taken}]},
            ]}),
            409,
        ),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn routers() {
    let world = World::new().await;
    let router = format!("/network/v2.0/routers/{}", world.id("routers"));
    let (subnet, port) = (world.id("subnets"), world.id("ports"));
    let leg = format!("{router}/add_router_interface");
    let off = format!("{router}/remove_router_interface");
    let routes = |destination: &str, nexthop: &str| json!({"router": {"routes": [{"destination": destination, "nexthop": nexthop}]}});
    let gateway =
        |network: &str| json!({"router": {"external_gateway_info": {"network_id": network}}});
    let put =
        |path: &String, body: Value, status: u16| -> Case { ("PUT", path.clone(), body, status) };
    let cases = vec![
        put(&leg, json!({}), 400),
        put(&leg, json!({"subnet_id": subnet, "port_id": port}), 400),
        put(&leg, json!({"subnet_id": SOMEONE}), 404),
        put(&leg, json!({"port_id": SOMEONE}), 404),
        put(&leg, json!({"subnet_id": subnet}), 400),
        put(&leg, json!({"port_id": port}), 400),
        put(&off, json!({}), 400),
        put(&off, json!({"subnet_id": SOMEONE}), 404),
        put(&off, json!({"port_id": port}), 404),
        put(&router, routes("2001:db8:1::/64", "2001:db8:b::1"), 400),
        put(&router, routes("2001:db8:1::1/64", "2001:db8:a::5"), 400),
        put(&router, routes("192.0.2.0/24", "2001:db8:a::5"), 400),
        put(&router, routes("2001:db8:1::/64", "192.0.2.1"), 400),
        put(&router, gateway(SOMEONE), 404),
        put(&router, gateway(world.id("networks")), 400),
        (
            "POST",
            "/network/v2.0/routers".into(),
            gateway(SOMEONE),
            404,
        ),
        (
            "POST",
            "/network/v2.0/routers".into(),
            gateway(world.id("networks")),
            400,
        ),
        ("DELETE", router, json!({}), 409),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn security_groups_and_rules() {
    let world = World::new().await;
    let group = world.id("security-groups").to_owned();
    let addresses = world.id("address-groups").to_owned();
    let rule = |more: Value, status: u16| -> Case {
        let body = with(
            json!({"security_group_id": group, "direction": "ingress"}),
            more,
        );
        let path = "/network/v2.0/security-group-rules";
        (
            "POST",
            path.into(),
            json!({"security_group_rule": body}),
            status,
        )
    };
    let default = world
        .member
        .get("/network/v2.0/security-groups?name=default")
        .await;
    let default = default.expect(200)["security_groups"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let groups = "/network/v2.0/security-groups";
    let cases = vec![
        (
            "POST",
            groups.into(),
            json!({"security_group": {"name": "default"}}),
            409,
        ),
        (
            "POST",
            groups.into(),
            json!({"security_group": {"name": "g", "stateful": "maybe"}}),
            400,
        ),
        // Ports have it.
        (
            "PUT",
            format!("{groups}/{default}"),
            json!({"security_group": {"stateful": false}}),
            409,
        ),
        (
            "PUT",
            format!("{groups}/{group}"),
            json!({"security_group": {"name": "default"}}),
            409,
        ),
        (
            "PUT",
            format!("{groups}/{default}"),
            json!({"security_group": {"name": "other"}}),
            409,
        ),
        ("DELETE", format!("{groups}/{default}"), json!({}), 409),
        rule(json!({"security_group_id": SOMEONE}), 404),
        rule(json!({"security_group_id": "nonsense"}), 404),
        rule(json!({"remote_group_id": SOMEONE}), 404),
        rule(json!({"direction": "sideways"}), 400),
        rule(json!({"ethertype": "IPv5"}), 400),
        rule(json!({"protocol": "carrier-pigeon"}), 400),
        rule(json!({"protocol": 256}), 400),
        rule(json!({"protocol": -1}), 400),
        rule(json!({"protocol": "icmpv6", "ethertype": "IPv4"}), 400),
        rule(json!({"protocol": "58", "ethertype": "IPv4"}), 400),
        rule(json!({"protocol": "icmp", "port_range_min": 256}), 400),
        rule(json!({"remote_ip_prefix": "192.0.2.0/33"}), 400),
        rule(json!({"remote_ip_prefix": "::ffff:192.0.2.0/120"}), 400),
        rule(json!({"port_range_min": 80, "port_range_max": 80}), 400),
        rule(json!({"protocol": "tcp", "port_range_min": 80}), 400),
        rule(
            json!({"protocol": "tcp", "port_range_min": 90, "port_range_max": 80}),
            400,
        ),
        rule(
            json!({"protocol": "tcp", "port_range_min": 0, "port_range_max": 80}),
            400,
        ),
        rule(
            json!({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65_536}),
            400,
        ),
        rule(json!({"protocol": "icmpv6", "port_range_min": 256}), 400),
        rule(json!({"protocol": "icmpv6", "port_range_max": 1}), 400),
        rule(json!({"remote_ip_prefix": "nonsense"}), 400),
        rule(json!({"remote_ip_prefix": "2001:db8::/129"}), 400),
        rule(
            json!({"remote_ip_prefix": "192.0.2.0/24", "ethertype": "IPv6"}),
            400,
        ),
        rule(
            json!({"remote_ip_prefix": "2001:db8::/32", "ethertype": "IPv4"}),
            400,
        ),
        rule(
            json!({"remote_ip_prefix": "2001:db8::/32", "remote_group_id": group}),
            400,
        ),
        rule(json!({"remote_address_group_id": SOMEONE}), 404),
        rule(json!({"remote_address_group_id": "nonsense"}), 404),
        rule(
            json!({"remote_ip_prefix": "2001:db8::/32", "remote_address_group_id": addresses}),
            400,
        ),
        rule(
            json!({"remote_group_id": group, "remote_address_group_id": addresses}),
            400,
        ),
        rule(
            json!({"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}),
            409,
        ),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn servers() {
    let world = World::new().await;
    let (image, network) = (
        world.id("images").to_owned(),
        world.id("networks").to_owned(),
    );
    let empty = world
        .member
        .post("/network/v2.0/networks", json!({"network": {}}))
        .await;
    let empty = crate::world::id(&empty.expect(201));
    let queued = json!({"disk_format": "raw", "container_format": "bare"});
    let queued = world
        .member
        .post("/image/v2/images", queued)
        .await
        .expect(201);
    let used = world
        .member
        .get(&format!(
            "/compute/v2.1/servers/{}/os-interface",
            world.id("servers")
        ))
        .await;
    let used = used.expect(200)["interfaceAttachments"][0].clone();
    let make = |more: Value, status: u16| -> Case {
        let body = json!({"name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}]});
        (
            "POST",
            "/compute/v2.1/servers".into(),
            json!({"server": with(body, more)}),
            status,
        )
    };
    let many: serde_json::Map<String, Value> =
        (0..129).map(|n| (format!("k{n}"), json!("v"))).collect();
    let path = format!("/compute/v2.1/servers/{}", world.id("servers"));
    let action = format!("{path}/action");
    let cases = vec![
        make(json!({"name": ""}), 400),
        make(json!({"name": "   "}), 400),
        make(json!({"name": "x".repeat(256)}), 400),
        make(json!({"imageRef": SOMEONE}), 400),
        make(json!({"imageRef": "nonsense"}), 400),
        make(json!({"imageRef": ""}), 400),
        make(json!({"imageRef": queued["id"]}), 400),
        make(json!({"flavorRef": "nonsense"}), 400),
        make(json!({"flavorRef": ""}), 400),
        make(json!({"flavorRef": -1}), 400),
        make(json!({"networks": [{"uuid": SOMEONE}]}), 400),
        make(json!({"networks": [{"uuid": "nonsense"}]}), 400),
        make(json!({"networks": [{"uuid": empty}]}), 400),
        make(json!({"networks": [{"port": SOMEONE}]}), 400),
        make(json!({"networks": [{"port": used["port_id"]}]}), 409),
        make(json!({"networks": [{}]}), 400),
        make(
            json!({"networks": [{"uuid": network, "fixed_ip": "192.0.2.1"}]}),
            400,
        ),
        make(
            json!({"networks": [{"uuid": network, "fixed_ip": "2001:db8:b::1"}]}),
            400,
        ),
        make(json!({"networks": "auto"}), 400),
        make(json!({"key_name": "nobody's"}), 400),
        make(json!({"security_groups": [{"name": "nonsense"}]}), 400),
        make(json!({"user_data": "!!!"}), 400),
        make(json!({"user_data": "QUFB".repeat(22_000)}), 400),
        make(json!({"metadata": many}), 403),
        make(json!({"metadata": {"": "v"}}), 400),
        make(json!({"metadata": {"k": "v".repeat(256)}}), 400),
        make(json!({"metadata": {"k".repeat(256): "v"}}), 400),
        make(json!({"availability_zone": "mars"}), 400),
        make(json!({"min_count": 0}), 400),
        make(json!({"min_count": 3, "max_count": 2}), 400),
        make(json!({"max_count": 0}), 400),
        make(json!({"min_count": 4_294_967_295_u32}), 400),
        make(json!({"config_drive": "perhaps"}), 400),
        make(
            json!({"personality": [{"path": "/x", "contents": "eA=="}]}),
            400,
        ),
        make(json!({"description": "2.19 and later"}), 400),
        make(json!({"tags": ["2.52 and later"]}), 400),
        (
            "POST",
            "/compute/v2.1/servers".into(),
            json!({"server": {"name": "s", "flavorRef": "42"}}),
            400,
        ),
        ("PUT", path.clone(), json!({"server": {"name": ""}}), 400),
        (
            "PUT",
            path.clone(),
            json!({"server": {"name": "x".repeat(256)}}),
            400,
        ),
        (
            "POST",
            action.clone(),
            json!({"os-start": null, "os-stop": null}),
            400,
        ),
        ("POST", action.clone(), json!({"fly": null}), 400),
        (
            "POST",
            action.clone(),
            json!({"reboot": {"type": "FIRM"}}),
            400,
        ),
        ("POST", action.clone(), json!({"reboot": null}), 400),
        (
            "POST",
            action.clone(),
            json!({"os-getConsoleOutput": {"length": "x"}}),
            400,
        ),
        (
            "POST",
            action,
            json!({"os-getConsoleOutput": {"length": -2}}),
            400,
        ),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn flavors_and_keypairs() {
    let world = World::new().await;
    let flavor = |more: Value, status: u16| -> Case {
        let body = with(json!({"name": "f", "ram": 64, "vcpus": 1, "disk": 1}), more);
        (
            "POST",
            "/compute/v2.1/flavors".into(),
            json!({"flavor": body}),
            status,
        )
    };
    let specs = format!(
        "/compute/v2.1/flavors/{}/os-extra_specs",
        world.id("flavors")
    );
    let cases = vec![
        flavor(json!({"id": "42"}), 409),
        flavor(json!({"name": "m1.nano"}), 409),
        flavor(json!({"name": ""}), 400),
        flavor(json!({"id": "x".repeat(256)}), 400),
        flavor(json!({"id": "with/slash"}), 400),
        flavor(json!({"ram": 0}), 400),
        flavor(json!({"vcpus": 0}), 400),
        flavor(json!({"swap": 7}), 400),
        flavor(json!({"rxtx_factor": 2.0}), 400),
        flavor(json!({"ram": 2_147_483_648_u32}), 400),
        flavor(json!({"description": "2.55 and later"}), 400),
        (
            "POST",
            specs.clone(),
            json!({"extra_specs": {"": "x"}}),
            400,
        ),
        (
            "POST",
            specs.clone(),
            json!({"extra_specs": {"a b\u{7}": "x"}}),
            400,
        ),
        (
            "POST",
            specs,
            json!({"extra_specs": {"k": "x".repeat(256)}}),
            400,
        ),
    ];
    check(&world, &world.admin, cases).await;
    let key = |more: Value, status: u16| -> Case {
        let body = with(json!({"name": "k", "public_key": crate::world::KEY}), more);
        (
            "POST",
            "/compute/v2.1/os-keypairs".into(),
            json!({"keypair": body}),
            status,
        )
    };
    let cases = vec![
        key(json!({"name": "key"}), 409),
        key(json!({"name": ""}), 400),
        key(json!({"name": "x".repeat(256)}), 400),
        key(json!({"name": "with/slash"}), 400),
        key(json!({"public_key": ""}), 400),
        key(json!({"public_key": "ssh-rsa AAAA"}), 400),
        key(
            json!({"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}),
            400,
        ),
        key(json!({"type": "ssh"}), 400),
        key(json!({"user_id": SOMEONE}), 400),
        (
            "POST",
            "/compute/v2.1/flavors".into(),
            json!({"flavor": {"name": "f", "ram": 1, "vcpus": 1, "disk": 1}}),
            403,
        ),
        ("DELETE", "/compute/v2.1/flavors/42".into(), json!({}), 403),
    ];
    check(&world, &world.member, cases).await;
}

#[tokio::test]
async fn identity() {
    let world = World::new().await;
    let v3 = "/identity/v3";
    let at = |kind: &str| format!("{v3}/{kind}/{}", world.id(kind));
    let admin_user = world.cloud.user_id(testkit::Person::Admin);
    let admin_role = world.cloud.role_id("admin");
    let role = |user: &str, role: &str| format!("{}/users/{user}/roles/{role}", at("projects"));
    let cases = vec![
        (
            "POST",
            format!("{v3}/domains"),
            json!({"domain": {"name": "Default"}}),
            409,
        ),
        (
            "POST",
            format!("{v3}/domains"),
            json!({"domain": {"name": ""}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/projects"),
            json!({"project": {"name": "alpha"}}),
            409,
        ),
        (
            "POST",
            format!("{v3}/projects"),
            json!({"project": {"name": "x".repeat(65)}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/projects"),
            json!({"project": {"name": "p", "domain_id": SOMEONE}}),
            404,
        ),
        (
            "POST",
            format!("{v3}/projects"),
            json!({"project": {"name": "p", "is_domain": true}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/users"),
            json!({"user": {"name": "member"}}),
            409,
        ),
        (
            "POST",
            format!("{v3}/users"),
            json!({"user": {"name": "", "password": "x"}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/users"),
            json!({"user": {"name": "u", "password": ""}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/users"),
            json!({"user": {"name": "u", "password": "x".repeat(4097)}}),
            400,
        ),
        (
            "POST",
            format!("{v3}/users"),
            json!({"user": {"name": "u", "domain_id": SOMEONE}}),
            404,
        ),
        (
            "POST",
            format!("{v3}/roles"),
            json!({"role": {"name": "admin"}}),
            409,
        ),
        (
            "POST",
            format!("{v3}/roles"),
            json!({"role": {"name": "r", "domain_id": "default"}}),
            400,
        ),
        (
            "PATCH",
            at("projects"),
            json!({"project": {"name": "beta"}}),
            409,
        ),
        (
            "PATCH",
            at("users"),
            json!({"user": {"name": "stranger"}}),
            409,
        ),
        (
            "PATCH",
            at("roles"),
            json!({"role": {"name": "admin"}}),
            409,
        ),
        (
            "PATCH",
            format!("{v3}/roles/{admin_role}"),
            json!({"role": {"name": "king"}}),
            403,
        ),
        ("DELETE", format!("{v3}/roles/{admin_role}"), json!({}), 403),
        ("DELETE", at("domains"), json!({}), 403),
        (
            "PATCH",
            format!("{v3}/domains/default"),
            json!({"domain": {"enabled": false}}),
            403,
        ),
        ("DELETE", format!("{v3}/users/{admin_user}"), json!({}), 403),
        ("DELETE", at("projects"), json!({}), 409),
        ("PUT", role(SOMEONE, &admin_role), json!({}), 404),
        ("PUT", role(world.id("users"), SOMEONE), json!({}), 404),
        (
            "DELETE",
            role(world.id("users"), &admin_role),
            json!({}),
            404,
        ),
        (
            "PUT",
            format!("{v3}/projects/{SOMEONE}/users/{admin_user}/roles/{admin_role}"),
            json!({}),
            404,
        ),
    ];
    check(&world, &world.admin, cases).await;
}

#[tokio::test]
async fn lists() {
    let world = World::new().await;
    for path in [
        "/image/v2/images",
        "/compute/v2.1/servers",
        "/compute/v2.1/servers/detail",
        "/compute/v2.1/flavors",
        "/compute/v2.1/flavors/detail",
        "/compute/v2.1/os-keypairs",
        "/network/v2.0/networks",
        "/network/v2.0/subnets",
        "/network/v2.0/ports",
        "/network/v2.0/routers",
        "/network/v2.0/security-groups",
        "/network/v2.0/security-group-rules",
    ] {
        for query in [
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=1.5",
            "limit=99999999999999999999999",
            &format!("marker={SOMEONE}"),
            "marker=nonsense",
            "marker=%00",
        ] {
            let answer = world.member.get(&format!("{path}?{query}")).await;
            shape::error(&answer, 400, query);
        }
        if path.ends_with("keypairs") {
            continue;
        }
        for query in ["sort_key=nonsense", "sort_key=id&sort_dir=up", "sort_key="] {
            let answer = world.member.get(&format!("{path}?{query}")).await;
            shape::error(&answer, 400, query);
        }
        for query in [
            "nonsense=1",
            "name=%00",
            "name=%ff",
            "id=nonsense",
            "name=%27",
            "limit=0",
            "limit=5000",
        ] {
            world
                .member
                .get(&format!("{path}?{query}"))
                .await
                .expect(200);
        }
    }
    for query in ["sort=nonsense:asc", "sort=name:up", "sort=name,nonsense"] {
        let answer = world.member.get(&format!("/image/v2/images?{query}")).await;
        shape::error(&answer, 400, query);
    }
    for query in ["fixed_ips=nonsense", "fixed_ips=ip_address%3Dx"] {
        let answer = world
            .member
            .get(&format!("/network/v2.0/ports?{query}"))
            .await;
        shape::error(&answer, 400, query);
    }
}
