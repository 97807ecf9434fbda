//! Volumes of servers (`os-volume_attachments`). An attachment is known by its volume's id here.

use http::StatusCode;
use model::{Error, Kind, Result, VolumeId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::server;
use crate::context::Context;
use crate::json::parse;
use crate::reply::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "volumeAttachment")]
    attachment: Attach,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    #[serde(rename = "volumeId")]
    volume: String,
    device: Option<String>,
}

/// `GET /v2.1/servers/{id}/os-volume_attachments`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let limit = usize::try_from(ctx.limit()?).unwrap_or(usize::MAX);
    let offset = ctx.query("offset").map(|text| {
        text.parse()
            .map_err(|_| Error::invalid(format!("offset must be a whole number, not '{text}'")))
    });
    let offset: usize = offset.transpose()?.unwrap_or(0);
    let attachments = ctx.cloud.list_attachments(&ctx.caller, &server::id(ctx)?)?;
    let entries: Vec<Value> = attachments
        .iter()
        .skip(offset)
        .take(limit)
        .map(view)
        .collect();
    Ok(Reply::ok(&json!({"volumeAttachments": entries})))
}

/// `GET /v2.1/servers/{id}/os-volume_attachments/{volume}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let attachment = ctx
        .cloud
        .get_attachment(&ctx.caller, &server::id(ctx)?, &volume(ctx)?)?;
    Ok(Reply::ok(&json!({"volumeAttachment": view(&attachment)})))
}

/// `POST /v2.1/servers/{id}/os-volume_attachments`
pub(super) fn attach(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.attachment;
    let volume: VolumeId = parse("volumeId", &wanted.volume)?;
    let device = wanted.device.as_deref();
    let attachment = ctx
        .cloud
        .attach_volume(&ctx.caller, &server::id(ctx)?, &volume, device)?;
    Ok(Reply::ok(&json!({"volumeAttachment": view(&attachment)})))
}

/// `PUT /v2.1/servers/{id}/os-volume_attachments/{volume}`: one volume for another.
pub(super) fn swap(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .get_attachment(&ctx.caller, &server::id(ctx)?, &volume(ctx)?)?;
    ctx.caller.require_member()?;
    Err(Error::invalid(
        "Volumes cannot be swapped in this cloud: detach one and attach the other.",
    ))
}

/// `DELETE /v2.1/servers/{id}/os-volume_attachments/{volume}`
pub(super) fn detach(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .detach_volume(&ctx.caller, &server::id(ctx)?, &volume(ctx)?)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

fn volume(ctx: &Context) -> Result<VolumeId> {
    ctx.id("volume", Kind::Attachment)
}

fn view(attachment: &row::Attachment) -> Value {
    json!({
        "id": attachment.volume_id, "volumeId": attachment.volume_id,
        "serverId": attachment.server_id, "device": attachment.device,
    })
}
