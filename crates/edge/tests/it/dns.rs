//! Names of ports, and the port by which a network has its resolver.

use model::{Desired, Key};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, Person, TestCloud, assert_same};

use crate::shape;
use crate::world::{id, network, subnet};

const PORTS: &str = "/network/v2.0/ports";
const NETWORKS: &str = "/network/v2.0/networks";

async fn port(client: &Client, net: &str, more: Value) -> Value {
    let mut body = more;
    body["network_id"] = json!(net);
    let made = client.post(PORTS, json!({"port": body})).await.expect(201);
    made["port"].clone()
}

async fn change(client: &Client, path: &str, kind: &str, fields: Value) -> Value {
    let changed = client.put(path, json!({kind: fields})).await;
    changed.expect(200)[kind].clone()
}

fn fqdns(port: &Value) -> Vec<String> {
    let names = port["dns_assignment"].as_array().unwrap().iter();
    names
        .map(|name| name["fqdn"].as_str().unwrap().to_owned())
        .collect()
}

/// What the node was told of a port's name: name, domain and how many addresses.
async fn told(node: &FakeNode, port: &Value) -> Option<(String, String, usize)> {
    node.catch_up().await;
    let key = Key::PortName(port["id"].as_str().unwrap().parse().unwrap());
    match node.picture().documents.get(&key)? {
        Desired::PortName(name) => Some((
            name.dns_name.clone(),
            name.dns_domain.clone(),
            name.addresses.len(),
        )),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ports_are_called_by_their_names_and_domains() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "192.0.2.0/24").await;
    let plain = port(
        &member,
        &net,
        json!({"fixed_ips": [{"ip_address": "192.0.2.9"}]}),
    )
    .await;
    assert_eq!(
        (&plain["dns_name"], &plain["dns_domain"]),
        (&json!(""), &json!(""))
    );
    assert_eq!(
        plain["dns_assignment"],
        json!([{"ip_address": "192.0.2.9", "hostname": "host-192-0-2-9", "fqdn": "host-192-0-2-9.openstacklocal."}])
    );
    let named = port(&member, &net, json!({"dns_name": "Web-1"})).await;
    assert_eq!(
        named["dns_name"], "web-1",
        "in lower case, as neutron has it"
    );
    assert_eq!(fqdns(&named), ["web-1.openstacklocal."]);
    assert_eq!(
        told(&node, &named).await,
        Some(("web-1".into(), "".into(), 1))
    );

    let path = format!("{NETWORKS}/{net}");
    let changed = change(
        &member,
        &path,
        "network",
        json!({"dns_domain": "Alpha.Example."}),
    )
    .await;
    assert_eq!(changed["dns_domain"], "alpha.example.");
    assert_eq!(
        node.wanted_network(&net).await.unwrap().dns_domain,
        "alpha.example."
    );
    let path = format!("{PORTS}/{}", named["id"].as_str().unwrap());
    let shown = member.get(&path).await.expect(200)["port"].clone();
    assert_eq!(fqdns(&shown), ["web-1.alpha.example."]);
    let own = change(
        &member,
        &path,
        "port",
        json!({"dns_domain": "beta.example."}),
    )
    .await;
    assert_eq!(fqdns(&own), ["web-1.beta.example."]);
    let whole = change(
        &member,
        &path,
        "port",
        json!({"dns_name": "db.openstacklocal."}),
    )
    .await;
    assert_eq!(fqdns(&whole), ["db.openstacklocal."]);
    let nameless = change(&member, &path, "port", json!({"dns_name": ""})).await;
    assert!(
        fqdns(&nameless)[0].ends_with(".alpha.example."),
        "{nameless}"
    );
    let found = member
        .get(&format!("{PORTS}?dns_domain=beta.example."))
        .await
        .expect(200);
    assert_eq!(found["ports"].as_array().unwrap().len(), 1);
    member.delete(&path).await.expect(204);
    assert_eq!(told(&node, &named).await, None);

    // The settings' domain is that of networks without one.
    cloud.cloud.use_dns_domain("Cloud.Example").unwrap();
    let (other, _) = network(&member, "other", "2001:db8:1::/64").await;
    let port = port(&member, &other, json!({"dns_name": "web"})).await;
    assert_eq!(fqdns(&port), ["web.cloud.example."]);
    assert_eq!(
        node.wanted_network(&other).await.unwrap().dns_domain,
        "cloud.example."
    );
    assert!(cloud.cloud.use_dns_domain("cloud..example").is_err());
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let cloud = TestCloud::start().await;
    let (member, admin) = (cloud.member().await, cloud.admin().await);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let made = port(&member, &net, json!({})).await;
    let path = format!("{PORTS}/{}", made["id"].as_str().unwrap());
    let body = json!({"network": {"name": "shared", "shared": true}});
    let shared = id(&admin.post(NETWORKS, body).await.expect(201));
    subnet(&admin, &shared, json!({"cidr": "2001:db8:2::/64"})).await;
    let before = cloud.dump();
    let label = "a".repeat(64);
    for bad in [
        "-web",
        "web-",
        "we b",
        "web_1",
        "a..b",
        ".",
        "web.example.",
        &label,
    ] {
        let body = json!({"port": {"network_id": net, "dns_name": bad}});
        let answer = member.post(PORTS, body).await;
        let message = shape::error(&answer, 400, bad);
        assert!(message.contains("Invalid input for dns_name"), "{message}");
        let answer = member.put(&path, json!({"port": {"dns_name": bad}})).await;
        shape::error(&answer, 400, bad);
    }
    for bad in ["example", "a..example.", ".", "-a.example.", "exa mple."] {
        let body = json!({"network": {"name": "n", "dns_domain": bad}});
        shape::error(&member.post(NETWORKS, body).await, 400, bad);
        let body = json!({"network": {"dns_domain": bad}});
        let network = format!("{NETWORKS}/{net}");
        shape::error(&member.put(&network, body).await, 400, bad);
        let body = json!({"port": {"network_id": net, "dns_name": "web", "dns_domain": bad}});
        shape::error(&member.post(PORTS, body).await, 400, bad);
        shape::error(
            &member
                .put(&path, json!({"port": {"dns_domain": bad}}))
                .await,
            400,
            bad,
        );
    }
    for bad in [json!(7), json!(["a"]), json!({"a": "b"})] {
        let body = json!({"port": {"network_id": net, "dns_name": bad}});
        shape::error(&member.post(PORTS, body).await, 400, "no text");
    }
    // On another's network nobody decides what names of another domain mean there.
    let body =
        json!({"port": {"network_id": shared, "dns_name": "www", "dns_domain": "a.example."}});
    shape::error(
        &member.post(PORTS, body).await,
        403,
        "a domain on another's network",
    );
    // dns_assignment is read only.
    let body = json!({"port": {"network_id": net, "dns_assignment": []}});
    shape::error(&member.post(PORTS, body).await, 400, "dns_assignment");
    assert_same(&before, &cloud.dump(), "names that were refused");
}

#[tokio::test]
async fn a_floating_ip_keeps_its_name() {
    let s = crate::floating_ip::scene().await;
    let path = "/network/v2.0/floatingips";
    let ext = s.ext.clone();
    let before = s.cloud.dump();
    for (name, domain) in [
        ("web", ""),
        ("", "a.example."),
        ("web.", "a.example."),
        ("web", "a"),
    ] {
        let wanted = json!({"floating_network_id": ext, "dns_name": name, "dns_domain": domain});
        let answer = s.member.post(path, json!({"floatingip": wanted})).await;
        shape::error(&answer, 400, &format!("{name} {domain}"));
    }
    assert_same(&before, &s.cloud.dump(), "floating IPs that were refused");
    let wanted = json!({"floating_network_id": ext, "dns_name": "Web", "dns_domain": "a.example."});
    let made = s
        .member
        .post(path, json!({"floatingip": wanted}))
        .await
        .expect(201);
    let made = &made["floatingip"];
    assert_eq!(
        (&made["dns_name"], &made["dns_domain"]),
        (&json!("web"), &json!("a.example."))
    );
}

#[tokio::test]
async fn a_servers_ports_are_called_as_it_is() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let own = port(&member, &net, json!({})).await;
    let other = port(&member, &net, json!({"dns_name": "other"})).await;
    let server = |networks: Value| json!({"server": {"name": "Web 1", "imageRef": image, "flavorRef": "42", "networks": networks}});
    let before = cloud.dump();
    let wrong = server(json!([{"port": other["id"]}]));
    let answer = member.post("/compute/v2.1/servers", wrong).await;
    let message = shape::error(&answer, 400, "a port with another name");
    assert!(
        message.contains("does not match instance's hostname web-1"),
        "{message}"
    );
    assert_same(&before, &cloud.dump(), "a server that was refused");
    let both = server(json!([{"uuid": net}, {"port": own["id"]}]));
    let made = member.post("/compute/v2.1/servers", both).await.expect(202);
    let server = id(&made);
    node.boot_finishes(&server).await;
    let path = format!("{PORTS}?device_id={server}");
    let ports = member.get(&path).await.expect(200)["ports"].clone();
    let ports = ports.as_array().unwrap();
    assert_eq!(ports.len(), 2);
    for port in ports {
        assert_eq!(
            (&port["dns_name"], fqdns(port)),
            (&json!("web-1"), vec!["web-1.openstacklocal.".to_owned()])
        );
        assert_eq!(
            told(&node, port).await,
            Some(("web-1".into(), "".into(), 1))
        );
    }
    member
        .delete(&format!("/compute/v2.1/servers/{server}"))
        .await
        .expect(204);
    node.guest_gone(&server).await;
    let path = format!("{PORTS}/{}", own["id"].as_str().unwrap());
    assert_eq!(member.get(&path).await.expect(200)["port"]["dns_name"], "");
}

/// The addresses of the network's resolver's port; `None` without one.
async fn resolver(client: &Client, net: &str) -> Option<(String, Vec<String>)> {
    let path = format!("{PORTS}?network_id={net}&device_owner=network:distributed");
    let ports = client.get(&path).await.expect(200)["ports"].clone();
    let [port] = ports.as_array().unwrap().as_slice() else {
        assert_eq!(ports, json!([]));
        return None;
    };
    let held = port["fixed_ips"].as_array().unwrap().iter();
    let held = held.map(|f| f["ip_address"].as_str().unwrap().to_owned());
    Some((id(&json!({ "port": port })), held.collect()))
}

#[tokio::test]
async fn a_network_has_a_resolver_while_it_hands_out_addresses() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (member, admin) = (cloud.member().await, cloud.admin().await);
    let made = member
        .post(NETWORKS, json!({"network": {"name": "net"}}))
        .await;
    let net = id(&made.expect(201));
    assert_eq!(resolver(&member, &net).await, None);
    let silent = json!({"cidr": "198.51.100.0/24", "enable_dhcp": false});
    let silent = subnet(&member, &net, silent).await;
    assert_eq!(resolver(&member, &net).await, None);
    let v4 = subnet(&member, &net, json!({"cidr": "192.0.2.0/24"})).await;
    let (port, held) = resolver(&member, &net).await.unwrap();
    assert_eq!(held, ["192.0.2.254"]);
    let slaac =
        json!({"cidr": "2001:db8:1::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let v6 = subnet(&member, &net, slaac).await;
    let (same, held) = resolver(&member, &net).await.unwrap();
    assert_eq!((&same, held.len()), (&port, 2));
    assert!(
        held[1].starts_with("2001:db8:1:") && held[1].contains("ff:fe"),
        "{held:?}"
    );
    // Guests are told of it where the subnet names no other.
    let wanted = node.wanted_network(&net).await.unwrap();
    let addresses: Vec<String> = wanted.resolver.iter().map(ToString::to_string).collect();
    assert!(held.iter().all(|a| addresses.contains(a)), "{addresses:?}");
    let named = wanted.subnets.iter().map(|s| s.dns_nameservers.len());
    assert_eq!(named.collect::<Vec<_>>(), [0, 1, 1]);
    let path = format!("/network/v2.0/subnets/{v4}");
    let body = json!({"subnet": {"dns_nameservers": ["192.0.2.53"]}});
    let shown = member.put(&path, body).await.expect(200);
    assert_eq!(shown["subnet"]["dns_nameservers"], json!(["192.0.2.53"]));
    let wanted = node.wanted_network(&net).await.unwrap();
    assert_eq!(
        wanted.subnets[1].dns_nameservers[0].to_string(),
        "192.0.2.53"
    );

    // It is nobody's: no quota counts it, nobody deletes or makes one.
    let quotas = format!(
        "/network/v2.0/quotas/{}/details",
        cloud.project_id(Person::Member)
    );
    let quotas = member.get(&quotas).await.expect(200);
    assert_eq!(quotas["quota"]["port"]["used"], 0);
    let before = cloud.dump();
    for client in [&member, &admin] {
        let gone = client.delete(&format!("{PORTS}/{port}")).await;
        shape::error(&gone, 409, "the resolver's port");
        let moved = json!({"port": {"fixed_ips": []}});
        shape::error(
            &client.put(&format!("{PORTS}/{port}"), moved).await,
            409,
            "its addresses",
        );
        let freed = json!({"port": {"device_owner": "", "device_id": ""}});
        shape::error(
            &client.put(&format!("{PORTS}/{port}"), freed).await,
            403,
            "its owner",
        );
        let another = json!({"port": {"network_id": net, "device_owner": "network:distributed"}});
        shape::error(&client.post(PORTS, another).await, 403, "another one");
    }
    assert_same(
        &before,
        &cloud.dump(),
        "what was done to the resolver's port",
    );

    // It is in nobody's way.
    let body = json!({"subnet": {"enable_dhcp": false}});
    member.put(&path, body).await.expect(200);
    let (_, held) = resolver(&member, &net).await.unwrap();
    assert_eq!(held.len(), 1);
    member
        .delete(&format!("/network/v2.0/subnets/{v6}"))
        .await
        .expect(204);
    assert_eq!(resolver(&member, &net).await, None);
    assert_eq!(node.wanted_network(&net).await.unwrap().resolver.len(), 0);
    member
        .put(&path, json!({"subnet": {"enable_dhcp": true}}))
        .await
        .expect(200);
    assert!(resolver(&member, &net).await.is_some());
    member
        .delete(&format!("/network/v2.0/subnets/{silent}"))
        .await
        .expect(204);
    member
        .delete(&format!("{NETWORKS}/{net}"))
        .await
        .expect(204);
    assert_eq!(cloud.dump().count("port"), 0);
}

#[tokio::test]
async fn a_subnet_without_an_address_left_has_no_resolver() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let body = json!({"network": {"name": "net"}});
    let net = id(&member.post(NETWORKS, body).await.expect(201));
    let full = json!({"cidr": "192.0.2.0/30", "enable_dhcp": false});
    let full = subnet(&member, &net, full).await;
    port(&member, &net, json!({})).await;
    let path = format!("/network/v2.0/subnets/{full}");
    member
        .put(&path, json!({"subnet": {"enable_dhcp": true}}))
        .await
        .expect(200);
    let (_, held) = resolver(&member, &net).await.unwrap();
    assert_eq!(held, Vec::<String>::new());
}
