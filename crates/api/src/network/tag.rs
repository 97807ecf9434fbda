//! Tags: the same paths below each kind of thing that has them.

use cloud::{TagChange, Tagged};
use http::StatusCode;
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::context::Context;
use crate::reply::Reply;

/// The routes of tags below each of these collections.
macro_rules! tag_routes {
    ($($kind:literal)*) => {
        &[$(
            (Method::GET, concat!("/v2.0/", $kind, "/{id}/tags"), Plain(tag::list)),
            (Method::PUT, concat!("/v2.0/", $kind, "/{id}/tags"), Plain(tag::replace)),
            (Method::DELETE, concat!("/v2.0/", $kind, "/{id}/tags"), Plain(tag::clear)),
            (Method::GET, concat!("/v2.0/", $kind, "/{id}/tags/{tag}"), Plain(tag::show)),
            (Method::PUT, concat!("/v2.0/", $kind, "/{id}/tags/{tag}"), Plain(tag::add)),
            (Method::DELETE, concat!("/v2.0/", $kind, "/{id}/tags/{tag}"), Plain(tag::remove)),
        )*]
    };
}
pub(super) use tag_routes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    tags: Vec<String>,
}

/// `GET .../tags`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let tags = ctx.cloud.tags(&ctx.caller, kind(ctx)?, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"tags": tags})))
}

/// `GET .../tags/{tag}`: whether it is there.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let tags = ctx.cloud.tags(&ctx.caller, kind(ctx)?, ctx.param("id"))?;
    let tag = ctx.param("tag");
    match tags.iter().any(|t| t == tag) {
        true => Ok(Reply::no_content()),
        false => Err(Error::not_found(Kind::Tag, tag)),
    }
}

/// `PUT .../tags`
pub(super) fn replace(ctx: &Context) -> Result<Reply> {
    let tags = change(ctx, TagChange::Replace(ctx.json::<Body>()?.tags))?;
    Ok(Reply::ok(&json!({"tags": tags})))
}

/// `PUT .../tags/{tag}`
pub(super) fn add(ctx: &Context) -> Result<Reply> {
    change(ctx, TagChange::Add(ctx.param("tag").to_owned()))?;
    Ok(Reply::empty(StatusCode::CREATED))
}

/// `DELETE .../tags`
pub(super) fn clear(ctx: &Context) -> Result<Reply> {
    change(ctx, TagChange::Replace(Vec::new()))?;
    Ok(Reply::no_content())
}

/// `DELETE .../tags/{tag}`
pub(super) fn remove(ctx: &Context) -> Result<Reply> {
    change(ctx, TagChange::Remove(ctx.param("tag").to_owned()))?;
    Ok(Reply::no_content())
}

fn change(ctx: &Context, change: TagChange) -> Result<Vec<String>> {
    ctx.cloud
        .change_tags(&ctx.caller, kind(ctx)?, ctx.param("id"), &change)
}

/// The kind of thing, by the collection that the path names.
fn kind(ctx: &Context) -> Result<Tagged> {
    let kinds = [
        ("networks", Tagged::Network),
        ("subnets", Tagged::Subnet),
        ("ports", Tagged::Port),
        ("routers", Tagged::Router),
        ("security-groups", Tagged::SecurityGroup),
        ("floatingips", Tagged::FloatingIp),
        ("subnetpools", Tagged::SubnetPool),
        ("trunks", Tagged::Trunk),
        ("policies", Tagged::QosPolicy),
    ];
    let collection = ctx.path.split('/').nth(3).unwrap_or_default();
    let found = kinds.iter().find(|(name, _)| *name == collection);
    found
        .map(|(_, kind)| *kind)
        .ok_or_else(|| Error::not_found(Kind::Path, &ctx.path))
}
