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

use super::Shared;
use crate::openstack::{Document, SEED_SIZE, Tree};

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
        let mut answer = answer(&request, caller, shared);
        shared.counters.answered(answer.status());
        if count >= REQUESTS_MAX {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        async { Ok::<_, Infallible>(answer) }
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

fn answer<B: Body>(request: &Request<B>, caller: Caller, shared: &Shared) -> Answer {
    let Some(known) = shared.instances.get(caller) else {
        tracing::debug!(?caller, "metadata was asked for by nobody we know");
        return closing(plain(StatusCode::NOT_FOUND));
    };
    if let Err(wait) = known.take(Instant::now()) {
        return later(wait);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
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
    let tree = Tree {
        instance: &known.instance,
        vendor_data: &shared.vendor_data,
        seed: &seed,
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
mod tests {
    use std::sync::Arc;

    use http_body_util::{BodyExt, Empty};

    use super::*;
    use crate::openstack::tests::sample;

    fn known() -> (Caller, Shared) {
        let network = NetworkId::random();
        let shared = Shared {
            network,
            instances: Arc::default(),
            vendor_data: Arc::new(serde_json::json!({})),
            counters: Default::default(),
        };
        shared.instances.set(network, 7, Arc::new(sample()));
        (Caller { network, mark: 7 }, shared)
    }

    fn ask<B: Body>(method: Method, caller: Caller, shared: &Shared, body: B) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri("/openstack/latest/user_data");
        answer(&request.body(body).unwrap(), caller, shared)
    }

    fn status<B: Body>(method: Method, caller: Caller, shared: &Shared, body: B) -> u16 {
        ask(method, caller, shared, body).status().as_u16()
    }

    #[test]
    fn only_a_known_mark_of_the_same_network_is_answered() {
        let (caller, shared) = known();
        let ask = |caller| status(Method::GET, caller, &shared, Empty::<Bytes>::new());
        assert_eq!(ask(caller), 200);
        assert_eq!(ask(Caller { mark: 8, ..caller }), 404);
        assert_eq!(
            ask(Caller {
                network: NetworkId::random(),
                ..caller
            }),
            404
        );
        shared.instances.remove(caller.network, 7);
        assert_eq!(ask(caller), 404);
    }

    #[test]
    fn other_methods_and_bodies_are_refused() {
        let (caller, shared) = known();
        let ask = |method| status(method, caller, &shared, Empty::<Bytes>::new());
        assert_eq!(ask(Method::HEAD), 200);
        assert_eq!(ask(Method::POST), 405);
        assert_eq!(
            status(Method::GET, caller, &shared, Full::new(Bytes::from("x"))),
            413
        );
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_again() {
        let (caller, shared) = known();
        let other = Caller { mark: 9, ..caller };
        shared.instances.set(caller.network, 9, Arc::new(sample()));
        let ask = |caller| ask(Method::GET, caller, &shared, Empty::<Bytes>::new());
        let limited = std::iter::repeat_with(|| ask(caller))
            .find(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(limited.unwrap().headers()[RETRY_AFTER], "1");
        assert_eq!(ask(other).status(), 200, "another port is not concerned");
        // What the guest is told may change; what it has asked stays asked.
        shared.instances.set(caller.network, 7, Arc::new(sample()));
        let after = (0..3).map(|_| ask(caller).status().as_u16());
        assert!(after.into_iter().any(|status| status == 429));
    }

    #[tokio::test]
    async fn the_seed_differs_each_time() {
        let (caller, shared) = known();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let request = Request::builder().uri("/openstack/latest/meta_data.json");
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let answer = answer(&request, caller, &shared);
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            seen.push(document["random_seed"].as_str().unwrap().to_owned());
        }
        assert_ne!(seen[0], seen[1]);
    }
}
