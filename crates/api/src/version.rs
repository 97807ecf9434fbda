//! Version documents: what clients ask for before anything else.

use http::{Method, StatusCode};
use model::Result;
use serde_json::{Value, json};

use crate::context::Context;
use crate::microversion::COMPUTE;
use crate::reply::Reply;
use crate::route::{Handler, Lines};

/// Where the services are, for a person or a script that knows only the cloud's address.
pub(crate) const ROUTES: Lines = &[(Method::GET, "", Handler::Open(services))];

/// The image API's versions, newest first: each is the one before and a little more.
const IMAGE_VERSIONS: [&str; 10] = [
    "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0", "v2",
];

fn services(ctx: &Context) -> Result<Reply> {
    let url = &ctx.cloud.settings().url;
    let services = [
        ("identity", "identity/v3"),
        ("image", "image/v2"),
        ("compute", "compute/v2.1"),
        ("network", "network/v2.0"),
        ("volume", "volume/v3"),
    ];
    let versions: Vec<Value> = services
        .iter()
        .map(|(name, path)| json!({"id": name, "status": "CURRENT", "links": [{"rel": "self", "href": format!("{url}/{path}/")}]}))
        .collect();
    Ok(Reply::json(
        StatusCode::MULTIPLE_CHOICES,
        &json!({"versions": versions}),
    ))
}

/// `GET /identity`
pub(crate) fn identity_list(ctx: &Context) -> Result<Reply> {
    let versions = json!({"versions": {"values": [identity_document(ctx)]}});
    Ok(Reply::json(StatusCode::MULTIPLE_CHOICES, &versions))
}

/// `GET /identity/v3`
pub(crate) fn identity(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"version": identity_document(ctx)})))
}

fn identity_document(ctx: &Context) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/identity/v3/", ctx.cloud.settings().url)}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

/// `GET /image`
pub(crate) fn image_list(ctx: &Context) -> Result<Reply> {
    let href = format!("{}/image/v2/", ctx.cloud.settings().url);
    let status = |place: usize| if place == 0 { "CURRENT" } else { "SUPPORTED" };
    let versions: Vec<Value> = IMAGE_VERSIONS[..9]
        .iter()
        .enumerate()
        .map(|(place, id)| json!({"id": id, "status": status(place), "links": [{"rel": "self", "href": href}]}))
        .collect();
    Ok(Reply::json(
        StatusCode::MULTIPLE_CHOICES,
        &json!({"versions": versions}),
    ))
}

/// `GET /compute`
pub(crate) fn compute_list(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"versions": [compute_document(ctx)]})))
}

/// `GET /compute/v2.1`
pub(crate) fn compute(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&json!({"version": compute_document(ctx)})))
}

fn compute_document(ctx: &Context) -> Value {
    json!({
        "id": "v2.1",
        "status": "CURRENT",
        "version": format!("2.{COMPUTE}"),
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2.1/", ctx.cloud.settings().url)}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}],
    })
}

/// `GET /volume`
pub(crate) fn volume_list(ctx: &Context) -> Result<Reply> {
    Ok(Reply::json(
        StatusCode::MULTIPLE_CHOICES,
        &volume_document(ctx),
    ))
}

/// `GET /volume/v3`
pub(crate) fn volume(ctx: &Context) -> Result<Reply> {
    Ok(Reply::ok(&volume_document(ctx)))
}

fn volume_document(ctx: &Context) -> Value {
    json!({"versions": [{
        "id": "v3.0",
        "status": "CURRENT",
        "version": "3.0",
        "min_version": "3.0",
        "updated": "2023-08-31T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/volume/v3/", ctx.cloud.settings().url)}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }]})
}

/// `GET /network`
pub(crate) fn network_list(ctx: &Context) -> Result<Reply> {
    let href = format!("{}/network/v2.0/", ctx.cloud.settings().url);
    Ok(Reply::ok(&json!({"versions": [{
        "id": "v2.0", "status": "CURRENT", "updated": "2016-01-01T00:00:00Z",
        "links": [{"rel": "self", "href": href}],
    }]})))
}

/// `GET /network/v2.0`
pub(crate) fn network(ctx: &Context) -> Result<Reply> {
    let url = format!("{}/network/v2.0", ctx.cloud.settings().url);
    let resources = [
        "networks",
        "subnets",
        "ports",
        "routers",
        "security-groups",
        "security-group-rules",
    ];
    let resources: Vec<Value> = resources
        .iter()
        .map(|name| {
            let link = json!({"rel": "self", "href": format!("{url}/{name}")});
            json!({"name": name.trim_end_matches('s'), "collection": name, "links": [link]})
        })
        .collect();
    Ok(Reply::ok(&json!({"resources": resources})))
}
