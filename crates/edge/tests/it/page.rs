//! Pages: whatever the order and the size, each thing once, and none left out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

use crate::world::{network, server};

/// A list, and how it says where it goes on.
struct List {
    path: &'static str,
    name: &'static str,
    keys: &'static [&'static str],
}

const LISTS: [List; 13] = [
    List {
        path: "/network/v2.0/address-groups",
        name: "address_groups",
        keys: &["name", "created_at"],
    },
    List {
        path: "/network/v2.0/subnetpools",
        name: "subnetpools",
        keys: &["name", "ip_version", "is_default"],
    },
    List {
        path: "/compute/v2.1/servers",
        name: "servers",
        keys: &["display_name", "created_at", "uuid"],
    },
    List {
        path: "/compute/v2.1/servers/detail",
        name: "servers",
        keys: &["display_name"],
    },
    List {
        path: "/compute/v2.1/flavors",
        name: "flavors",
        keys: &["flavorid", "name", "memory_mb", "vcpus", "root_gb"],
    },
    List {
        path: "/compute/v2.1/flavors/detail",
        name: "flavors",
        keys: &["vcpus"],
    },
    List {
        path: "/image/v2/images",
        name: "images",
        keys: &["name", "created_at", "size", "status", "disk_format"],
    },
    List {
        path: "/network/v2.0/networks",
        name: "networks",
        keys: &["name", "id", "admin_state_up"],
    },
    List {
        path: "/network/v2.0/ports",
        name: "ports",
        keys: &["name", "id", "network_id", "mac_address", "device_owner"],
    },
    List {
        path: "/network/v2.0/subnets",
        name: "subnets",
        keys: &["name"],
    },
    List {
        path: "/volume/v3/volumes",
        name: "volumes",
        keys: &["name", "created_at", "size", "status", "id"],
    },
    List {
        path: "/volume/v3/volumes/detail",
        name: "volumes",
        keys: &["name"],
    },
    List {
        path: "/network/v2.0/security-groups",
        name: "security_groups",
        keys: &["name"],
    },
];

async fn filled() -> (TestCloud, Client) {
    let cloud = TestCloud::start().await;
    let _node = cloud.node("n1").await;
    let member = cloud.member().await;
    let image = cloud.image(&member, "image-0").await;
    let mut first = String::new();
    for n in 0..5 {
        // Names come twice, so that an order by name alone would not do.
        let name = format!("net-{}", n / 2);
        let (net, _) = network(&member, &name, &format!("2001:db8:{n}::/64")).await;
        let body = json!({"port": {"network_id": net, "name": format!("port-{}", n % 2)}});
        member.post("/network/v2.0/ports", body).await.expect(201);
        let format = if n % 2 == 0 {
            json!("raw")
        } else {
            Value::Null
        };
        let body = json!({"name": format!("image-{}", n % 3), "disk_format": format});
        member.post("/image/v2/images", body).await.expect(201);
        let body = json!({"volume": {"name": format!("volume-{}", n % 2), "size": 1 + n % 3}});
        member.post("/volume/v3/volumes", body).await.expect(202);
        let body = json!({"subnetpool": {"name": format!("pool-{}", n % 2), "prefixes": ["2001:db8::/32"]}});
        member
            .post("/network/v2.0/subnetpools", body)
            .await
            .expect(201);
        let body = json!({"address_group": {"name": format!("group-{}", n % 2)}});
        member
            .post("/network/v2.0/address-groups", body)
            .await
            .expect(201);
        let body = json!({"security_group": {"name": format!("group-{}", n % 2)}});
        member
            .post("/network/v2.0/security-groups", body)
            .await
            .expect(201);
        if first.is_empty() {
            first = net;
        }
    }
    for _ in 0..5 {
        server(&member, &image, &first).await;
    }
    (cloud, member)
}

fn ids(page: &Value, name: &str) -> Vec<String> {
    let entries = page[name].as_array().unwrap();
    entries
        .iter()
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Where the next page is, however the service writes it.
fn next(page: &Value, name: &str, url: &str) -> Option<String> {
    if name == "images" {
        return page["next"].as_str().map(|n| format!("/image{n}"));
    }
    let links = page[format!("{name}_links")].as_array()?;
    let next = links.iter().find(|l| l["rel"] == "next")?;
    let href = next["href"].as_str().unwrap();
    Some(
        href.strip_prefix(url)
            .unwrap_or_else(|| panic!("{href} is not below {url}"))
            .to_owned(),
    )
}

#[tokio::test]
async fn every_list_can_be_read_page_by_page() {
    let (cloud, member) = filled().await;
    for list in &LISTS {
        let mut orders = vec![String::new()];
        for key in list.keys {
            for way in ["asc", "desc"] {
                orders.push(format!("sort_key={key}&sort_dir={way}&"));
            }
        }
        orders.push(format!(
            "sort_key={}&sort_key={}&sort_dir=desc&sort_dir=asc&",
            list.keys[0],
            list.keys[list.keys.len() - 1]
        ));
        for order in orders {
            let whole = member
                .get(&format!("{}?{order}limit=1000", list.path))
                .await
                .expect(200);
            assert_eq!(
                next(&whole, list.name, &cloud.url),
                None,
                "{} {order}",
                list.path
            );
            let whole = ids(&whole, list.name);
            assert!(whole.len() >= 5, "{}: {whole:?}", list.path);
            let unique: BTreeSet<&String> = whole.iter().collect();
            assert_eq!(unique.len(), whole.len(), "{} {order}", list.path);
            for size in [1, 2, 3, whole.len() - 1, whole.len(), whole.len() + 1] {
                let mut read = Vec::new();
                let mut path = Some(format!("{}?{order}limit={size}", list.path));
                let mut pages = 0;
                while let Some(at) = path {
                    let page = member.get(&at).await.expect(200);
                    let entries = ids(&page, list.name);
                    assert!(entries.len() <= size, "{at}: {} entries", entries.len());
                    read.extend(entries);
                    path = next(&page, list.name, &cloud.url);
                    pages += 1;
                    assert!(pages <= whole.len() + 1, "{at}: no end");
                }
                assert_eq!(read, whole, "{} {order} by {size}", list.path);
            }
        }
    }
}

#[tokio::test]
async fn orders_are_what_they_say() {
    let (_cloud, member) = filled().await;
    for (path, name, key, field) in [
        (
            "/compute/v2.1/flavors/detail",
            "flavors",
            "memory_mb",
            "ram",
        ),
        ("/compute/v2.1/flavors/detail", "flavors", "name", "name"),
        (
            "/compute/v2.1/servers/detail",
            "servers",
            "created_at",
            "created",
        ),
        ("/network/v2.0/networks", "networks", "name", "name"),
        ("/network/v2.0/ports", "ports", "mac_address", "mac_address"),
        ("/image/v2/images", "images", "name", "name"),
    ] {
        for (way, backwards) in [("asc", false), ("desc", true)] {
            let list = member
                .get(&format!("{path}?sort_key={key}&sort_dir={way}"))
                .await
                .expect(200);
            let values: Vec<&Value> = list[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| &e[field])
                .collect();
            let mut sorted = values.clone();
            sorted.sort_by(|a, b| match (a.as_u64(), b.as_u64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_str().cmp(&b.as_str()),
            });
            if backwards {
                sorted.reverse();
            }
            assert_eq!(values, sorted, "{path} by {key} {way}");
        }
    }
    // The newest comes first when nobody says otherwise.
    let list = member
        .get("/image/v2/images?sort=name:asc,created_at:desc")
        .await
        .expect(200);
    assert_eq!(list["images"][0]["name"], "image-0");
}

#[tokio::test]
async fn filters_and_pages_go_together() {
    let (cloud, member) = filled().await;
    let whole = member
        .get("/network/v2.0/ports?name=port-0&name=port-1&sort_key=name")
        .await
        .expect(200);
    let whole = ids(&whole, "ports");
    assert_eq!(whole.len(), 5);
    let mut read = Vec::new();
    let mut path =
        Some("/network/v2.0/ports?name=port-0&name=port-1&sort_key=name&limit=2".to_owned());
    while let Some(at) = path {
        let page = member.get(&at).await.expect(200);
        read.extend(ids(&page, "ports"));
        path = next(&page, "ports", &cloud.url);
    }
    assert_eq!(read, whole);
    let none = member
        .get("/network/v2.0/ports?name=port-7&limit=2")
        .await
        .expect(200);
    assert_eq!(none, json!({"ports": []}));
    for (query, count) in [
        ("status=DOWN", 5),
        ("status=ACTIVE", 5),
        ("device_owner=compute:nova", 5),
        ("admin_state_up=True", 15),
    ] {
        let list = member
            .get(&format!(
                "/network/v2.0/ports?name=port-0&name=port-1&name=&{query}"
            ))
            .await
            .expect(200);
        let found = list["ports"].as_array().unwrap().len();
        // Five of ports and five of servers, both DOWN; and five networks' resolvers.
        let expected = if query.starts_with("status=DOWN") {
            10
        } else {
            count
        };
        assert_eq!(found, expected, "{query}");
    }
}

/// A row that was removed after its page was read is no marker any more, and the answer says so.
#[tokio::test]
async fn a_marker_that_went_is_400() {
    let (_cloud, member) = filled().await;
    let page = member
        .get("/network/v2.0/security-groups?limit=1&name=group-0")
        .await
        .expect(200);
    let marker = &ids(&page, "security_groups")[0];
    let path = format!("/network/v2.0/security-groups?limit=1&marker={marker}");
    member.get(&path).await.expect(200);
    member
        .delete(&format!("/network/v2.0/security-groups/{marker}"))
        .await
        .expect(204);
    assert_eq!(member.get(&path).await.status, 400);
}

#[tokio::test]
async fn keypairs_are_paged_by_name() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    for name in ["b", "c", "a", "d"] {
        let body = json!({"keypair": {"name": name, "public_key": crate::world::KEY}});
        member
            .post("/compute/v2.1/os-keypairs", body)
            .await
            .expect(200);
    }
    let names = async |query: &str| {
        let list = member
            .get(&format!("/compute/v2.1/os-keypairs?{query}"))
            .await
            .expect(200);
        let entries = list["keypairs"].as_array().unwrap().clone();
        entries
            .iter()
            .map(|k| k["keypair"]["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["a", "b", "c", "d"]);
    assert_eq!(names("limit=2").await, ["a", "b"]);
    assert_eq!(names("limit=2&marker=b").await, ["c", "d"]);
}

#[tokio::test]
async fn a_sorted_page_of_identity_leads_to_the_next() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let first = admin
        .get("/identity/v3/roles?sort_key=name&limit=2")
        .await
        .expect(200);
    let next = first["links"]["next"].as_str().unwrap();
    let path = &next[next.find("/identity").unwrap()..];
    let second = admin.get(path).await.expect(200);
    let names = |page: &serde_json::Value| {
        let roles = page["roles"].as_array().unwrap().iter();
        roles
            .map(|r| r["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["admin", "manager"]);
    assert_eq!(names(&second), ["member", "reader"]);
}
