//! Neutron's table of `ipv6_ra_mode` and `ipv6_address_mode`, and what ports get by it.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::shape;
use crate::world::{id, network, subnet};

const AUTO: &str = "2001:db8:2:0:f816:3eff:fe00:1";

/// The addresses of a port with the MAC that [`AUTO`] is made of.
async fn addresses(client: &Client, port: &str) -> Vec<String> {
    let path = format!("/network/v2.0/ports/{port}");
    let view = client.get(&path).await.expect(200);
    let ips = view["port"]["fixed_ips"].as_array().unwrap();
    let text = |ip: &Value| ip["ip_address"].as_str().unwrap().to_owned();
    ips.iter().map(text).collect()
}

async fn port(client: &Client, network: &str) -> String {
    let body = json!({"port": {"network_id": network, "mac_address": "fa:16:3e:00:00:01"}});
    id(&client.post("/network/v2.0/ports", body).await.expect(201))
}

#[tokio::test]
async fn each_row_of_the_table_works_or_says_why_not() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let modes = [
        None,
        Some("slaac"),
        Some("dhcpv6-stateless"),
        Some("dhcpv6-stateful"),
    ];
    for (ra, address) in modes.iter().flat_map(|ra| modes.map(|a| (*ra, a))) {
        let body = json!({"network": {"name": "net"}});
        let net = id(&member
            .post("/network/v2.0/networks", body)
            .await
            .expect(201));
        let mut wanted = json!({"network_id": net, "cidr": "2001:db8:2::/64"});
        for (name, mode) in [("ipv6_ra_mode", ra), ("ipv6_address_mode", address)] {
            if let Some(mode) = mode {
                wanted[name] = json!(mode);
            }
        }
        let answer = member
            .post("/network/v2.0/subnets", json!({"subnet": wanted}))
            .await;
        let own = Some("slaac") == address || Some("dhcpv6-stateless") == address;
        let stateful = Some("dhcpv6-stateful");
        let sound = ra.is_none() || ra == address || (ra == stateful && address.is_none());
        if !sound {
            shape::error(&answer, 400, &format!("{ra:?} {address:?}"));
            continue;
        }
        let made = answer.expect(201);
        assert_eq!(made["subnet"]["ipv6_ra_mode"], json!(ra));
        let port = port(&member, &net).await;
        let held = addresses(&member, &port).await;
        assert_eq!(held.len(), 1);
        assert_eq!(held[0] == AUTO, own, "{ra:?} {address:?}: {held:?}");
    }
}

#[tokio::test]
async fn a_mode_changes_on_a_live_subnet() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let body = json!({"network": {"name": "net"}});
    let net = id(&member
        .post("/network/v2.0/networks", body)
        .await
        .expect(201));
    let slaac = json!({"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let mut wanted = slaac.clone();
    wanted["cidr"] = json!("2001:db8:2::/64");
    let sub = subnet(&member, &net, wanted).await;
    let port = port(&member, &net).await;
    assert_eq!(addresses(&member, &port).await, [AUTO]);

    let path = format!("/network/v2.0/subnets/{sub}");
    let change = async |body: Value| member.put(&path, json!({"subnet": body})).await;
    let half = change(json!({"ipv6_ra_mode": null})).await.expect(200);
    assert_eq!(half["subnet"]["ipv6_ra_mode"], json!(null));
    let retired = node.wanted_network(&net).await.unwrap().retired;
    assert_eq!(
        retired.len(),
        1,
        "hosts are not told of the prefix any more"
    );
    assert_eq!(addresses(&member, &port).await, [AUTO]);

    let stateful =
        json!({"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"});
    change(stateful).await.expect(200);
    let held = addresses(&member, &port).await;
    assert!(held.len() == 1 && held[0] != AUTO, "{held:?}");
    assert_eq!(node.wanted_network(&net).await.unwrap().retired, retired);

    change(slaac).await.expect(200);
    assert_eq!(addresses(&member, &port).await, [AUTO]);
    assert!(node.wanted_network(&net).await.unwrap().retired.is_empty());
    let answer = change(json!({"ipv6_address_mode": "dhcpv6-stateful"})).await;
    shape::error(&answer, 400, "modes must agree");
    assert_eq!(addresses(&member, &port).await, [AUTO]);

    member.delete(&path).await.expect(204);
    let left = node.wanted_network(&net).await.unwrap();
    assert_eq!(left.retired[0].prefix.to_string(), "2001:db8:2::/64");
    subnet(
        &member,
        &net,
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}),
    )
    .await;
    assert!(node.wanted_network(&net).await.unwrap().retired.is_empty());
}

/// A pool that is too small for the ports that are there keeps everything as it was.
#[tokio::test]
async fn a_mode_for_which_the_pool_does_not_suffice_is_refused() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let body = json!({"network": {"name": "net"}});
    let net = id(&member
        .post("/network/v2.0/networks", body)
        .await
        .expect(201));
    let wanted = json!({
        "cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
        "allocation_pools": [{"start": "2001:db8:2::5", "end": "2001:db8:2::5"}],
    });
    let sub = subnet(&member, &net, wanted).await;
    let first = port(&member, &net).await;
    let body = json!({"port": {"network_id": net}});
    member.post("/network/v2.0/ports", body).await.expect(201);
    let stateful =
        json!({"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"});
    let path = format!("/network/v2.0/subnets/{sub}");
    let answer = member.put(&path, json!({"subnet": stateful})).await;
    shape::error(&answer, 409, "one address for two ports");
    assert_eq!(addresses(&member, &first).await, [AUTO]);
}

#[tokio::test]
async fn lifetimes_and_the_translator_are_the_subnets() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, sub) = network(&member, "net", "2001:db8:1::/64").await;
    let path = format!("/network/v2.0/subnets/{sub}");
    let change = async |body: Value| member.put(&path, json!({"subnet": body})).await;
    let wanted = json!({
        "ipv6_valid_lifetime": 7200, "ipv6_preferred_lifetime": 600, "ipv6_pref64": "64:ff9b::/96",
    });
    let made = change(wanted.clone()).await.expect(200);
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(made["subnet"][name], *value);
    }
    let told = node.wanted_network(&net).await.unwrap().subnets[0].clone();
    assert_eq!(
        (told.lifetimes.valid_s, told.lifetimes.preferred_s),
        (7200, 600)
    );
    assert_eq!(told.pref64.unwrap().to_string(), "64:ff9b::/96");
    for wrong in [
        json!({"ipv6_valid_lifetime": 599}),
        json!({"ipv6_valid_lifetime": 0, "ipv6_preferred_lifetime": 0}),
        json!({"ipv6_valid_lifetime": -1}),
        json!({"ipv6_pref64": "64:ff9b::/95"}),
        json!({"ipv6_pref64": "192.0.2.0/24"}),
    ] {
        let answer = change(wrong.clone()).await;
        shape::error(&answer, 400, &wrong.to_string());
    }
}

#[tokio::test]
async fn a_routers_port_says_how_it_advertises() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, sub) = network(&member, "net", "2001:db8:1::/64").await;
    let body = json!({"router": {"name": "r"}});
    let router = id(&member.post("/network/v2.0/routers", body).await.expect(201));
    let path = format!("/network/v2.0/routers/{router}/add_router_interface");
    let made = member
        .put(&path, json!({"subnet_id": sub}))
        .await
        .expect(200);
    let leg = format!("/network/v2.0/ports/{}", made["port_id"].as_str().unwrap());
    let wanted = json!({"ra_interval": 30, "ra_lifetime": 90, "ra_preference": "high"});
    let made = member.put(&leg, json!({"port": wanted})).await.expect(200);
    assert_eq!(
        (&made["port"]["ra_interval"], &made["port"]["ra_preference"]),
        (&json!(30), &json!("high"))
    );
    let told = node.wanted_router(&router).await.unwrap().ports[0].advertising;
    assert_eq!((told.interval_s, told.lifetime_s), (30, 90));
    for wrong in [
        json!({"ra_interval": 3}),
        json!({"ra_interval": 1801}),
        json!({"ra_lifetime": 29}),
        json!({"ra_lifetime": 9001}),
        json!({"ra_preference": "highest"}),
    ] {
        let answer = member.put(&leg, json!({"port": wrong})).await;
        shape::error(&answer, 400, &wrong.to_string());
    }
    let guest = port(&member, &net).await;
    let path = format!("/network/v2.0/ports/{guest}");
    let answer = member
        .put(&path, json!({"port": {"ra_interval": 30}}))
        .await;
    shape::error(&answer, 400, "a guest's port does not advertise");
}

#[tokio::test]
async fn prefixes_are_delegated_by_administrators_and_never_twice() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let guest = port(&member, &net).await;
    let path = format!("/network/v2.0/ports/{guest}");
    let delegate = |prefixes: &[&str]| json!({"port": {"delegated_prefixes": prefixes}});
    let answer = member.put(&path, delegate(&["2001:db8:8::/56"])).await;
    shape::error(&answer, 403, "a member");
    let made = admin
        .put(&path, delegate(&["2001:db8:8::/56"]))
        .await
        .expect(200);
    assert_eq!(
        made["port"]["delegated_prefixes"],
        json!(["2001:db8:8::/56"])
    );
    let other = json!({"port": {"network_id": net, "delegated_prefixes": ["2001:db8:8:1::/64"]}});
    let answer = admin.post("/network/v2.0/ports", other).await;
    shape::error(&answer, 409, "another port's");
    for (wrong, status) in [
        ("2001:db8:8::1/56", 400),
        ("2001:db8:8::1/128", 400),
        ("192.0.2.0/24", 400),
        ("2001:db8:1::/64", 409),
    ] {
        let answer = admin.put(&path, delegate(&[wrong])).await;
        shape::error(&answer, status, wrong);
    }
    admin.put(&path, delegate(&[])).await.expect(200);
}

#[tokio::test]
async fn options_of_dhcp_are_a_ports() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let option = |name: &str, value: Option<&str>, version: u32| json!({"opt_name": name, "opt_value": value, "ip_version": version});
    let body = json!({"port": {"network_id": net, "extra_dhcp_opts": [
        option("bootfile-name", Some("pxelinux.0"), 4), option("ntp-server", Some("2001:db8::1"), 6),
    ]}});
    let made = member.post("/network/v2.0/ports", body).await.expect(201);
    assert_eq!(made["port"]["extra_dhcp_opts"].as_array().unwrap().len(), 2);
    let path = format!("/network/v2.0/ports/{}", id(&made));
    let change = async |options: Value| {
        member
            .put(&path, json!({"port": {"extra_dhcp_opts": options}}))
            .await
    };
    let changes = json!([
        option("bootfile-name", None, 4),
        option("mtu", Some("1400"), 4)
    ]);
    let made = change(changes).await.expect(200);
    let expected = json!([
        option("ntp-server", Some("2001:db8::1"), 6),
        option("mtu", Some("1400"), 4)
    ]);
    assert_eq!(made["port"]["extra_dhcp_opts"], expected);
    for wrong in [
        option("mtu", Some("wide"), 4),
        option("53", Some("x"), 4),
        option("pigeon", Some("x"), 6),
        option("mtu", Some("1400"), 5),
        json!({"opt_value": "x"}),
    ] {
        let answer = change(json!([wrong])).await;
        shape::error(&answer, 400, &wrong.to_string());
    }
}
