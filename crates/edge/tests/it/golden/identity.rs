//! Identity's golden JSON.

use serde_json::{Value, json};
use testkit::Person;

use super::scene;
use crate::world::id;

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
