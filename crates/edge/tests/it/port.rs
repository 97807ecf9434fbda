//! Ports: their addresses, and what a node hears of them.

use serde_json::json;
use testkit::TestCloud;

use crate::shape;
use crate::world::{SOMEONE, id, network, server, subnet};

#[tokio::test]
async fn addresses_are_given_as_the_subnets_want_it() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, fixed) = network(&member, "net", "2001:db8:1::/64").await;
    let slaac =
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let auto = subnet(&member, &net, slaac).await;
    let make = async |port: serde_json::Value, status| {
        let mut body = port;
        body["network_id"] = json!(net);
        member
            .post("/network/v2.0/ports", json!({"port": body}))
            .await
            .expect(status)
    };
    let port = make(json!({"mac_address": "fa:16:3e:00:00:01"}), 201).await;
    let ips = port["port"]["fixed_ips"].as_array().unwrap();
    assert_eq!(ips.len(), 2);
    assert!(
        ips.contains(&json!({"subnet_id": auto, "ip_address": "2001:db8:2:0:f816:3eff:fe00:1"}))
    );
    let none = make(json!({"fixed_ips": []}), 201).await;
    assert_eq!(none["port"]["fixed_ips"], json!([]));
    // In brackets, in upper case: the answer has the one form of RFC 5952.
    let wish = json!({"fixed_ips": [{"subnet_id": fixed, "ip_address": "[2001:DB8:1:0::AB]"}]});
    let asked = make(wish, 201).await;
    assert_eq!(
        asked["port"]["fixed_ips"][0]["ip_address"],
        "2001:db8:1::ab"
    );
    make(
        json!({"fixed_ips": [{"subnet_id": auto, "ip_address": "2001:db8:2::5"}]}),
        400,
    )
    .await;
    let found = member
        .get("/network/v2.0/ports?fixed_ips=ip_address%3D2001:DB8:1::AB")
        .await
        .expect(200);
    assert_eq!(found["ports"][0]["id"], asked["port"]["id"]);
    assert_eq!(found["ports"].as_array().unwrap().len(), 1);
    // Of several either will do, but of each kind one must.
    let count = async |query: &str| {
        let list = member.get(&format!("/network/v2.0/ports?{query}")).await;
        list.expect(200)["ports"].as_array().unwrap().len()
    };
    let all = count(&format!("fixed_ips=subnet_id={fixed}")).await;
    assert!(all > 1);
    let (ours, other) = (
        "fixed_ips=ip_address=2001:db8:1::ab",
        "fixed_ips=ip_address=::1",
    );
    assert_eq!(count(&format!("{ours}&{other}")).await, 1);
    let both = format!("fixed_ips=subnet_id={fixed}&fixed_ips=subnet_id={SOMEONE}");
    assert_eq!(count(&both).await, all);
    assert_eq!(count(&format!("{both}&{ours}")).await, 1);
    assert_eq!(
        count(&format!("{ours}&fixed_ips=subnet_id={SOMEONE}")).await,
        0
    );
}

#[tokio::test]
async fn a_changed_port_reaches_its_node() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    let list = member
        .get(&format!("/network/v2.0/ports?device_id={server}"))
        .await
        .expect(200);
    let port = list["ports"][0]["id"].as_str().unwrap();
    let path = format!("/network/v2.0/ports/{port}");
    let change = async |body| member.put(&path, json!({"port": body})).await.expect(200);
    change(
        json!({"fixed_ips": [{"ip_address": "2001:db8:1::aa"}, {"ip_address": "2001:db8:1::bb"}]}),
    )
    .await;
    change(json!({"allowed_address_pairs": [{"ip_address": "2001:db8:77::/64"}, {"ip_address": "2001:db8::7"}]})).await;
    let wanted = node.wanted_port(port).await.unwrap();
    let mut addresses: Vec<String> = wanted.addresses.iter().map(ToString::to_string).collect();
    addresses.sort();
    assert_eq!(addresses, ["2001:db8:1::aa", "2001:db8:1::bb"]);
    let allowed: Vec<String> = wanted
        .allowed_prefixes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(allowed, ["2001:db8:77::/64", "2001:db8::7/128"]);
    change(json!({"admin_state_up": false})).await;
    assert!(!node.wanted_port(port).await.unwrap().enabled);
    change(
        json!({"allowed_address_pairs": [], "security_groups": [], "port_security_enabled": false}),
    )
    .await;
    let wanted = node.wanted_port(port).await.unwrap();
    assert!(!wanted.port_security && wanted.rules.is_empty());
    node.port_up(port).await;
    assert_eq!(
        member.get(&path).await.expect(200)["port"]["status"],
        "ACTIVE"
    );
    node.port_gone(port).await;
    assert_eq!(
        member.get(&path).await.expect(200)["port"]["status"],
        "DOWN"
    );
}

#[tokio::test]
async fn deleting_a_servers_port_takes_it_off_the_server() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let port = node.wanted_server(&server).await.unwrap().ports[0].to_string();
    member
        .delete(&format!("/network/v2.0/ports/{port}"))
        .await
        .expect(204);
    assert!(node.wanted_port(&port).await.is_none());
    assert!(
        node.wanted_server(&server).await.unwrap().ports.is_empty(),
        "its document names a port that is gone"
    );
}

/// Who can name a server must not be able to slip a port of its own into it.
#[tokio::test]
async fn no_tenant_writes_a_ports_device() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let victim = server(&member, &image, &net).await;
    let (own, _) = network(&stranger, "own", "2001:db8:2::/64").await;
    let body = json!({"port": {"network_id": own}});
    let port = id(&stranger.post("/network/v2.0/ports", body).await.expect(201));
    for owner in [
        "compute:nova",
        "network:router_interface",
        "network:router_gateway",
    ] {
        let device = json!({"device_id": victim, "device_owner": owner});
        let mut body = device.clone();
        body["network_id"] = json!(own);
        let made = stranger
            .post("/network/v2.0/ports", json!({"port": body}))
            .await;
        shape::error(&made, 403, owner);
        let changed = stranger
            .put(
                &format!("/network/v2.0/ports/{port}"),
                json!({"port": device}),
            )
            .await;
        shape::error(&changed, 403, owner);
    }
    // Two steps are no way around it.
    let path = format!("/network/v2.0/ports/{port}");
    stranger
        .put(&path, json!({"port": {"device_id": victim}}))
        .await
        .expect(200);
    let answer = stranger
        .put(&path, json!({"port": {"device_owner": "compute:x"}}))
        .await;
    shape::error(&answer, 403, "in two steps");
    assert_eq!(node.wanted_server(&victim).await.unwrap().ports.len(), 1);
    // A name and a security group can be changed on a port that a server has.
    let own = node.wanted_server(&victim).await.unwrap().ports[0];
    let body = json!({"port": {"name": "x", "device_id": victim, "device_owner": "compute:nova"}});
    member
        .put(&format!("/network/v2.0/ports/{own}"), body)
        .await
        .expect(200);
}

#[tokio::test]
async fn ports_on_a_shared_network_belong_to_their_makers() {
    let cloud = TestCloud::start().await;
    let (admin, member, stranger) = (
        cloud.admin().await,
        cloud.member().await,
        cloud.stranger().await,
    );
    let made = admin
        .post(
            "/network/v2.0/networks",
            json!({"network": {"shared": true}}),
        )
        .await;
    let net = id(&made.expect(201));
    subnet(&admin, &net, json!({"cidr": "2001:db8:5::/64"})).await;
    let body = json!({"port": {"network_id": net}});
    let port = id(&member
        .post("/network/v2.0/ports", body.clone())
        .await
        .expect(201));
    let path = format!("/network/v2.0/ports/{port}");
    shape::error(&stranger.get(&path).await, 404, "a neighbour's port");
    shape::error(&stranger.delete(&path).await, 404, "a neighbour's port");
    stranger.post("/network/v2.0/ports", body).await.expect(201);
    let seen = member
        .get(&format!("/network/v2.0/ports?network_id={net}"))
        .await
        .expect(200);
    assert_eq!(seen["ports"].as_array().unwrap().len(), 1);
    let net_path = format!("/network/v2.0/networks/{net}");
    member.get(&net_path).await.expect(200);
    let answer = member
        .put(&net_path, json!({"network": {"name": "mine"}}))
        .await;
    shape::error(&answer, 403, "it sees it, and may not change it");
    let answer = member
        .post(
            "/network/v2.0/subnets",
            json!({"subnet": {"network_id": net, "cidr": "2001:db8:6::/64"}}),
        )
        .await;
    shape::error(&answer, 403, "a subnet on anothers network");
}

#[tokio::test]
async fn fields_pick_what_is_shown() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let list = member
        .get("/network/v2.0/networks?fields=id&fields=name")
        .await
        .expect(200);
    assert_eq!(list["networks"], json!([{"id": net, "name": "net"}]));
    let one = member
        .get(&format!("/network/v2.0/networks/{net}?fields=mtu"))
        .await
        .expect(200);
    assert_eq!(one, json!({"network": {"mtu": 1500}}));
}

#[tokio::test]
async fn on_a_shared_network_others_take_what_they_are_given() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let shared = json!({"network": {"name": "shared", "shared": true}});
    let net = id(&admin
        .post("/network/v2.0/networks", shared)
        .await
        .expect(201));
    let within = subnet(&admin, &net, json!({"cidr": "2001:db8:5::/64"})).await;
    let make = async |mut port: serde_json::Value| {
        port["network_id"] = json!(net);
        member
            .post("/network/v2.0/ports", json!({"port": port}))
            .await
    };
    for (wish, what) in [
        (json!({"mac_address": "fa:16:3e:00:00:09"}), "a MAC"),
        (json!({"port_security_enabled": false}), "no filters"),
        (
            json!({"allowed_address_pairs": [{"ip_address": "::/0"}]}),
            "any address",
        ),
        (
            json!({"fixed_ips": [{"ip_address": "2001:db8:5::1"}]}),
            "the gateway's address",
        ),
    ] {
        shape::error(&make(wish).await, 403, what);
    }
    let port = id(&make(json!({"fixed_ips": [{"subnet_id": within}]}))
        .await
        .expect(201));
    let path = format!("/network/v2.0/ports/{port}");
    let change = json!({"port": {"port_security_enabled": false}});
    shape::error(&member.put(&path, change).await, 403, "no filters later");
    let router = json!({"router": {"name": "r"}});
    let router = id(&member
        .post("/network/v2.0/routers", router)
        .await
        .expect(201));
    let path = format!("/network/v2.0/routers/{router}/add_router_interface");
    let leg = member.put(&path, json!({"subnet_id": within})).await;
    shape::error(&leg, 403, "to speak for everybody there");
}

#[tokio::test]
async fn several_are_made_by_one_request_or_none() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let two = json!({"networks": [{"name": "a"}, {"name": "b"}]});
    let made = member.post("/network/v2.0/networks", two).await.expect(201);
    let ids: Vec<_> = made["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["id"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    let subnets = |second: &str| {
        let one = |net: &serde_json::Value, cidr: &str| json!({"network_id": net, "ip_version": 6, "cidr": cidr});
        json!({"subnets": [one(&ids[0], "2001:db8:1::/64"), one(&ids[1], second)]})
    };
    let before = cloud.dump();
    let wrong = member
        .post("/network/v2.0/subnets", subnets("2001:db8:2::1/64"))
        .await;
    shape::error(&wrong, 400, "host bits in the second");
    let both = json!({"network": {"name": "c"}, "networks": []});
    shape::error(
        &member.post("/network/v2.0/networks", both).await,
        400,
        "one and several",
    );
    assert_eq!(cloud.dump(), before);
    let made = member
        .post("/network/v2.0/subnets", subnets("2001:db8:2::/64"))
        .await
        .expect(201);
    assert_eq!(made["subnets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_pair_may_have_a_mac_of_its_own() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = server(&member, &image, &net).await;
    let path = format!("/network/v2.0/ports?device_id={server}");
    let port = member.get(&path).await.expect(200)["ports"][0].clone();
    let path = format!("/network/v2.0/ports/{}", port["id"].as_str().unwrap());
    let virtual_mac = "00:00:5e:00:02:01";
    let own = port["mac_address"].as_str().unwrap();
    let pairs = json!([
        {"ip_address": "2001:db8:1::100", "mac_address": virtual_mac},
        {"ip_address": "2001:db8:1::101", "mac_address": own},
        {"ip_address": "2001:db8:1::102"},
        {"ip_address": "2001:db8:1::100"},
    ]);
    let body = json!({"port": {"allowed_address_pairs": pairs}});
    let changed = member.put(&path, body).await.expect(200);
    let shown = changed["port"]["allowed_address_pairs"].as_array().unwrap();
    let macs: Vec<_> = shown
        .iter()
        .map(|pair| pair["mac_address"].as_str())
        .collect();
    assert_eq!(macs, [Some(virtual_mac), Some(own), Some(own), Some(own)]);
    let wanted = node
        .wanted_port(port["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(wanted.allowed_macs, [virtual_mac.parse().unwrap()]);
    assert_eq!(wanted.allowed_prefixes.len(), 4);
}

#[tokio::test]
async fn a_port_that_nobody_has_may_get_another_mac() {
    let cloud = TestCloud::start().await;
    let _node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let slaac =
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    subnet(&member, &net, slaac).await;
    let body = json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:01"}});
    let before = member.post("/network/v2.0/ports", body).await.expect(201);
    let path = format!("/network/v2.0/ports/{}", id(&before));
    let put = async |mac: &str| {
        let body = json!({"port": {"mac_address": mac}});
        member.put(&path, body).await
    };
    let body = json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:05"}});
    member.post("/network/v2.0/ports", body).await.expect(201);
    shape::error(&put("fa:16:3e:00:00:05").await, 409, "another's");
    let after = put("FA:16:3E:00:00:02").await.expect(200);
    assert_eq!(after["port"]["mac_address"], "fa:16:3e:00:00:02");
    let address = |port: &serde_json::Value, prefix: &str| {
        let all = port["port"]["fixed_ips"].as_array().unwrap().iter();
        let mut all = all.map(|ip| ip["ip_address"].as_str().unwrap().to_owned());
        all.find(|ip| ip.starts_with(prefix)).unwrap()
    };
    // What hosts make of it is another then, what was given stays.
    assert_eq!(
        address(&after, "2001:db8:2:"),
        "2001:db8:2:0:f816:3eff:fe00:2"
    );
    assert_eq!(
        address(&after, "2001:db8:1:"),
        address(&before, "2001:db8:1:")
    );
    assert_eq!(cloud.findings(), [""; 0]);

    let body = json!({"server": {"name": "s", "flavorRef": "42", "imageRef": image,
        "networks": [{"port": id(&before)}]}});
    member.post("/compute/v2.1/servers", body).await.expect(202);
    let dump = cloud.dump();
    shape::error(&put("fa:16:3e:00:00:03").await, 409, "it is a server's");
    let admin = cloud.admin().await;
    let body = json!({"port": {"mac_address": "fa:16:3e:00:00:03"}});
    shape::error(&admin.put(&path, body).await, 409, "whoever asks");
    testkit::assert_same(&dump, &cloud.dump(), "refused");
    put("fa:16:3e:00:00:02").await.expect(200);
}
