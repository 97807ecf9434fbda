//! Network's golden JSON.

use serde_json::{Value, json};
use testkit::Person;

use super::scene;
use crate::world::{id, network, subnet};

#[tokio::test]
async fn networks() {
    let mut s = scene(Person::Member).await;
    let _node = s.cloud.node("n1").await;
    let body = json!({"network": {"name": "net", "mtu": 1400}});
    let net = s
        .life(
            "/network/v2.0/networks",
            body,
            &["?limit=1", "?fields=id&fields=name"],
        )
        .await;
    s.talk
        .say(
            "PUT",
            &format!("/network/v2.0/networks/{net}"),
            Some(json!({"network": {"name": "new"}})),
        )
        .await;
    let admin = s.cloud.admin().await;
    s.talk.client(admin.clone());
    let body = json!({"network": {"name": "ext", "router:external": true, "provider:physical_network": "physnet1"}});
    s.talk
        .say("POST", "/network/v2.0/networks", Some(body))
        .await;
    let inside = json!({"cidr": "192.0.2.0/24", "name": "four", "enable_dhcp": false});
    subnet(&admin, &net, inside).await;
    let path = format!("/network/v2.0/network-ip-availabilities/{net}");
    s.talk.say("GET", &path, None).await;
    let list = "/network/v2.0/network-ip-availabilities?ip_version=4";
    s.talk.say("GET", list, None).await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/networks/{net}"), None)
        .await;
    s.talk
        .say("GET", "/network/v2.0/extensions/router", None)
        .await;
    s.done("network");
}

#[tokio::test]
async fn subnets() {
    let mut s = scene(Person::Member).await;
    let member = s.member().await;
    let net = id(&member
        .post("/network/v2.0/networks", json!({"network": {}}))
        .await
        .expect(201));
    let body = json!({"subnet": {
        "name": "auto", "network_id": net, "ip_version": 6, "cidr": "2001:db8:a::/64",
        "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
        "dns_nameservers": ["2001:db8::53"],
        "host_routes": [{"destination": "2001:db8:b::/64", "nexthop": "2001:db8:a::9"}],
    }});
    let one = s.life("/network/v2.0/subnets", body, &[]).await;
    s.talk
        .say(
            "PUT",
            &format!("/network/v2.0/subnets/{one}"),
            Some(json!({"subnet": {"gateway_ip": null}})),
        )
        .await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/subnets/{one}"), None)
        .await;
    let body = json!({"subnet": {
        "name": "four", "network_id": net, "ip_version": 4, "cidr": "192.0.2.0/24",
        "dns_nameservers": ["192.0.2.53"],
        "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.9"}],
    }});
    s.talk
        .say("POST", "/network/v2.0/subnets", Some(body))
        .await;
    s.done("subnet");
}

#[tokio::test]
async fn ports() {
    let mut s = scene(Person::Member).await;
    let member = s.member().await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    subnet(
        &member,
        &net,
        json!({"cidr": "2001:db8:b::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}),
    )
    .await;
    let body = json!({"port": {
        "name": "p", "network_id": net, "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"ip_address": "2001:db8:a::77"}],
        "allowed_address_pairs": [{"ip_address": "2001:db8:c::/64"}],
    }});
    let path = "/network/v2.0/ports";
    let port = id(&s.talk.say("POST", path, Some(body)).await);
    s.talk.say("GET", &format!("{path}/{port}"), None).await;
    // The resolver's port has a MAC and addresses that are drawn.
    s.talk.say("GET", &format!("{path}?name=p"), None).await;
    let body = json!({"port": {"security_groups": [], "allowed_address_pairs": [], "port_security_enabled": false}});
    s.talk
        .say("PUT", &format!("/network/v2.0/ports/{port}"), Some(body))
        .await;
    let admin = s.cloud.admin().await;
    s.talk.client(admin);
    s.talk
        .say("GET", &format!("/network/v2.0/ports/{port}"), None)
        .await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/ports/{port}"), None)
        .await;
    s.done("port");
}

#[tokio::test]
async fn routers() {
    let mut s = scene(Person::Admin).await;
    let admin = s.cloud.admin().await;
    let body = json!({"network": {"router:external": true}});
    let ext = id(&admin.post("/network/v2.0/networks", body).await.expect(201));
    subnet(&admin, &ext, json!({"cidr": "2001:db8:e::/64"})).await;
    let (_, inside) = network(&admin, "net", "2001:db8:a::/64").await;
    let body = json!({"router": {"name": "r", "external_gateway_info": {
        "network_id": ext, "external_fixed_ips": [{"ip_address": "2001:db8:e::77"}],
    }}});
    let router = s.life("/network/v2.0/routers", body, &[]).await;
    let one = format!("/network/v2.0/routers/{router}");
    let leg = Some(json!({"subnet_id": inside}));
    s.talk
        .say("PUT", &format!("{one}/add_router_interface"), leg.clone())
        .await;
    let routes = json!({"router": {"routes": [{"destination": "2001:db8:9::/64", "nexthop": "2001:db8:a::9"}]}});
    s.talk.say("PUT", &one, Some(routes)).await;
    s.talk
        .say(
            "PUT",
            &one,
            Some(json!({"router": {"routes": [], "external_gateway_info": null}})),
        )
        .await;
    s.talk
        .say("PUT", &format!("{one}/remove_router_interface"), leg)
        .await;
    s.talk.say("DELETE", &one, None).await;
    s.done("router");
}

#[tokio::test]
async fn floating_ips() {
    let mut s = scene(Person::Admin).await;
    let admin = s.cloud.admin().await;
    let body = json!({"network": {"router:external": true}});
    let ext = id(&admin.post("/network/v2.0/networks", body).await.expect(201));
    subnet(&admin, &ext, json!({"cidr": "203.0.113.0/24"})).await;
    let (net, inside) = network(&admin, "net", "192.0.2.0/24").await;
    let body = json!({"router": {"external_gateway_info": {"network_id": ext}}});
    let router = id(&admin.post("/network/v2.0/routers", body).await.expect(201));
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    admin
        .put(&leg, json!({"subnet_id": inside}))
        .await
        .expect(200);
    let body = json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:01"}});
    let port = id(&admin.post("/network/v2.0/ports", body).await.expect(201));
    let body = json!({"floatingip": {
        "floating_network_id": ext, "floating_ip_address": "203.0.113.77", "description": "web",
    }});
    let one = s.life("/network/v2.0/floatingips", body, &[]).await;
    let one = format!("/network/v2.0/floatingips/{one}");
    for target in [json!(port), Value::Null] {
        let body = json!({"floatingip": {"port_id": target}});
        s.talk.say("PUT", &one, Some(body)).await;
    }
    let all = format!("{one}/port_forwardings");
    let body = json!({"port_forwarding": {
        "internal_port_id": port, "internal_port": 22, "external_port": 2022, "protocol": "tcp",
        "description": "shell",
    }});
    let made = id(&s.talk.say("POST", &all, Some(body)).await);
    let forwarding = format!("{all}/{made}");
    let body = json!({"port_forwarding": {
        "external_port_range": "2022:2024", "internal_port_range": "22:24",
    }});
    s.talk.say("PUT", &forwarding, Some(body)).await;
    s.talk.say("GET", &forwarding, None).await;
    s.talk.say("GET", &all, None).await;
    s.talk.say("GET", &one, None).await;
    s.talk.say("DELETE", &one, None).await;
    s.talk.say("DELETE", &forwarding, None).await;
    s.talk.say("DELETE", &one, None).await;
    s.done("floating_ip");
}

#[tokio::test]
async fn subnet_pools() {
    let mut s = scene(Person::Member).await;
    let body = json!({"subnetpool": {
        "name": "pool", "prefixes": ["2001:db8::/40"], "default_prefixlen": 64,
        "default_quota": 16,
    }});
    let pool = s.life("/network/v2.0/subnetpools", body, &[]).await;
    let one = format!("/network/v2.0/subnetpools/{pool}");
    let body = json!({"subnetpool": {"name": "new", "default_quota": null}});
    s.talk.say("PUT", &one, Some(body)).await;
    s.talk.say("DELETE", &one, None).await;
    s.done("subnet_pool");
}

#[tokio::test]
async fn address_groups() {
    let mut s = scene(Person::Member).await;
    let body = json!({"address_group": {
        "name": "partners", "description": "of ours",
        "addresses": ["2001:db8:7::/48", "192.0.2.9/24"],
    }});
    let group = s.life("/network/v2.0/address-groups", body, &[]).await;
    let one = format!("/network/v2.0/address-groups/{group}");
    let body = json!({"address_group": {"name": "new"}});
    s.talk.say("PUT", &one, Some(body)).await;
    let body = json!({"addresses": ["2001:db8:8::8"]});
    let path = format!("{one}/add_addresses");
    s.talk.say("PUT", &path, Some(body.clone())).await;
    s.talk.say("PUT", &path, Some(body.clone())).await;
    let path = format!("{one}/remove_addresses");
    s.talk.say("PUT", &path, Some(body.clone())).await;
    s.talk.say("PUT", &path, Some(body)).await;
    s.talk.say("DELETE", &one, None).await;
    s.done("address_group");
}

#[tokio::test]
async fn agents() {
    let mut s = scene(Person::Admin).await;
    let node = s.cloud.node("n1").await;
    let all = "/network/v2.0/agents";
    s.talk.say("GET", all, None).await;
    let filter = format!("{all}?host=n1&alive=True&agent_type=hextet%20node&fields=host");
    s.talk.say("GET", &filter, None).await;
    s.talk.say("GET", &format!("{all}?alive=false"), None).await;
    let one = format!("{all}/{}", node.id());
    s.talk.say("GET", &one, None).await;
    let member = s.member().await;
    s.talk.client(member);
    s.talk.say("GET", all, None).await;
    s.talk.say("GET", &one, None).await;
    s.done("agent");
}

#[tokio::test]
async fn qos_policies() {
    let mut s = scene(Person::Admin).await;
    let body = json!({"policy": {"name": "slow", "description": "for tests"}});
    let policy = s.life("/network/v2.0/qos/policies", body, &[]).await;
    let one = format!("/network/v2.0/qos/policies/{policy}");
    for (kind, new, update) in [
        (
            "bandwidth_limit",
            json!({"max_kbps": 1000, "max_burst_kbps": 100, "direction": "ingress"}),
            json!({"max_kbps": "2000"}),
        ),
        (
            "dscp_marking",
            json!({"dscp_mark": 26}),
            json!({"dscp_mark": 8}),
        ),
    ] {
        let (all, name) = (format!("{one}/{kind}_rules"), format!("{kind}_rule"));
        let rule = s.talk.say("POST", &all, Some(json!({&name: new}))).await;
        let rule = format!("{all}/{}", id(&rule));
        s.talk.say("PUT", &rule, Some(json!({&name: update}))).await;
        s.talk.say("GET", &rule, None).await;
        s.talk.say("GET", &all, None).await;
        let id = rule.rsplit('/').next().unwrap();
        let alias = format!("alias-{}-rules", kind.replace('_', "-"));
        let alias = format!("/network/v2.0/qos/{alias}/{id}");
        s.talk.say("GET", &alias, None).await;
    }
    s.talk.say("GET", &one, None).await;
    let all = format!("{one}/minimum_bandwidth_rules");
    let body = json!({"minimum_bandwidth_rule": {"min_kbps": 1}});
    s.talk.say("POST", &all, Some(body)).await;
    let types = "/network/v2.0/qos/rule-types";
    s.talk.say("GET", types, None).await;
    for kind in ["bandwidth_limit", "dscp_marking", "minimum_bandwidth"] {
        s.talk.say("GET", &format!("{types}/{kind}"), None).await;
    }
    let body = json!({"network": {"qos_policy_id": policy}});
    let made = s
        .talk
        .say("POST", "/network/v2.0/networks", Some(body))
        .await;
    s.talk.say("DELETE", &one, None).await;
    let network = format!("/network/v2.0/networks/{}", id(&made));
    let body = json!({"network": {"qos_policy_id": null}});
    s.talk.say("PUT", &network, Some(body)).await;
    s.talk.say("DELETE", &one, None).await;
    s.done("qos_policy");
}

#[tokio::test]
async fn security_groups() {
    let mut s = scene(Person::Member).await;
    let body = json!({"security_group": {"name": "web", "description": "sites"}});
    let made = s
        .talk
        .say("POST", "/network/v2.0/security-groups", Some(body))
        .await;
    let group = id(&made);
    let body = json!({"security_group_rule": {
        "security_group_id": group, "direction": "ingress", "protocol": "tcp",
        "port_range_min": 443, "port_range_max": 443, "remote_ip_prefix": "2001:db8::/32",
    }});
    let rules = "/network/v2.0/security-group-rules";
    let made = s.talk.say("POST", rules, Some(body)).await;
    let rule = id(&made);
    s.talk.say("GET", &format!("{rules}/{rule}"), None).await;
    s.talk
        .say("GET", &format!("{rules}?security_group_id={group}"), None)
        .await;
    s.talk
        .say(
            "GET",
            &format!("/network/v2.0/security-groups/{group}"),
            None,
        )
        .await;
    s.talk
        .say("GET", "/network/v2.0/security-groups?name=default", None)
        .await;
    s.talk
        .say(
            "DELETE",
            &format!("/network/v2.0/security-group-rules/{rule}"),
            None,
        )
        .await;
    s.talk
        .say(
            "DELETE",
            &format!("/network/v2.0/security-groups/{group}"),
            None,
        )
        .await;
    s.done("security_group");
}

#[tokio::test]
async fn trunks() {
    let mut s = scene(Person::Member).await;
    let member = s.member().await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let mut ports = Vec::new();
    for name in ["parent", "sub", "other"] {
        let body = json!({"port": {"network_id": net, "name": name, "mac_address": format!("fa:16:3e:00:00:{:02x}", ports.len())}});
        ports.push(id(&member
            .post("/network/v2.0/ports", body)
            .await
            .expect(201)));
    }
    let vlan = |port: usize, id: u32| json!({"port_id": ports[port], "segmentation_type": "vlan", "segmentation_id": id});
    let body = json!({"trunk": {"name": "t", "port_id": ports[0], "sub_ports": [vlan(1, 100)]}});
    let trunk = s
        .life(
            "/network/v2.0/trunks",
            body,
            &["?fields=id&fields=sub_ports"],
        )
        .await;
    let path = format!("/network/v2.0/trunks/{trunk}");
    let port = format!("/network/v2.0/ports/{}?fields=trunk_details", ports[0]);
    for (method, path, body) in [
        ("PUT", path.clone(), Some(json!({"trunk": {"name": "new"}}))),
        (
            "PUT",
            format!("{path}/add_subports"),
            Some(json!({"sub_ports": [vlan(2, 200)]})),
        ),
        ("GET", format!("{path}/get_subports"), None),
        ("GET", port, None),
        (
            "PUT",
            format!("{path}/remove_subports"),
            Some(json!({"sub_ports": [{"port_id": ports[1]}]})),
        ),
        (
            "PUT",
            format!("{path}/remove_subports"),
            Some(json!({"sub_ports": [{"port_id": ports[1]}]})),
        ),
        ("DELETE", path.clone(), None),
        ("GET", path, None),
    ] {
        s.talk.say(method, &path, body).await;
    }
    s.done("trunk");
}
