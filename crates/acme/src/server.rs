//! The exchange with an ACME server: signed requests, each with a nonce that the one before
//! brought (RFC 8555, section 6.5).

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, StatusCode};
use net::Resolver;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::jws::{AccountKey, As};
use crate::message::{Directory, Problem, parse};
use crate::transport::{Answer, Place, Transport};

/// How often a nonce may be refused in a row; servers refuse good ones too.
const NONCES: u32 = 8;

/// A server whose directory was read.
pub(crate) struct Server {
    transport: Transport,
    pub(crate) directory: Directory,
    nonce: Option<String>,
}

impl Server {
    /// Reads the directory.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) async fn open(
        resolver: Arc<Resolver>,
        place: &Place,
        ca: &Path,
    ) -> Result<Server, Error> {
        let doing = "its directory";
        let transport = Transport::new(resolver, ca)?;
        let answer = transport.send(Method::GET, place, None).await;
        let answer = answer.map_err(|why| Error::Unreachable { doing, why })?;
        Ok(Server {
            directory: value(&good(answer, doing)?, doing)?,
            transport,
            nonce: None,
        })
    }

    /// Sends a signed request, or asks (without a payload) for what is at a URL.
    ///
    /// # Errors
    /// When the server refuses it or does not answer.
    pub(crate) async fn post(
        &mut self,
        doing: &'static str,
        (key, signer): (&AccountKey, As<'_>),
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Error> {
        let place = Place::parse(url).map_err(|why| Error::Nonsense { doing, why })?;
        let mut refused = 0;
        loop {
            let nonce = self.nonce().await?;
            let signed = key.sign(signer, &nonce, url, payload)?;
            let answer = self.send(doing, Method::POST, &place, Some(signed)).await?;
            match good(answer, doing) {
                Err(Error::Refused { problem, .. })
                    if problem.is("badNonce") && refused < NONCES =>
                {
                    refused += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn nonce(&mut self) -> Result<String, Error> {
        if let Some(nonce) = self.nonce.take() {
            return Ok(nonce);
        }
        let doing = "a nonce";
        let nonsense = |why: String| Error::Nonsense { doing, why };
        let place = Place::parse(&self.directory.new_nonce).map_err(nonsense)?;
        let answer = self.send(doing, Method::HEAD, &place, None).await?;
        good(answer, doing)?;
        let none = || Error::Nonsense {
            doing,
            why: "there is none in it".into(),
        };
        self.nonce.take().ok_or_else(none)
    }

    async fn send(
        &mut self,
        doing: &'static str,
        method: Method,
        place: &Place,
        body: Option<Value>,
    ) -> Result<Answer, Error> {
        let body = body.map(|body| body.to_string());
        let answer = self.transport.send(method, place, body).await;
        let answer = answer.map_err(|why| Error::Unreachable { doing, why })?;
        self.nonce = answer.header("replay-nonce").map(str::to_owned);
        Ok(answer)
    }
}

/// What an answer holds.
///
/// # Errors
/// When it is something else.
pub(crate) fn value<T: DeserializeOwned>(answer: &Answer, doing: &'static str) -> Result<T, Error> {
    parse(&answer.body).map_err(|why| Error::Nonsense { doing, why })
}

/// An answer that is no refusal.
fn good(answer: Answer, doing: &'static str) -> Result<Answer, Error> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        status if status.is_redirection() => Err(Error::Nonsense {
            doing,
            why: format!(
                "it is a redirection ({}), which is not followed",
                status.as_u16()
            ),
        }),
        status => Err(Error::Refused {
            doing,
            retry_after: answer.retry_after(SystemTime::now()),
            problem: problem(status, &answer.body),
        }),
    }
}

/// The problem document, or the status where there is none.
fn problem(status: StatusCode, body: &[u8]) -> Problem {
    let none = |_| Problem::of_status(status.as_u16());
    parse(body).unwrap_or_else(none)
}
