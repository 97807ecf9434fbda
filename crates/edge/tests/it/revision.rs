//! Revision numbers: what makes them grow, and requests that are for one of them only.

use api::{Dialect, Routes};
use http::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, assert_same};

use crate::shape;
use crate::world::{World, body_for, fill, has_id, id, network, subnet};

const NET: &str = "/network/v2.0";

/// The segments of a route's path behind the version.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').skip(2).collect()
}

async fn if_match(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<Value>,
    value: &str,
) -> Answer {
    let request = client.request(method, path).header("if-match", value);
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

/// The revision of what `path` shows; `None` of what has none.
async fn revision(client: &Client, path: &str) -> Option<u64> {
    let shown = client.get(path).await;
    if shown.status != 200 {
        return None;
    }
    let shown = shown.json();
    let (_, thing) = shown.as_object()?.iter().next()?;
    thing["revision_number"].as_u64()
}

#[tokio::test]
async fn each_change_of_another_revision_is_refused() {
    let world = World::new().await;
    let before = world.cloud.dump();
    let mut seen = 0;
    for route in Routes::new().all().iter().filter(|r| has_id(r)) {
        let write = [Method::PUT, Method::DELETE].contains(&route.method);
        if route.dialect != Dialect::Network || !write {
            continue;
        }
        let path = fill(route, |segment| {
            world.ids.get(segment).cloned().unwrap_or_default()
        });
        let whole = parts(route.path);
        // A policy's tags are not below the policy.
        let thing = match whole[..] {
            ["policies", ..] => format!("{NET}/qos/policies/{}", world.id("policies")),
            ["qos", "policies", _] => path.clone(),
            _ => format!("{NET}/{}/{}", whole[0], path.split('/').nth(4).unwrap()),
        };
        let body = body_for(route, &world);
        let ask = async |value: &str| {
            if_match(
                &world.admin,
                route.method.clone(),
                &path,
                body.clone(),
                value,
            )
            .await
        };
        // What has a number is looked at; elsewhere a condition is not passed over.
        let Some(now) = revision(&world.admin, &thing).await else {
            shape::error(&ask("revision_number=1").await, 400, "no revisions");
            continue;
        };
        seen += 1;
        for other in [
            format!("revision_number={}", now + 1),
            format!("\"revision_number={}\"", now as i64 - 1),
        ] {
            let answer = ask(&other).await;
            shape::error(&answer, 412, &other);
            assert_eq!(
                answer.json()["NeutronError"]["type"],
                "RevisionNumberConstraintFailed"
            );
        }
        for wrong in [
            "revision_number=x",
            "revision_number=",
            "revision_number=1,revision_number=1",
        ] {
            shape::error(&ask(wrong).await, 400, wrong);
        }
        assert_same(&before, &world.cloud.dump(), &path);
    }
    assert!(seen > 40, "only {seen} routes were asked");
}

#[tokio::test]
async fn a_change_of_this_revision_is_done() {
    let world = World::new().await;
    let member = &world.member;
    let path = format!("{NET}/networks/{}", world.id("networks"));
    for name in ["a", "b"] {
        let now = revision(member, &path).await.unwrap();
        let body = json!({"network": {"name": name}});
        let value = format!("revision_number={now}");
        let done = if_match(member, Method::PUT, &path, Some(body.clone()), &value).await;
        assert_eq!(done.expect(200)["network"]["revision_number"], now + 1);
        let again = if_match(member, Method::PUT, &path, Some(body), &value).await;
        shape::error(&again, 412, "a second time");
    }
    let rule = format!(
        "{NET}/security-group-rules/{}",
        world.id("security-group-rules")
    );
    let done = if_match(member, Method::DELETE, &rule, None, "revision_number=0").await;
    done.expect(204);
}

/// What belongs to a thing counts as part of it, as in neutron.
#[tokio::test]
async fn what_belongs_to_a_thing_makes_it_another_revision() {
    let world = World::new().await;
    let member = &world.member;
    let (net, six) = network(member, "n", "2001:db8:9::/64").await;
    let network = format!("{NET}/networks/{net}");
    let body = json!({"port": {"network_id": net}});
    let port = id(&member.post(&format!("{NET}/ports"), body).await.expect(201));
    let port = format!("{NET}/ports/{port}");
    let router = format!("{NET}/routers/{}", world.id("routers"));
    let group = world.id("security-groups");
    let groups = format!("{NET}/security-groups/{group}");
    let rule = json!({"security_group_rule": {"security_group_id": group, "direction": "egress", "protocol": "udp"}});
    let slaac =
        json!({"cidr": "2001:db8:8::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"});

    let mut last = revision(member, &network).await;
    let grown = async |path: &str, what: &str, last: Option<u64>| {
        let now = revision(member, path).await;
        assert!(now > last, "{what}: {path} is still {last:?}");
        now
    };
    let before = revision(member, &port).await;
    let auto = subnet(member, &net, slaac).await;
    last = grown(&network, "a new subnet", last).await;
    let before = grown(&port, "an address of a new subnet", before).await;
    let path = format!("{NET}/subnets/{six}");
    let body = json!({"subnet": {"name": "x"}});
    member.put(&path, body).await.expect(200);
    last = grown(&network, "a changed subnet", last).await;
    let path = format!("{NET}/subnets/{auto}");
    member.delete(&path).await.expect(204);
    grown(&network, "a subnet that went", last).await;
    grown(&port, "an address that went", before).await;

    let before = revision(member, &router).await;
    let leg = json!({"subnet_id": six});
    let path = format!("{router}/add_router_interface");
    member.put(&path, leg.clone()).await.expect(200);
    let before = grown(&router, "a new interface", before).await;
    let path = format!("{router}/remove_router_interface");
    member.put(&path, leg).await.expect(200);
    grown(&router, "an interface that went", before).await;

    let before = revision(member, &groups).await;
    let path = format!("{NET}/security-group-rules");
    let rule = id(&member.post(&path, rule).await.expect(201));
    let before = grown(&groups, "a new rule", before).await;
    let path = format!("{NET}/security-group-rules/{rule}");
    member.delete(&path).await.expect(204);
    grown(&groups, "a rule that went", before).await;

    let before = revision(member, &port).await;
    let image = world.id("images");
    let given = port.rsplit('/').next().unwrap();
    let body = json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"port": given}],
    }});
    member.post("/compute/v2.1/servers", body).await.expect(202);
    grown(&port, "a server that took it", before).await;
}
