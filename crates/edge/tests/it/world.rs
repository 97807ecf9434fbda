//! One of each thing, in project `alpha`, and the requests that reach for them.

use std::collections::BTreeMap;

use api::{Dialect, Route};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud};

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";
pub(crate) const SOMEONE: &str = "6a5b1f9e-0f7c-4b0e-9b1c-0a4d2f7e9c11";

/// A cloud with one of each thing.
pub(crate) struct World {
    pub(crate) cloud: TestCloud,
    /// The server's host.
    pub(crate) node: FakeNode,
    pub(crate) admin: Client,
    pub(crate) member: Client,
    pub(crate) stranger: Client,
    /// An external network, which everybody sees, and its subnet.
    pub(crate) external: (String, String),
    /// By the segment that stands before the id in a path.
    pub(crate) ids: BTreeMap<&'static str, String>,
}

/// What a request made, under its only key.
pub(crate) fn id(made: &Value) -> String {
    let (_, thing) = made.as_object().unwrap().iter().next().unwrap();
    thing["id"].as_str().unwrap().to_owned()
}

/// A network with a subnet, both of a client's project.
pub(crate) async fn network(client: &Client, name: &str, cidr: &str) -> (String, String) {
    let made = client
        .post("/network/v2.0/networks", json!({"network": {"name": name}}))
        .await
        .expect(201);
    let network = id(&made);
    let subnet = subnet(client, &network, json!({"cidr": cidr})).await;
    (network, subnet)
}

/// A subnet on a network; `more` holds its cidr.
pub(crate) async fn subnet(client: &Client, network: &str, more: Value) -> String {
    let mut body = more;
    body["network_id"] = json!(network);
    let made = client
        .post("/network/v2.0/subnets", json!({"subnet": body}))
        .await;
    id(&made.expect(201))
}

/// A server on a network.
pub(crate) async fn server(client: &Client, image: &str, network: &str) -> String {
    let body = json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}],
    }});
    id(&client.post("/compute/v2.1/servers", body).await.expect(202))
}

/// What a server is now.
pub(crate) async fn server_now(client: &Client, id: &str) -> Value {
    let answer = client.get(&format!("/compute/v2.1/servers/{id}")).await;
    answer.expect(200)["server"].clone()
}

/// Status and task state of a server.
pub(crate) async fn status(client: &Client, id: &str) -> String {
    let server = server_now(client, id).await;
    let status = server["status"].as_str().unwrap();
    match server["OS-EXT-STS:task_state"].as_str() {
        Some(task) => format!("{status} {task}"),
        None => status.to_owned(),
    }
}

/// Does something to a server; the answer's status.
pub(crate) async fn act(client: &Client, id: &str, action: Value) -> u16 {
    let path = format!("/compute/v2.1/servers/{id}/action");
    client.post(&path, action).await.status.as_u16()
}

impl World {
    pub(crate) async fn new() -> World {
        let cloud = TestCloud::start().await;
        let node = cloud.node("n1").await;
        let (admin, member) = (cloud.admin().await, cloud.member().await);
        let stranger = cloud.stranger().await;
        let image = cloud.image(&member, "private").await;
        let (network, subnet) = network(&member, "net", "2001:db8:a::/64").await;
        let post = async |client: &Client, path: &str, body: Value| {
            let answer = client.post(path, body).await;
            assert!(answer.status.is_success(), "{answer:?}");
            id(&answer.json())
        };
        let net = "/network/v2.0";
        let port = post(
            &member,
            &format!("{net}/ports"),
            json!({"port": {"network_id": network}}),
        )
        .await;
        let router = post(&member, &format!("{net}/routers"), json!({"router": {}})).await;
        let leg = format!("{net}/routers/{router}/add_router_interface");
        member
            .put(&leg, json!({"subnet_id": subnet}))
            .await
            .expect(200);
        let group = post(
            &member,
            &format!("{net}/security-groups"),
            json!({"security_group": {"name": "web"}}),
        )
        .await;
        let rule = post(
            &member,
            &format!("{net}/security-group-rules"),
            json!({"security_group_rule": {
                "security_group_id": group, "direction": "ingress", "protocol": "tcp",
                "port_range_min": 80, "port_range_max": 80,
            }}),
        )
        .await;
        let keypair = json!({"keypair": {"name": "key", "public_key": KEY}});
        member
            .post("/compute/v2.1/os-keypairs", keypair)
            .await
            .expect(200);
        let server = server(&member, &image, &network).await;
        node.boot_finishes(&server).await;
        let on_server = format!("/compute/v2.1/servers/{server}");
        let body = json!({"metadata": {"colour": "blue"}});
        let path = format!("{on_server}/metadata");
        member.post(&path, body).await.expect(200);
        let tag = member.request(http::Method::PUT, &format!("{on_server}/tags/blue"));
        let tagged = tag.header("openstack-api-version", "compute 2.26");
        assert_eq!(tagged.send().await.status, 201);
        let list = member.get(&format!("{on_server}/os-interface")).await;
        let interface = list.expect(200)["interfaceAttachments"][0]["port_id"].clone();
        let interface = interface.as_str().unwrap().to_owned();
        let body = json!({"server_group": {"name": "g", "policies": ["affinity"]}});
        let servers = post(&member, "/compute/v2.1/os-server-groups", body).await;
        let volume = json!({"volume": {"size": 1, "metadata": {"colour": "blue"}}});
        let volume = post(&member, "/volume/v3/volumes", volume).await;
        node.volume_ready(&volume).await;
        let held = post(
            &member,
            "/volume/v3/volumes",
            json!({"volume": {"size": 1}}),
        )
        .await;
        node.volume_ready(&held).await;
        let at_server = format!("/compute/v2.1/servers/{server}");
        let attach = json!({"volumeAttachment": {"volumeId": held}});
        member
            .post(&format!("{at_server}/os-volume_attachments"), attach)
            .await
            .expect(200);
        node.boot_finishes(&server).await;
        let asked = member
            .get(&format!("{at_server}/os-instance-actions"))
            .await
            .expect(200);
        let asked = asked["instanceActions"][0]["request_id"].as_str().unwrap();
        let keystone = "/identity/v3";
        let domain = post(
            &admin,
            &format!("{keystone}/domains"),
            json!({"domain": {"name": "other"}}),
        )
        .await;
        let role = post(
            &admin,
            &format!("{keystone}/roles"),
            json!({"role": {"name": "painter"}}),
        )
        .await;
        let flavor = json!({"flavor": {
            "name": "secret", "id": "secret", "ram": 64, "vcpus": 1, "disk": 0,
            "os-flavor-access:is_public": false,
        }});
        let flavor = post(&admin, "/compute/v2.1/flavors", flavor).await;
        let specs = json!({"extra_specs": {"spec": "1"}});
        let specs_path = format!("/compute/v2.1/flavors/{flavor}/os-extra_specs");
        admin.post(&specs_path, specs).await.expect(200);
        let tag = format!("/image/v2/images/{image}/tags/blue");
        let tagged = member.request(http::Method::PUT, &tag).send().await;
        assert_eq!(tagged.status, 204);
        let external = json!({"network": {"router:external": true}});
        let external = post(&admin, &format!("{net}/networks"), external).await;
        let outside = json!({"cidr": "203.0.113.0/24"});
        let outside = self::subnet(&admin, &external, outside).await;
        let floating = json!({"floatingip": {"floating_network_id": external}});
        let floating = post(&member, &format!("{net}/floatingips"), floating).await;
        let (behind, inside) = self::network(&member, "behind", "192.0.2.0/24").await;
        let gateway = json!({"router": {"external_gateway_info": {"network_id": external}}});
        let gateway = post(&member, &format!("{net}/routers"), gateway).await;
        let leg = format!("{net}/routers/{gateway}/add_router_interface");
        let body = json!({"subnet_id": inside});
        member.put(&leg, body).await.expect(200);
        let forwarded = json!({"port": {"network_id": behind}});
        let forwarded = post(&member, &format!("{net}/ports"), forwarded).await;
        let forwarding = json!({"port_forwarding": {
            "internal_port_id": forwarded, "internal_port": 22, "external_port": 2022,
            "protocol": "tcp",
        }});
        let path = format!("{net}/floatingips/{floating}/port_forwardings");
        let forwarding = post(&member, &path, forwarding).await;
        let pool = json!({"subnetpool": {"name": "pool", "prefixes": ["2001:db8:f00::/40"]}});
        let pool = post(&member, &format!("{net}/subnetpools"), pool).await;
        let addresses = json!({"address_group": {"addresses": ["2001:db8:7::/48"]}});
        let addresses = post(&member, &format!("{net}/address-groups"), addresses).await;
        let scope = json!({"address_scope": {"name": "scope", "ip_version": 6}});
        let scope = post(&member, &format!("{net}/address-scopes"), scope).await;
        let policy = json!({"rbac_policy": {
            "object_type": "network", "object_id": network, "action": "access_as_shared",
            "target_tenant": "nobody",
        }});
        let policy = post(&member, &format!("{net}/rbac-policies"), policy).await;
        let mut carried = Vec::new();
        for _ in 0..3 {
            let body = json!({"port": {"network_id": behind}});
            carried.push(post(&member, &format!("{net}/ports"), body).await);
        }
        let trunk = json!({"trunk": {"port_id": carried[0], "sub_ports": [
            {"port_id": carried[1], "segmentation_type": "vlan", "segmentation_id": 100},
        ]}});
        let trunk = post(&member, &format!("{net}/trunks"), trunk).await;
        let qos = json!({"policy": {"name": "slow", "project_id": cloud.project_id(testkit::Person::Member)}});
        let qos = post(&admin, &format!("{net}/qos/policies"), qos).await;
        let limit = json!({"bandwidth_limit_rule": {"max_kbps": 1000}});
        let path = format!("{net}/qos/policies/{qos}/bandwidth_limit_rules");
        let limit = post(&admin, &path, limit).await;
        let mark = json!({"dscp_marking_rule": {"dscp_mark": 26}});
        let path = format!("{net}/qos/policies/{qos}/dscp_marking_rules");
        let mark = post(&admin, &path, mark).await;
        let tags = format!("{net}/policies/{qos}/tags");
        let body = json!({"tags": ["blue"]});
        admin.put(&tags, body).await.expect(200);
        for (kind, id) in [
            ("trunks", &trunk),
            ("subnetpools", &pool),
            ("networks", &network),
            ("subnets", &subnet),
            ("ports", &port),
            ("routers", &router),
            ("security-groups", &group),
            ("floatingips", &floating),
        ] {
            let tags = format!("{net}/{kind}/{id}/tags");
            let body = json!({"tags": ["blue"]});
            member.put(&tags, body).await.expect(200);
        }
        // The stranger's own default group is there, so that looking does not make it.
        stranger
            .get(&format!("{net}/security-groups"))
            .await
            .expect(200);
        let (user, project) = (
            cloud.user_id(testkit::Person::Member),
            cloud.project_id(testkit::Person::Member),
        );
        let ids = BTreeMap::from([
            ("images", image),
            ("networks", network.clone()),
            ("network-ip-availabilities", network.clone()),
            ("os-networks", network.clone()),
            ("os-tenant-networks", network),
            ("os-security-groups", group.clone()),
            ("os-security-group-rules", rule.clone()),
            ("subnets", subnet),
            ("ports", port),
            ("routers", router),
            ("floatingips", floating),
            ("forwarded port", forwarded),
            ("trunks", trunk),
            ("carried port", carried[1].clone()),
            ("free port", carried[2].clone()),
            ("port_forwardings", forwarding),
            ("subnetpools", pool),
            ("rbac-policies", policy),
            ("address-scopes", scope),
            ("address-groups", addresses),
            ("policies", qos),
            ("bandwidth_limit_rules", limit.clone()),
            ("alias-bandwidth-limit-rules", limit),
            ("dscp_marking_rules", mark.clone()),
            ("alias-dscp-marking-rules", mark),
            ("rule-types", "dscp_marking".to_owned()),
            ("agents", node.id().to_string()),
            ("security-groups", group),
            ("security-group-rules", rule),
            ("os-keypairs", "key".to_owned()),
            ("servers", server),
            ("os-interface", interface),
            ("os-server-groups", servers),
            ("volumes", volume),
            ("metadata", "colour".to_owned()),
            ("os-volume_attachments", held),
            ("os-instance-actions", asked.to_owned()),
            ("domains", domain),
            ("roles", role),
            ("flavors", flavor),
            ("os-extra_specs", "spec".to_owned()),
            ("tags", "blue".to_owned()),
            ("users", user),
            ("quotas", project.clone()),
            ("os-quota-sets", project.clone()),
            ("auto-allocated-topology", project.clone()),
            ("projects", project),
        ]);
        World {
            cloud,
            node,
            admin,
            member,
            stranger,
            external: (external, outside),
            ids,
        }
    }

    /// The id of the thing that stands behind a segment.
    pub(crate) fn id(&self, segment: &str) -> &str {
        &self.ids[segment]
    }
}

/// A route's path with its names filled in, by the segment before each.
pub(crate) fn fill(route: &Route, mut pick: impl FnMut(&str) -> String) -> String {
    let mut before = "";
    let mut path = route.dialect.prefix().to_owned();
    for segment in route.path.split('/').skip(1) {
        path.push('/');
        match segment.starts_with('{') {
            true => path.push_str(&pick(before)),
            false => path.push_str(segment),
        }
        before = segment;
    }
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

/// Whether a route's path holds an id.
pub(crate) fn has_id(route: &Route) -> bool {
    route.path.contains('{')
}

/// The route as a table writes it.
pub(crate) fn line(route: &Route) -> String {
    format!("{} {}{}", route.method, route.dialect.prefix(), route.path)
}

/// Asks a route, with a body that is right for it.
pub(crate) async fn ask(
    client: &Client,
    route: &Route,
    path: &str,
    world: &World,
) -> testkit::Answer {
    let request = client.request(route.method.clone(), path);
    // Routes of later microversions are asked too.
    let request = match route.dialect {
        Dialect::Compute => request.header("openstack-api-version", "compute latest"),
        _ => request,
    };
    let request = match (route.dialect, body_for(route, world)) {
        (Dialect::Image, _) if route.path.ends_with("/file") => request
            .header("content-type", "application/octet-stream")
            .body("data"),
        (Dialect::Image, Some(body)) if route.method == http::Method::PATCH => request
            .header(
                "content-type",
                "application/openstack-images-v2.1-json-patch",
            )
            .body(body.to_string()),
        (_, Some(body)) => request.json(&body),
        (_, None) => request,
    };
    request.send().await
}

/// A body that changes something when the caller may.
pub(crate) fn body_for(route: &Route, world: &World) -> Option<Value> {
    let line = line(route);
    let body = match line.split_once(' ')? {
        ("PATCH", "/identity/v3/domains/{id}") => json!({"domain": {"description": "x"}}),
        ("PATCH", "/identity/v3/projects/{id}") => json!({"project": {"description": "x"}}),
        ("PATCH", "/identity/v3/users/{id}") => json!({"user": {"description": "x"}}),
        ("PATCH", "/identity/v3/roles/{id}") => json!({"role": {"description": "x"}}),
        ("POST", "/identity/v3/users/{id}/password") => {
            json!({"user": {"original_password": "no", "password": "new"}})
        }
        ("PATCH", "/image/v2/images/{id}") => {
            json!([{"op": "replace", "path": "/name", "value": "x"}])
        }
        ("POST", "/compute/v2.1/flavors/{id}/os-extra_specs") => json!({"extra_specs": {"a": "b"}}),
        ("PUT", "/compute/v2.1/servers/{id}") => json!({"server": {"name": "x"}}),
        ("POST" | "PUT", "/compute/v2.1/servers/{id}/metadata") => json!({"metadata": {"a": "b"}}),
        ("PUT", "/compute/v2.1/servers/{id}/metadata/{key}") => json!({"meta": {"colour": "red"}}),
        ("PUT", "/compute/v2.1/servers/{id}/tags") => json!({"tags": ["a"]}),
        ("POST", "/compute/v2.1/servers/{id}/remote-consoles") => {
            json!({"remote_console": {"protocol": "vnc", "type": "novnc"}})
        }
        ("POST", "/compute/v2.1/servers/{id}/os-interface") => {
            json!({"interfaceAttachment": {"net_id": world.id("networks")}})
        }
        ("POST", "/compute/v2.1/servers/{id}/action") => json!({"os-stop": null}),
        (_, "/compute/v2.1/servers/{id}/os-volume_attachments") => {
            json!({"volumeAttachment": {"volumeId": world.id("volumes")}})
        }
        ("PUT", "/volume/v3/volumes/{id}") => json!({"volume": {"name": "x"}}),
        ("POST", "/volume/v3/volumes/{id}/action") => json!({"os-extend": {"new_size": 2}}),
        ("POST" | "PUT", "/volume/v3/volumes/{id}/metadata") => json!({"metadata": {"a": "b"}}),
        ("PUT", "/volume/v3/volumes/{id}/metadata/{key}") => json!({"meta": {"colour": "red"}}),
        ("PUT", "/compute/v2.1/os-security-groups/{id}") => {
            json!({"security_group": {"name": "x"}})
        }
        ("PUT", "/compute/v2.1/os-quota-sets/{project}") => json!({"quota_set": {"cores": 1}}),
        ("PUT", "/compute/v2.1/os-quota-class-sets/{class}") => {
            json!({"quota_class_set": {"cores": 1}})
        }
        ("PUT", "/volume/v3/os-quota-sets/{project}") => json!({"quota_set": {"volumes": 1}}),
        ("PUT", "/volume/v3/os-quota-class-sets/{class}") => {
            json!({"quota_class_set": {"volumes": 1}})
        }
        ("PUT", "/network/v2.0/quotas/{project}") => json!({"quota": {"port": 1}}),
        ("PUT", "/network/v2.0/networks/{id}") => json!({"network": {"name": "x"}}),
        ("PUT", "/network/v2.0/subnets/{id}") => json!({"subnet": {"name": "x"}}),
        ("PUT", "/network/v2.0/ports/{id}") => json!({"port": {"name": "x"}}),
        ("PUT", "/network/v2.0/routers/{id}") => json!({"router": {"name": "x"}}),
        ("PUT", "/network/v2.0/routers/{id}/add_router_interface")
        | ("PUT", "/network/v2.0/routers/{id}/remove_router_interface") => {
            json!({"subnet_id": world.id("subnets")})
        }
        ("PUT", "/network/v2.0/address-scopes/{id}") => json!({"address_scope": {"name": "x"}}),
        ("PUT", "/network/v2.0/rbac-policies/{id}") => {
            json!({"rbac_policy": {"target_tenant": "x"}})
        }
        ("PUT", "/network/v2.0/trunks/{id}") => json!({"trunk": {"name": "x"}}),
        ("PUT", "/network/v2.0/trunks/{id}/add_subports") => json!({"sub_ports": [{
            "port_id": world.id("free port"), "segmentation_type": "vlan", "segmentation_id": 200,
        }]}),
        ("PUT", "/network/v2.0/trunks/{id}/remove_subports") => {
            json!({"sub_ports": [{"port_id": world.id("carried port")}]})
        }
        ("PUT", "/network/v2.0/subnetpools/{id}") => json!({"subnetpool": {"name": "x"}}),
        ("PUT", "/network/v2.0/routers/{id}/add_extraroutes")
        | ("PUT", "/network/v2.0/routers/{id}/remove_extraroutes") => {
            json!({"router": {"routes": []}})
        }
        ("PUT", "/network/v2.0/address-groups/{id}") => json!({"address_group": {"name": "x"}}),
        ("PUT", "/network/v2.0/address-groups/{id}/add_addresses") => {
            json!({"addresses": ["2001:db8:8::/48"]})
        }
        ("PUT", "/network/v2.0/address-groups/{id}/remove_addresses") => {
            json!({"addresses": ["2001:db8:7::/48"]})
        }
        ("POST", "/network/v2.0/floatingips/{id}/port_forwardings") => {
            json!({"port_forwarding": {
                "internal_port_id": world.id("forwarded port"), "internal_port": 80,
                "external_port": 80, "protocol": "tcp",
            }})
        }
        ("PUT", "/network/v2.0/floatingips/{id}/port_forwardings/{forwarding}") => {
            json!({"port_forwarding": {"internal_port": 23}})
        }
        ("PUT", "/network/v2.0/floatingips/{id}") => json!({"floatingip": {"description": "x"}}),
        ("PUT", "/network/v2.0/qos/policies/{id}") => json!({"policy": {"name": "x"}}),
        (_, "/network/v2.0/qos/policies/{id}/bandwidth_limit_rules") => {
            json!({"bandwidth_limit_rule": {"max_kbps": 1, "direction": "ingress"}})
        }
        (_, "/network/v2.0/qos/policies/{id}/dscp_marking_rules") => {
            json!({"dscp_marking_rule": {"dscp_mark": 8}})
        }
        ("PUT", "/network/v2.0/qos/policies/{id}/bandwidth_limit_rules/{rule}") => {
            json!({"bandwidth_limit_rule": {"max_kbps": 2}})
        }
        ("PUT", "/network/v2.0/qos/policies/{id}/dscp_marking_rules/{rule}") => {
            json!({"dscp_marking_rule": {"dscp_mark": 8}})
        }
        ("PUT", "/network/v2.0/qos/alias-bandwidth-limit-rules/{rule}") => {
            json!({"alias_bandwidth_limit_rule": {"max_kbps": 2}})
        }
        ("PUT", "/network/v2.0/qos/alias-dscp-marking-rules/{rule}") => {
            json!({"alias_dscp_marking_rule": {"dscp_mark": 8}})
        }
        ("PUT", path) if path.ends_with("/{id}/tags") => json!({"tags": ["x"]}),
        ("PUT", "/network/v2.0/security-groups/{id}") => json!({"security_group": {"name": "x"}}),
        _ => return None,
    };
    Some(body)
}
