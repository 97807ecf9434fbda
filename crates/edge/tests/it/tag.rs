//! Tags of what the network API has: set, looked at, and found by.

use serde_json::{Value, json};

use crate::shape;
use crate::world::{World, id};

pub(crate) const KINDS: [&str; 9] = [
    "networks",
    "subnets",
    "ports",
    "routers",
    "security-groups",
    "floatingips",
    "subnetpools",
    "trunks",
    "policies",
];

#[tokio::test]
async fn each_kind_of_thing_has_tags() {
    let world = World::new().await;
    for kind in KINDS {
        let (net, id) = ("/network/v2.0", world.id(kind));
        let (client, thing) = match kind {
            "policies" => (&world.admin, format!("{net}/qos/policies/{id}")),
            _ => (&world.member, format!("{net}/{kind}/{id}")),
        };
        let tags = format!("{net}/{kind}/{id}/tags");
        let now = async || {
            let shown = client.get(&thing).await.expect(200);
            let (_, fields) = shown.as_object().unwrap().iter().next().unwrap();
            assert_eq!(client.get(&tags).await.expect(200)["tags"], fields["tags"]);
            fields["tags"].clone()
        };
        let body = json!({"tags": ["a", "b", "a"]});
        let set = client.put(&tags, body).await.expect(200);
        assert_eq!(set["tags"], json!(["a", "b"]), "each once");
        let one = client.request(http::Method::PUT, &format!("{tags}/c%20d"));
        assert_eq!(one.send().await.status, 201);
        assert_eq!(now().await, json!(["a", "b", "c d"]));
        client.delete(&format!("{tags}/a")).await.expect(204);
        client.get(&format!("{tags}/b")).await.expect(204);
        for gone in [
            client.get(&format!("{tags}/a")).await,
            client.delete(&format!("{tags}/a")).await,
        ] {
            shape::error(&gone, 404, "a tag that is not there");
        }
        let before = world.cloud.dump();
        for wrong in [
            json!({"tags": [""]}),
            json!({"tags": ["x".repeat(256)]}),
            json!({"tags": [1]}),
            json!({"tags": "a"}),
            json!({"tags": null}),
            json!({}),
        ] {
            shape::error(&client.put(&tags, wrong).await, 400, &thing);
        }
        testkit::assert_same(&before, &world.cloud.dump(), "refused tags");
        client.delete(&tags).await.expect(204);
        assert_eq!(now().await, json!([]));
    }
}

#[tokio::test]
async fn lists_find_by_tags() {
    let world = World::new().await;
    let member = &world.member;
    let path = "/network/v2.0/networks";
    for (name, tags) in [
        ("x", json!(["a", "b"])),
        ("y", json!(["b"])),
        ("z", json!([])),
        ("w", json!(["x\"a", "\\", "q\\\"b"])),
    ] {
        let body = json!({"network": {"name": name, "tags": tags, "project_id": null}});
        id(&member.post(path, body).await.expect(201));
    }
    for (query, expected) in [
        ("tags=a", vec!["x"]),
        ("tags=b", vec!["x", "y"]),
        ("tags=a,b", vec!["x"]),
        ("tags=%22b", vec![]),
        ("tags=x%22a,%5C", vec!["w"]),
        ("tags=q%5C%22b", vec!["w"]),
        ("tags-any=%22,a%22,x", vec![]),
        ("tags-any=a,b", vec!["x", "y"]),
        ("not-tags=a,b", vec!["w", "y", "z"]),
        ("not-tags-any=a,b", vec!["w", "z"]),
        ("tags=b&not-tags=a", vec!["y"]),
    ] {
        let mine = format!("{path}?{query}&sort_key=name&name=w&name=x&name=y&name=z");
        let list = member.get(&mine).await.expect(200);
        let found: Vec<&Value> = list["networks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| &n["name"])
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    let ports = "/network/v2.0/ports";
    for many in [
        format!("{path}?tags={}", vec!["a"; 33].join(",")),
        format!("{path}?{}", vec!["tags=a"; 1000].join("&")),
        format!("{ports}?{}", vec!["security_groups=a"; 33].join("&")),
    ] {
        shape::error(&member.get(&many).await, 400, "too many conditions");
    }
    let many = vec!["name=none"; 1000].join("&");
    let none = member.get(&format!("{path}?{many}")).await.expect(200);
    assert_eq!(none["networks"], json!([]));
    let servers = "/compute/v2.1/servers";
    for (count, status) in [(50, 200), (51, 400), (1000, 400)] {
        let many = format!(
            "{servers}?tags={}&tags-any=a",
            vec!["a"; count - 1].join(",")
        );
        let asked = member.request(http::Method::GET, &many);
        let asked = asked.header("openstack-api-version", "compute 2.26");
        assert_eq!(asked.send().await.status, status, "{count} tags");
    }
}
