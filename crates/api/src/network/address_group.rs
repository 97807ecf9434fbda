//! Address groups.

use std::net::IpAddr;

use cloud::{AddressGroupUpdate, NewAddressGroup, Shown};
use ipnet::IpNet;
use model::{Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::json::parse;
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("created_at", "created_ms"),
    ("shared", "shared"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<T> {
    address_group: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    addresses: Vec<String>,
}

/// `GET /v2.0/address-groups`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let groups = ctx.cloud.list_address_groups(&ctx.caller, &page)?;
    let entries = groups.iter().map(view).collect();
    collection(ctx, "address_groups", page.limit, entries)
}

/// `GET /v2.0/address-groups/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::AddressGroup)?;
    answer(ctx, &ctx.cloud.get_address_group(&ctx.caller, &id)?)
}

/// `POST /v2.0/address-groups`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Create>>()?.address_group;
    let addresses = wanted.addresses.unwrap_or_default();
    let new = NewAddressGroup {
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        addresses: addresses
            .iter()
            .map(|text| parse("addresses", text))
            .collect::<Result<_>>()?,
    };
    let group = ctx.cloud.create_address_group(&ctx.caller, &new)?;
    Ok(Reply::created(&single(ctx, "address_group", view(&group))))
}

/// `PUT /v2.0/address-groups/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body<Update>>()?.address_group;
    let update = AddressGroupUpdate {
        name: wanted.name,
        description: wanted.description,
    };
    let id = ctx.id("id", Kind::AddressGroup)?;
    answer(
        ctx,
        &ctx.cloud.update_address_group(&ctx.caller, &id, &update)?,
    )
}

/// `DELETE /v2.0/address-groups/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    let id = ctx.id("id", Kind::AddressGroup)?;
    ctx.cloud.delete_address_group(&ctx.caller, &id)?;
    Ok(Reply::no_content())
}

/// `PUT /v2.0/address-groups/{id}/add_addresses`
pub(super) fn add_addresses(ctx: &Context) -> Result<Reply> {
    let addresses = named_addresses(ctx)?;
    let id = ctx.id("id", Kind::AddressGroup)?;
    answer(ctx, &ctx.cloud.add_addresses(&ctx.caller, &id, &addresses)?)
}

/// `PUT /v2.0/address-groups/{id}/remove_addresses`
pub(super) fn remove_addresses(ctx: &Context) -> Result<Reply> {
    let addresses = named_addresses(ctx)?;
    let id = ctx.id("id", Kind::AddressGroup)?;
    answer(
        ctx,
        &ctx.cloud.remove_addresses(&ctx.caller, &id, &addresses)?,
    )
}

/// Here an address stands for the prefix that holds it alone; at the group's making, neutron refuses it.
fn named_addresses(ctx: &Context) -> Result<Vec<IpNet>> {
    let texts = ctx.json::<Addresses>()?.addresses;
    let net = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => parse("addresses", text),
    };
    texts.iter().map(net).collect()
}

fn answer(ctx: &Context, group: &Shown<row::AddressGroup>) -> Result<Reply> {
    Ok(Reply::ok(&single(ctx, "address_group", view(group))))
}

fn view(Shown { row: group, shared }: &Shown<row::AddressGroup>) -> Value {
    json!({
        "id": group.id, "name": group.name, "description": group.description,
        "project_id": group.project_id, "tenant_id": group.project_id,
        "addresses": group.addresses.0, "shared": shared, "revision_number": group.revision,
        "created_at": time::seconds(group.created_ms), "updated_at": time::seconds(group.updated_ms),
    })
}
