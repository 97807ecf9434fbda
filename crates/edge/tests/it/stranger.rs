//! A member of another project: what is not its own does not exist.

use api::Routes;
use http::Method;
use serde_json::{Value, json};
use testkit::assert_same;

use crate::routes::OPEN;
use crate::shape;
use crate::world::{SOMEONE, World, ask, fill, has_id, line};

/// What only administrators do is refused as such, whether the thing exists or not: the answer
/// tells nothing of it. Keystone and nova answer the same way.
fn needs_admin(line: &str) -> bool {
    let (method, path) = line.split_once(' ').unwrap();
    let flavor = path.starts_with("/compute/v2.1/flavors/") && method != "GET";
    let identity = path.starts_with("/identity/v3/");
    let writes = identity && method != "GET" && method != "HEAD";
    let roles = identity && path.contains("/roles");
    let catalog = path.contains("/services/") || path.contains("/endpoints/");
    // Rules are an administrator's to make, and so is the look at what nodes can do.
    let qos = path.starts_with("/network/v2.0/qos/")
        && (method == "POST" || path.contains("/rule-types/"));
    flavor || qos || writes || (roles && path != "/identity/v3/roles/{id}") || catalog
}

#[tokio::test]
async fn a_stranger_finds_nothing_and_changes_nothing() {
    let world = World::new().await;
    let before = world.cloud.dump();
    for route in Routes::new().all().iter().filter(|r| has_id(r)) {
        let line = line(route);
        let everyones = ["/extensions/", "/regions/", "/types/"].iter();
        let everyones = everyones.clone().any(|part| line.contains(part));
        if everyones || OPEN.contains(&line.as_str()) {
            continue;
        }
        let there = fill(route, |segment| {
            world
                .ids
                .get(segment)
                .cloned()
                .unwrap_or_else(|| SOMEONE.to_owned())
        });
        let nowhere = fill(route, |_| SOMEONE.to_owned());
        let expected = if needs_admin(&line) { 403 } else { 404 };
        for path in [&there, &nowhere] {
            let answer = ask(&world.stranger, route, path, &world).await;
            shape::error(&answer, expected, "asked by a stranger");
            assert_same(&before, &world.cloud.dump(), &answer.asked);
        }
    }
}

#[tokio::test]
async fn no_list_shows_a_stranger_what_is_not_its_own() {
    let world = World::new().await;
    let alpha = world.id("projects");
    let named = [
        "os-keypairs",
        "os-extra_specs",
        "tags",
        "metadata",
        "rule-types",
    ];
    let secrets = world.ids.iter().filter(|(kind, _)| !named.contains(kind));
    let secrets: Vec<&String> = secrets.map(|(_, id)| id).collect();
    for route in Routes::new().all() {
        if route.method != Method::GET || has_id(route) {
            continue;
        }
        let path = fill(route, |_| String::new());
        let id = world.ids.values().next().unwrap();
        for query in [
            String::new(),
            format!("?project_id={alpha}&tenant_id={alpha}&owner={alpha}"),
            "?all_tenants=1&is_public=None&visibility=all".to_owned(),
            "?visibility=private".to_owned(),
            format!("?id={id}&uuid={id}"),
            format!("?user_id={}", world.id("users")),
            format!("?security_groups={}", world.id("security-groups")),
            format!("?fixed_ips=subnet_id={}", world.id("subnets")),
        ] {
            let answer = world.stranger.get(&format!("{path}{query}")).await;
            // The token to look at stands in a header, which is not given here.
            let told = [200, 300, 403].contains(&answer.status.as_u16());
            assert!(told || path.ends_with("/auth/tokens"), "{answer:?}");
            let text = String::from_utf8_lossy(&answer.body);
            // What was asked may stand in a link to the next page, never in an entry.
            let leaked = secrets.iter().find(|id| text.contains(id.as_str()));
            assert_eq!(leaked, None, "{} tells: {text}", answer.asked);
        }
    }
}

/// A page's marker is a row like any other: another's is none.
#[tokio::test]
async fn a_marker_of_anothers_is_none() {
    let world = World::new().await;
    for (list, kind) in [
        ("/network/v2.0/networks", "networks"),
        ("/network/v2.0/subnets", "subnets"),
        ("/network/v2.0/ports", "ports"),
        ("/network/v2.0/routers", "routers"),
        ("/network/v2.0/floatingips", "floatingips"),
        ("/network/v2.0/subnetpools", "subnetpools"),
        ("/network/v2.0/rbac-policies", "rbac-policies"),
        ("/network/v2.0/address-scopes", "address-scopes"),
        ("/network/v2.0/trunks", "trunks"),
        ("/network/v2.0/security-groups", "security-groups"),
        ("/network/v2.0/address-groups", "address-groups"),
        ("/network/v2.0/qos/policies", "policies"),
        ("/image/v2/images", "images"),
        ("/compute/v2.1/servers", "servers"),
        ("/volume/v3/volumes", "volumes"),
    ] {
        let path = format!("{list}?limit=5&marker={}", world.id(kind));
        shape::error(&world.stranger.get(&path).await, 400, "another's marker");
        world.member.get(&path).await.expect(200);
    }
}

#[tokio::test]
async fn a_strangers_requests_cannot_name_what_is_not_its_own() {
    let world = World::new().await;
    let stranger = &world.stranger;
    let image = world.cloud.image(stranger, "own").await;
    let (own, own_subnet) = crate::world::network(stranger, "own", "2001:db8:b::/64").await;
    let router = stranger
        .post("/network/v2.0/routers", json!({"router": {}}))
        .await;
    let router = crate::world::id(&router.expect(201));
    let group = stranger
        .post(
            "/network/v2.0/security-groups",
            json!({"security_group": {"name": "own"}}),
        )
        .await;
    let group = crate::world::id(&group.expect(201));
    let floating = json!({"floatingip": {"floating_network_id": world.external.0}});
    let floating = stranger.post("/network/v2.0/floatingips", floating).await;
    let floating = crate::world::id(&floating.expect(201));
    let before = world.cloud.dump();
    let port = |more: Value| {
        let mut port = json!({"network_id": own});
        port.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        (
            "POST",
            "/network/v2.0/ports".to_owned(),
            json!({"port": port}),
        )
    };
    let server = |more: Value| {
        let mut server =
            json!({"name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": own}]});
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        (
            "POST",
            "/compute/v2.1/servers".to_owned(),
            json!({"server": server}),
        )
    };
    let leg = |body: Value| {
        (
            "PUT",
            format!("/network/v2.0/routers/{router}/add_router_interface"),
            body,
        )
    };
    let ids = |kind: &str| world.id(kind).to_owned();
    let cases = [
        (port(json!({"network_id": ids("networks")})), 404),
        (
            port(json!({"security_groups": [ids("security-groups")]})),
            404,
        ),
        (
            port(json!({"fixed_ips": [{"subnet_id": ids("subnets")}]})),
            400,
        ),
        (
            port(json!({"device_owner": "network:router_interface"})),
            403,
        ),
        (
            (
                "POST",
                "/network/v2.0/subnets".to_owned(),
                json!({"subnet": {"network_id": ids("networks"), "cidr": "2001:db8:c::/64"}}),
            ),
            404,
        ),
        (leg(json!({"subnet_id": ids("subnets")})), 404),
        (leg(json!({"port_id": ids("ports")})), 404),
        (
            (
                "PUT",
                format!("/network/v2.0/routers/{router}"),
                json!({"router": {"external_gateway_info": {"network_id": ids("networks")}}}),
            ),
            404,
        ),
        (
            (
                "POST",
                "/network/v2.0/security-group-rules".to_owned(),
                json!({"security_group_rule": {"security_group_id": ids("security-groups"), "direction": "ingress"}}),
            ),
            404,
        ),
        (
            (
                "POST",
                "/network/v2.0/security-group-rules".to_owned(),
                json!({"security_group_rule": {
                    "security_group_id": group, "direction": "ingress",
                    "remote_group_id": ids("security-groups"),
                }}),
            ),
            404,
        ),
        (
            (
                "POST",
                "/network/v2.0/security-group-rules".to_owned(),
                json!({"security_group_rule": {
                    "security_group_id": group, "direction": "ingress",
                    "remote_address_group_id": ids("address-groups"),
                }}),
            ),
            404,
        ),
        (
            (
                "POST",
                format!("/network/v2.0/floatingips/{floating}/port_forwardings"),
                json!({"port_forwarding": {
                    "internal_port_id": ids("forwarded port"), "internal_port": 22,
                    "external_port": 22, "protocol": "tcp",
                }}),
            ),
            404,
        ),
        (port(json!({"qos_policy_id": ids("policies")})), 404),
        (
            (
                "POST",
                "/network/v2.0/networks".to_owned(),
                json!({"network": {"qos_policy_id": ids("policies")}}),
            ),
            404,
        ),
        (server(json!({"imageRef": ids("images")})), 400),
        (
            server(json!({"networks": [{"uuid": ids("networks")}]})),
            400,
        ),
        (server(json!({"networks": [{"port": ids("ports")}]})), 400),
        (server(json!({"flavorRef": "secret"})), 400),
        (server(json!({"key_name": "key"})), 400),
        (server(json!({"security_groups": [{"name": "web"}]})), 400),
        (
            server(json!({"security_groups": [{"name": ids("security-groups")}]})),
            400,
        ),
    ];
    for ((method, path, body), expected) in cases {
        let request = stranger.request(method.parse().unwrap(), &path).json(&body);
        let answer = request.send().await;
        shape::error(&answer, expected, &body.to_string());
        assert_same(&before, &world.cloud.dump(), &body.to_string());
    }
    let own = format!("/network/v2.0/subnets/{own_subnet}");
    stranger.get(&own).await.expect(200);
}

/// An image names its kernel by id: that must not be a way to another's data.
#[tokio::test]
async fn a_kernel_of_anothers_cannot_be_booted() {
    let world = World::new().await;
    let body = json!({
        "name": "thief", "disk_format": "raw", "container_format": "bare",
        "kernel_id": world.id("images"),
    });
    let made = world
        .stranger
        .post("/image/v2/images", body)
        .await
        .expect(201);
    let id = made["id"].as_str().unwrap();
    world.stranger.upload(id, "x").await.expect(204);
    let body = json!({"server": {"name": "s", "imageRef": id, "flavorRef": "42", "networks": []}});
    let answer = world.stranger.post("/compute/v2.1/servers", body).await;
    shape::error(&answer, 400, "with a kernel of another's");
}

#[tokio::test]
async fn a_reader_sees_and_changes_nothing() {
    let world = World::new().await;
    let reader = world.cloud.reader().await;
    let before = world.cloud.dump();
    for route in Routes::new().all().iter().filter(|r| has_id(r)) {
        let line = line(route);
        let path = fill(route, |segment| {
            world
                .ids
                .get(segment)
                .cloned()
                .unwrap_or_else(|| "router".to_owned())
        });
        let own = ["/v2.1/servers/", "/v2.0/", "/v2/images/", "/v3/volumes/"];
        // Where servers move and how full networks are is an administrator's to see.
        // What is not there yet a look would make.
        let admins = line.ends_with("/migrations")
            || line.contains("/network-ip-")
            || line.contains("/qos/rule-types/")
            || line.contains("/v2.0/agents/")
            || line.starts_with("GET /network/v2.0/auto-allocated-topology");
        if !own.iter().any(|p| line.contains(p)) || admins {
            continue;
        }
        let answer = ask(&reader, route, &path, &world).await;
        match route.method == Method::GET {
            true => assert!(answer.status.is_success(), "{answer:?}"),
            false => drop(shape::error(&answer, 403, "asked by a reader")),
        }
        assert_same(&before, &world.cloud.dump(), &answer.asked);
    }
}
