//! Answers as HTTP bodies.

use std::io;

use api::{Body, Reply};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderValue, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// What is sent.
pub(crate) type Out = UnsyncBoxBody<Bytes, io::Error>;

/// Octets of a file in memory at a time.
const CHUNK: usize = 128 << 10;

/// An answer as HTTP has it. To `HEAD` the body is left out, its headers are not.
pub(crate) fn response(reply: Reply, head: bool) -> Response<Out> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    let body = match reply.body {
        Body::Empty => {
            if !reply.status.is_informational() && reply.status.as_u16() != 204 {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            full(Bytes::new())
        }
        Body::Json(text) => {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            headers.insert(header::CONTENT_LENGTH, text.len().into());
            full(text)
        }
        Body::File(file, length) => {
            headers.insert(header::CONTENT_LENGTH, length.into());
            contents(file, length)
        }
    };
    if !head {
        *response.body_mut() = body;
    }
    response
}

fn full(octets: Bytes) -> Out {
    Full::new(octets)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn contents(file: File, length: u64) -> Out {
    let chunks = stream::try_unfold((file, length), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let mut limited = file.take(left);
        let read = limited.read_buf(&mut buffer).await? as u64;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is shorter than its record says",
            ));
        }
        Ok(Some((
            Frame::data(buffer.freeze()),
            (limited.into_inner(), left - read),
        )))
    });
    StreamBody::new(chunks).boxed_unsync()
}
