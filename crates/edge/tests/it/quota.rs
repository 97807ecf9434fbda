//! Quotas: each service's own answer when one is full, and nobody takes the last place twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Client, Person, Resource, TestCloud, assert_same};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::shape;
use crate::world::{KEY, SOMEONE, network};

/// A cloud with OpenStack's own limits, which test clouds have not.
async fn cloud() -> TestCloud {
    let cloud = TestCloud::start().await;
    cloud.cloud.use_quota_settings(&BTreeMap::new()).unwrap();
    cloud
}

async fn set(admin: &Client, path: &str, limits: Value) {
    let key = match path.starts_with("/compute") {
        true => "quota_set",
        false => "quota",
    };
    admin.put(path, json!({key: limits})).await.expect(200);
}

fn server(image: &str, network: &str) -> Value {
    json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}],
    }})
}

#[tokio::test]
async fn limits_begin_as_openstacks_and_say_what_is_used() {
    let cloud = cloud().await;
    let _node = cloud.node("n1").await;
    let member = cloud.member().await;
    let alpha = cloud.project_id(Person::Member);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let image = cloud.image(&member, "i").await;
    member
        .post("/compute/v2.1/servers", server(&image, &net))
        .await
        .expect(202);
    let path = format!("/compute/v2.1/os-quota-sets/{alpha}");
    let compute = member.get(&path).await.expect(200)["quota_set"].clone();
    for (name, most) in [
        ("id", json!(alpha)),
        ("instances", json!(10)),
        ("cores", json!(20)),
        ("ram", json!(51_200)),
        ("key_pairs", json!(100)),
        ("metadata_items", json!(128)),
        ("server_groups", json!(10)),
        ("security_groups", json!(10)),
        ("fixed_ips", json!(-1)),
    ] {
        assert_eq!(compute[name], most, "{name}");
    }
    let detail = member.get(&format!("{path}/detail")).await.expect(200)["quota_set"].clone();
    assert_eq!(
        detail["ram"],
        json!({"limit": 51_200, "in_use": 128, "reserved": 0})
    );
    assert_eq!(detail["instances"]["in_use"], 1);
    let path = format!("/network/v2.0/quotas/{alpha}");
    assert_eq!(
        member.get(&path).await.expect(200),
        json!({"quota": {
            "network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50,
            "security_group": 10, "security_group_rule": 100, "subnetpool": -1, "rbac_policy": 10,
            "trunk": -1,
        }})
    );
    let details = member
        .get(&format!("{path}/details.json"))
        .await
        .expect(200);
    assert_eq!(
        details["quota"]["port"],
        json!({"limit": 500, "used": 1, "reserved": 0})
    );
    let limits = member.get("/compute/v2.1/limits").await.expect(200)["limits"]["absolute"].clone();
    for (name, value) in [
        ("maxTotalInstances", 10),
        ("totalInstancesUsed", 1),
        ("totalCoresUsed", 1),
        ("totalRAMUsed", 128),
        ("totalSecurityGroupsUsed", 1),
    ] {
        assert_eq!(limits[name], value, "{name}");
    }
}

#[tokio::test]
async fn what_is_full_says_so_in_its_services_words() {
    let cloud = cloud().await;
    let _node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let alpha = cloud.project_id(Person::Member);
    let (net, subnet) = network(&member, "net", "2001:db8:1::/64").await;
    let image = cloud.image(&member, "i").await;
    let (compute, neutron) = (
        format!("/compute/v2.1/os-quota-sets/{alpha}"),
        format!("/network/v2.0/quotas/{alpha}"),
    );
    set(
        &admin,
        &compute,
        json!({"instances": 1, "key_pairs": 0, "metadata_items": 1}),
    )
    .await;
    let none = json!({"network": 1, "subnet": "1", "router": 0, "security_group": 1, "security_group_rule": 4});
    set(&admin, &neutron, none).await;
    member
        .post("/compute/v2.1/servers", server(&image, &net))
        .await
        .expect(202);
    let groups = member
        .get("/network/v2.0/security-groups")
        .await
        .expect(200);
    let group = groups["security_groups"][0]["id"].clone();
    let before = cloud.dump();
    let mut many = server(&image, &net);
    many["server"]["metadata"] = json!({"a": "1", "b": "2"});
    let key = json!({"keypair": {"name": "key", "public_key": KEY}});
    for (path, body, status, said) in [
        (
            "/compute/v2.1/servers",
            server(&image, &net),
            403,
            "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances",
        ),
        (
            "/compute/v2.1/servers",
            many,
            403,
            "Quota exceeded for metadata_items: Requested 2, but already used 0 of 1 metadata_items",
        ),
        (
            "/compute/v2.1/os-keypairs",
            key,
            403,
            "Quota exceeded for key_pairs: Requested 1, but already used 0 of 0 key_pairs",
        ),
        (
            "/network/v2.0/networks",
            json!({"network": {}}),
            409,
            "Quota exceeded for resources: ['network'].",
        ),
        (
            "/network/v2.0/subnets",
            json!({"subnet": {"network_id": net, "cidr": "2001:db8:2::/64", "ip_version": 6}}),
            409,
            "Quota exceeded for resources: ['subnet'].",
        ),
        (
            "/network/v2.0/routers",
            json!({"router": {}}),
            409,
            "Quota exceeded for resources: ['router'].",
        ),
        (
            "/network/v2.0/security-groups",
            json!({"security_group": {"name": "web"}}),
            409,
            "Quota exceeded for resources: ['security_group'].",
        ),
        (
            "/network/v2.0/security-group-rules",
            json!({"security_group_rule": {"security_group_id": group, "direction": "ingress"}}),
            409,
            "Quota exceeded for resources: ['security_group_rule'].",
        ),
    ] {
        let answer = member.post(path, body).await;
        assert_eq!(shape::error(&answer, status, "over quota"), said);
        if path.starts_with("/network") {
            assert_eq!(answer.json()["NeutronError"]["type"], "OverQuota");
        }
        assert_same(&before, &cloud.dump(), path);
    }
    // Ports of servers are ports too.
    set(&admin, &neutron, json!({"port": 1})).await;
    set(&admin, &compute, json!({"instances": 2})).await;
    let port = json!({"port": {"network_id": net, "fixed_ips": [{"subnet_id": subnet}]}});
    let answer = member.post("/network/v2.0/ports", port).await;
    shape::error(&answer, 409, "over quota");
    let answer = member
        .post("/compute/v2.1/servers", server(&image, &net))
        .await;
    shape::error(&answer, 403, "over quota of ports");
}

#[tokio::test]
async fn of_several_servers_as_many_are_made_as_there_is_room_for() {
    let cloud = cloud().await;
    let _node = cloud.node("n1").await;
    let member = cloud.member().await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let image = cloud.image(&member, "i").await;
    let several = |least: u32, most: u32| {
        let mut body = server(&image, &net);
        body["server"]["min_count"] = json!(least);
        body["server"]["max_count"] = json!(most);
        member.post("/compute/v2.1/servers", body)
    };
    shape::error(&several(11, 12).await, 403, "more than the quota");
    several(2, 12).await.expect(202);
    let list = member.get("/compute/v2.1/servers").await.expect(200);
    assert_eq!(list["servers"].as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_the_last_place() {
    let cloud = cloud().await;
    let _node = cloud.node("n1").await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let alpha = cloud.project_id(Person::Member);
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let image = cloud.image(&member, "i").await;
    let path = format!("/compute/v2.1/os-quota-sets/{alpha}");
    set(&admin, &path, json!({"instances": 1})).await;
    let path = format!("/network/v2.0/quotas/{alpha}");
    set(&admin, &path, json!({"network": 2})).await;
    let start = Arc::new(Barrier::new(8));
    let mut running = JoinSet::new();
    for n in 0..8 {
        let (start, client) = (start.clone(), cloud.member().await);
        let (path, body) = match n % 2 {
            0 => ("/compute/v2.1/servers", server(&image, &net)),
            _ => ("/network/v2.0/networks", json!({"network": {}})),
        };
        running.spawn(async move {
            start.wait().await;
            client.post(path, body).await.status.as_u16()
        });
    }
    let mut statuses = running.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 202, 403, 403, 403, 409, 409, 409]);
}

#[tokio::test]
async fn the_projects_limit_wins_over_the_class_and_the_class_over_the_settings() {
    let cloud = cloud().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let alpha = cloud.project_id(Person::Member);
    let path = format!("/compute/v2.1/os-quota-sets/{alpha}");
    let cores = async || {
        let set = member.get(&path).await.expect(200);
        set["quota_set"]["cores"].as_i64().unwrap()
    };
    let settings = BTreeMap::from([(Resource::Cores, 7), (Resource::Network, 8)]);
    cloud.cloud.use_quota_settings(&settings).unwrap();
    assert_eq!(cores().await, 7);
    let class = "/compute/v2.1/os-quota-class-sets/default";
    let body = json!({"quota_class_set": {"cores": "6"}});
    let changed = admin.put(class, body).await.expect(200);
    assert_eq!(changed["quota_class_set"]["cores"], 6);
    assert_eq!(cores().await, 6);
    let changed = admin.put(&path, json!({"quota_set": {"cores": 5}})).await;
    assert_eq!(changed.expect(200)["quota_set"]["cores"], 5);
    assert_eq!(cores().await, 5);
    let default = format!("{path}/defaults");
    let defaults = member.get(&default).await.expect(200);
    assert_eq!(defaults["quota_set"]["cores"], 6);
    let default = format!("/network/v2.0/quotas/{alpha}/default");
    let defaults = member.get(&default).await.expect(200);
    assert_eq!(defaults["quota"]["network"], 8);
    admin.delete(&path).await.expect(202);
    assert_eq!(cores().await, 6);
    // A line that went from the settings is undone at the next start.
    cloud.cloud.use_quota_settings(&BTreeMap::new()).unwrap();
    let defaults = member.get(&default).await.expect(200);
    assert_eq!(defaults["quota"]["network"], 100);
    let neutron = format!("/network/v2.0/quotas/{alpha}");
    set(&admin, &neutron, json!({"router": -1})).await;
    let list = admin.get("/network/v2.0/quotas").await.expect(200);
    assert_eq!(list["quotas"][0]["project_id"], json!(alpha));
    assert_eq!(list["quotas"][0]["router"], -1);
    admin.delete(&neutron).await.expect(204);
    let list = admin.get("/network/v2.0/quotas").await.expect(200);
    assert_eq!(list, json!({"quotas": []}));
}

#[tokio::test]
async fn only_an_administrator_sets_them_and_only_to_what_is_a_limit() {
    let cloud = cloud().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    network(&member, "one", "2001:db8:1::/64").await;
    network(&member, "two", "2001:db8:2::/64").await;
    member
        .get("/network/v2.0/security-groups")
        .await
        .expect(200);
    let (alpha, beta) = (
        cloud.project_id(Person::Member),
        cloud.project_id(Person::Stranger),
    );
    let compute = |project: &str| format!("/compute/v2.1/os-quota-sets/{project}");
    let neutron = |project: &str| format!("/network/v2.0/quotas/{project}");
    let nova = |limits: Value| json!({"quota_set": limits});
    let quota = |limits: Value| json!({"quota": limits});
    let class = "/compute/v2.1/os-quota-class-sets/default".to_owned();
    let before = cloud.dump();
    for (client, path, body, status) in [
        (&member, compute(&alpha), nova(json!({"cores": 99})), 403),
        (&member, compute(&beta), nova(json!({"cores": 99})), 404),
        (&member, neutron(&alpha), quota(json!({"port": 99})), 403),
        (&member, neutron(&beta), quota(json!({"port": 99})), 404),
        (
            &member,
            class.clone(),
            json!({"quota_class_set": {"cores": 99}}),
            403,
        ),
        (&admin, compute(SOMEONE), nova(json!({"cores": 9})), 400),
        (&admin, neutron(SOMEONE), quota(json!({"port": 9})), 404),
        (&admin, compute(&alpha), nova(json!({"cores": -2})), 400),
        (&admin, compute(&alpha), nova(json!({"cores": "many"})), 400),
        (&admin, compute(&alpha), nova(json!({"cores": 1.5})), 400),
        (&admin, compute(&alpha), nova(json!({"cores": null})), 400),
        (
            &admin,
            compute(&alpha),
            nova(json!({"cores": 1u64 << 40})),
            400,
        ),
        (&admin, compute(&alpha), nova(json!({"swans": 1})), 400),
        (&admin, compute(&alpha), nova(json!({"volumes": 1})), 400),
        (&admin, compute(&alpha), nova(json!([])), 400),
        (&admin, compute(&alpha), json!({}), 400),
        (
            &admin,
            compute(&alpha),
            nova(json!({"cores": 9, "security_groups": 0})),
            400,
        ),
        (
            &admin,
            compute(&alpha),
            nova(json!({"cores": 9, "force": "perhaps"})),
            400,
        ),
        (
            &admin,
            format!("{}?user_id=x", compute(&alpha)),
            nova(json!({"cores": 9})),
            400,
        ),
        (&admin, neutron(&alpha), quota(json!({"port": -2})), 400),
        (&admin, neutron(&alpha), quota(json!({"cores": 1})), 400),
        (&admin, neutron(&alpha), quota(json!({"port": "x"})), 400),
        (
            &admin,
            neutron(&alpha),
            quota(json!({"network": 1, "check_limit": true})),
            409,
        ),
        (
            &admin,
            class,
            json!({"quota_class_set": {"cores": -2}}),
            400,
        ),
    ] {
        let answer = client.put(&path, body.clone()).await;
        shape::error(&answer, status, &body.to_string());
        assert_same(&before, &cloud.dump(), &body.to_string());
    }
    for path in [
        compute(&beta),
        neutron(&beta),
        format!("{}/detail", compute(&beta)),
    ] {
        shape::error(&member.get(&path).await, 404, "another's quota");
    }
    let limits = format!("/compute/v2.1/limits?tenant_id={beta}");
    shape::error(&member.get(&limits).await, 403, "another's limits");
    admin.get(&limits).await.expect(200);
    // What is forced may be below what is used; then there is no more.
    let forced = nova(json!({"security_groups": 0, "force": true}));
    admin.put(&compute(&alpha), forced).await.expect(200);
    let group = json!({"security_group": {"name": "web"}});
    let answer = member.post("/network/v2.0/security-groups", group).await;
    shape::error(&answer, 409, "over a forced quota");
}
