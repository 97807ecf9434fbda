//! Changes to image records: the image API's JSON patch (`application/openstack-images-v2.1-json-patch`).

use cloud::ImageUpdate;
use model::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::images::is_read_only;
use crate::context::Context;

/// One change.
#[derive(Deserialize)]
pub(super) struct Operation {
    op: String,
    path: String,
    value: Option<Value>,
}

/// The body as operations.
///
/// # Errors
/// `UnsupportedMedia` for another media type than the image API's own.
pub(super) fn parse(ctx: &Context) -> Result<Vec<Operation>> {
    let media = ctx.header("content-type").unwrap_or_default();
    if !media.starts_with("application/openstack-images-v2") {
        return Err(Error::UnsupportedMedia(format!(
            "'{media}' is not taken here: PATCH needs application/openstack-images-v2.1-json-patch"
        )));
    }
    ctx.json_of_any_kind()
}

/// Carries one change out on a copy of the record.
pub(super) fn apply(image: &mut ImageUpdate, operation: &Operation) -> Result<()> {
    let field = operation
        .path
        .strip_prefix('/')
        .unwrap_or(&operation.path)
        .replace("~1", "/")
        .replace("~0", "~");
    if is_read_only(&field) {
        return Err(Error::Forbidden(format!(
            "Attribute '{field}' is read-only."
        )));
    }
    match operation.op.as_str() {
        "add" | "replace" => {
            let value = operation
                .value
                .as_ref()
                .ok_or_else(|| Error::invalid(format!("operation on {field} needs a value")))?;
            set(image, &field, value)
        }
        "remove" => match image.properties.0.remove(&field) {
            Some(_) => Ok(()),
            None if is_base(&field) => Err(Error::Forbidden(format!(
                "Property {field} may not be removed."
            ))),
            None => Err(Error::conflict(format!("Property {field} does not exist."))),
        },
        other => Err(Error::invalid(format!(
            "operation '{other}' is not one of add, replace, remove"
        ))),
    }
}

fn is_base(field: &str) -> bool {
    [
        "name",
        "visibility",
        "protected",
        "os_hidden",
        "tags",
        "min_disk",
        "min_ram",
        "owner",
        "disk_format",
        "container_format",
    ]
    .contains(&field)
}

fn set(image: &mut ImageUpdate, field: &str, value: &Value) -> Result<()> {
    let wrong = |what: &str| Error::invalid(format!("{field} must be {what}, not {value}"));
    let text = || {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong("a string"))
    };
    let flag = || value.as_bool().ok_or_else(|| wrong("true or false"));
    let number = || {
        value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| wrong("a whole number"))
    };
    let optional = || {
        if value.is_null() {
            Ok(None)
        } else {
            text().map(Some)
        }
    };
    match field {
        "name" => image.name = optional()?,
        "visibility" => image.visibility = text()?,
        "protected" => image.protected = flag()?,
        "os_hidden" => image.hidden = flag()?,
        "min_disk" => image.min_disk = number()?,
        "min_ram" => image.min_ram = number()?,
        "owner" => image.owner = text()?.into(),
        "disk_format" => image.disk_format = optional()?,
        "container_format" => image.container_format = optional()?,
        "tags" => {
            image.tags.0 =
                serde_json::from_value(value.clone()).map_err(|_| wrong("a list of strings"))?
        }
        _ => drop(image.properties.0.insert(field.to_owned(), text()?)),
    }
    Ok(())
}
