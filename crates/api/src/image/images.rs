//! Image records.

use cloud::NewImage;
use model::{Error, ImageId, Kind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use super::patch;
use crate::context::Context;
use crate::json::{parse, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const FILTERS: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("status", "status"),
    ("visibility", "visibility"),
    ("owner", "owner"),
    ("disk_format", "disk_format"),
    ("container_format", "container_format"),
    ("protected", "protected"),
    ("os_hidden", "hidden"),
    ("size", "size_bytes"),
    ("min_disk", "min_disk"),
    ("min_ram", "min_ram"),
    ("checksum", "checksum"),
    ("os_hash_value", "sha512"),
    ("created_at", "created_ms"),
    ("updated_at", "updated_ms"),
];

/// Fields that only the cloud itself sets.
const READ_ONLY: [&str; 14] = [
    "status",
    "checksum",
    "size",
    "virtual_size",
    "created_at",
    "updated_at",
    "file",
    "self",
    "schema",
    "direct_url",
    "locations",
    "os_hash_algo",
    "os_hash_value",
    "stores",
];

#[derive(Deserialize)]
struct Create {
    id: Option<String>,
    name: Option<String>,
    owner: Option<String>,
    visibility: Option<String>,
    disk_format: Option<String>,
    container_format: Option<String>,
    min_disk: Option<u32>,
    min_ram: Option<u32>,
    #[serde(default, deserialize_with = "truth")]
    protected: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    os_hidden: Option<bool>,
    tags: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `GET /v2/images`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let mut page = ctx.page(FILTERS)?;
    for (_, values) in &mut page.filters {
        let words = values.iter().flat_map(|v| match v.strip_prefix("in:") {
            Some(list) => list.split(',').map(str::to_owned).collect::<Vec<_>>(),
            None => vec![v.clone()],
        });
        *values = words.collect();
    }
    if page
        .filters
        .iter()
        .any(|(c, v)| c == "visibility" && v.iter().any(|v| v == "all"))
    {
        page.take("visibility");
    }
    let images = ctx.cloud.list_images(&ctx.caller, &page)?;
    let mut body = Map::new();
    if let (Some(limit), Some(last)) = (page.limit, images.last())
        && images.len() as u64 >= limit
    {
        body.insert(
            "next".into(),
            json!(ctx.next_page("/v2/images", &last.id.to_string())),
        );
    }
    body.insert("images".into(), images.iter().map(view).collect());
    body.insert("first".into(), json!("/v2/images"));
    body.insert("schema".into(), json!("/v2/schemas/images"));
    Ok(Reply::ok(&Value::Object(body)))
}

/// `GET /v2/images/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let image = ctx
        .cloud
        .get_image(&ctx.caller, &ctx.id("id", Kind::Image)?)?;
    Ok(Reply::ok(&view(&image)))
}

/// `POST /v2/images`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted: Create = ctx.json()?;
    let mut properties = row::Metadata::new();
    for (key, value) in wanted.rest {
        if READ_ONLY.contains(&key.as_str()) {
            return Err(Error::Forbidden(format!("Attribute '{key}' is read-only.")));
        }
        match value {
            Value::Null => {}
            Value::String(text) => drop(properties.insert(key, text)),
            other => {
                return Err(Error::invalid(format!(
                    "Invalid image object: property {key} must be a string, not {other}"
                )));
            }
        }
    }
    let new = NewImage {
        id: wanted
            .id
            .map(|id| parse::<ImageId>("id", &id))
            .transpose()?,
        name: wanted.name,
        owner: wanted.owner.map(Into::into),
        visibility: wanted.visibility,
        disk_format: wanted.disk_format,
        container_format: wanted.container_format,
        min_disk: wanted.min_disk.unwrap_or(0),
        min_ram: wanted.min_ram.unwrap_or(0),
        protected: wanted.protected.unwrap_or(false),
        hidden: wanted.os_hidden.unwrap_or(false),
        tags: wanted.tags.unwrap_or_default(),
        properties,
    };
    let image = ctx.cloud.create_image(&ctx.caller, &new)?;
    let location = format!("{}/image/v2/images/{}", ctx.cloud.settings().url, image.id);
    Ok(Reply::created(&view(&image)).with("location", &location))
}

/// `PATCH /v2/images/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let operations = patch::parse(ctx)?;
    let id: ImageId = ctx.id("id", Kind::Image)?;
    let image = ctx.cloud.update_image(&ctx.caller, &id, |image| {
        operations.iter().try_for_each(|op| patch::apply(image, op))
    })?;
    Ok(Reply::ok(&view(&image)))
}

/// `DELETE /v2/images/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_image(&ctx.caller, &ctx.id("id", Kind::Image)?)?;
    Ok(Reply::no_content())
}

/// `PUT /v2/images/{id}/tags/{tag}`
pub(super) fn add_tag(ctx: &Context) -> Result<Reply> {
    let tag = ctx.param("tag").to_owned();
    ctx.cloud
        .update_image(&ctx.caller, &ctx.id("id", Kind::Image)?, |image| {
            if !image.tags.0.contains(&tag) {
                image.tags.0.push(tag.clone());
            }
            Ok(())
        })?;
    Ok(Reply::no_content())
}

/// `DELETE /v2/images/{id}/tags/{tag}`
pub(super) fn remove_tag(ctx: &Context) -> Result<Reply> {
    let tag = ctx.param("tag");
    ctx.cloud
        .update_image(&ctx.caller, &ctx.id("id", Kind::Image)?, |image| {
            let place = image.tags.0.iter().position(|t| t == tag);
            let place = place.ok_or_else(|| Error::not_found(Kind::Path, format!("tag {tag}")))?;
            image.tags.0.remove(place);
            Ok(())
        })?;
    Ok(Reply::no_content())
}

/// `GET /v2/info/import`: data is uploaded, by no other way.
pub(super) fn import_methods(_: &Context) -> Result<Reply> {
    Ok(Reply::ok(
        &json!({"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}),
    ))
}

fn view(image: &row::Image) -> Value {
    let mut view = json!({
        "id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility,
        "owner": image.owner, "protected": image.protected, "os_hidden": image.hidden,
        "disk_format": image.disk_format, "container_format": image.container_format,
        "min_disk": image.min_disk, "min_ram": image.min_ram,
        "size": image.size_bytes, "virtual_size": image.virtual_size_bytes,
        "checksum": image.checksum,
        "os_hash_algo": image.sha512.as_ref().map(|_| "sha512"), "os_hash_value": image.sha512,
        "tags": image.tags.0,
        "created_at": time::seconds(image.created_ms), "updated_at": time::seconds(image.updated_ms),
        "self": format!("/v2/images/{}", image.id), "file": format!("/v2/images/{}/file", image.id),
        "schema": "/v2/schemas/image",
    });
    for (key, value) in &image.properties.0 {
        if view.get(key).is_none() {
            view[key] = json!(value);
        }
    }
    view
}

/// Whether a field is one of the cloud's own.
pub(super) fn is_read_only(field: &str) -> bool {
    field == "id" || READ_ONLY.contains(&field)
}
