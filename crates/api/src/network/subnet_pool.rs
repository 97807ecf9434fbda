//! Subnet pools.

use cloud::{Lengths, NewSubnetPool, Shown, SubnetPoolUpdate};
use ipnet::IpNet;
use model::{AddressScopeId, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::json::{nullable, number, parse, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("ip_version", "version"),
    ("shared", "shared"),
    ("is_default", "is_default"),
    ("min_prefixlen", "min_length"),
    ("max_prefixlen", "max_length"),
    ("default_prefixlen", "default_length"),
    ("default_quota", "default_quota"),
    ("address_scope_id", "address_scope_id"),
    ("created_at", "created_ms"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    subnetpool: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    prefixes: Vec<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    min_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    max_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    default_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    default_quota: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    is_default: Option<bool>,
    address_scope_id: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    prefixes: Option<Vec<String>>,
    description: Option<String>,
    #[serde(default, deserialize_with = "number")]
    min_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    max_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    default_prefixlen: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    default_quota: Option<Option<u32>>,
    #[serde(default, deserialize_with = "truth")]
    is_default: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    address_scope_id: Option<Option<String>>,
}

/// `GET /v2.0/subnetpools`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let pools = ctx.cloud.list_subnet_pools(&ctx.caller, &page)?;
    let entries = pools.iter().map(view).collect();
    collection(ctx, "subnetpools", page.limit, entries)
}

/// `GET /v2.0/subnetpools/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::SubnetPool)?;
    let pool = ctx.cloud.get_subnet_pool(&ctx.caller, &id)?;
    Ok(Reply::ok(&single(ctx, "subnetpool", view(&pool))))
}

/// `POST /v2.0/subnetpools`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.subnetpool;
    let new = NewSubnetPool {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name,
        description: wanted.description.unwrap_or_default(),
        prefixes: prefixes(&wanted.prefixes)?,
        lengths: Lengths {
            min: wanted.min_prefixlen,
            max: wanted.max_prefixlen,
            default: wanted.default_prefixlen,
        },
        default_quota: wanted.default_quota,
        shared: wanted.shared.unwrap_or(false),
        is_default: wanted.is_default.unwrap_or(false),
        address_scope: wanted.address_scope_id.as_deref().map(scope).transpose()?,
        tags: wanted.tags.unwrap_or_default(),
    };
    let pool = ctx.cloud.create_subnet_pool(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "subnetpool", view(&pool))))
}

/// `PUT /v2.0/subnetpools/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.subnetpool;
    let update = SubnetPoolUpdate {
        name: wanted.name,
        description: wanted.description,
        prefixes: wanted.prefixes.map(|p| prefixes(&p)).transpose()?,
        lengths: Lengths {
            min: wanted.min_prefixlen,
            max: wanted.max_prefixlen,
            default: wanted.default_prefixlen,
        },
        default_quota: wanted.default_quota,
        is_default: wanted.is_default,
        address_scope: match wanted.address_scope_id {
            Some(Some(id)) => Some(Some(scope(&id)?)),
            other => other.map(|_| None),
        },
    };
    let id = ctx.id("id", Kind::SubnetPool)?;
    let pool = ctx.cloud.update_subnet_pool(&ctx.caller, &id, &update)?;
    Ok(Reply::ok(&single(ctx, "subnetpool", view(&pool))))
}

/// `DELETE /v2.0/subnetpools/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::SubnetPool)?;
    ctx.cloud.delete_subnet_pool(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

fn scope(id: &str) -> Result<AddressScopeId> {
    parse("address_scope_id", id)
}

fn prefixes(texts: &[String]) -> Result<Vec<IpNet>> {
    texts.iter().map(|text| parse("prefixes", text)).collect()
}

fn view(Shown { row: pool, shared }: &Shown<row::SubnetPool>) -> Value {
    json!({
        "id": pool.id, "name": pool.name, "description": pool.description,
        "project_id": pool.project_id, "tenant_id": pool.project_id,
        "ip_version": pool.version, "prefixes": pool.prefixes.0,
        "min_prefixlen": pool.min_length, "max_prefixlen": pool.max_length,
        "default_prefixlen": pool.default_length, "default_quota": pool.default_quota,
        "address_scope_id": pool.address_scope_id, "shared": shared, "is_default": pool.is_default,
        "tags": pool.tags.0, "revision_number": pool.revision,
        "created_at": time::seconds(pool.created_ms), "updated_at": time::seconds(pool.updated_ms),
    })
}
