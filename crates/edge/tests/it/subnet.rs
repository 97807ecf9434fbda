//! Subnets: what a node hears of them, and how they go.

use serde_json::json;
use testkit::TestCloud;

use crate::shape;
use crate::world::{id, network, subnet};

#[tokio::test]
async fn a_network_document_holds_its_subnets() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, first) = network(&member, "net", "2001:db8:1::/64").await;
    let slaac = json!({
        "cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
        "dns_nameservers": ["2001:db8::53"],
        "host_routes": [{"destination": "2001:db8:9::/64", "nexthop": "2001:db8:2::9"}],
    });
    subnet(&member, &net, slaac).await;
    let wanted = node.wanted_network(&net).await.unwrap();
    assert_eq!(wanted.subnets.len(), 2);
    let auto = wanted.subnets.iter().find(|s| s.ra_mode.is_some()).unwrap();
    assert_eq!(auto.prefix.to_string(), "2001:db8:2::/64");
    assert_eq!(
        auto.dns_nameservers,
        ["2001:db8::53".parse::<std::net::Ipv6Addr>().unwrap()]
    );
    assert_eq!(auto.host_routes.len(), 1);
    let body = json!({"subnet": {"gateway_ip": null, "dns_nameservers": ["2001:db8::54"]}});
    member
        .put(&format!("/network/v2.0/subnets/{first}"), body)
        .await
        .expect(200);
    let wanted = node.wanted_network(&net).await.unwrap();
    let changed = wanted
        .subnets
        .iter()
        .find(|s| s.id.to_string() == first)
        .unwrap();
    assert_eq!((changed.gateway, changed.dns_nameservers.len()), (None, 1));
    member
        .delete(&format!("/network/v2.0/networks/{net}"))
        .await
        .expect(204);
    assert!(node.wanted_network(&net).await.is_none());
    let answer = member.get(&format!("/network/v2.0/subnets/{first}")).await;
    shape::error(&answer, 404, "it went with its network");
}

#[tokio::test]
async fn a_subnet_of_automatic_addresses_goes_from_its_ports() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, fixed) = network(&member, "net", "2001:db8:1::/64").await;
    let slaac =
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    let auto = subnet(&member, &net, slaac).await;
    let image = cloud.image(&member, "i").await;
    let server = crate::world::server(&member, &image, &net).await;
    let ports = member
        .get(&format!("/network/v2.0/ports?device_id={server}"))
        .await
        .expect(200);
    let port = ports["ports"][0]["id"].as_str().unwrap();
    assert_eq!(ports["ports"][0]["fixed_ips"].as_array().unwrap().len(), 2);
    assert_eq!(node.wanted_port(port).await.unwrap().addresses.len(), 2);
    let answer = member
        .delete(&format!("/network/v2.0/subnets/{fixed}"))
        .await;
    shape::error(&answer, 409, "a port holds an address in it");
    member
        .delete(&format!("/network/v2.0/subnets/{auto}"))
        .await
        .expect(204);
    let left = node.wanted_port(port).await.unwrap();
    assert_eq!(left.addresses.len(), 1);
    assert_eq!(node.wanted_network(&net).await.unwrap().subnets.len(), 1);
}

/// A subnet that comes later reaches the ports that are there, as hosts take addresses in it.
#[tokio::test]
async fn a_new_subnet_of_automatic_addresses_reaches_ports_that_are_there() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let body = json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:01"}});
    let port = id(&member.post("/network/v2.0/ports", body).await.expect(201));
    let slaac =
        json!({"cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});
    subnet(&member, &net, slaac).await;
    let view = member
        .get(&format!("/network/v2.0/ports/{port}"))
        .await
        .expect(200);
    let held: Vec<&str> = view["port"]["fixed_ips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["ip_address"].as_str().unwrap())
        .collect();
    assert!(held.contains(&"2001:db8:2:0:f816:3eff:fe00:1"), "{held:?}");
}

#[tokio::test]
async fn a_pool_that_is_used_up_says_so() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "2001:db8:1::/126").await;
    // Of its three addresses one is the gateway's and one the resolver's.
    let body = json!({"port": {"network_id": net}});
    let last = member.post("/network/v2.0/ports", body.clone()).await;
    last.expect(201);
    let before = cloud.dump();
    shape::error(
        &member.post("/network/v2.0/ports", body).await,
        409,
        "no address is left",
    );
    testkit::assert_same(&before, &cloud.dump(), "a port without an address");
}

#[tokio::test]
async fn subnets_are_found_by_their_prefix_however_it_is_written() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (_, wanted) = network(&member, "net", "2001:db8:1::/64").await;
    network(&member, "other", "2001:db8:2::/64").await;
    for cidr in [
        "2001:db8:1::/64",
        "2001:0DB8:0001::/64",
        "2001:db8:1:0::%2F64",
    ] {
        let list = member
            .get(&format!("/network/v2.0/subnets?cidr={cidr}"))
            .await
            .expect(200);
        let ids: Vec<_> = list["subnets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [wanted.as_str()], "{cidr}");
    }
    for query in ["ip_version=4", "cidr=192.0.2.0/24", "cidr=nonsense"] {
        let list = member
            .get(&format!("/network/v2.0/subnets?{query}"))
            .await
            .expect(200);
        assert_eq!(list["subnets"], json!([]), "{query}");
    }
}
