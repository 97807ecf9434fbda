//! Flavors.

use cloud::NewFlavor;
use http::StatusCode;
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use super::server_view::links;
use crate::context::Context;
use crate::json::{number, truth};
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("name", "name"),
    ("flavorid", "id"),
    ("memory_mb", "ram_mib"),
    ("vcpus", "vcpus"),
    ("root_gb", "disk_gib"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    flavor: Create,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    id: Option<Value>,
    #[serde(deserialize_with = "number")]
    ram: Option<u32>,
    #[serde(deserialize_with = "number")]
    vcpus: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    disk: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    swap: Option<u32>,
    rxtx_factor: Option<f64>,
    #[serde(
        rename = "OS-FLV-EXT-DATA:ephemeral",
        default,
        deserialize_with = "number"
    )]
    ephemeral: Option<u32>,
    #[serde(
        rename = "os-flavor-access:is_public",
        default,
        deserialize_with = "truth"
    )]
    public: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecsBody {
    extra_specs: row::Metadata,
}

/// `GET /v2.1/flavors`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    listed(
        ctx,
        |ctx, f| json!({"id": f.id, "name": f.name, "links": links(ctx, "flavors", f.id.as_str())}),
    )
}

/// `GET /v2.1/flavors/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    listed(ctx, view)
}

/// `GET /v2.1/flavors/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let flavor = ctx.cloud.get_flavor(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"flavor": view(ctx, &flavor)})))
}

/// `POST /v2.1/flavors`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<CreateBody>()?.flavor;
    let extra = wanted.swap.unwrap_or(0) > 0 || wanted.ephemeral.unwrap_or(0) > 0;
    if extra || wanted.rxtx_factor.is_some_and(|f| f != 1.0) {
        return Err(Error::invalid(
            "swap, ephemeral disks and rxtx_factor are not available in this cloud yet: leave them out",
        ));
    }
    let at_least_one = |what: &str, value: Option<u32>| {
        value.filter(|v| *v > 0).ok_or_else(|| {
            Error::invalid(format!(
                "Invalid input for field/attribute {what}: it must be at least 1"
            ))
        })
    };
    let new = NewFlavor {
        id: wanted.id.and_then(|id| match id {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => Some(other.to_string()),
        }),
        name: wanted.name,
        description: None,
        vcpus: at_least_one("vcpus", wanted.vcpus)?,
        ram_mib: at_least_one("ram", wanted.ram)?,
        disk_gib: wanted.disk.unwrap_or(0),
        public: wanted.public.unwrap_or(true),
    };
    let flavor = ctx.cloud.create_flavor(&ctx.caller, &new)?;
    Ok(Reply::ok(&json!({"flavor": view(ctx, &flavor)})))
}

/// `DELETE /v2.1/flavors/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_flavor(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// `GET /v2.1/flavors/{id}/os-extra_specs`
pub(super) fn extra_specs(ctx: &Context) -> Result<Reply> {
    let flavor = ctx.cloud.get_flavor(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"extra_specs": flavor.extra_specs.0})))
}

/// `GET /v2.1/flavors/{id}/os-extra_specs/{key}`
pub(super) fn extra_spec(ctx: &Context) -> Result<Reply> {
    let flavor = ctx.cloud.get_flavor(&ctx.caller, ctx.param("id"))?;
    let key = ctx.param("key");
    let value = flavor
        .extra_specs
        .0
        .get(key)
        .ok_or_else(|| Error::not_found(Kind::Path, key))?;
    let mut body = Map::new();
    body.insert(key.to_owned(), json!(value));
    Ok(Reply::ok(&Value::Object(body)))
}

/// `POST /v2.1/flavors/{id}/os-extra_specs`
pub(super) fn set_extra_specs(ctx: &Context) -> Result<Reply> {
    let specs = ctx.json::<SpecsBody>()?.extra_specs;
    let flavor = ctx
        .cloud
        .set_extra_specs(&ctx.caller, ctx.param("id"), &specs)?;
    Ok(Reply::ok(&json!({"extra_specs": flavor.extra_specs.0})))
}

/// `DELETE /v2.1/flavors/{id}/os-extra_specs/{key}`
pub(super) fn delete_extra_spec(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_extra_spec(&ctx.caller, ctx.param("id"), ctx.param("key"))?;
    Ok(Reply::empty(StatusCode::OK))
}

fn listed(ctx: &Context, view: fn(&Context, &row::Flavor) -> Value) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let public = match ctx
        .query("is_public")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("none") => None,
        Some("false" | "0") => Some(false),
        _ => Some(true),
    };
    let flavors = ctx.cloud.list_flavors(&ctx.caller, &page, public)?;
    let mut body = Map::new();
    if let (Some(limit), Some(last)) = (page.limit, flavors.last())
        && flavors.len() as u64 >= limit
    {
        let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
        let next = ctx.next_page(&path, last.id.as_str());
        body.insert(
            "flavors_links".into(),
            json!([{"rel": "next", "href": next}]),
        );
    }
    body.insert(
        "flavors".into(),
        flavors.iter().map(|f| view(ctx, f)).collect(),
    );
    Ok(Reply::ok(&Value::Object(body)))
}

fn view(ctx: &Context, flavor: &row::Flavor) -> Value {
    json!({
        "id": flavor.id, "name": flavor.name, "ram": flavor.ram_mib, "vcpus": flavor.vcpus,
        "disk": flavor.disk_gib, "swap": "", "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false,
        "os-flavor-access:is_public": flavor.public,
        "links": links(ctx, "flavors", flavor.id.as_str()),
    })
}
