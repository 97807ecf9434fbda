//! What lists cost: as many statements for a thousand things as for one.

use api::{Dialect, Route, Routes};
use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Person};

use crate::world::{self, World, fill, has_id, id};

/// One for the things, and one for what belongs to them.
const MOST: u64 = 2;

/// More of each thing, so that what is read for each of them shows.
async fn fill_up(world: &World) {
    let (member, admin) = (&world.member, &world.admin);
    let post = async |client: &Client, path: &str, body: Value| {
        let answer = client.post(path, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        id(&answer.json())
    };
    let net = "/network/v2.0";
    let outside = &world.external.0;
    for n in 0..3 {
        let cidr = format!("2001:db8:{n}::/64");
        let (network, _) = world::network(member, "more", &cidr).await;
        let four = format!("192.0.2.{}/26", n * 64);
        let four = world::subnet(member, &network, json!({"cidr": four})).await;
        let router = json!({"router": {"external_gateway_info": {"network_id": outside}}});
        let router = post(member, &format!("{net}/routers"), router).await;
        let leg = format!("{net}/routers/{router}/add_router_interface");
        member
            .put(&leg, json!({"subnet_id": four}))
            .await
            .expect(200);
        let server = world::server(member, world.id("images"), &network).await;
        world.node.boot_finishes(&server).await;
        let ports = member.get(&format!("{net}/ports?device_id={server}")).await;
        let port = ports.expect(200)["ports"][0]["id"].clone();
        let floating = json!({"floatingip": {"floating_network_id": outside, "port_id": port}});
        post(member, &format!("{net}/floatingips"), floating).await;
        let group = json!({"security_group": {"name": "more"}});
        post(member, &format!("{net}/security-groups"), group).await;
        let group = json!({"address_group": {"name": "more"}});
        post(member, &format!("{net}/address-groups"), group).await;
        let group = json!({"server_group": {"name": "more", "policies": ["affinity"]}});
        post(member, "/compute/v2.1/os-server-groups", group).await;
        let volume = json!({"volume": {"size": 1}});
        let volume = post(member, "/volume/v3/volumes", volume).await;
        world.node.volume_ready(&volume).await;
        let attach = json!({"volumeAttachment": {"volumeId": volume}});
        let path = format!("/compute/v2.1/servers/{server}/os-volume_attachments");
        member.post(&path, attach).await.expect(200);
        world.node.boot_finishes(&server).await;
        if n > 0 {
            world.node.fails(&server, "it does").await;
        }
        let domain = json!({"domain": {"name": format!("more-{n}")}});
        let domain = post(admin, "/identity/v3/domains", domain).await;
        let (user, role) = (
            world.cloud.user_id(Person::Admin),
            world.cloud.role_id("admin"),
        );
        let path = format!("/identity/v3/domains/{domain}/users/{user}/roles/{role}");
        admin.put(&path, json!({})).await.expect(204);
        let quota = json!({"quota": {"port": 400 + n}});
        let project = json!({"project": {"name": format!("more-{n}")}});
        let project = post(admin, "/identity/v3/projects", project).await;
        let path = format!("{net}/quotas/{project}");
        admin.put(&path, quota).await.expect(200);
    }
    world.cloud.node("n2").await;
    // A project's default group is made when it is first looked for.
    admin
        .get(&format!("{net}/security-groups"))
        .await
        .expect(200);
}

/// How many statements an answer took, and whether it is a list.
async fn cost(world: &World, client: &Client, route: &Route, path: &str) -> Option<u64> {
    let request = client.request(Method::GET, path);
    let request = match route.dialect {
        Dialect::Compute => request.header("openstack-api-version", "compute latest"),
        _ => request,
    };
    let store = world.cloud.cloud.store();
    let before = store.looks();
    let answer = request.send().await;
    let took = store.looks() - before;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let list = |key: &Value| key.as_array().is_some_and(|l| !l.is_empty());
    let lists = body.as_object().is_some_and(|o| o.values().any(list));
    (answer.status == 200 && lists).then_some(took)
}

#[tokio::test]
async fn no_list_takes_more_statements_than_two() {
    let world = World::new().await;
    fill_up(&world).await;
    let (mut seen, mut dear) = (0, Vec::new());
    for route in Routes::new()
        .all()
        .iter()
        .filter(|r| r.method == Method::GET)
    {
        let path = fill(route, |segment| {
            let found = world.ids.get(segment).cloned();
            found.unwrap_or_else(|| "router".to_owned())
        });
        // Of a thing that a path names it is looked first whether the caller may see it.
        let most = MOST + u64::from(has_id(route));
        for (client, path) in [
            (&world.member, path.clone()),
            (&world.admin, format!("{path}?all_tenants=1&all_projects=1")),
        ] {
            // What a token says is remembered after its first use.
            client.get("/compute/v2.1").await.expect(200);
            if let Some(took) = cost(&world, client, route, &path).await {
                seen += 1;
                if took > most {
                    dear.push(format!("{took} statements for {path}"));
                }
            }
        }
    }
    assert!(dear.is_empty(), "{}", dear.join("\n"));
    assert!(seen > 60, "only {seen} lists were looked at");
}
