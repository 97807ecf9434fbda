//! Volume types. This cloud keeps all volumes alike, so it has one.

use model::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::context::Context;
use crate::reply::Reply;

/// Its name.
pub(super) const DEFAULT_TYPE: &str = "default";
/// Fixed, as every cloud has it.
pub(crate) const DEFAULT_TYPE_ID: &str = "6d1a6d3e-3f0b-4c61-9a3d-68657874657f";

/// Whether a name or an id is the type's.
///
/// # Errors
/// `NotFound`.
pub(super) fn find(name: &str) -> Result<()> {
    match name == DEFAULT_TYPE || name == DEFAULT_TYPE_ID {
        true => Ok(()),
        false => Err(Error::not_found(Kind::VolumeType, name)),
    }
}

/// `GET /v3/types`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[("name", "name"), ("id", "id")])?;
    if let Some(marker) = &page.marker {
        find(marker).map_err(|_| Error::invalid(format!("Marker {marker} could not be found.")))?;
    }
    let public = !matches!(
        ctx.query("is_public")
            .map(str::to_ascii_lowercase)
            .as_deref(),
        Some("false" | "0")
    );
    let types = match public && page.marker.is_none() {
        true => vec![view()],
        false => Vec::new(),
    };
    Ok(Reply::ok(&json!({"volume_types": types})))
}

/// `GET /v3/types/{id}`: by its id, by `default`, which is the default type's name too.
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    find(ctx.param("id"))?;
    Ok(Reply::ok(&json!({"volume_type": view()})))
}

/// `GET /v3/types/{id}/extra_specs`
pub(super) fn extra_specs(ctx: &Context) -> Result<Reply> {
    find(ctx.param("id"))?;
    Ok(Reply::ok(&json!({"extra_specs": {}})))
}

fn view() -> Value {
    json!({
        "id": DEFAULT_TYPE_ID, "name": DEFAULT_TYPE, "is_public": true, "extra_specs": {},
        "description": "A sparse file, served over iSCSI",
        "os-volume-type-access:is_public": true, "qos_specs_id": null,
    })
}
