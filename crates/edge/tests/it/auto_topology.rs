//! Auto-allocated topologies, and the default external network that they need.

use serde_json::{Value, json};
use testkit::{Client, Person, TestCloud, assert_same};

use crate::shape;
use crate::world::{SOMEONE, id, subnet};

const NET: &str = "/network/v2.0";
const PATH: &str = "/network/v2.0/auto-allocated-topology";

struct Scene {
    cloud: TestCloud,
    admin: Client,
    member: Client,
    external: String,
}

async fn external(admin: &Client) -> String {
    let body = json!({"network": {"router:external": true, "is_default": true}});
    let made = admin.post(&format!("{NET}/networks"), body).await;
    let network = id(&made.expect(201));
    for cidr in ["203.0.113.0/24", "2001:db8:e::/64"] {
        subnet(admin, &network, json!({"cidr": cidr, "enable_dhcp": false})).await;
    }
    network
}

async fn pool(admin: &Client, body: Value) {
    let mut body = body;
    body["is_default"] = json!(true);
    body["name"] = json!("default");
    let path = format!("{NET}/subnetpools");
    let made = admin.post(&path, json!({"subnetpool": body})).await;
    made.expect(201);
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let external = external(&admin).await;
    pool(
        &admin,
        json!({"prefixes": ["2001:db8:f::/48"], "default_prefixlen": 64}),
    )
    .await;
    pool(
        &admin,
        json!({"prefixes": ["192.0.2.0/24"], "default_prefixlen": 26}),
    )
    .await;
    Scene {
        cloud,
        admin,
        member,
        external,
    }
}

async fn counts(client: &Client) -> [usize; 3] {
    let count = async |kind: &str| {
        let list = client.get(&format!("{NET}/{kind}")).await.expect(200);
        let mine = list[kind].as_array().unwrap().iter();
        mine.filter(|thing| {
            thing["name"]
                .as_str()
                .unwrap()
                .starts_with("auto_allocated_")
        })
        .count()
    };
    [
        count("networks").await,
        count("subnets").await,
        count("routers").await,
    ]
}

#[tokio::test]
async fn a_project_gets_a_network_with_a_way_out_once() {
    let s = scene().await;
    let mine = s.cloud.project_id(Person::Member);
    let checked = s.member.get(&format!("{PATH}/{mine}?fields=dry-run")).await;
    assert_eq!(
        checked.expect(200)["auto_allocated_topology"]["id"],
        "dry-run=pass"
    );
    assert_eq!(counts(&s.member).await, [0, 0, 0]);
    let made = s.member.get(&format!("{PATH}/null")).await.expect(200);
    let topology = &made["auto_allocated_topology"];
    assert_eq!(
        (&topology["project_id"], &topology["tenant_id"]),
        (&json!(mine), &json!(mine))
    );
    assert_eq!(counts(&s.member).await, [1, 2, 1]);
    for again in [format!("{PATH}/{mine}"), format!("{PATH}/None")] {
        assert_eq!(s.member.get(&again).await.expect(200), made);
    }
    assert_eq!(counts(&s.member).await, [1, 2, 1]);
    let network = topology["id"].as_str().unwrap();
    let path = format!("{NET}/subnets?network_id={network}&sort_key=name");
    let subnets = s.member.get(&path).await.expect(200)["subnets"].clone();
    assert_eq!(subnets[0]["cidr"], "192.0.2.0/26");
    assert_eq!(subnets[1]["cidr"], "2001:db8:f::/64");
    assert_eq!(subnets[1]["ipv6_ra_mode"], "slaac");
    let routers = s.member.get(&format!("{NET}/routers")).await.expect(200);
    let gateway = &routers["routers"][0]["external_gateway_info"];
    assert_eq!(gateway["network_id"], json!(s.external));
    let legs = format!("{NET}/ports?network_id={network}&device_owner=network:router_interface");
    let legs = s.member.get(&legs).await.expect(200);
    assert_eq!(legs["ports"].as_array().unwrap().len(), 2);
    // An administrator makes another's, which is the other's own.
    let other = s.cloud.project_id(Person::Stranger);
    s.admin.get(&format!("{PATH}/{other}")).await.expect(200);
    assert_eq!(counts(&s.cloud.stranger().await).await, [1, 2, 1]);
}

#[tokio::test]
async fn it_goes_as_a_whole() {
    let s = scene().await;
    let path = format!("{PATH}/null");
    s.member.delete(&path).await.expect(204);
    let before = s.cloud.dump().count("network");
    let made = s.member.get(&path).await.expect(200);
    let network = &made["auto_allocated_topology"]["id"];
    let port = json!({"port": {"network_id": network}});
    let port = id(&s
        .member
        .post(&format!("{NET}/ports"), port)
        .await
        .expect(201));
    let full = s.cloud.dump();
    shape::error(&s.member.delete(&path).await, 409, "a port is there");
    assert_same(&full, &s.cloud.dump(), "a topology that stays");
    s.member
        .delete(&format!("{NET}/ports/{port}"))
        .await
        .expect(204);
    s.member.delete(&path).await.expect(204);
    assert_eq!(counts(&s.member).await, [0, 0, 0]);
    let left = s.cloud.dump();
    assert_eq!(
        (left.count("network"), left.count("auto_allocated_topology")),
        (before, 0)
    );
    // What a user took apart is no topology any more.
    let made = s.member.get(&path).await.expect(200);
    let router =
        s.member.get(&format!("{NET}/routers")).await.expect(200)["routers"][0]["id"].clone();
    let router = format!("{NET}/routers/{}", router.as_str().unwrap());
    let legs = s
        .member
        .get(&format!(
            "{NET}/ports?device_owner=network:router_interface"
        ))
        .await
        .expect(200);
    for leg in legs["ports"].as_array().unwrap() {
        let body = json!({"port_id": leg["id"]});
        let path = format!("{router}/remove_router_interface");
        s.member.put(&path, body).await.expect(200);
    }
    s.member.delete(&router).await.expect(204);
    let first = made["auto_allocated_topology"]["id"].as_str().unwrap();
    s.member
        .delete(&format!("{NET}/networks/{first}"))
        .await
        .expect(204);
    let again = s.member.get(&path).await.expect(200);
    assert_ne!(again, made);
    s.member.delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_left() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let path = format!("{PATH}/null");
    let refused = async |why: &str| {
        let before = cloud.dump();
        for path in [path.clone(), format!("{path}?fields=dry-run")] {
            let said = shape::error(&member.get(&path).await, 409, why);
            assert!(said.contains(why), "{said}");
        }
        assert_same(&before, &cloud.dump(), why);
    };
    refused("No default router:external network").await;
    external(&admin).await;
    refused("No default subnetpools").await;
    pool(
        &admin,
        json!({"prefixes": ["192.0.2.0/28"], "min_prefixlen": 28, "default_prefixlen": 28}),
    )
    .await;
    shape::error(
        &member.get(&format!("{path}?fields=id")).await,
        400,
        "no field",
    );
    cloud.stranger().await.get(&path).await.expect(200);
    // The pool is given away: network and router are not left without it.
    let before = cloud.dump();
    shape::error(&member.get(&path).await, 409, "all is given");
    assert_same(&before, &cloud.dump(), "half a topology");
    for other in [cloud.project_id(Person::Stranger), SOMEONE.to_owned()] {
        shape::error(
            &member.get(&format!("{PATH}/{other}")).await,
            404,
            "another's",
        );
        shape::error(
            &member.delete(&format!("{PATH}/{other}")).await,
            404,
            "another's",
        );
    }
}

#[tokio::test]
async fn one_external_network_is_the_default() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let networks = format!("{NET}/networks");
    let first = external(&admin).await;
    let path = format!("{networks}/{first}");
    let default = async |value: bool| {
        admin
            .put(&path, json!({"network": {"is_default": value}}))
            .await
    };
    assert_eq!(
        admin.get(&path).await.expect(200)["network"]["is_default"],
        true
    );
    let second = json!({"network": {"router:external": true, "is_default": true}});
    shape::error(
        &admin.post(&networks, second.clone()).await,
        409,
        "a second default",
    );
    let found = member
        .get(&format!("{networks}?is_default=true"))
        .await
        .expect(200);
    assert_eq!(found["networks"][0]["id"], json!(first));
    // It is everybody's.
    let policies = format!("{NET}/rbac-policies");
    let list = admin
        .get(&format!("{policies}?object_id={first}"))
        .await
        .expect(200);
    let policy = format!(
        "{policies}/{}",
        list["rbac_policies"][0]["id"].as_str().unwrap()
    );
    shape::error(&admin.delete(&policy).await, 409, "the default's");
    let body = json!({"rbac_policy": {"target_tenant": "somebody"}});
    shape::error(&admin.put(&policy, body).await, 409, "the default's");
    default(false).await.expect(200);
    let second = id(&admin.post(&networks, second).await.expect(201));
    shape::error(&default(true).await, 409, "a second default");
    let inner = json!({"network": {"is_default": true}});
    shape::error(
        &admin.post(&networks, inner.clone()).await,
        400,
        "not external",
    );
    shape::error(
        &member.post(&networks, inner).await,
        403,
        "an administrator's",
    );
    let inside = json!({"network": {"router:external": false}});
    let path = format!("{networks}/{second}");
    admin.put(&path, inside).await.expect(200);
    default(true).await.expect(200);
}
