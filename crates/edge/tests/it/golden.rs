//! Golden API JSON: what is asked and answered for each kind of thing. `UPDATE_GOLDEN=1` writes
//! the files anew; a review reads what changed in them.

mod identity;
mod network;

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Person, TestCloud, Transcript};

use crate::world::{KEY, id, network};

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
        // Networks have ports of their own, with addresses that are drawn.
        let list = match path.ends_with("/ports") {
            true => format!("{path}?name=p"),
            false => path.to_owned(),
        };
        self.talk.say("GET", &list, None).await;
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
