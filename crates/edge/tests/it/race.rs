//! Many clients at once: nothing is given twice, and nothing breaks.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Client, TestCloud};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::world::network;

const CLIENTS: usize = 16;

/// Runs the same work on connections of their own, beginning together; what each got.
async fn together<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    clients: Vec<Client>,
    work: impl Fn(usize, Client) -> F,
) -> Vec<T> {
    let start = Arc::new(Barrier::new(clients.len()));
    let mut running = JoinSet::new();
    for (n, client) in clients.into_iter().enumerate() {
        let (start, work) = (start.clone(), work(n, client));
        running.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    running.join_all().await
}

async fn clients(cloud: &TestCloud) -> Vec<Client> {
    let mut all = Vec::new();
    for _ in 0..CLIENTS {
        all.push(cloud.member().await);
    }
    all
}

fn all_different(what: &str, values: Vec<String>) {
    let unique: BTreeSet<&String> = values.iter().collect();
    assert_eq!(unique.len(), values.len(), "{what} given twice: {values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_servers_of_many_clients_share_nothing() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    // 252 addresses for 128 ports, and one for the resolver's: random draws meet often.
    let (net, _) = network(&member, "net", "2001:db8:1::/120").await;
    let answers = together(clients(&cloud).await, |n, client| {
        let (net, image) = (net.clone(), image.clone());
        async move {
            let mut statuses = Vec::new();
            for _ in 0..4 {
                let body = json!({"port": {"network_id": net}});
                statuses.push(client.post("/network/v2.0/ports", body).await);
                let body = json!({"server": {
                    "name": format!("s-{n}"), "imageRef": image, "flavorRef": "42",
                    "networks": [{"uuid": net}],
                }});
                statuses.push(client.post("/compute/v2.1/servers", body).await);
            }
            statuses
        }
    })
    .await;
    for answer in answers.into_iter().flatten() {
        assert!([201, 202].contains(&answer.status.as_u16()), "{answer:?}");
    }
    let list = member.get("/network/v2.0/ports").await.expect(200);
    let ports = list["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 129);
    let field = |name: &str| {
        ports
            .iter()
            .map(|p| p[name].to_string())
            .collect::<Vec<_>>()
    };
    all_different("MACs", field("mac_address"));
    let ip = |p: &Value| p["fixed_ips"][0]["ip_address"].to_string();
    all_different("addresses", ports.iter().map(ip).collect());
    node.catch_up().await;
    let servers = node
        .picture()
        .documents
        .keys()
        .filter(|k| matches!(k, model::Key::Server(_)))
        .count();
    assert_eq!(servers, 64);
    let groups = member
        .get("/network/v2.0/security-groups?name=default")
        .await
        .expect(200);
    assert_eq!(groups["security_groups"].as_array().unwrap().len(), 1);
}

/// Of those who want the same thing, one gets it.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_a_name_or_address() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (net, subnet) = network(&member, "net", "2001:db8:1::/64").await;
    let mut routers = Vec::new();
    for _ in 0..CLIENTS {
        let made = member
            .post("/network/v2.0/routers", json!({"router": {}}))
            .await;
        routers.push(crate::world::id(&made.expect(201)));
    }
    let neutron = "/network/v2.0";
    let image = crate::world::SOMEONE;
    let wishes = [
        (
            "POST",
            format!("{neutron}/ports"),
            json!({"port": {"network_id": net, "fixed_ips": [{"ip_address": "2001:db8:1::77"}]}}),
        ),
        (
            "POST",
            format!("{neutron}/ports"),
            json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:01"}}),
        ),
        (
            "POST",
            "/compute/v2.1/os-keypairs".into(),
            json!({"keypair": {"name": "k", "public_key": crate::world::KEY}}),
        ),
        ("POST", "/image/v2/images".into(), json!({"id": image})),
        (
            "PUT",
            format!("{neutron}/routers/ROUTER/add_router_interface"),
            json!({"subnet_id": subnet}),
        ),
        ("DELETE", format!("/image/v2/images/{image}"), Value::Null),
    ];
    for (method, path, body) in wishes {
        let before = cloud.dump();
        let answers = together(clients(&cloud).await, |n, client| {
            let path = path.replace("ROUTER", &routers[n]);
            let body = body.clone();
            async move {
                let request = client.request(method.parse().unwrap(), &path);
                request.json(&body).send().await.status.as_u16()
            }
        })
        .await;
        let won = answers.iter().filter(|s| (200..300).contains(*s)).count();
        let lost = answers.iter().filter(|s| [409, 404].contains(*s)).count();
        assert_eq!(
            (won, lost),
            (1, CLIENTS - 1),
            "{method} {path}: {answers:?}"
        );
        let rows = |d: &testkit::Dump| d.0.values().map(Vec::len).sum::<usize>();
        assert_ne!(rows(&before), rows(&cloud.dump()));
    }
}

/// The last address of a subnet, and the one floating IP of an address.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_the_last_address() {
    let s = crate::floating_ip::scene().await;
    let (net, ext) = (s.net.clone(), s.ext.clone());
    let body = json!({"port": {"network_id": net}});
    let made = s.member.post("/network/v2.0/ports", body).await;
    let port = crate::world::id(&made.expect(201));
    let body = json!({"network": {"name": "small"}});
    let small = s.member.post("/network/v2.0/networks", body).await;
    let small = crate::world::id(&small.expect(201));
    // Without DHCP none is a resolver's.
    let one_left = json!({"cidr": "198.51.100.0/30", "enable_dhcp": false});
    crate::world::subnet(&s.member, &small, one_left).await;
    let floating = "/network/v2.0/floatingips";
    for (path, body) in [
        (
            "/network/v2.0/ports",
            json!({"port": {"network_id": small}}),
        ),
        (
            floating,
            json!({"floatingip": {"floating_network_id": ext, "port_id": port}}),
        ),
    ] {
        let answers = together(clients(&s.cloud).await, |_, client| {
            let body = body.clone();
            async move { client.post(path, body).await.status.as_u16() }
        })
        .await;
        let won = answers.iter().filter(|s| **s == 201).count();
        let lost = answers.iter().filter(|s| **s == 409).count();
        assert_eq!((won, lost), (1, CLIENTS - 1), "{path}: {answers:?}");
    }
    let held = s.member.get(floating).await.expect(200);
    assert_eq!(held["floatingips"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_projects_and_users_are_given_once() {
    let cloud = TestCloud::start().await;
    let mut admins = Vec::new();
    for _ in 0..CLIENTS {
        admins.push(cloud.admin().await);
    }
    for (path, body) in [
        ("/identity/v3/projects", json!({"project": {"name": "p"}})),
        ("/identity/v3/users", json!({"user": {"name": "u"}})),
        ("/identity/v3/roles", json!({"role": {"name": "r"}})),
        (
            "/compute/v2.1/flavors",
            json!({"flavor": {"name": "f", "ram": 1, "vcpus": 1, "disk": 1}}),
        ),
    ] {
        let answers = together(admins.clone(), |_, client| {
            let body = body.clone();
            async move { client.post(path, body).await.status.as_u16() }
        })
        .await;
        let won = answers.iter().filter(|s| [200, 201].contains(*s)).count();
        let lost = answers.iter().filter(|s| **s == 409).count();
        assert_eq!((won, lost), (1, CLIENTS - 1), "{path}: {answers:?}");
    }
}

/// A default group that sixteen look for at once is made once.
#[tokio::test(flavor = "multi_thread")]
async fn the_default_group_is_made_once() {
    let cloud = TestCloud::start().await;
    let lists = together(clients(&cloud).await, |_, client| async move {
        client
            .get("/network/v2.0/security-groups")
            .await
            .expect(200)
    })
    .await;
    let ids: BTreeSet<String> = lists
        .iter()
        .map(|l| l["security_groups"][0]["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 1);
}

/// One server, many who start, stop and delete it: each answer is one that a client understands.
#[tokio::test(flavor = "multi_thread")]
async fn one_server_that_all_act_on_ends_in_one_state() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let id = crate::world::server(&member, &image, &net).await;
    node.boot_finishes(&id).await;
    let answers = together(clients(&cloud).await, |n, client| {
        let path = format!("/compute/v2.1/servers/{id}");
        async move {
            match n % 4 {
                0 => client.delete(&path).await.status.as_u16(),
                1 => client
                    .post(&format!("{path}/action"), json!({"os-stop": null}))
                    .await
                    .status
                    .as_u16(),
                2 => client
                    .post(
                        &format!("{path}/action"),
                        json!({"reboot": {"type": "HARD"}}),
                    )
                    .await
                    .status
                    .as_u16(),
                _ => client.get(&path).await.status.as_u16(),
            }
        }
    })
    .await;
    let known = answers.iter().all(|s| [200, 202, 204, 409].contains(s));
    assert!(known, "{answers:?}");
    assert!(node.wanted_server(&id).await.is_none());
    node.guest_gone(&id).await;
    assert_eq!(
        member
            .get(&format!("/compute/v2.1/servers/{id}"))
            .await
            .status,
        404
    );
    assert_eq!(cloud.dump().count("server"), 0);
    assert_eq!(cloud.dump().count("port"), 1, "the resolver's");
}

async fn volume(client: &Client, node: &testkit::FakeNode) -> String {
    let body = json!({"volume": {"size": 1}});
    let made = client.post("/volume/v3/volumes", body).await.expect(202);
    let id = crate::world::id(&made);
    node.volume_ready(&id).await;
    id
}

async fn attach(client: &Client, server: &str, volume: &str) -> testkit::Answer {
    let path = format!("/compute/v2.1/servers/{server}/os-volume_attachments");
    let body = json!({"volumeAttachment": {"volumeId": volume}});
    client.post(&path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_goes_to_one_server() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        let id = crate::world::server(&member, &image, &net).await;
        node.boot_finishes(&id).await;
        servers.push(id);
    }
    let one = volume(&member, &node).await;
    let answers = together(clients(&cloud).await, |n, client| {
        let (server, volume) = (servers[n % 2].clone(), one.clone());
        async move { attach(&client, &server, &volume).await.status.as_u16() }
    })
    .await;
    let won = answers.iter().filter(|status| **status == 200).count();
    assert_eq!(won, 1, "{answers:?}");
    assert!(
        answers.iter().all(|s| [200, 400].contains(s)),
        "{answers:?}"
    );
    assert_eq!(node.wanted_volume(&one).await.unwrap().chaps.len(), 1);
    let mut wanted = 0;
    for server in &servers {
        let server = node.wanted_server(server).await.unwrap();
        wanted += server.attachments.len();
    }
    assert_eq!(wanted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_one_server_have_letters_of_their_own() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = crate::world::server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let mut volumes = Vec::new();
    for _ in 0..CLIENTS {
        volumes.push(volume(&member, &node).await);
    }
    let answers = together(clients(&cloud).await, |n, client| {
        let (server, volume) = (server.clone(), volumes[n].clone());
        async move { attach(&client, &server, &volume).await.expect(200) }
    })
    .await;
    let device = |a: &Value| a["volumeAttachment"]["device"].to_string();
    all_different("devices", answers.iter().map(device).collect());
    let wanted = node.wanted_server(&server).await.unwrap().attachments;
    assert_eq!(wanted.len(), CLIENTS);
    let users = wanted.iter().map(|a| a.chap.user.clone()).collect();
    all_different("CHAP names", users);
}

/// One who deletes a volume and one who attaches it: one of them is told no.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_attached_or_deleted() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "i").await;
    let (net, _) = network(&member, "net", "2001:db8:1::/64").await;
    let server = crate::world::server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let mut volumes = Vec::new();
    for _ in 0..CLIENTS / 2 {
        volumes.push(volume(&member, &node).await);
    }
    let answers = together(clients(&cloud).await, |n, client| {
        let (server, volume) = (server.clone(), volumes[n / 2].clone());
        async move {
            let status = match n % 2 {
                0 => attach(&client, &server, &volume).await.status,
                _ => {
                    client
                        .delete(&format!("/volume/v3/volumes/{volume}"))
                        .await
                        .status
                }
            };
            (volume, status.as_u16())
        }
    })
    .await;
    for volume in volumes {
        let mut told: Vec<u16> = answers
            .iter()
            .filter(|(id, _)| *id == volume)
            .map(|(_, status)| *status)
            .collect();
        told.sort_unstable();
        let attached = node.wanted_volume(&volume).await.is_some();
        let expected = if attached { [200, 400] } else { [202, 400] };
        assert_eq!(told, expected, "{volume} attached: {attached}");
    }
}
