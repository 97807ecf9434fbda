//! An HTTPS client for tests: one HTTP/2 connection, a token, JSON.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// A caller with its connection. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Sent>,
    authority: String,
    token: Option<String>,
}

/// A request that is being put together.
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Sent>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub(crate) async fn new(
        stream: TlsStream<TcpStream>,
        authority: String,
        token: Option<String>,
    ) -> Client {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        Client {
            sender,
            authority,
            token,
        }
    }

    /// The token it sends.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// The same connection with another token, or none.
    pub fn with_token(&self, token: Option<&str>) -> Client {
        Client {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// A request to be completed with headers and a body.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request {
            client: self.clone(),
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path).json(&body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PATCH, path).json(&body).send().await
    }

    /// The image API's patch, in its own media type.
    pub async fn patch_image(&self, id: &str, operations: Value) -> Answer {
        self.request(Method::PATCH, &format!("/image/v2/images/{id}"))
            .header(
                "content-type",
                "application/openstack-images-v2.1-json-patch",
            )
            .body(operations.to_string())
            .send()
            .await
    }

    /// Sends an image's data.
    pub async fn upload(&self, id: &str, data: impl Into<Bytes>) -> Answer {
        self.request(Method::PUT, &format!("/image/v2/images/{id}/file"))
            .header("content-type", "application/octet-stream")
            .body(data)
            .send()
            .await
    }
}

impl Request {
    pub fn header(mut self, name: &'static str, value: &str) -> Request {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// A body that is there at once, as it stands.
    pub fn body(mut self, octets: impl Into<Bytes>) -> Request {
        let full = Full::new(octets.into()).map_err(|never| match never {});
        self.body = Some(full.boxed_unsync());
        self
    }

    /// A body that comes in pieces, without a length announced.
    pub fn stream(
        mut self,
        body: impl hyper::body::Body<Data = Bytes, Error = io::Error> + Send + 'static,
    ) -> Request {
        self.body = Some(body.boxed_unsync());
        self
    }

    pub fn json(self, value: &Value) -> Request {
        self.header("content-type", "application/json")
            .body(value.to_string())
    }

    /// The answer.
    ///
    /// # Panics
    /// When the connection breaks.
    pub async fn send(self) -> Answer {
        let asked = format!("{} {}", self.method, self.path);
        self.try_send()
            .await
            .unwrap_or_else(|e| panic!("{asked}: {e}"))
    }

    /// The answer, or why there is none.
    ///
    /// # Errors
    /// Those of the connection, and of a body that failed while it was sent.
    pub async fn try_send(mut self) -> hyper::Result<Answer> {
        let asked = format!("{} {}", self.method, self.path);
        let uri = format!("https://{}{}", self.client.authority, self.path);
        let empty = || {
            Full::new(Bytes::new())
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        let mut request = http::Request::new(self.body.unwrap_or_else(empty));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(token) = &self.client.token {
            self.headers
                .insert("x-auth-token", HeaderValue::from_str(token).unwrap());
        }
        *request.headers_mut() = self.headers;
        self.client.sender.ready().await?;
        let (parts, body) = self.client.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            asked,
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Answer {
    /// The body as JSON; `Null` when there is none.
    ///
    /// # Panics
    /// When it is something else.
    pub fn json(&self) -> Value {
        match self.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&self.body)
                .unwrap_or_else(|e| panic!("{}: no JSON ({e}): {self:?}", self.asked)),
        }
    }

    /// The body, if the status is the expected one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}: {}",
            self.asked,
            String::from_utf8_lossy(&self.body)
        );
        self.json()
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default()
    }
}
