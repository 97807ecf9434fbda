//! Subnet pools, and the subnets that are cut from them.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::shape;
use crate::world::{SOMEONE, id, network};

const POOLS: &str = "/network/v2.0/subnetpools";
const SUBNETS: &str = "/network/v2.0/subnets";

async fn pool(client: &Client, body: Value) -> String {
    let made = client.post(POOLS, json!({"subnetpool": body})).await;
    id(&made.expect(201))
}

struct Scene {
    cloud: TestCloud,
    admin: Client,
    member: Client,
    network: String,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let made = member.post("/network/v2.0/networks", json!({"network": {}}));
    let network = id(&made.await.expect(201));
    Scene {
        cloud,
        admin,
        member,
        network,
    }
}

impl Scene {
    async fn ask(&self, more: Value) -> testkit::Answer {
        let mut body = more;
        body["network_id"] = json!(self.network);
        self.member.post(SUBNETS, json!({"subnet": body})).await
    }

    async fn cut(&self, more: Value) -> Value {
        self.ask(more).await.expect(201)["subnet"].clone()
    }
}

#[tokio::test]
async fn subnets_are_cut_one_after_the_other_and_come_back() {
    let s = scene().await;
    let made = json!({"name": "p", "prefixes": ["2001:db8:1::/48"], "min_prefixlen": 56, "default_prefixlen": 64});
    let pool = pool(&s.member, made).await;
    let first = s.cut(json!({"subnetpool_id": pool})).await;
    assert_eq!(
        (&first["cidr"], &first["subnetpool_id"]),
        (&json!("2001:db8:1::/64"), &json!(pool))
    );
    let second = s.cut(json!({"subnetpool_id": pool, "ip_version": 6})).await;
    assert_eq!(second["cidr"], "2001:db8:1:1::/64");
    let large = s
        .cut(json!({"subnetpool_id": pool, "prefixlen": "56"}))
        .await;
    assert_eq!(large["cidr"], "2001:db8:1:100::/56");
    let own = json!({"subnetpool_id": pool, "cidr": "2001:db8:1:9::/64"});
    assert_eq!(s.cut(own.clone()).await["cidr"], "2001:db8:1:9::/64");
    shape::error(&s.ask(own).await, 409, "given already");
    let path = format!("{SUBNETS}/{}", first["id"].as_str().unwrap());
    s.member.delete(&path).await.expect(204);
    let again = s.cut(json!({"subnetpool_id": pool})).await;
    assert_eq!(again["cidr"], "2001:db8:1::/64");
    let path = format!("{SUBNETS}?subnetpool_id={pool}");
    let list = s.member.get(&path);
    assert_eq!(
        list.await.expect(200)["subnets"].as_array().unwrap().len(),
        4
    );
    let path = format!("{POOLS}/{pool}");
    shape::error(&s.member.delete(&path).await, 409, "in use");
}

#[tokio::test]
async fn a_subnet_has_nothing_its_pool_does_not_give() {
    let s = scene().await;
    let made = json!({"name": "p", "prefixes": ["192.0.2.0/26"], "min_prefixlen": 27, "max_prefixlen": 28});
    let pool = pool(&s.member, made).await;
    let before = s.cloud.dump();
    for (more, status) in [
        (json!({"prefixlen": 26}), 400),
        (json!({"prefixlen": 29}), 400),
        (json!({"prefixlen": 28, "ip_version": 6}), 400),
        (json!({"prefixlen": 28, "cidr": "192.0.2.0/28"}), 400),
        (json!({"cidr": "192.0.2.64/28"}), 409),
        (json!({"use_default_subnetpool": true}), 400),
        (json!({"ip_version": 5}), 400),
    ] {
        let mut body = more;
        body["subnetpool_id"] = json!(pool);
        shape::error(&s.ask(body).await, status, "not of the pool");
    }
    shape::error(&s.ask(json!({"prefixlen": 28})).await, 400, "no pool");
    shape::error(
        &s.ask(json!({"subnetpool_id": SOMEONE})).await,
        404,
        "no pool",
    );
    let default = json!({"use_default_subnetpool": true, "ip_version": 4});
    shape::error(&s.ask(default).await, 400, "no default");
    shape::error(&s.ask(json!({"ip_version": 6})).await, 400, "no prefix");
    testkit::assert_same(&before, &s.cloud.dump(), "asking a pool for too much");
    s.cut(json!({"subnetpool_id": pool})).await;
    s.cut(json!({"subnetpool_id": pool, "prefixlen": 27})).await;
    let full = json!({"subnetpool_id": pool, "prefixlen": 28});
    shape::error(&s.ask(full).await, 409, "all is given");
}

#[tokio::test]
async fn a_default_pool_is_everybodys() {
    let s = scene().await;
    let made = json!({"name": "d", "prefixes": ["2001:db8:d::/48"], "is_default": true, "default_quota": 2});
    let refused = s.member.post(POOLS, json!({"subnetpool": made})).await;
    shape::error(&refused, 403, "a default");
    let pool = pool(&s.admin, made.clone()).await;
    let twice = s.admin.post(POOLS, json!({"subnetpool": made})).await;
    shape::error(&twice, 400, "a second default");
    let wish = json!({"use_default_subnetpool": true, "ip_version": 6});
    let slaac = json!({
        "use_default_subnetpool": true, "ip_version": 6,
        "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
    });
    assert_eq!(s.cut(slaac).await["cidr"], "2001:db8:d::/64");
    assert_eq!(s.cut(wish.clone()).await["subnetpool_id"], json!(pool));
    shape::error(
        &s.ask(wish.clone()).await,
        409,
        "more than one project may have",
    );
    let path = format!("{POOLS}/{pool}");
    let more = json!({"subnetpool": {"default_quota": null, "is_default": true}});
    s.admin.put(&path, more).await.expect(200);
    s.cut(wish).await;
    // It is shown to those it is shared with.
    shape::error(&s.member.get(&path).await, 404, "another's");
}

#[tokio::test]
async fn pools_only_grow() {
    let s = scene().await;
    let made = json!({"name": "p", "prefixes": ["192.0.2.128/25", "192.0.2.0/25"]});
    let path = format!("{POOLS}/{}", pool(&s.member, made).await);
    let shown = s.member.get(&path).await.expect(200)["subnetpool"].clone();
    assert_eq!(shown["prefixes"], json!(["192.0.2.0/24"]));
    assert_eq!(
        (&shown["min_prefixlen"], &shown["max_prefixlen"]),
        (&json!(8), &json!(32))
    );
    let change = async |body: Value| s.member.put(&path, json!({"subnetpool": body})).await;
    let wider = change(json!({"prefixes": ["192.0.2.1/24"]})).await;
    shape::error(&wider, 400, "host bits");
    let more = json!({"prefixes": ["192.0.2.0/24", "198.51.100.0/24"]});
    change(more).await.expect(200);
    for wrong in [
        json!({"prefixes": ["192.0.2.0/24"]}),
        json!({"prefixes": []}),
        json!({"prefixes": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]}),
        json!({"min_prefixlen": 33}),
        json!({"max_prefixlen": 7}),
        json!({"default_prefixlen": 7}),
        json!({"max_prefixlen": 33}),
        json!({"address_scope_id": "nonsense"}),
        json!({"shared": true}),
        json!({"name": "x".repeat(256)}),
    ] {
        shape::error(&change(wrong).await, 400, "no such pool");
    }
    shape::error(&change(json!({"is_default": true})).await, 403, "a default");
    s.member.delete(&path).await.expect(204);
    shape::error(&s.member.get(&path).await, 404, "gone");
}

#[tokio::test]
async fn a_shared_pool_is_used_and_not_changed_by_others() {
    let s = scene().await;
    let made = json!({"name": "s", "prefixes": ["2001:db8:5::/48"], "shared": true});
    let pool = pool(&s.admin, made).await;
    let path = format!("{POOLS}/{pool}");
    assert_eq!(
        s.member.get(&path).await.expect(200)["subnetpool"]["shared"],
        true
    );
    let list = s.member.get(POOLS).await.expect(200);
    assert_eq!(list["subnetpools"][0]["id"], json!(pool));
    let rename = json!({"subnetpool": {"name": "mine"}});
    shape::error(&s.member.put(&path, rename).await, 403, "another's");
    shape::error(&s.member.delete(&path).await, 403, "another's");
    assert_eq!(
        s.cut(json!({"subnetpool_id": pool})).await["cidr"],
        "2001:db8:5::/64"
    );
    // What is on a network without a pool is passed over.
    let (other, _) = network(&s.member, "other", "2001:db8:5:1::/64").await;
    let body = json!({"subnet": {"network_id": other, "subnetpool_id": pool}});
    let made = s.member.post(SUBNETS, body).await.expect(201);
    assert_eq!(made["subnet"]["cidr"], "2001:db8:5:2::/64");
}
