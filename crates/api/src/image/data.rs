//! Image data, streamed in and out; it is never held in memory.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::{Error, ImageId, Kind};
use tokio::fs::File;

use crate::context::Context;
use crate::reply::{Body, Reply};
use crate::route::Later;

/// How long an upload may stand still.
const FRAME_WITHIN: Duration = Duration::from_secs(60);

/// `PUT /v2/images/{id}/file`
pub(super) fn upload(ctx: Context, body: Incoming) -> Later {
    Box::pin(async move {
        let media = ctx.header("content-type").unwrap_or_default();
        if !media.starts_with("application/octet-stream") {
            return Err(Error::UnsupportedMedia(format!(
                "'{media}' is not taken here: image data is application/octet-stream"
            )));
        }
        let id: ImageId = ctx.id("id", Kind::Image)?;
        let limit = ctx.cloud.settings().max_image_bytes;
        let announced = ctx
            .header("content-length")
            .and_then(|l| l.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge(format!(
                "The image is larger than {limit} bytes, the most this cloud takes."
            )));
        }
        let mut writer = ctx.cloud.upload_image(&ctx.caller, &id).await?;
        let mut body = body;
        loop {
            let next = tokio::time::timeout(FRAME_WITHIN, body.frame()).await;
            let next = next.map_err(|_| Error::invalid("the upload stood still for too long"))?;
            let Some(frame) = next else { break };
            let frame = frame
                .map_err(|_| Error::invalid("the upload broke off before all data had come"))?;
            if let Some(octets) = frame.data_ref() {
                writer.write(octets).await?;
            }
        }
        writer.finish().await?;
        Ok(Reply::no_content())
    })
}

/// `GET /v2/images/{id}/file`
pub(super) fn download(ctx: Context) -> Later {
    Box::pin(async move {
        let id: ImageId = ctx.id("id", Kind::Image)?;
        let image = ctx.cloud.get_image(&ctx.caller, &id)?;
        let Some(size) = image.size_bytes.filter(|_| image.status == "active") else {
            return Ok(Reply::no_content());
        };
        let file = File::open(ctx.cloud.image_file(&id)).await;
        let file = file.map_err(|e| Error::internal("opening an image's data", e))?;
        let reply = Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Body::File(file, size),
        };
        let reply = reply.with("content-type", "application/octet-stream");
        Ok(match &image.checksum {
            Some(md5) => reply.with("content-md5", md5),
            None => reply,
        })
    })
}
