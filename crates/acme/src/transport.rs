//! Requests over HTTPS: by the program's own resolver, so over IPv6, to a server whose certificate
//! leads to the authorities named for it. What comes back is bounded in octets and time, and
//! nowhere is gone to that we were not told by the settings or in a signed exchange: redirections
//! are not followed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use net::{Reach, Resolver, TlsError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::message::shown;

/// For one request, from the name's look-up to the last octet.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of an answer; the largest are certificates' chains.
const ANSWER_MAX: usize = 256 << 10;

/// Where something is: an `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    url: String,
    host: String,
    port: u16,
    path: PathAndQuery,
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(url: &str) -> Result<Place, String> {
        let wrong = |why: &str| format!("'{}' {why}", shown(url));
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong(
                "is not https: an ACME server is spoken to over TLS only",
            ));
        }
        let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
        let (host, port) =
            model::parse_host_port(authority).ok_or_else(|| wrong("names no host"))?;
        if host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(wrong(
                "names an IPv4 address: connections are made over IPv6 only",
            ));
        }
        ServerName::try_from(host.as_str()).map_err(|_| wrong("names no host"))?;
        let root = PathAndQuery::from_static("/");
        Ok(Place {
            url: url.to_owned(),
            host,
            port: port.unwrap_or(443),
            path: uri.path_and_query().cloned().unwrap_or(root),
        })
    }

    /// As it was written.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn authority(&self) -> String {
        let host = model::host_in_url(&self.host);
        match self.port {
            443 => host,
            port => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long it asks to wait.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        retry_after(self.header("retry-after")?, now)
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// How an ACME server is reached.
pub(crate) struct Transport {
    resolver: Arc<Resolver>,
    tls: TlsConnector,
}

impl Transport {
    /// One that trusts the authorities in a PEM file.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn new(resolver: Arc<Resolver>, ca: &Path) -> Result<Transport, TlsError> {
        let text = std::fs::read(ca).map_err(|source| TlsError::Unreadable {
            file: ca.into(),
            source,
        })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_pemfile::certs(&mut text.as_slice()).flatten());
        if roots.is_empty() {
            return Err(TlsError::NoCertificate { file: ca.into() });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Transport { resolver, tls })
    }

    /// Sends a request, and a body that is a signed one.
    ///
    /// # Errors
    /// A sentence that says why there is no answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        place: &Place,
        body: Option<String>,
    ) -> Result<Answer, String> {
        let exchange = self.exchange(method, place, body);
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(format!("{}: {}", shown(place.url()), shown(&chain(&*e)))),
            Err(_) => Err(format!(
                "{}: no whole answer within {} s",
                shown(place.url()),
                PATIENCE.as_secs()
            )),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        place: &Place,
        body: Option<String>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = self
            .resolver
            .connect(&place.host, place.port, Reach::V6)
            .await?;
        let name = ServerName::try_from(place.host.clone())?;
        let stream = self.tls.connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder()
            .method(method)
            .uri(place.path.as_str())
            .header(header::HOST, place.authority())
            .header(
                header::USER_AGENT,
                concat!("hextet/", env!("CARGO_PKG_VERSION")),
            );
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/jose+json");
        }
        let request = request.body(Full::<Bytes>::from(body.unwrap_or_default()))?;
        let answered = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        // The connection lives as long as its one request does. How it ends is no matter: what came
        // before is there all the same, and what did not come is missed by who waits for it.
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            answer = &mut answered => return answer,
            _ = connection => {}
        }
        answered.await
    }
}

/// An error with what caused it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_https_and_has_a_host_of_ipv6() {
        let place = Place::parse("https://[2001:db8::1]:14000/dir?x").unwrap();
        assert_eq!(
            (&*place.host, place.port, place.path.as_str()),
            ("2001:db8::1", 14000, "/dir?x")
        );
        assert_eq!(place.authority(), "[2001:db8::1]:14000");
        let place = Place::parse("https://ca.example").unwrap();
        assert_eq!((place.port, place.path.as_str()), (443, "/"));
        assert_eq!(place.authority(), "ca.example");
        for (url, why) in [
            ("http://ca.example/dir", "is not https"),
            ("/dir", "is not https"),
            ("https://192.0.2.1/dir", "IPv4"),
            ("https://a@ca.example/", "names no host"),
            ("https://", "no URL"),
            ("https://ca.example:0x/", "names no host"),
            ("https://a b/", "no URL"),
        ] {
            let said = Place::parse(url).unwrap_err();
            assert!(said.contains(why), "{url}: {said}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let wait = |text| retry_after(text, now);
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(wait("Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
