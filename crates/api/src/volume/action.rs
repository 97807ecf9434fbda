//! `POST /volumes/{id}/action`: one object with one key, which names the action.

use http::StatusCode;
use model::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::volumes::id;
use crate::context::Context;
use crate::json::{number, parse_value, truth};
use crate::reply::Reply;

/// Actions of the volume API that this cloud does not have.
const NOT_YET: [&str; 12] = [
    "os-retype",
    "os-migrate_volume",
    "os-migrate_volume_completion",
    "os-volume_upload_image",
    "os-set_image_metadata",
    "os-unset_image_metadata",
    "os-unmanage",
    "os-initialize_connection",
    "os-terminate_connection",
    "os-reimage",
    "revert",
    "os-roll_detaching",
];

/// Actions by which nova and cinder agree on an attachment, which is one record here.
const COMPUTES: [&str; 6] = [
    "os-attach",
    "os-detach",
    "os-force_detach",
    "os-reserve",
    "os-unreserve",
    "os-begin_detaching",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extend {
    #[serde(deserialize_with = "number")]
    new_size: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bootable {
    #[serde(deserialize_with = "truth")]
    bootable: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOnly {
    #[serde(deserialize_with = "truth")]
    readonly: Option<bool>,
}

/// `POST /v3/volumes/{id}/action`
pub(super) fn act(ctx: &Context) -> Result<Reply> {
    let mut body: Map<String, Value> = ctx.json()?;
    let name = match (body.keys().next(), body.len()) {
        (Some(name), 1) => name.clone(),
        _ => return Err(Error::invalid("the body must hold exactly one action")),
    };
    let argument = body.remove(&name).unwrap_or_default();
    let id = id(ctx)?;
    let missing = |field: &str| {
        Error::invalid(format!(
            "Invalid input for field/attribute {name}/{field}: it is missing"
        ))
    };
    match name.as_str() {
        "os-extend" => {
            let size = parse_value::<Extend>(&name, argument)?.new_size;
            let size = size.ok_or_else(|| missing("new_size"))?;
            ctx.cloud.extend_volume(&ctx.caller, &id, size)?;
        }
        "os-set_bootable" => {
            let bootable = parse_value::<Bootable>(&name, argument)?.bootable;
            let bootable = bootable.ok_or_else(|| missing("bootable"))?;
            ctx.cloud.update_volume(&ctx.caller, &id, |volume| {
                volume.bootable = bootable;
                Ok(())
            })?;
            return Ok(Reply::empty(StatusCode::OK));
        }
        "os-update_readonly_flag" => {
            let to = parse_value::<ReadOnly>(&name, argument)?.readonly;
            let to = to.ok_or_else(|| missing("readonly"))?;
            ctx.cloud.set_volume_read_only(&ctx.caller, &id, to)?;
        }
        "os-force_delete" => {
            // Who may not see it learns nothing of it.
            ctx.cloud.get_volume(&ctx.caller, &id)?;
            ctx.caller.require_admin()?;
            ctx.cloud.delete_volume(&ctx.caller, &id)?;
        }
        other => {
            ctx.cloud.get_volume(&ctx.caller, &id)?;
            return Err(refusal(other));
        }
    }
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

fn refusal(action: &str) -> Error {
    Error::invalid(match action {
        "os-reset_status" => {
            "a volume's status follows from what its nodes see, so it cannot be set".into()
        }
        action if COMPUTES.contains(&action) => format!(
            "{action} is not available in this cloud: volumes are attached to servers by the compute API (os-volume_attachments)"
        ),
        action if NOT_YET.contains(&action) => {
            format!("{action} is not available in this cloud yet")
        }
        action => format!("There is no such action: {action}"),
    })
}
