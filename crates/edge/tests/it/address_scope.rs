//! Address scopes: their pools never overlap, and networks have theirs.

use serde_json::{Value, json};
use testkit::{Answer, Client, Person, TestCloud, assert_same};

use crate::shape;
use crate::world::{SOMEONE, id, subnet};

const NET: &str = "/network/v2.0";
const SCOPES: &str = "/network/v2.0/address-scopes";
const POOLS: &str = "/network/v2.0/subnetpools";

async fn scope(client: &Client, body: Value) -> String {
    let made = client.post(SCOPES, json!({"address_scope": body})).await;
    id(&made.expect(201))
}

async fn ask_pool(client: &Client, prefixes: &[&str], scope: &str) -> Answer {
    let body = json!({"subnetpool": {
        "name": "p", "prefixes": prefixes, "address_scope_id": scope, "default_prefixlen": 64,
    }});
    let mut body = body;
    if !prefixes[0].contains(':') {
        body["subnetpool"]["default_prefixlen"] = json!(26);
    }
    client.post(POOLS, body).await
}

async fn pool(client: &Client, prefixes: &[&str], scope: &str) -> String {
    id(&ask_pool(client, prefixes, scope).await.expect(201))
}

async fn network(client: &Client) -> String {
    let made = client
        .post(&format!("{NET}/networks"), json!({"network": {}}))
        .await;
    id(&made.expect(201))
}

#[tokio::test]
async fn a_scope_is_a_projects_until_it_is_shared() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let other = cloud.stranger().await;
    let one = scope(&member, json!({"name": "s", "ip_version": 6})).await;
    let path = format!("{SCOPES}/{one}");
    let shown = member.get(&path).await.expect(200)["address_scope"].clone();
    assert_eq!(
        (&shown["ip_version"], &shown["shared"]),
        (&json!(6), &json!(false))
    );
    let change = async |client: &Client, body: Value| {
        client.put(&path, json!({"address_scope": body})).await
    };
    assert_eq!(
        change(&member, json!({"name": "t"})).await.expect(200)["address_scope"]["name"],
        "t"
    );
    for refused in [
        other.get(&path).await,
        change(&other, json!({"name": "x"})).await,
        other.delete(&path).await,
    ] {
        shape::error(&refused, 404, "another's");
    }
    for shared in [true, false] {
        shape::error(
            &change(&member, json!({"shared": shared})).await,
            403,
            "an administrator's",
        );
    }
    change(&admin, json!({"shared": true})).await.expect(200);
    assert_eq!(
        other.get(&path).await.expect(200)["address_scope"]["shared"],
        true
    );
    let list = other
        .get(&format!("{SCOPES}?shared=true&ip_version=6"))
        .await
        .expect(200);
    assert_eq!(list["address_scopes"][0]["id"], json!(one));
    shape::error(
        &change(&other, json!({"name": "x"})).await,
        403,
        "another's",
    );
    shape::error(&other.delete(&path).await, 403, "another's");
    shape::error(
        &change(&admin, json!({"shared": false})).await,
        400,
        "it stays so",
    );
    let before = cloud.dump();
    for (body, expected) in [
        (json!({"name": "s"}), 400),
        (json!({"name": "s", "ip_version": 5}), 400),
        (json!({"name": "x".repeat(256), "ip_version": 4}), 400),
        (json!({"ip_version": 4, "shared": true}), 403),
    ] {
        let refused = member.post(SCOPES, json!({"address_scope": body})).await;
        shape::error(&refused, expected, "no scope");
    }
    shape::error(
        &change(&member, json!({"ip_version": 4})).await,
        400,
        "it has one",
    );
    assert_same(&before, &cloud.dump(), "refused scopes");
    member.delete(&path).await.expect(204);
    shape::error(&member.get(&path).await, 404, "gone");
}

#[tokio::test]
async fn a_policy_lets_another_put_pools_into_a_scope() {
    let cloud = TestCloud::start().await;
    let (member, other) = (cloud.member().await, cloud.stranger().await);
    let one = scope(&member, json!({"ip_version": 6})).await;
    shape::error(
        &ask_pool(&other, &["2001:db8:1::/48"], &one).await,
        404,
        "not shared",
    );
    let body = json!({"rbac_policy": {
        "object_type": "address_scope", "object_id": one, "action": "access_as_shared",
        "target_tenant": cloud.project_id(Person::Stranger),
    }});
    let policies = format!("{NET}/rbac-policies");
    let policy = id(&member.post(&policies, body).await.expect(201));
    let policy = format!("{policies}/{policy}");
    let theirs = pool(&other, &["2001:db8:1::/48"], &one).await;
    shape::error(&member.delete(&policy).await, 409, "in use");
    shape::error(
        &member.delete(&format!("{SCOPES}/{one}")).await,
        409,
        "in use",
    );
    let out = json!({"subnetpool": {"address_scope_id": null}});
    other
        .put(&format!("{POOLS}/{theirs}"), out)
        .await
        .expect(200);
    member.delete(&policy).await.expect(204);
}

#[tokio::test]
async fn pools_of_one_scope_never_overlap() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (one, two) = (
        scope(&member, json!({"ip_version": 6})).await,
        scope(&member, json!({"ip_version": 6})).await,
    );
    let first = pool(&member, &["2001:db8:1::/48", "2001:db8:2::/48"], &one).await;
    let shown = member.get(&format!("{POOLS}/{first}")).await.expect(200);
    assert_eq!(shown["subnetpool"]["address_scope_id"], json!(one));
    let second = pool(&member, &["2001:db8:1::/48"], &two).await;
    let before = cloud.dump();
    for (prefixes, scope, expected) in [
        (vec!["2001:db8:2::/56"], one.as_str(), 409),
        (vec!["2001:db8::/32"], &one, 409),
        (vec!["192.0.2.0/24"], &one, 400),
        (vec!["2001:db8:9::/48"], SOMEONE, 404),
        (vec!["2001:db8:9::/48"], "nonsense", 400),
    ] {
        let refused = ask_pool(&member, &prefixes, scope).await;
        shape::error(&refused, expected, &format!("{prefixes:?}"));
    }
    let change = async |pool: &str, body: Value| {
        let path = format!("{POOLS}/{pool}");
        member.put(&path, json!({"subnetpool": body})).await
    };
    let wider = json!({"prefixes": ["2001:db8:1::/48", "2001:db8:2::/48", "2001:db8:3::/48"]});
    shape::error(
        &change(&second, json!({"address_scope_id": one})).await,
        409,
        "it overlaps",
    );
    assert_same(&before, &cloud.dump(), "refused pools");
    change(&second, json!({"address_scope_id": null}))
        .await
        .expect(200);
    pool(&member, &["2001:db8:3::/48"], &one).await;
    shape::error(&change(&first, wider).await, 409, "it would overlap");
}

#[tokio::test]
async fn a_network_has_the_scopes_of_its_subnets() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let six = scope(&member, json!({"ip_version": 6})).await;
    let four = scope(&member, json!({"ip_version": 4})).await;
    let pool6 = pool(&member, &["2001:db8:1::/48"], &six).await;
    let pool4 = pool(&member, &["192.0.2.0/24"], &four).await;
    let net = network(&member).await;
    let path = format!("{NET}/networks/{net}");
    let scopes = async || {
        let shown = member.get(&path).await.expect(200)["network"].clone();
        let list = member
            .get(&format!("{NET}/networks?id={net}"))
            .await
            .expect(200);
        assert_eq!(list["networks"][0], shown);
        [
            shown["ipv4_address_scope"].clone(),
            shown["ipv6_address_scope"].clone(),
        ]
    };
    assert_eq!(scopes().await, [Value::Null, Value::Null]);
    subnet(&member, &net, json!({"subnetpool_id": pool6})).await;
    assert_eq!(scopes().await, [Value::Null, json!(six)]);
    subnet(&member, &net, json!({"subnetpool_id": pool4})).await;
    subnet(&member, &net, json!({"subnetpool_id": pool6})).await;
    assert_eq!(scopes().await, [json!(four), json!(six)]);
    // Another of the family would be of none, and routers could not tell.
    let before = cloud.dump();
    let body = json!({"subnet": {"network_id": net, "cidr": "2001:db8:9::/64"}});
    let refused = member.post(&format!("{NET}/subnets"), body).await;
    shape::error(&refused, 400, "of no scope");
    assert_same(&before, &cloud.dump(), "a subnet of no scope");
    let more = pool(&member, &["2001:db8:2::/48"], &six).await;
    subnet(&member, &net, json!({"subnetpool_id": more})).await;
    let out = json!({"subnetpool": {"address_scope_id": null}});
    let refused = member.put(&format!("{POOLS}/{more}"), out.clone()).await;
    shape::error(&refused, 400, "half of a network's");
    member
        .put(&format!("{POOLS}/{pool4}"), out)
        .await
        .expect(200);
    assert_eq!(scopes().await, [Value::Null, json!(six)]);
}

#[tokio::test]
async fn nodes_hear_of_the_scopes_that_a_router_joins() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let six = scope(&member, json!({"ip_version": 6})).await;
    let pool = pool(&member, &["2001:db8:1::/48"], &six).await;
    let net = network(&member).await;
    let inside = subnet(&member, &net, json!({"subnetpool_id": pool})).await;
    let made = member
        .post(&format!("{NET}/routers"), json!({"router": {}}))
        .await;
    let router = id(&made.expect(201));
    let leg = format!("{NET}/routers/{router}/add_router_interface");
    member
        .put(&leg, json!({"subnet_id": inside}))
        .await
        .expect(200);
    let scopes = async || {
        let wanted = node.wanted_router(&router).await.unwrap();
        let scopes = wanted.ports[0].scopes;
        (
            scopes.v4.map(|s| s.to_string()),
            scopes.v6.map(|s| s.to_string()),
        )
    };
    assert_eq!(scopes().await, (None, Some(six)));
    let out = json!({"subnetpool": {"address_scope_id": null}});
    member
        .put(&format!("{POOLS}/{pool}"), out)
        .await
        .expect(200);
    assert_eq!(scopes().await, (None, None));
}

#[tokio::test]
async fn the_checker_finds_subnets_of_one_scope_that_overlap() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let mut pools = Vec::new();
    for _ in 0..2 {
        let one = scope(&member, json!({"ip_version": 6})).await;
        let prefixes = ["2001:db8:1::/48"];
        let pool = pool(&member, &prefixes, &one).await;
        let body = json!({"subnetpool_id": pool, "ip_version": 6, "prefixlen": 64});
        subnet(&member, &network(&member).await, body).await;
        pools.push(pool);
    }
    assert_eq!(cloud.findings(), Vec::<String>::new());
    let store = cloud.cloud.store();
    let moved = store.write(|tx| {
        let find = |id: &String| tx.get::<store::row::SubnetPool>(id);
        let (first, mut second) = (find(&pools[0])?, find(&pools[1])?);
        second.address_scope_id = first.address_scope_id;
        tx.update(&second)
    });
    moved.unwrap();
    let found = cloud.findings();
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(finding.ends_with(" overlap"), "{finding}");
}
