//! RBAC policies: who sees what of another project's, and what may be taken back.

use serde_json::{Value, json};
use testkit::{Answer, Client, Person, TestCloud};

use crate::shape;
use crate::world::{SOMEONE, id, network, subnet};

const NET: &str = "/network/v2.0";
const POLICIES: &str = "/network/v2.0/rbac-policies";

struct Scene {
    cloud: TestCloud,
    admin: Client,
    member: Client,
    other: Client,
    others: String,
}

async fn scene() -> Scene {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    Scene {
        other: cloud.stranger().await,
        others: cloud.project_id(Person::Stranger),
        cloud,
        admin,
        member,
    }
}

async fn ask(client: &Client, kind: &str, id: &str, action: &str, target: &str) -> Answer {
    let body = json!({"rbac_policy": {
        "object_type": kind, "object_id": id, "action": action, "target_tenant": target,
    }});
    client.post(POLICIES, body).await
}

async fn share(client: &Client, kind: &str, id: &str, target: &str) -> String {
    let made = ask(client, kind, id, "access_as_shared", target).await;
    self::id(&made.expect(201))
}

async fn make(client: &Client, kind: &str, body: Value) -> String {
    let made = client.post(&format!("{NET}/{kind}"), body).await;
    id(&made.expect(201))
}

async fn status(client: &Client, path: &str) -> u16 {
    client.get(&format!("{NET}/{path}")).await.status.as_u16()
}

/// The ids that a list shows.
async fn listed(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(&format!("{NET}/{path}")).await.expect(200);
    let (_, entries) = list.as_object().unwrap().iter().next().unwrap();
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_network_is_there_for_the_targets_of_its_policies() {
    let s = scene().await;
    let (net, inside) = network(&s.member, "n", "2001:db8:1::/64").await;
    let (of_net, of_subnet) = (format!("networks/{net}"), format!("subnets/{inside}"));
    let port = json!({"port": {"network_id": net}});
    let refused = s.other.post(&format!("{NET}/ports"), port.clone()).await;
    shape::error(&refused, 404, "not shared yet");
    let policy = share(&s.member, "network", &net, &s.others).await;
    for (list, path, id) in [
        ("networks", &of_net, &net),
        ("subnets", &of_subnet, &inside),
    ] {
        assert_eq!(status(&s.other, path).await, 200);
        for (query, there) in [
            ("", true),
            ("?shared=true", true),
            ("?shared=false", false),
            ("?shared=x", false),
        ] {
            let found = listed(&s.other, &format!("{list}{query}"))
                .await
                .contains(id);
            assert_eq!(found, there, "{list}{query}");
        }
        // It is shared with another, so to its owner it is its own.
        assert!(
            !listed(&s.member, &format!("{list}?shared=true"))
                .await
                .contains(id)
        );
        assert!(
            listed(&s.member, &format!("{list}?shared=false"))
                .await
                .contains(id)
        );
    }
    let shown = |answer: Answer| answer.expect(200)["network"]["shared"].clone();
    let path = format!("{NET}/{of_net}");
    assert_eq!(shown(s.other.get(&path).await), true);
    assert_eq!(shown(s.member.get(&path).await), false);
    // What is shared is used, and not changed.
    for refused in [
        s.other.put(&path, json!({"network": {"name": "x"}})).await,
        s.other.delete(&path).await,
        s.other
            .put(
                &format!("{NET}/{of_subnet}"),
                json!({"subnet": {"name": "x"}}),
            )
            .await,
    ] {
        shape::error(&refused, 403, "another's");
    }
    let made = make(&s.other, "ports", port).await;
    // The owner sees the port on its network; the policy it keeps while the port is there.
    assert_eq!(status(&s.member, &format!("ports/{made}")).await, 200);
    let policy = format!("{POLICIES}/{policy}");
    shape::error(&s.member.delete(&policy).await, 409, "in use");
    let elsewhere = json!({"rbac_policy": {"target_tenant": SOMEONE}});
    shape::error(
        &s.member.put(&policy, elsewhere.clone()).await,
        409,
        "in use",
    );
    s.member
        .delete(&format!("{NET}/ports/{made}"))
        .await
        .expect(204);
    s.member.put(&policy, elsewhere).await.expect(200);
    assert_eq!(status(&s.other, &of_net).await, 404);
    s.member.delete(&policy).await.expect(204);
    shape::error(&s.member.get(&policy).await, 404, "gone");
}

#[tokio::test]
async fn servers_and_groups_use_what_is_shared() {
    let s = scene().await;
    let _node = s.cloud.node("n1").await;
    let (net, _) = network(&s.member, "n", "2001:db8:1::/64").await;
    let group = make(
        &s.member,
        "security-groups",
        json!({"security_group": {"name": "g"}}),
    )
    .await;
    let image = s.cloud.image(&s.other, "i").await;
    let server = json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": net}],
        "security_groups": [{"name": group}],
    }});
    let servers = "/compute/v2.1/servers";
    shape::error(
        &s.other.post(servers, server.clone()).await,
        400,
        "neither is there",
    );
    share(&s.member, "network", &net, &s.others).await;
    shape::error(
        &s.other.post(servers, server.clone()).await,
        400,
        "no such group",
    );
    let policy = share(&s.member, "security_group", &group, &s.others).await;
    s.other.post(servers, server).await.expect(202);
    let policy = format!("{POLICIES}/{policy}");
    shape::error(&s.member.delete(&policy).await, 409, "a port has it");
}

#[tokio::test]
async fn a_shared_security_group_is_read_and_named() {
    let s = scene().await;
    let group = make(
        &s.member,
        "security-groups",
        json!({"security_group": {"name": "g"}}),
    )
    .await;
    let own = make(
        &s.other,
        "security-groups",
        json!({"security_group": {"name": "own"}}),
    )
    .await;
    let rule = |of: &str| {
        json!({"security_group_rule": {
            "security_group_id": of, "direction": "ingress", "remote_group_id": group,
        }})
    };
    let rules = format!("{NET}/security-group-rules");
    shape::error(&s.other.post(&rules, rule(&own)).await, 404, "not shared");
    let policy = share(&s.member, "security_group", &group, &s.others).await;
    let path = format!("{NET}/security-groups/{group}");
    let shown = s.other.get(&path).await.expect(200)["security_group"].clone();
    assert_eq!(shown["shared"], true);
    assert_eq!(
        s.member.get(&path).await.expect(200)["security_group"]["shared"],
        false
    );
    let one = shown["security_group_rules"][0]["id"].as_str().unwrap();
    assert_eq!(
        status(&s.other, &format!("security-group-rules/{one}")).await,
        200
    );
    let of_group = format!("security-group-rules?security_group_id={group}");
    assert_eq!(listed(&s.other, &of_group).await.len(), 2);
    for (query, there) in [("", true), ("?shared=1", true), ("?shared=0", false)] {
        let found = listed(&s.other, &format!("security-groups{query}")).await;
        assert_eq!(found.contains(&group), there, "{query}");
    }
    for refused in [
        s.other
            .put(&path, json!({"security_group": {"name": "x"}}))
            .await,
        s.other.delete(&path).await,
        s.other
            .put(&format!("{path}/tags"), json!({"tags": []}))
            .await,
        s.other.post(&rules, rule(&group)).await,
        s.other.delete(&format!("{rules}/{one}")).await,
    ] {
        shape::error(&refused, 403, "another's");
    }
    let named = id(&s.other.post(&rules, rule(&own)).await.expect(201));
    let policy = format!("{POLICIES}/{policy}");
    shape::error(&s.member.delete(&policy).await, 409, "a rule names it");
    s.other
        .delete(&format!("{rules}/{named}"))
        .await
        .expect(204);
    s.member.delete(&policy).await.expect(204);
    assert_eq!(
        status(&s.other, &format!("security-groups/{group}")).await,
        404
    );
}

#[tokio::test]
async fn a_subnet_pool_is_cut_by_those_it_is_shared_with() {
    let s = scene().await;
    let body = json!({"subnetpool": {"name": "p", "prefixes": ["2001:db8:5::/48"]}});
    let pool = make(&s.member, "subnetpools", body).await;
    let path = format!("subnetpools/{pool}");
    assert_eq!(status(&s.other, &path).await, 404);
    let policy = share(&s.member, "subnetpool", &pool, &s.others).await;
    let shown = s.other.get(&format!("{NET}/{path}")).await.expect(200);
    assert_eq!(shown["subnetpool"]["shared"], true);
    assert_eq!(
        listed(&s.other, "subnetpools?shared=true").await,
        [pool.as_str()]
    );
    let net = make(&s.other, "networks", json!({"network": {}})).await;
    let cut = subnet(&s.other, &net, json!({"subnetpool_id": pool})).await;
    let policy = format!("{POLICIES}/{policy}");
    shape::error(&s.member.delete(&policy).await, 409, "in use");
    // With everybody's policy it may go.
    let all = share(&s.admin, "subnetpool", &pool, "*").await;
    s.member.delete(&policy).await.expect(204);
    shape::error(
        &s.admin.delete(&format!("{POLICIES}/{all}")).await,
        409,
        "in use",
    );
    s.other
        .delete(&format!("{NET}/subnets/{cut}"))
        .await
        .expect(204);
    s.admin
        .delete(&format!("{POLICIES}/{all}"))
        .await
        .expect(204);
    assert_eq!(status(&s.other, &path).await, 404);
}

async fn of_everybody(s: &Scene, net: &str, action: &str) -> Vec<String> {
    let query = format!("rbac-policies?object_id={net}&action={action}&target_tenant=*");
    listed(&s.admin, &query).await
}

#[tokio::test]
async fn shared_and_external_networks_are_so_by_policies() {
    let s = scene().await;
    let both = json!({"network": {"shared": true, "router:external": true}});
    let net = make(&s.admin, "networks", both).await;
    let path = format!("{NET}/networks/{net}");
    for (action, field) in [
        ("access_as_shared", "shared"),
        ("access_as_external", "router:external"),
    ] {
        let policies = of_everybody(&s, &net, action).await;
        assert_eq!(policies.len(), 1, "{action}");
        let policy = format!("{POLICIES}/{}", policies[0]);
        s.admin.delete(&policy).await.expect(204);
        let shown = s.admin.get(&path).await.expect(200);
        assert_eq!(shown["network"][field], false);
        for wanted in [true, true, false, false] {
            let body = json!({"network": {field: wanted}});
            let shown = s.admin.put(&path, body).await.expect(200);
            assert_eq!(shown["network"][field], wanted);
            let policies = of_everybody(&s, &net, action).await;
            assert_eq!(policies.len(), usize::from(wanted), "{action}");
        }
    }
    assert_eq!(status(&s.member, &format!("networks/{net}")).await, 404);
    // Its resolver's port is nobody's.
    subnet(&s.admin, &net, json!({"cidr": "2001:db8:1::/64"})).await;
    s.admin
        .put(&path, json!({"network": {"shared": true}}))
        .await
        .expect(200);
    let port = make(&s.member, "ports", json!({"port": {"network_id": net}})).await;
    let alone = json!({"network": {"shared": false}});
    shape::error(
        &s.admin.put(&path, alone.clone()).await,
        409,
        "another's port",
    );
    s.member
        .delete(&format!("{NET}/ports/{port}"))
        .await
        .expect(204);
    s.admin.put(&path, alone).await.expect(200);
    share(&s.admin, "network", &net, &s.others).await;
    s.admin.delete(&path).await.expect(204);
    let left = listed(&s.admin, &format!("rbac-policies?object_id={net}")).await;
    assert!(left.is_empty(), "a network takes its policies with it");
}

#[tokio::test]
async fn a_network_is_external_for_some() {
    let s = scene().await;
    let net = make(&s.admin, "networks", json!({"network": {}})).await;
    subnet(
        &s.admin,
        &net,
        json!({"cidr": "203.0.113.0/24", "enable_dhcp": false}),
    )
    .await;
    let gateway = json!({"router": {"external_gateway_info": {"network_id": net}}});
    let routers = format!("{NET}/routers");
    let shared = share(&s.admin, "network", &net, &s.others).await;
    shape::error(
        &s.other.post(&routers, gateway.clone()).await,
        400,
        "not external",
    );
    s.admin
        .delete(&format!("{POLICIES}/{shared}"))
        .await
        .expect(204);
    let external = ask(&s.admin, "network", &net, "access_as_external", &s.others).await;
    let external = format!("{POLICIES}/{}", id(&external.expect(201)));
    let router = id(&s.other.post(&routers, gateway.clone()).await.expect(201));
    shape::error(&s.member.post(&routers, gateway).await, 404, "not for all");
    let floating = json!({"floatingip": {"floating_network_id": net}});
    let path = format!("{NET}/floatingips");
    shape::error(
        &s.member.post(&path, floating.clone()).await,
        404,
        "not for all",
    );
    let floating = id(&s.other.post(&path, floating).await.expect(201));
    // An external network is no place for others' ports.
    let port = json!({"port": {"network_id": net}});
    shape::error(
        &s.other.post(&format!("{NET}/ports"), port).await,
        403,
        "external",
    );
    shape::error(&s.admin.delete(&external).await, 409, "a router is there");
    s.other
        .delete(&format!("{routers}/{router}"))
        .await
        .expect(204);
    shape::error(
        &s.admin.delete(&external).await,
        409,
        "a floating IP is there",
    );
    s.other
        .delete(&format!("{path}/{floating}"))
        .await
        .expect(204);
    s.admin.delete(&external).await.expect(204);
    let shown = s
        .admin
        .get(&format!("{NET}/networks/{net}"))
        .await
        .expect(200);
    assert_eq!(shown["network"]["router:external"], false);
}

#[tokio::test]
async fn policies_are_their_projects() {
    let s = scene().await;
    let (net, _) = network(&s.member, "n", "2001:db8:1::/64").await;
    let policy = share(&s.member, "network", &net, &s.others).await;
    let path = format!("{POLICIES}/{policy}");
    assert!(listed(&s.other, "rbac-policies").await.is_empty());
    shape::error(&s.other.get(&path).await, 404, "its target does not see it");
    shape::error(
        &s.other.delete(&path).await,
        404,
        "its target does not see it",
    );
    assert_eq!(listed(&s.member, "rbac-policies").await, [policy.as_str()]);
    for (query, there) in [
        (format!("id={policy}"), true),
        (format!("object_id={net}"), true),
        ("object_type=subnetpool".into(), false),
        ("action=access_as_shared".into(), true),
        (format!("target_tenant={}", s.others), true),
        ("target_tenant=*".into(), false),
    ] {
        let found = listed(&s.member, &format!("rbac-policies?{query}")).await;
        assert_eq!(!found.is_empty(), there, "{query}");
    }
}

#[tokio::test]
async fn a_policy_that_may_not_be_is_refused() {
    let s = scene().await;
    let (net, _) = network(&s.member, "n", "2001:db8:1::/64").await;
    let (hers, _) = network(&s.admin, "hers", "2001:db8:2::/64").await;
    let group = make(
        &s.member,
        "security-groups",
        json!({"security_group": {"name": "g"}}),
    )
    .await;
    let mine = s.cloud.project_id(Person::Member);
    share(&s.admin, "network", &hers, &mine).await;
    let policy = share(&s.member, "network", &net, &s.others).await;
    let before = s.cloud.dump();
    let shared = "access_as_shared";
    for (kind, id, action, target, expected) in [
        ("network", net.as_str(), shared, s.others.as_str(), 409),
        ("network", &net, shared, "*", 403),
        ("network", &net, "access_as_external", "*", 403),
        ("network", &net, shared, "", 400),
        ("network", &net, shared, &"1234".repeat(100), 400),
        ("network", &net, "access_as_root", &mine, 400),
        ("security_group", &group, "access_as_external", &mine, 400),
        ("floatingip", &net, shared, &mine, 400),
        ("subnetpool", &net, shared, &mine, 404),
        ("network", SOMEONE, shared, &mine, 404),
        ("network", "nonsense", shared, &mine, 404),
        // It is shared with the member, and not the member's to share.
        ("network", &hers, shared, &s.others, 400),
    ] {
        let refused = ask(&s.member, kind, id, action, target).await;
        shape::error(&refused, expected, &format!("{kind} {action} {target}"));
    }
    let body = json!({"rbac_policy": {"target_tenant": "*"}});
    let path = format!("{POLICIES}/{policy}");
    shape::error(&s.member.put(&path, body).await, 403, "for everybody");
    let body = json!({"rbac_policy": {"action": "access_as_external"}});
    shape::error(
        &s.member.put(&path, body).await,
        400,
        "only its target changes",
    );
    testkit::assert_same(&before, &s.cloud.dump(), "refused policies");
    for n in 1..10 {
        share(&s.member, "network", &net, &format!("p{n}")).await;
    }
    let more = ask(&s.member, "network", &net, shared, "p10").await;
    shape::error(&more, 409, "more than ten");
}
