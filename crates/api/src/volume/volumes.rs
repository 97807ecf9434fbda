//! Volumes.

use cloud::{NewVolume, VolumeView};
use http::StatusCode;
use model::{Error, Kind, Result, VolumeId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use super::types;
use super::view::{full, made, short};
use crate::context::Context;
use crate::json::{nullable, number, truth};
use crate::page::Names;
use crate::reply::Reply;

const NAMES: Names = &[
    ("name", "name"),
    ("display_name", "name"),
    ("description", "description"),
    ("status", "status"),
    ("size", "size_gib"),
    ("bootable", "bootable"),
    ("id", "id"),
    ("project_id", "project_id"),
    ("user_id", "user_id"),
    ("availability_zone", "availability_zone"),
    ("created_at", "created_ms"),
    ("updated_at", "updated_ms"),
];

/// Filters that the volume API has and this cloud does not: an answer that passed over them would
/// list volumes that were not asked for.
const NOT_YET: [&str; 6] = [
    "metadata",
    "glance_metadata",
    "group_id",
    "consistencygroup_id",
    "migration_status",
    "host",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    volume: Create,
    #[serde(rename = "OS-SCH-HNT:scheduler_hints")]
    hints: Option<Map<String, Value>>,
}

/// Fields that are not known are passed over, as the volume API does before 3.53.
#[derive(Deserialize)]
struct Create {
    #[serde(default, deserialize_with = "number")]
    size: Option<u32>,
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    #[serde(rename = "imageRef", alias = "image_id")]
    image: Option<String>,
    metadata: Option<row::Metadata>,
    availability_zone: Option<String>,
    volume_type: Option<String>,
    source_volid: Option<String>,
    snapshot_id: Option<String>,
    consistencygroup_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    multiattach: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    volume: Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(default, alias = "display_description", deserialize_with = "nullable")]
    description: Option<Option<String>>,
    metadata: Option<row::Metadata>,
}

/// `GET /v3/volumes`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    listed(ctx, short)
}

/// `GET /v3/volumes/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    listed(ctx, full)
}

/// `GET /v3/volumes/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let view = ctx.cloud.get_volume(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::ok(&json!({"volume": full(ctx, &view)})))
}

/// `POST /v3/volumes`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let body = ctx.json::<CreateBody>()?;
    if body.hints.is_some_and(|h| !h.is_empty()) {
        return Err(not_yet("OS-SCH-HNT:scheduler_hints"));
    }
    let new = check(body.volume)?;
    let view = ctx.cloud.create_volume(&ctx.caller, &new)?;
    Ok(Reply::accepted(&json!({"volume": made(ctx, &view)})))
}

/// `PUT /v3/volumes/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<UpdateBody>()?.volume;
    let view = ctx.cloud.update_volume(&ctx.caller, &id(ctx)?, |volume| {
        if let Some(name) = &wanted.name {
            volume.name.clone_from(name);
        }
        if let Some(description) = &wanted.description {
            volume.description.clone_from(description);
        }
        if let Some(metadata) = &wanted.metadata {
            volume.metadata.0.clone_from(metadata);
        }
        Ok(())
    })?;
    Ok(Reply::ok(&json!({"volume": made(ctx, &view)})))
}

/// `DELETE /v3/volumes/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_volume(&ctx.caller, &id(ctx)?)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// A volume's id in a path.
pub(super) fn id(ctx: &Context) -> Result<VolumeId> {
    ctx.id("id", Kind::Volume)
}

fn not_yet(what: &str) -> Error {
    Error::invalid(format!(
        "{what} is not available in this cloud yet: leave it out"
    ))
}

/// The wish, once every field is known to be one this cloud can fulfil.
fn check(wanted: Create) -> Result<NewVolume> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    for (what, is_given) in [
        ("source_volid", given(&wanted.source_volid)),
        ("snapshot_id", given(&wanted.snapshot_id)),
        ("consistencygroup_id", given(&wanted.consistencygroup_id)),
        ("multiattach", wanted.multiattach == Some(true)),
    ] {
        if is_given {
            return Err(not_yet(what));
        }
    }
    if let Some(name) = wanted.volume_type.filter(|t| !t.is_empty()) {
        types::find(&name)?;
    }
    let image = wanted.image.filter(|i| !i.is_empty());
    let image = image.map(|text| {
        text.parse().map_err(|_| {
            Error::invalid("Invalid image identifier or unable to access requested image.")
        })
    });
    Ok(NewVolume {
        name: wanted.name.unwrap_or_default().trim().to_owned(),
        description: wanted.description,
        size_gib: wanted.size.ok_or_else(|| {
            Error::invalid("Invalid input for field/attribute size: it is missing")
        })?,
        image: image.transpose()?,
        metadata: wanted.metadata.unwrap_or_default(),
        availability_zone: wanted.availability_zone.filter(|z| !z.is_empty()),
    })
}

fn listed(ctx: &Context, view: fn(&Context, &VolumeView) -> Value) -> Result<Reply> {
    let all = ctx
        .query("all_tenants")
        .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"));
    let unknown = ctx
        .query
        .iter()
        .find(|(name, value)| NOT_YET.contains(&name.as_str()) && !value.is_empty());
    if let Some((name, _)) = unknown {
        return Err(Error::invalid(format!(
            "volumes cannot be filtered by {name} in this cloud yet"
        )));
    }
    let page = ctx.page(NAMES)?;
    let volumes = ctx.cloud.list_volumes(&ctx.caller, &page, all)?;
    let mut body = Map::new();
    if let (Some(limit), Some(last)) = (page.limit, volumes.last())
        && volumes.len() as u64 >= limit
    {
        let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
        let next = ctx.next_page(&path, &last.volume.id.to_string());
        body.insert(
            "volumes_links".into(),
            json!([{"rel": "next", "href": next}]),
        );
    }
    body.insert(
        "volumes".into(),
        volumes.iter().map(|v| view(ctx, v)).collect(),
    );
    Ok(Reply::ok(&Value::Object(body)))
}
