//! Address scopes.

use cloud::{AddressScopeUpdate, NewAddressScope, Shown};
use model::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::json::{number, truth};
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("ip_version", "version"),
    ("shared", "shared"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    address_scope: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    ip_version: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
    tenant_id: Option<String>,
    project_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    shared: Option<bool>,
}

/// `GET /v2.0/address-scopes`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let scopes = ctx.cloud.list_address_scopes(&ctx.caller, &page)?;
    let entries = scopes.iter().map(view).collect();
    collection(ctx, "address_scopes", page.limit, entries)
}

/// `GET /v2.0/address-scopes/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::AddressScope)?;
    let scope = ctx.cloud.get_address_scope(&ctx.caller, &id)?;
    Ok(Reply::ok(&single(ctx, "address_scope", view(&scope))))
}

/// `POST /v2.0/address-scopes`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.address_scope;
    let version = wanted.ip_version;
    let new = NewAddressScope {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        version: version.ok_or_else(|| Error::invalid("ip_version is missing: 4 or 6"))?,
        shared: wanted.shared.unwrap_or(false),
    };
    let scope = ctx.cloud.create_address_scope(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "address_scope", view(&scope))))
}

/// `PUT /v2.0/address-scopes/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.address_scope;
    let update = AddressScopeUpdate {
        name: wanted.name,
        shared: wanted.shared,
    };
    let id = ctx.id("id", Kind::AddressScope)?;
    let scope = ctx.cloud.update_address_scope(&ctx.caller, &id, &update)?;
    Ok(Reply::ok(&single(ctx, "address_scope", view(&scope))))
}

/// `DELETE /v2.0/address-scopes/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::AddressScope)?;
    ctx.cloud.delete_address_scope(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

fn view(Shown { row: scope, shared }: &Shown<row::AddressScope>) -> Value {
    json!({
        "id": scope.id, "name": scope.name, "ip_version": scope.version, "shared": shared,
        "project_id": scope.project_id, "tenant_id": scope.project_id,
    })
}
