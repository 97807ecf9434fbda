//! Tokens: what they open, and what ends them.

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
async fn a_token_made_from_a_token_ends_with_it() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    let first = ask(
        &nobody,
        password("admin", PASSWORD),
        Some(json!("unscoped")),
    )
    .await;
    let text = first.header("x-subject-token").to_owned();
    let second = ask(&nobody, token(&text), project("admin")).await;
    let (first, second_body) = (first.expect(201), second.expect(201));
    assert_eq!(
        second_body["token"]["expires_at"],
        first["token"]["expires_at"]
    );
    let mut methods = second_body["token"]["methods"].clone();
    methods
        .as_array_mut()
        .unwrap()
        .sort_by_key(Value::to_string);
    assert_eq!(methods, json!(["password", "token"]));
    assert_eq!(second_body["token"]["project"]["name"], "admin");
    // Back again, from a project to none.
    let third = ask(
        &nobody,
        token(second.header("x-subject-token")),
        Some(json!("unscoped")),
    )
    .await;
    assert_eq!(
        third.expect(201)["token"]["expires_at"],
        first["token"]["expires_at"]
    );
}

#[tokio::test]
async fn a_token_that_expired_opens_nothing() {
    let cloud = TestCloud::with(|s| s.token_lifetime_ms = 0).await;
    let client = cloud.client_with(None).await;
    let answer = ask(&client, password("admin", PASSWORD), project("admin")).await;
    let text = answer.header("x-subject-token").to_owned();
    answer.expect(201);
    assert!(!opens(&client, &text).await);
    let from = ask(&client, token(&text), project("admin")).await;
    shape::error(&from, 401, "from an expired token");
}

/// What was remembered of a token while it was valid does not outlast it. Time is the subject
/// here, so this test alone waits for it.
#[tokio::test]
async fn a_token_that_was_used_expires_all_the_same() {
    let lifetime = std::time::Duration::from_secs(2);
    let cloud = TestCloud::with(|s| s.token_lifetime_ms = 2000).await;
    let client = cloud.admin().await;
    assert!(opens(&client, client.token()).await);
    tokio::time::sleep(lifetime).await;
    assert!(!opens(&client, client.token()).await);
}

#[tokio::test]
async fn a_revoked_token_is_void_and_others_are_not() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (other, admin) = (cloud.token(Person::Member), cloud.admin().await);
    let revoke = async |caller: &Client, subject: &str| {
        let request = caller
            .request(Method::DELETE, TOKENS)
            .header("x-subject-token", subject);
        request.send().await
    };
    assert!(opens(&member, &other).await);
    shape::error(
        &revoke(&cloud.stranger().await, &other).await,
        404,
        "another's token",
    );
    revoke(&member, &other).await.expect(204);
    assert!(!opens(&member, &other).await);
    assert!(opens(&member, member.token()).await);
    shape::error(&revoke(&member, &other).await, 404, "revoked twice");
    revoke(&admin, member.token()).await.expect(204);
    assert!(!opens(&member, member.token()).await);
    // One's own token, by which one asks.
    revoke(&admin, admin.token()).await.expect(204);
    assert!(!opens(&admin, admin.token()).await);
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
async fn a_tampered_token_is_refused() {
    let cloud = TestCloud::start().await;
    let client = cloud.admin().await;
    let text = client.token().to_owned();
    for place in (0..text.len()).step_by(5) {
        let mut bad = text.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(!opens(&client, &bad).await, "changed at {place}");
    }
    for bad in [
        &text[..text.len() - 4],
        &text[4..],
        &format!("{text}AAAA"),
        &text.to_uppercase(),
    ] {
        assert!(!opens(&client, bad).await);
    }
    // Another cloud's token is as good as none.
    let other = TestCloud::start().await;
    assert!(!opens(&client, &other.token(Person::Admin)).await);
}

#[tokio::test]
async fn a_changed_password_voids_tokens() {
    let cloud = TestCloud::start().await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let nobody = cloud.client_with(None).await;
    let user = cloud.user_id(Person::Member);
    let path = format!("/identity/v3/users/{user}/password");
    let change =
        |old: &str, new: &str| json!({"user": {"original_password": old, "password": new}});
    shape::error(
        &nobody.post(&path, change("wrong", "new")).await,
        401,
        "the old one is wrong",
    );
    shape::error(
        &nobody.post(&path, change(PASSWORD, "")).await,
        400,
        "no password",
    );
    let nowhere = format!("/identity/v3/users/{SOMEONE}/password");
    shape::error(
        &nobody.post(&nowhere, change(PASSWORD, "new")).await,
        401,
        "nobody",
    );
    assert!(opens(&member, member.token()).await);
    member
        .post(&path, change(PASSWORD, "new"))
        .await
        .expect(204);
    assert!(!opens(&member, member.token()).await);
    shape::error(
        &ask(&nobody, password("member", PASSWORD), None).await,
        401,
        "the old password",
    );
    let fresh = ask(&nobody, password("member", "new"), project("alpha")).await;
    let fresh_token = fresh.header("x-subject-token").to_owned();
    fresh.expect(201);
    assert!(opens(&member, &fresh_token).await);
    let reset = json!({"user": {"password": "other"}});
    admin
        .patch(&format!("/identity/v3/users/{user}"), reset)
        .await
        .expect(200);
    assert!(!opens(&member, &fresh_token).await);
    ask(&nobody, password("member", "other"), project("alpha"))
        .await
        .expect(201);
}

#[tokio::test]
async fn what_is_disabled_or_gone_opens_nothing() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let nobody = cloud.client_with(None).await;
    let user = format!("/identity/v3/users/{}", cloud.user_id(Person::Member));
    let place = format!("/identity/v3/projects/{}", cloud.project_id(Person::Member));
    let role = format!(
        "{place}/users/{}/roles/{}",
        cloud.user_id(Person::Member),
        cloud.role_id("member")
    );
    let enabled = |on: bool, key: &str| json!({key: {"enabled": on}});
    let login = async || ask(&nobody, password("member", PASSWORD), project("alpha")).await;

    let text = cloud.token(Person::Member);
    admin
        .patch(&place, enabled(false, "project"))
        .await
        .expect(200);
    assert!(!opens(&nobody, &text).await);
    shape::error(&login().await, 401, "the project is disabled");
    admin
        .patch(&place, enabled(true, "project"))
        .await
        .expect(200);
    assert!(opens(&nobody, &text).await);

    admin.delete(&role).await.expect(204);
    assert!(!opens(&nobody, &text).await, "without a role");
    shape::error(&login().await, 401, "without a role");
    assert_eq!(admin.request(Method::PUT, &role).send().await.status, 204);

    let text = cloud.token(Person::Member);
    admin.patch(&user, enabled(false, "user")).await.expect(200);
    assert!(!opens(&nobody, &text).await);
    shape::error(&login().await, 401, "the user is disabled");
    admin.patch(&user, enabled(true, "user")).await.expect(200);
    assert!(
        !opens(&nobody, &text).await,
        "disabling voids tokens for good"
    );

    let text = cloud.token(Person::Member);
    assert!(opens(&nobody, &text).await);
    admin.delete(&user).await.expect(204);
    assert!(!opens(&nobody, &text).await);
    shape::error(&login().await, 401, "the user is gone");
}

#[tokio::test]
async fn a_disabled_domain_locks_its_users_out() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let nobody = cloud.client_with(None).await;
    let post =
        async |path: &str, body: Value| crate::world::id(&admin.post(path, body).await.expect(201));
    let domain = post("/identity/v3/domains", json!({"domain": {"name": "d"}})).await;
    let user = post(
        "/identity/v3/users",
        json!({"user": {"name": "u", "domain_id": domain, "password": "p"}}),
    )
    .await;
    let place = post(
        "/identity/v3/projects",
        json!({"project": {"name": "p", "domain_id": domain}}),
    )
    .await;
    let role = format!(
        "/identity/v3/projects/{place}/users/{user}/roles/{}",
        cloud.role_id("member")
    );
    assert_eq!(admin.request(Method::PUT, &role).send().await.status, 204);
    let identity =
        json!({"methods": ["password"], "password": {"user": {"id": user, "password": "p"}}});
    let scope = Some(json!({"project": {"name": "p", "domain": {"name": "d"}}}));
    let answer = ask(&nobody, identity.clone(), scope.clone()).await;
    let text = answer.header("x-subject-token").to_owned();
    answer.expect(201);
    let path = format!("/identity/v3/domains/{domain}");
    admin
        .patch(&path, json!({"domain": {"enabled": false}}))
        .await
        .expect(200);
    assert!(!opens(&nobody, &text).await);
    shape::error(
        &ask(&nobody, identity, scope).await,
        401,
        "the domain is disabled",
    );
    shape::error(&admin.delete(&path).await, 409, "it is not empty");
    admin
        .delete(&format!("/identity/v3/projects/{place}"))
        .await
        .expect(204);
    admin
        .delete(&format!("/identity/v3/users/{user}"))
        .await
        .expect(204);
    admin.delete(&path).await.expect(204);
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
