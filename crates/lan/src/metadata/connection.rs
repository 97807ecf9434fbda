//! One HTTP/1 connection of a guest.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::NetworkId;
use tokio::net::TcpStream;

use super::{Shared, password};
use crate::openstack::{Document, SEED_SIZE, Tree, is_password};

/// For the request's head, and for the pause before the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For the whole connection, so that a guest that reads slowly holds it no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
const HEAD_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// A client reads half a dozen documents.
const REQUESTS_MAX: usize = 100;

type Answer = Response<Full<Bytes>>;

/// Who asks: the port with this mark in this network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) network: NetworkId,
    pub(super) mark: u32,
}

/// Answers one guest's requests until it or a limit ends the connection.
pub(super) async fn serve(stream: TcpStream, caller: Caller, shared: &Shared) {
    let requests = AtomicUsize::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let count = requests.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            let mut answer = answer(request, caller, shared).await;
            shared.counters.answered(answer.status());
            if count >= REQUESTS_MAX {
                answer = closing(answer);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, ?caller, "metadata connection"),
        Err(_) => tracing::debug!(?caller, "metadata connection took too long"),
    }
}

async fn answer<B: Body>(request: Request<B>, caller: Caller, shared: &Shared) -> Answer
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(known) = shared.instances.get(caller) else {
        tracing::debug!(?caller, "metadata was asked for by nobody we know");
        return closing(plain(StatusCode::NOT_FOUND));
    };
    if let Err(wait) = known.take(Instant::now()) {
        return later(wait);
    }
    let writable = is_password(request.uri().path());
    if writable && *request.method() == Method::POST {
        let server = &known.instance.server;
        return match password::post(request, server, shared).await {
            StatusCode::OK => of(StatusCode::OK, "text/plain; charset=utf-8", Vec::new()),
            refused => closing(plain(refused)),
        };
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = if writable {
            "GET, HEAD, POST"
        } else {
            "GET, HEAD"
        };
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
        return closing(answer);
    }
    // Nothing here has a use for a body: none is read, and the connection does not outlive it.
    if !request.body().is_end_stream() {
        return closing(plain(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let seed = match fresh_seed() {
        Ok(seed) => seed,
        Err(error) => {
            tracing::error!(%error, "reading random octets");
            return plain(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    let password = shared.passwords.get(&known.instance.server);
    let tree = Tree {
        instance: &known.instance,
        vendor_data: &shared.vendor_data,
        seed: &seed,
        password: password.as_deref().unwrap_or_default(),
    };
    match tree.find(request.uri().path()) {
        Some(Document { content_type, body }) => of(StatusCode::OK, content_type, body),
        None => plain(StatusCode::NOT_FOUND),
    }
}

/// The guest asked too often: it is to come again in this many seconds.
fn later(wait: Duration) -> Answer {
    let mut answer = plain(StatusCode::TOO_MANY_REQUESTS);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    answer.headers_mut().insert(RETRY_AFTER, seconds);
    answer
}

/// Random octets of the kernel's.
pub fn fresh_seed() -> io::Result<[u8; SEED_SIZE]> {
    let mut seed = [0; SEED_SIZE];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

fn plain(status: StatusCode) -> Answer {
    of(
        status,
        "text/plain; charset=utf-8",
        status.to_string().into_bytes(),
    )
}

fn closing(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// hyper adds the length, and what HTTP/1.0 and 1.1 each need to keep the connection or close it.
fn of(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests;
