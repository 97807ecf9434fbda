//! Every route of the table: closed to strangers unless it is listed here, and nothing beside it.

use api::{Dialect, Routes};
use http::Method;
use testkit::TestCloud;

use crate::shape;
use crate::world::{SOMEONE, World, ask, fill, has_id, line};

/// Routes that answer without a token. A new one belongs here, with a reason why it may.
pub(crate) const OPEN: [&str; 13] = [
    // Version documents: clients ask before they have a token.
    "GET ",
    "GET /identity",
    "GET /identity/v3",
    "GET /image",
    "GET /image/v2",
    "GET /compute",
    "GET /compute/v2.1",
    "GET /network",
    "GET /network/v2.0",
    "GET /volume",
    "GET /volume/v3",
    // The way to a token.
    "POST /identity/v3/auth/tokens",
    // Their proof is in the body: the old password.
    "POST /identity/v3/users/{id}/password",
];

#[tokio::test]
async fn only_listed_routes_answer_without_a_token() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    let before = cloud.dump();
    for route in Routes::new().all() {
        let path = fill(route, |_| SOMEONE.to_owned());
        let answer = nobody.request(route.method.clone(), &path).send().await;
        if OPEN.contains(&line(route).as_str()) {
            // The password route says 401 too, for the wrong password; its body is checked first.
            assert_ne!(answer.status, 401, "{} is listed as open", line(route));
        } else {
            shape::error(&answer, 401, "without a token");
            assert!(
                answer
                    .header("www-authenticate")
                    .starts_with("Keystone uri="),
                "{answer:?}"
            );
        }
    }
    testkit::assert_same(&before, &cloud.dump(), "asking without a token");
}

#[tokio::test]
async fn a_token_that_is_none_opens_nothing() {
    let cloud = TestCloud::start().await;
    let client = cloud.client_with(None).await;
    let long = "A".repeat(6000);
    let tokens = ["", "garbage", "../../etc/passwd", "gAAAAABk", long.as_str()];
    for route in Routes::new().all() {
        if OPEN.contains(&line(route).as_str()) {
            continue;
        }
        let path = fill(route, |_| SOMEONE.to_owned());
        for token in tokens {
            let client = client.with_token(Some(token));
            let answer = client.request(route.method.clone(), &path).send().await;
            shape::error(&answer, 401, "with a garbage token");
        }
    }
}

#[tokio::test]
async fn methods_a_path_does_not_have_are_405() {
    let cloud = TestCloud::start().await;
    let (admin, nobody) = (cloud.admin().await, cloud.client_with(None).await);
    let routes = Routes::new();
    for route in routes.all() {
        let path = fill(route, |_| SOMEONE.to_owned());
        // Two lines may name the same path differently, and a name stands for a word too.
        let taken = |method: &Method| {
            routes
                .all()
                .iter()
                .any(|r| r.method == *method && fill(r, |_| SOMEONE.to_owned()) == path)
        };
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if taken(&method) {
                continue;
            }
            let answer = admin.request(method.clone(), &path).send().await;
            shape::error(&answer, 405, "with a method it has not");
            if route.dialect != Dialect::Root {
                let answer = nobody.request(method, &path).send().await;
                shape::error(&answer, 401, "with a method it has not, without a token");
            }
        }
    }
}

#[tokio::test]
async fn paths_that_are_not_there_are_404() {
    let cloud = TestCloud::start().await;
    let (admin, nobody) = (cloud.admin().await, cloud.client_with(None).await);
    for path in [
        "/identity/v3/nothing",
        "/identity/v2.0",
        "/identity/v3/auth",
        "/image/v1/images",
        "/image/v2/images/a/b/c",
        "/compute/v2.0/servers",
        "/compute/v2.1/servers/x/y/z",
        "/compute/v2.1//servers",
        "/network/v3.0/networks",
        "/network/v2.0/networks/x/y",
        "/network/v2.0/../v2.0/networks",
        "/network/v2.0/networks.json",
        "/identity/v3/%2e%2e/v3/users",
    ] {
        shape::error(&admin.get(path).await, 404, "which is not there");
        shape::error(&nobody.get(path).await, 401, "which is not there");
    }
    for path in ["/nothing", "/computer/v2.1/servers", "/favicon.ico", "//"] {
        let answer = nobody.get(path).await;
        assert!([404, 300].contains(&answer.status.as_u16()), "{answer:?}");
    }
}

#[tokio::test]
async fn ids_that_name_nothing_are_404() {
    let world = World::new().await;
    let before = world.cloud.dump();
    let odd = [
        SOMEONE,
        "nonsense",
        "%00",
        "..%2f..",
        "'%20OR%201=1",
        "%ff%fe",
        "-1",
    ];
    for route in Routes::new().all().iter().filter(|r| has_id(r)) {
        if line(route).ends_with("/password") {
            continue; // It tells nobody whether the user is there.
        }
        for id in odd {
            let path = fill(route, |_| id.to_owned());
            let answer = ask(&world.admin, route, &path, &world).await;
            let route = line(route);
            match () {
                // What nobody holds is an empty list, as keystone has it.
                () if route.ends_with("/users/{user}/roles") => drop(answer.expect(200)),
                // Nova calls a request bad that names no project.
                () if route.contains("/compute/v2.1/os-quota-sets/") => {
                    drop(shape::error(&answer, 400, "with a project of nothing"))
                }
                // It looks whether an id is one before it looks for a group.
                () if route.contains("/v2.1/os-security-group") && id != SOMEONE => {
                    drop(shape::error(&answer, 400, "with no id"))
                }
                () => drop(shape::error(&answer, 404, "with an id of nothing")),
            }
        }
    }
    testkit::assert_same(&before, &world.cloud.dump(), "asking for nothing");
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let world = World::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for route in Routes::new()
        .all()
        .iter()
        .filter(|r| r.method == Method::GET)
    {
        let path = fill(route, |segment| {
            let found = world.ids.get(segment).cloned();
            found.unwrap_or_else(|| "router".to_owned())
        });
        let answer = world.admin.get(&path).await;
        assert!(answer.status.as_u16() < 500, "{answer:?}");
        let id = answer.header("x-openstack-request-id").to_owned();
        assert!(id.starts_with("req-") && seen.insert(id), "{answer:?}");
        if route.dialect == Dialect::Compute {
            assert_eq!(answer.header("openstack-api-version"), "compute 2.1");
            assert_eq!(answer.header("x-openstack-nova-api-version"), "2.1");
        }
        let head = world.admin.request(Method::HEAD, &path).send().await;
        assert_eq!(
            head.status.is_success(),
            answer.status.is_success(),
            "{head:?}"
        );
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_microversion_that_is_not_there_is_406() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let path = "/compute/v2.1/servers";
    let ask = async |name: &'static str, value: &str| {
        let request = admin.request(Method::GET, path).header(name, value);
        request.send().await.status.as_u16()
    };
    for (version, expected) in [
        ("2.1", 200),
        ("latest", 200),
        ("2.26", 200),
        ("2.27", 406),
        ("3.0", 406),
        ("x", 406),
    ] {
        let new = format!("compute {version}");
        assert_eq!(
            ask("openstack-api-version", &new).await,
            expected,
            "{version}"
        );
        assert_eq!(
            ask("x-openstack-nova-api-version", version).await,
            expected,
            "{version}"
        );
    }
}
