//! Golden API JSON: what is asked and answered for each kind of thing. `UPDATE_GOLDEN=1` writes
//! the files anew; a review reads what changed in them.

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Person, TestCloud, Transcript};

use crate::world::{KEY, id, network, subnet};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

struct Scene {
    cloud: TestCloud,
    talk: Transcript,
}

async fn scene(person: Person) -> Scene {
    let cloud = TestCloud::start().await;
    let talk = Transcript::new(cloud.client(person).await, &cloud.url);
    Scene { cloud, talk }
}

impl Scene {
    /// Creates, shows, lists, and shows the list's other faces.
    async fn life(&mut self, path: &str, body: Value, more: &[&str]) -> String {
        let made = self.talk.say("POST", path, Some(body)).await;
        let id = match made.get("id") {
            Some(id) => id.as_str().unwrap().to_owned(),
            None => id(&made),
        };
        self.talk.say("GET", &format!("{path}/{id}"), None).await;
        self.talk.say("GET", path, None).await;
        for end in more {
            self.talk
                .say("GET", &format!("{path}{}", end.replace("ID", &id)), None)
                .await;
        }
        id
    }

    fn done(self, name: &str) {
        self.talk.check(DIRECTORY, name);
    }

    async fn member(&self) -> Client {
        self.cloud.member().await
    }
}

#[tokio::test]
async fn versions() {
    let mut s = scene(Person::Member).await;
    for path in [
        "/",
        "/identity",
        "/identity/v3",
        "/image",
        "/compute",
        "/compute/v2.1",
        "/network",
        "/network/v2.0",
        "/volume",
        "/volume/v3",
    ] {
        s.talk.say("GET", path, None).await;
    }
    s.done("version");
}

#[tokio::test]
async fn tokens() {
    let mut s = scene(Person::Admin).await;
    let nobody = s.cloud.client_with(None).await;
    s.talk.client(nobody);
    let auth = |scope: Value| {
        json!({"auth": {"scope": scope, "identity": {"methods": ["password"], "password": {"user": {
            "name": "member", "domain": {"name": "Default"}, "password": testkit::PASSWORD,
        }}}}})
    };
    let path = "/identity/v3/auth/tokens";
    let project = json!({"project": {"name": "alpha", "domain": {"name": "Default"}}});
    s.talk.say("POST", path, Some(auth(project))).await;
    s.talk
        .say("POST", path, Some(auth(json!("unscoped"))))
        .await;
    s.talk
        .say("POST", path, Some(auth(json!({"system": {"all": true}}))))
        .await;
    s.done("token");
}

#[tokio::test]
async fn domains() {
    let mut s = scene(Person::Admin).await;
    let body = json!({"domain": {"name": "research", "description": "labs"}});
    s.life("/identity/v3/domains", body, &["?name=research"])
        .await;
    s.done("domain");
}

#[tokio::test]
async fn projects() {
    let mut s = scene(Person::Admin).await;
    let body = json!({"project": {"name": "web", "description": "sites", "tags": ["prod"]}});
    s.life("/identity/v3/projects", body, &["?name=web"]).await;
    s.done("project");
}

#[tokio::test]
async fn users() {
    let mut s = scene(Person::Admin).await;
    let body = json!({"user": {"name": "ada", "email": "ada@example.org", "password": "secret"}});
    let user = s.life("/identity/v3/users", body, &["?name=ada"]).await;
    let place = s.cloud.project_id(Person::Member);
    let role = s.cloud.role_id("member");
    let path = format!("/identity/v3/projects/{place}/users/{user}/roles");
    s.talk.say("PUT", &format!("{path}/{role}"), None).await;
    s.talk.say("GET", &path, None).await;
    s.talk
        .say("GET", &format!("/identity/v3/users/{user}/projects"), None)
        .await;
    let names = format!("/identity/v3/role_assignments?user.id={user}&include_names=1");
    s.talk.say("GET", &names, None).await;
    s.talk
        .say(
            "GET",
            &format!("/identity/v3/role_assignments?user.id={user}"),
            None,
        )
        .await;
    s.done("user");
}

#[tokio::test]
async fn roles() {
    let mut s = scene(Person::Admin).await;
    let made = s
        .talk
        .say(
            "POST",
            "/identity/v3/roles",
            Some(json!({"role": {"name": "painter"}})),
        )
        .await;
    s.talk
        .say("GET", &format!("/identity/v3/roles/{}", id(&made)), None)
        .await;
    s.talk
        .say("GET", "/identity/v3/roles?name=painter", None)
        .await;
    s.done("role");
}

#[tokio::test]
async fn catalog() {
    let mut s = scene(Person::Admin).await;
    for path in [
        "auth/catalog",
        "services?type=compute",
        "endpoints?interface=public",
        "regions",
        "regions/RegionOne",
    ] {
        s.talk
            .say("GET", &format!("/identity/v3/{path}"), None)
            .await;
    }
    s.done("catalog");
}

#[tokio::test]
async fn images() {
    let mut s = scene(Person::Member).await;
    let body = json!({
        "name": "debian", "disk_format": "raw", "container_format": "bare", "min_ram": 64,
        "visibility": "private", "tags": ["stable"], "os_distro": "debian",
    });
    let image = s.life("/image/v2/images", body, &[]).await;
    let member = s.member().await;
    let answer = member.upload(&image, "a disk").await;
    s.talk
        .note("PUT", "/image/v2/images/{uuid-1}/file", None, &answer);
    let patch = json!([{"op": "replace", "path": "/name", "value": "debian 13"}, {"op": "add", "path": "/os_version", "value": "13"}]);
    let answer = member.patch_image(&image, patch.clone()).await;
    s.talk
        .note("PATCH", "/image/v2/images/{uuid-1}", Some(&patch), &answer);
    s.talk
        .say("PUT", &format!("/image/v2/images/{image}/tags/fresh"), None)
        .await;
    s.talk
        .say("GET", "/image/v2/images?limit=1&name=debian%2013", None)
        .await;
    s.talk.say("GET", "/image/v2/info/import", None).await;
    s.talk
        .say("DELETE", &format!("/image/v2/images/{image}"), None)
        .await;
    s.done("image");
}

#[tokio::test]
async fn flavors() {
    let mut s = scene(Person::Admin).await;
    let body = json!({"flavor": {"name": "big", "id": "b1", "ram": 1024, "vcpus": 2, "disk": 10, "os-flavor-access:is_public": false}});
    let made = s
        .talk
        .say("POST", "/compute/v2.1/flavors", Some(body))
        .await;
    let path = format!("/compute/v2.1/flavors/{}", id(&made));
    s.talk.say("GET", &path, None).await;
    s.talk
        .say(
            "POST",
            &format!("{path}/os-extra_specs"),
            Some(json!({"extra_specs": {"hw:cpu_policy": "shared"}})),
        )
        .await;
    s.talk
        .say("GET", &format!("{path}/os-extra_specs"), None)
        .await;
    s.talk
        .say("GET", &format!("{path}/os-extra_specs/hw:cpu_policy"), None)
        .await;
    s.talk
        .say("GET", "/compute/v2.1/flavors/detail?is_public=false", None)
        .await;
    s.talk
        .say(
            "GET",
            "/compute/v2.1/flavors?limit=1&sort_key=flavorid",
            None,
        )
        .await;
    s.talk.say("DELETE", &path, None).await;
    s.done("flavor");
}

#[tokio::test]
async fn keypairs() {
    let mut s = scene(Person::Member).await;
    let body = json!({"keypair": {"name": "laptop", "public_key": KEY}});
    s.talk
        .say("POST", "/compute/v2.1/os-keypairs", Some(body))
        .await;
    s.talk
        .say("GET", "/compute/v2.1/os-keypairs/laptop", None)
        .await;
    s.talk.say("GET", "/compute/v2.1/os-keypairs", None).await;
    s.talk
        .say("DELETE", "/compute/v2.1/os-keypairs/laptop", None)
        .await;
    s.done("keypair");
}

#[tokio::test]
async fn servers() {
    let mut s = scene(Person::Member).await;
    let node = s.cloud.node("n1").await;
    let member = s.member().await;
    let image = s.cloud.image(&member, "disk").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let body = json!({"port": {
        "network_id": net, "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"ip_address": "2001:db8:a::77"}],
    }});
    let port = id(&member.post("/network/v2.0/ports", body).await.expect(201));
    let body = json!({"server": {
        "name": "web", "imageRef": image, "flavorRef": "42", "networks": [{"port": port}],
        "metadata": {"role": "web"},
    }});
    let path = "/compute/v2.1/servers";
    let server = s.life(path, body, &[]).await;
    let one = format!("{path}/{server}");
    node.boot_finishes(&server).await;
    for end in [
        "",
        "/ips",
        "/metadata",
        "/os-interface",
        "/os-security-groups",
    ] {
        s.talk.say("GET", &format!("{one}{end}"), None).await;
    }
    s.talk
        .say("PUT", &one, Some(json!({"server": {"name": "www"}})))
        .await;
    s.talk
        .say(
            "POST",
            &format!("{one}/action"),
            Some(json!({"os-stop": null})),
        )
        .await;
    s.talk
        .say(
            "POST",
            &format!("{one}/action"),
            Some(json!({"os-stop": null})),
        )
        .await;
    node.fails(&server, "no memory is left on n1").await;
    let admin = s.cloud.admin().await;
    s.talk.client(admin);
    s.talk
        .say(
            "GET",
            "/compute/v2.1/servers/detail?all_tenants=1&limit=1",
            None,
        )
        .await;
    s.talk.say("DELETE", &one, None).await;
    s.done("server");
}

#[tokio::test]
async fn nodes() {
    let mut s = scene(Person::Admin).await;
    let _node = s.cloud.node("n1").await;
    for path in [
        "os-availability-zone",
        "os-hypervisors",
        "os-hypervisors/detail",
        "os-services",
        "limits",
        "extensions",
    ] {
        s.talk
            .say("GET", &format!("/compute/v2.1/{path}"), None)
            .await;
    }
    s.done("node");
}

#[tokio::test]
async fn networks() {
    let mut s = scene(Person::Member).await;
    let _node = s.cloud.node("n1").await;
    let body = json!({"network": {"name": "net", "mtu": 1400}});
    let net = s
        .life(
            "/network/v2.0/networks",
            body,
            &["?limit=1", "?fields=id&fields=name"],
        )
        .await;
    s.talk
        .say(
            "PUT",
            &format!("/network/v2.0/networks/{net}"),
            Some(json!({"network": {"name": "new"}})),
        )
        .await;
    let admin = s.cloud.admin().await;
    s.talk.client(admin);
    let body = json!({"network": {"name": "ext", "router:external": true, "provider:physical_network": "physnet1"}});
    s.talk
        .say("POST", "/network/v2.0/networks", Some(body))
        .await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/networks/{net}"), None)
        .await;
    s.talk
        .say("GET", "/network/v2.0/extensions/router", None)
        .await;
    s.done("network");
}

#[tokio::test]
async fn subnets() {
    let mut s = scene(Person::Member).await;
    let member = s.member().await;
    let net = id(&member
        .post("/network/v2.0/networks", json!({"network": {}}))
        .await
        .expect(201));
    let body = json!({"subnet": {
        "name": "auto", "network_id": net, "ip_version": 6, "cidr": "2001:db8:a::/64",
        "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
        "dns_nameservers": ["2001:db8::53"],
        "host_routes": [{"destination": "2001:db8:b::/64", "nexthop": "2001:db8:a::9"}],
    }});
    let one = s.life("/network/v2.0/subnets", body, &[]).await;
    s.talk
        .say(
            "PUT",
            &format!("/network/v2.0/subnets/{one}"),
            Some(json!({"subnet": {"gateway_ip": null}})),
        )
        .await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/subnets/{one}"), None)
        .await;
    let body = json!({"subnet": {
        "name": "four", "network_id": net, "ip_version": 4, "cidr": "192.0.2.0/24",
        "dns_nameservers": ["192.0.2.53"],
        "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.9"}],
    }});
    s.talk
        .say("POST", "/network/v2.0/subnets", Some(body))
        .await;
    s.done("subnet");
}

#[tokio::test]
async fn ports() {
    let mut s = scene(Person::Member).await;
    let member = s.member().await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    subnet(
        &member,
        &net,
        json!({"cidr": "2001:db8:b::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}),
    )
    .await;
    let body = json!({"port": {
        "name": "p", "network_id": net, "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"ip_address": "2001:db8:a::77"}],
        "allowed_address_pairs": [{"ip_address": "2001:db8:c::/64"}],
    }});
    let port = s.life("/network/v2.0/ports", body, &[]).await;
    let body = json!({"port": {"security_groups": [], "allowed_address_pairs": [], "port_security_enabled": false}});
    s.talk
        .say("PUT", &format!("/network/v2.0/ports/{port}"), Some(body))
        .await;
    let admin = s.cloud.admin().await;
    s.talk.client(admin);
    s.talk
        .say("GET", &format!("/network/v2.0/ports/{port}"), None)
        .await;
    s.talk
        .say("DELETE", &format!("/network/v2.0/ports/{port}"), None)
        .await;
    s.done("port");
}

#[tokio::test]
async fn routers() {
    let mut s = scene(Person::Admin).await;
    let admin = s.cloud.admin().await;
    let body = json!({"network": {"router:external": true}});
    let ext = id(&admin.post("/network/v2.0/networks", body).await.expect(201));
    subnet(&admin, &ext, json!({"cidr": "2001:db8:e::/64"})).await;
    let (_, inside) = network(&admin, "net", "2001:db8:a::/64").await;
    let body = json!({"router": {"name": "r", "external_gateway_info": {
        "network_id": ext, "external_fixed_ips": [{"ip_address": "2001:db8:e::77"}],
    }}});
    let router = s.life("/network/v2.0/routers", body, &[]).await;
    let one = format!("/network/v2.0/routers/{router}");
    let leg = Some(json!({"subnet_id": inside}));
    s.talk
        .say("PUT", &format!("{one}/add_router_interface"), leg.clone())
        .await;
    let routes = json!({"router": {"routes": [{"destination": "2001:db8:9::/64", "nexthop": "2001:db8:a::9"}]}});
    s.talk.say("PUT", &one, Some(routes)).await;
    s.talk
        .say(
            "PUT",
            &one,
            Some(json!({"router": {"routes": [], "external_gateway_info": null}})),
        )
        .await;
    s.talk
        .say("PUT", &format!("{one}/remove_router_interface"), leg)
        .await;
    s.talk.say("DELETE", &one, None).await;
    s.done("router");
}

#[tokio::test]
async fn floating_ips() {
    let mut s = scene(Person::Admin).await;
    let admin = s.cloud.admin().await;
    let body = json!({"network": {"router:external": true}});
    let ext = id(&admin.post("/network/v2.0/networks", body).await.expect(201));
    subnet(&admin, &ext, json!({"cidr": "203.0.113.0/24"})).await;
    let (net, inside) = network(&admin, "net", "192.0.2.0/24").await;
    let body = json!({"router": {"external_gateway_info": {"network_id": ext}}});
    let router = id(&admin.post("/network/v2.0/routers", body).await.expect(201));
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    admin
        .put(&leg, json!({"subnet_id": inside}))
        .await
        .expect(200);
    let body = json!({"port": {"network_id": net, "mac_address": "fa:16:3e:00:00:01"}});
    let port = id(&admin.post("/network/v2.0/ports", body).await.expect(201));
    let body = json!({"floatingip": {
        "floating_network_id": ext, "floating_ip_address": "203.0.113.77", "description": "web",
    }});
    let one = s.life("/network/v2.0/floatingips", body, &[]).await;
    let one = format!("/network/v2.0/floatingips/{one}");
    for target in [json!(port), Value::Null] {
        let body = json!({"floatingip": {"port_id": target}});
        s.talk.say("PUT", &one, Some(body)).await;
    }
    s.talk.say("DELETE", &one, None).await;
    s.done("floating_ip");
}

#[tokio::test]
async fn security_groups() {
    let mut s = scene(Person::Member).await;
    let body = json!({"security_group": {"name": "web", "description": "sites"}});
    let made = s
        .talk
        .say("POST", "/network/v2.0/security-groups", Some(body))
        .await;
    let group = id(&made);
    let body = json!({"security_group_rule": {
        "security_group_id": group, "direction": "ingress", "protocol": "tcp",
        "port_range_min": 443, "port_range_max": 443, "remote_ip_prefix": "2001:db8::/32",
    }});
    let rules = "/network/v2.0/security-group-rules";
    let made = s.talk.say("POST", rules, Some(body)).await;
    let rule = id(&made);
    s.talk.say("GET", &format!("{rules}/{rule}"), None).await;
    s.talk
        .say("GET", &format!("{rules}?security_group_id={group}"), None)
        .await;
    s.talk
        .say(
            "GET",
            &format!("/network/v2.0/security-groups/{group}"),
            None,
        )
        .await;
    s.talk
        .say("GET", "/network/v2.0/security-groups?name=default", None)
        .await;
    s.talk
        .say(
            "DELETE",
            &format!("/network/v2.0/security-group-rules/{rule}"),
            None,
        )
        .await;
    s.talk
        .say(
            "DELETE",
            &format!("/network/v2.0/security-groups/{group}"),
            None,
        )
        .await;
    s.done("security_group");
}

#[tokio::test]
async fn errors() {
    let mut s = scene(Person::Member).await;
    for path in [
        "/identity/v3/users",
        "/image/v2/images/x",
        "/compute/v2.1/servers/x",
        "/network/v2.0/networks/x",
        "/nothing",
    ] {
        s.talk.say("GET", path, None).await;
        s.talk.say(Method::PUT.as_str(), path, None).await;
    }
    let nobody = s.cloud.client_with(None).await;
    s.talk.client(nobody);
    for path in [
        "/identity/v3/users",
        "/image/v2/images",
        "/compute/v2.1/servers",
        "/network/v2.0/networks",
    ] {
        s.talk.say("GET", path, None).await;
    }
    s.done("error");
}

#[tokio::test]
async fn volumes() {
    let mut s = scene(Person::Member).await;
    let node = s.cloud.node("n1").await;
    let image = s.cloud.image(&s.member().await, "disk").await;
    let path = "/volume/v3/volumes";
    let body = json!({"volume": {
        "name": "data", "size": 1, "imageRef": image, "metadata": {"colour": "blue"},
    }});
    let made = s.talk.say("POST", path, Some(body)).await;
    let id = id(&made);
    node.volume_ready(&id).await;
    let at = format!("{path}/{id}");
    for path in [&at, path, "/volume/v3/volumes/detail"] {
        s.talk.say("GET", path, None).await;
    }
    let body = json!({"volume": {"name": "other"}});
    s.talk.say("PUT", &at, Some(body)).await;
    let more = json!({"metadata": {"size": "xl"}});
    s.talk
        .say("POST", &format!("{at}/metadata"), Some(more))
        .await;
    let one = format!("{at}/metadata/size");
    s.talk.say("GET", &one, None).await;
    let body = json!({"meta": {"size": "xs"}});
    s.talk.say("PUT", &one, Some(body)).await;
    s.talk.say("DELETE", &one, None).await;
    for action in [
        json!({"os-set_bootable": {"bootable": false}}),
        json!({"os-update_readonly_flag": {"readonly": true}}),
        json!({"os-extend": {"new_size": 2}}),
    ] {
        s.talk
            .say("POST", &format!("{at}/action"), Some(action))
            .await;
    }
    s.talk.say("GET", &at, None).await;
    s.talk.say("DELETE", &at, None).await;
    s.talk.say("GET", &at, None).await;
    for path in [
        "types",
        "types/default",
        "snapshots",
        "backups/detail",
        "limits",
        "os-availability-zone",
        "extensions",
    ] {
        s.talk.say("GET", &format!("/volume/v3/{path}"), None).await;
    }
    let admin = s.cloud.admin().await;
    s.talk.client(admin);
    s.talk.say("GET", &at, None).await;
    s.talk.say("GET", "/volume/v3/os-services", None).await;
    s.done("volume");
}

#[tokio::test]
async fn attachments() {
    let mut s = scene(Person::Member).await;
    let node = s.cloud.node("n1").await;
    let member = s.member().await;
    let image = s.cloud.image(&member, "disk").await;
    let (net, _) = network(&member, "net", "2001:db8:a::/64").await;
    let server = crate::world::server(&member, &image, &net).await;
    node.boot_finishes(&server).await;
    let made = member
        .post("/volume/v3/volumes", json!({"volume": {"size": 1}}))
        .await;
    let volume = id(&made.expect(202));
    node.volume_ready(&volume).await;
    let at = format!("/compute/v2.1/servers/{server}");
    let path = format!("{at}/os-volume_attachments");
    let body = json!({"volumeAttachment": {"volumeId": volume}});
    s.talk.say("POST", &path, Some(body.clone())).await;
    node.boot_finishes(&server).await;
    s.talk.say("GET", &path, None).await;
    let one = format!("{path}/{volume}");
    s.talk.say("GET", &one, None).await;
    s.talk
        .say("GET", &format!("/volume/v3/volumes/{volume}"), None)
        .await;
    s.talk.say("POST", &path, Some(body.clone())).await;
    s.talk.say("PUT", &one, Some(body.clone())).await;
    s.talk.say("DELETE", &one, None).await;
    node.boot_finishes(&server).await;
    s.talk.say("POST", &path, Some(body)).await;
    node.attach_fails(&server, "portal [2001:db8:5::1]:3260: connection refused")
        .await;
    let actions = format!("{at}/os-instance-actions");
    s.talk.say("GET", &actions, None).await;
    let list = member.get(&actions).await.expect(200);
    let request = list["instanceActions"][0]["request_id"].as_str().unwrap();
    s.talk
        .say("GET", &format!("{actions}/{request}"), None)
        .await;
    s.done("attachment");
}
