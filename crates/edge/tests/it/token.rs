//! Tokens: what they open, and what ends them.

mod end;

use http::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Person, TestCloud};

use crate::shape;
use crate::world::SOMEONE;

const TOKENS: &str = "/identity/v3/auth/tokens";

async fn ask(client: &Client, identity: Value, scope: Option<Value>) -> Answer {
    let mut auth = json!({"identity": identity});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    client.post(TOKENS, json!({"auth": auth})).await
}

fn password(name: &str, password: &str) -> Value {
    json!({"methods": ["password"], "password": {"user": {
        "name": name, "domain": {"id": "default"}, "password": password,
    }}})
}

fn token(text: &str) -> Value {
    json!({"methods": ["token"], "token": {"id": text}})
}

fn project(name: &str) -> Option<Value> {
    Some(json!({"project": {"name": name, "domain": {"id": "default"}}}))
}

fn names(list: &Value) -> Vec<String> {
    let mut names: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Whether a token opens anything: `GET /v3/auth/projects` is for every valid one.
async fn opens(client: &Client, text: &str) -> bool {
    let answer = client
        .with_token(Some(text))
        .get("/identity/v3/auth/projects")
        .await;
    assert!([200, 401].contains(&answer.status.as_u16()), "{answer:?}");
    answer.status == 200
}

#[tokio::test]
async fn scopes_by_name_and_by_id() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    let admin = || password("admin", PASSWORD);
    let id = cloud.project_id(Person::Admin);
    for (scope, key, id_there) in [
        (project("admin"), "project", id.as_str()),
        (Some(json!({"project": {"id": id}})), "project", id.as_str()),
        (
            Some(json!({"project": {"name": "admin", "domain": {"name": "Default"}}})),
            "project",
            id.as_str(),
        ),
        (
            Some(json!({"domain": {"id": "default"}})),
            "domain",
            "default",
        ),
        (
            Some(json!({"domain": {"name": "Default"}})),
            "domain",
            "default",
        ),
    ] {
        let answer = ask(&nobody, admin(), scope).await;
        let body = answer.expect(201)["token"].clone();
        assert_eq!(body[key]["id"], json!(id_there));
        assert_eq!(
            names(&body["roles"]),
            ["admin", "manager", "member", "reader"]
        );
        assert_eq!(body["catalog"].as_array().unwrap().len(), 6);
        assert!(opens(&nobody, answer.header("x-subject-token")).await);
    }
    let system = ask(&nobody, admin(), Some(json!({"system": {"all": true}})))
        .await
        .expect(201);
    assert_eq!(system["token"]["system"], json!({"all": true}));
    let unscoped = ask(&nobody, admin(), Some(json!("unscoped"))).await;
    let body = unscoped.expect(201)["token"].clone();
    for absent in ["project", "domain", "system", "roles", "catalog"] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
    assert_eq!(body["user"]["name"], "admin");
    // Without a word on scope: the user's default project, if it has one.
    let default = ask(&nobody, admin(), None).await.expect(201);
    assert_eq!(default["token"]["project"]["id"], json!(id));
    let none = ask(&nobody, password("member", PASSWORD), None)
        .await
        .expect(201);
    assert_eq!(none["token"].get("project"), None);
    let by_id = json!({"methods": ["password"], "password": {"user": {
        "id": cloud.user_id(Person::Member), "password": PASSWORD,
    }}});
    let answer = ask(&nobody, by_id, project("alpha")).await.expect(201);
    assert_eq!(names(&answer["token"]["roles"]), ["member", "reader"]);
    let path = format!("{TOKENS}?nocatalog");
    let body = json!({"auth": {"identity": admin()}});
    assert_eq!(
        nobody.post(&path, body).await.expect(201)["token"].get("catalog"),
        None
    );
}

#[tokio::test]
async fn wrong_proofs_and_scopes_are_all_alike() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    let mut messages = Vec::new();
    let cases = [
        (password("admin", "wrong"), project("admin")),
        (password("nobody", PASSWORD), project("admin")),
        (password("member", PASSWORD), project("beta")),
        (password("member", PASSWORD), project("nowhere")),
        (
            password("member", PASSWORD),
            Some(json!({"project": {"id": SOMEONE}})),
        ),
        (
            password("member", PASSWORD),
            Some(json!({"domain": {"id": "default"}})),
        ),
        (
            password("member", PASSWORD),
            Some(json!({"domain": {"name": "nowhere"}})),
        ),
        (
            password("member", PASSWORD),
            Some(json!({"system": {"all": true}})),
        ),
        (token("garbage"), project("admin")),
        (token(""), None),
    ];
    for (identity, scope) in cases {
        let what = format!("{identity} {scope:?}");
        messages.push(shape::error(
            &ask(&nobody, identity, scope).await,
            401,
            &what,
        ));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    for scope in [
        json!("everything"),
        json!({"project": {"name": "admin"}}),
        json!({"system": {"all": false}}),
        json!({"project": {"id": "x"}, "domain": {"id": "y"}}),
        json!({}),
        json!({"domain": {}}),
    ] {
        let answer = ask(&nobody, password("admin", PASSWORD), Some(scope.clone())).await;
        shape::error(&answer, 400, &scope.to_string());
    }
    let totp = json!({"methods": ["totp"], "totp": {}});
    shape::error(
        &ask(&nobody, totp, None).await,
        401,
        "a method we do not have",
    );
}

#[tokio::test]
async fn a_token_tells_its_holder_and_administrators_what_it_says() {
    let cloud = TestCloud::start().await;
    let (member, admin, stranger) = (
        cloud.member().await,
        cloud.admin().await,
        cloud.stranger().await,
    );
    for method in [Method::GET, Method::HEAD] {
        let look = async |caller: &Client, subject: &str| {
            let request = caller
                .request(method.clone(), TOKENS)
                .header("x-subject-token", subject);
            request.send().await
        };
        assert_eq!(look(&member, member.token()).await.status, 200);
        let seen = look(&admin, member.token()).await;
        assert_eq!(seen.status, 200);
        assert_eq!(seen.header("x-subject-token"), member.token());
        assert_eq!(look(&stranger, member.token()).await.status, 404);
        assert_eq!(look(&admin, "garbage").await.status, 404);
        assert_eq!(
            look(&cloud.client_with(None).await, member.token())
                .await
                .status,
            401
        );
        let bare = member.request(method.clone(), TOKENS).send().await;
        assert_eq!(bare.status, 400);
    }
}

#[tokio::test]
async fn scopes_open_what_is_theirs() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    let get = async |scope: Value, path: &str| {
        let answer = ask(&nobody, password("admin", PASSWORD), Some(scope)).await;
        let client = nobody.with_token(Some(answer.header("x-subject-token")));
        client.get(path).await.status.as_u16()
    };
    assert_eq!(
        get(json!("unscoped"), "/identity/v3/auth/projects").await,
        200
    );
    assert_eq!(get(json!("unscoped"), "/identity/v3/users").await, 403);
    assert_eq!(get(json!("unscoped"), "/compute/v2.1/limits").await, 403);
    assert_eq!(
        get(json!({"system": {"all": true}}), "/identity/v3/users").await,
        200
    );
    assert_eq!(
        get(json!({"domain": {"id": "default"}}), "/identity/v3/users").await,
        200
    );
}

#[tokio::test]
async fn a_token_lists_where_its_holder_may_go() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let list = member.get("/identity/v3/auth/projects").await.expect(200);
    assert_eq!(names(&list["projects"]), ["alpha"]);
    let admin = cloud.admin().await;
    assert_eq!(
        admin.get("/identity/v3/auth/system").await.expect(200),
        json!({"system": [{"all": true}]})
    );
    let domains = admin.get("/identity/v3/auth/domains").await.expect(200);
    assert_eq!(names(&domains["domains"]), ["Default"]);
    assert_eq!(
        member.get("/identity/v3/auth/domains").await.expect(200)["domains"],
        json!([])
    );
}
