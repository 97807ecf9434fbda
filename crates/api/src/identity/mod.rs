//! The identity API, version 3.

mod assignment;
mod auth;
mod catalog;
mod domain;
mod project;
mod role;
mod user;

use http::Method;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::route::{Handler::Open, Handler::OpenSlow, Handler::Plain, Lines};
use crate::version;

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "", Open(version::identity_list)),
    (Method::GET, "/v3", Open(version::identity)),
    (Method::POST, "/v3/auth/tokens", OpenSlow(auth::issue)),
    (Method::GET, "/v3/auth/tokens", Plain(auth::show)),
    (Method::HEAD, "/v3/auth/tokens", Plain(auth::check)),
    (Method::DELETE, "/v3/auth/tokens", Plain(auth::revoke)),
    (Method::GET, "/v3/auth/projects", Plain(auth::projects)),
    (Method::GET, "/v3/auth/domains", Plain(auth::domains)),
    (Method::GET, "/v3/auth/system", Plain(auth::system)),
    (Method::GET, "/v3/auth/catalog", Plain(catalog::show)),
    (Method::GET, "/v3/services", Plain(catalog::services)),
    (Method::GET, "/v3/services/{id}", Plain(catalog::service)),
    (Method::GET, "/v3/endpoints", Plain(catalog::endpoints)),
    (Method::GET, "/v3/endpoints/{id}", Plain(catalog::endpoint)),
    (Method::GET, "/v3/regions", Plain(catalog::regions)),
    (Method::GET, "/v3/regions/{id}", Plain(catalog::region)),
    (Method::GET, "/v3/domains", Plain(domain::list)),
    (Method::POST, "/v3/domains", Plain(domain::create)),
    (Method::GET, "/v3/domains/{id}", Plain(domain::show)),
    (Method::PATCH, "/v3/domains/{id}", Plain(domain::update)),
    (Method::DELETE, "/v3/domains/{id}", Plain(domain::delete)),
    (Method::GET, "/v3/projects", Plain(project::list)),
    (Method::POST, "/v3/projects", Plain(project::create)),
    (Method::GET, "/v3/projects/{id}", Plain(project::show)),
    (Method::PATCH, "/v3/projects/{id}", Plain(project::update)),
    (Method::DELETE, "/v3/projects/{id}", Plain(project::delete)),
    (Method::GET, "/v3/users", Plain(user::list)),
    (Method::POST, "/v3/users", Plain(user::create)),
    (Method::GET, "/v3/users/{id}", Plain(user::show)),
    (Method::PATCH, "/v3/users/{id}", Plain(user::update)),
    (Method::DELETE, "/v3/users/{id}", Plain(user::delete)),
    (
        Method::POST,
        "/v3/users/{id}/password",
        OpenSlow(user::password),
    ),
    (
        Method::GET,
        "/v3/users/{id}/projects",
        Plain(user::projects),
    ),
    (Method::GET, "/v3/roles", Plain(role::list)),
    (Method::POST, "/v3/roles", Plain(role::create)),
    (Method::GET, "/v3/roles/{id}", Plain(role::show)),
    (Method::PATCH, "/v3/roles/{id}", Plain(role::update)),
    (Method::DELETE, "/v3/roles/{id}", Plain(role::delete)),
    (Method::GET, "/v3/role_assignments", Plain(assignment::list)),
    (
        Method::GET,
        "/v3/projects/{target}/users/{user}/roles",
        Plain(assignment::roles),
    ),
    (
        Method::PUT,
        "/v3/projects/{target}/users/{user}/roles/{role}",
        Plain(assignment::assign),
    ),
    (
        Method::HEAD,
        "/v3/projects/{target}/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::GET,
        "/v3/projects/{target}/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::DELETE,
        "/v3/projects/{target}/users/{user}/roles/{role}",
        Plain(assignment::unassign),
    ),
    (
        Method::GET,
        "/v3/domains/{target}/users/{user}/roles",
        Plain(assignment::roles),
    ),
    (
        Method::PUT,
        "/v3/domains/{target}/users/{user}/roles/{role}",
        Plain(assignment::assign),
    ),
    (
        Method::HEAD,
        "/v3/domains/{target}/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::GET,
        "/v3/domains/{target}/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::DELETE,
        "/v3/domains/{target}/users/{user}/roles/{role}",
        Plain(assignment::unassign),
    ),
    (
        Method::GET,
        "/v3/system/users/{user}/roles",
        Plain(assignment::roles),
    ),
    (
        Method::PUT,
        "/v3/system/users/{user}/roles/{role}",
        Plain(assignment::assign),
    ),
    (
        Method::HEAD,
        "/v3/system/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::GET,
        "/v3/system/users/{user}/roles/{role}",
        Plain(assignment::check),
    ),
    (
        Method::DELETE,
        "/v3/system/users/{user}/roles/{role}",
        Plain(assignment::unassign),
    ),
];

/// The address of a thing of this API.
fn href(ctx: &Context, path: &str) -> String {
    format!("{}/identity/v3/{path}", ctx.cloud.settings().url)
}

/// A collection as the identity API writes it; `next` when the page may not be the last.
fn collection(ctx: &Context, name: &str, entries: Vec<Value>) -> Value {
    let path = href(ctx, name);
    // Lists that take no limit are short, and never full.
    let full = ctx.limit().is_ok_and(|limit| entries.len() as u64 >= limit);
    let last = entries.last().and_then(|e| e["id"].as_str());
    let next = last.filter(|_| full).map(|id| ctx.next_page(&path, id));
    let mut body = Map::new();
    body.insert(name.to_owned(), Value::Array(entries));
    body.insert(
        "links".into(),
        json!({"self": path, "previous": null, "next": next}),
    );
    Value::Object(body)
}
