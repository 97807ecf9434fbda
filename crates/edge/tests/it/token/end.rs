//! What ends a token.

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, PASSWORD, Person, TestCloud};

use super::{TOKENS, ask, opens, password, project, token};
use crate::shape;
use crate::world::SOMEONE;

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
