//! One HTTP/1 connection of a guest.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::NetworkId;
use tokio::net::TcpStream;

use super::Instances;
use crate::openstack::{self, Document, SEED_SIZE};

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
pub(super) async fn serve(stream: TcpStream, caller: Caller, instances: &Instances) {
    let requests = AtomicUsize::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let count = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut answer = answer(&request, caller, instances);
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

fn answer<B: Body>(request: &Request<B>, caller: Caller, instances: &Instances) -> Answer {
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
    let Some(instance) = instances.get(caller) else {
        tracing::debug!(?caller, "metadata was asked for by nobody we know");
        return plain(StatusCode::NOT_FOUND);
    };
    let seed = match fresh_seed() {
        Ok(seed) => seed,
        Err(error) => {
            tracing::error!(%error, "reading random octets");
            return plain(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    match openstack::find(&instance, request.uri().path(), &seed) {
        Some(Document { content_type, body }) => of(StatusCode::OK, content_type, body),
        None => plain(StatusCode::NOT_FOUND),
    }
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

    fn known() -> (Caller, Instances) {
        let caller = Caller {
            network: NetworkId::random(),
            mark: 7,
        };
        let instances = Instances::default();
        instances.set(caller.network, 7, Arc::new(sample()));
        (caller, instances)
    }

    fn status<B: Body>(method: Method, caller: Caller, instances: &Instances, body: B) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri("/openstack/latest/user_data");
        answer(&request.body(body).unwrap(), caller, instances)
            .status()
            .as_u16()
    }

    #[test]
    fn only_a_known_mark_of_the_same_network_is_answered() {
        let (caller, instances) = known();
        let ask = |caller| status(Method::GET, caller, &instances, Empty::<Bytes>::new());
        assert_eq!(ask(caller), 200);
        assert_eq!(ask(Caller { mark: 8, ..caller }), 404);
        assert_eq!(
            ask(Caller {
                network: NetworkId::random(),
                ..caller
            }),
            404
        );
        instances.remove(caller.network, 7);
        assert_eq!(ask(caller), 404);
    }

    #[test]
    fn other_methods_and_bodies_are_refused() {
        let (caller, instances) = known();
        let ask = |method| status(method, caller, &instances, Empty::<Bytes>::new());
        assert_eq!(ask(Method::HEAD), 200);
        assert_eq!(ask(Method::POST), 405);
        assert_eq!(
            status(Method::GET, caller, &instances, Full::new(Bytes::from("x"))),
            413
        );
    }

    #[tokio::test]
    async fn the_seed_differs_each_time() {
        let (caller, instances) = known();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let request = Request::builder().uri("/openstack/latest/meta_data.json");
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let answer = answer(&request, caller, &instances);
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            seen.push(document["random_seed"].as_str().unwrap().to_owned());
        }
        assert_ne!(seen[0], seen[1]);
    }
}
