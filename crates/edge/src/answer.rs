//! A request and its answer, whatever it came in by.

use std::sync::Arc;
use std::time::Instant;

use api::Api;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::Incoming;
use model::Error;
use tokio::sync::Semaphore;

use crate::body;

/// Where requests are answered, so many at a time.
pub(crate) struct Desk {
    api: Arc<Api>,
    in_flight: Semaphore,
}

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    /// What its path lacks.
    pub(crate) prefix: &'static str,
    /// By a balancer, whose word on TLS counts.
    pub(crate) by_balancer: bool,
    /// From a client with too many connections.
    pub(crate) over: bool,
}

impl Desk {
    pub(crate) fn new(api: Arc<Api>, requests: usize) -> Desk {
        Desk {
            api,
            in_flight: Semaphore::new(requests),
        }
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        came: Came,
    ) -> Response<body::Out> {
        let started = Instant::now();
        let request_id = format!("req-{}", model::ServerId::random());
        let (mut parts, incoming) = request.into_parts();
        if !came.prefix.is_empty() {
            parts.uri = below(came.prefix, &parts.uri);
        }
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let place = self.in_flight.try_acquire();
        let refusal = match place {
            _ if came.over => Some(Error::TooMany(
                "your network has more connections here than one may have: close some".into(),
            )),
            _ if came.by_balancer && !secure(&parts.headers) => Some(Error::Forbidden(
                "this cloud is spoken to over TLS only: use https://".into(),
            )),
            Err(_) => Some(Error::Unavailable(
                "too many requests are being answered: come again in a moment".into(),
            )),
            Ok(_) => None,
        };
        let reply = match refusal {
            Some(error) => self.api.refuse(&path, &error, &request_id),
            None => self.api.answer(parts, incoming, &request_id).await,
        };
        drop(place);
        let status = reply.status.as_u16();
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // What changes something is worth a line; looking is not.
        match method {
            Method::GET | Method::HEAD => {
                tracing::debug!(request_id, %method, path, status, took_us, "answered")
            }
            _ => tracing::info!(request_id, %method, path, status, took_us, "answered"),
        }
        let mut response = body::response(reply, method == Method::HEAD);
        if came.over {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What a balancer says of how the request came to it. One that says nothing is believed to do TLS.
fn secure(headers: &http::HeaderMap) -> bool {
    headers
        .get_all("x-forwarded-proto")
        .iter()
        .all(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The same below a service's prefix. What cannot be said so stays as it is, and is found nowhere.
fn below(prefix: &str, uri: &Uri) -> Uri {
    let rest = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Uri::try_from(format!("{prefix}{rest}")).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_own_port_lacks_its_prefix() {
        for (from, to) in [
            (
                "/v3/auth/tokens?nocatalog",
                "/identity/v3/auth/tokens?nocatalog",
            ),
            ("/", "/identity/"),
            ("https://[::1]:5000/v3", "/identity/v3"),
        ] {
            let uri: Uri = from.parse().unwrap();
            assert_eq!(below("/identity", &uri).to_string(), to);
        }
    }
}
