//! A small HTTPS client of a cloud's APIs: one connection that is kept open, for looking often and
//! taking times. What an OpenStack client can do is left to OpenStack clients.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What an answer can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where a cloud is, and whose certificate it shows.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddrV6,
    tls: Arc<ClientConfig>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) project: String,
}

/// What a request carries.
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) octets: Bytes,
}

impl From<Value> for Content {
    fn from(value: Value) -> Content {
        Content {
            media_type: "application/json",
            octets: value.to_string().into(),
        }
    }
}

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    authority: HeaderValue,
    token: Option<HeaderValue>,
}

impl Target {
    /// The cloud at `https://[ADDRESS]:PORT` whose root certificate is in a PEM file.
    ///
    /// # Errors
    /// When the URL is of another form, or the file holds no certificate.
    pub(crate) fn new(url: &str, ca: &Path) -> Result<Target, Failure> {
        let address = url.strip_prefix("https://").and_then(|a| a.parse().ok());
        let address = address.ok_or_else(|| format!("{url} is not https://[ADDRESS]:PORT"))?;
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(ca).map_err(|e| format!("cannot read {}: {e}", ca.display()))?;
        for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Target {
            address,
            tls: Arc::new(tls),
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Those of TCP, TLS and HTTP.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let ip: Ipv6Addr = *self.address.ip();
        let name = ServerName::IpAddress(std::net::IpAddr::V6(ip).into());
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Client {
            sender,
            authority: HeaderValue::from_str(&self.address.to_string())?,
            token: None,
        })
    }
}

impl Client {
    /// Gets a token for a project, which later requests carry.
    ///
    /// # Errors
    /// When the cloud refuses.
    pub(crate) async fn log_in(&mut self, account: &Account) -> Result<(), Failure> {
        let domain = json!({"id": "default"});
        let user = json!({"name": account.user, "password": account.password, "domain": domain});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": account.project, "domain": domain}},
        }});
        let path = "/identity/v3/auth/tokens";
        let request = self.request(Method::POST, path, Some(body.into()))?;
        let answer = self.send(request).await?;
        let token = answer.headers().get("x-subject-token").cloned();
        let status = answer.status();
        answer.into_body().collect().await?;
        self.token = Some(token.ok_or_else(|| format!("no token: {status}"))?);
        Ok(())
    }

    /// The status and the octets of an answer.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let request = self.request(method, path, content)?;
        let answer = self.send(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// `GET`
    ///
    /// # Errors
    /// Those of the connection, and an answer that is no success.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let (status, body) = self.ask(Method::GET, path, None).await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("GET {path}: {status} {text}")).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("x-auth-token", token);
        }
        let Some(content) = content else {
            return Ok(request.body(Full::default())?);
        };
        request = request.header("content-type", content.media_type);
        Ok(request.body(Full::from(content.octets))?)
    }
}
