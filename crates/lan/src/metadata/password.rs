//! `openstack/VERSION/password`: a guest says once which password it made for its user.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use model::{PASSWORD_MAX, Server, ServerId};

use super::Shared;

/// For the whole body to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps what guests tell.
pub trait Passwords: Debug + Send + Sync {
    /// The password that is set.
    fn get(&self, server: &Server) -> Option<String>;

    /// Sets it for good: once this returns it is lost no more. May block.
    ///
    /// # Errors
    /// `AlreadyExists` when one is set.
    fn set(&self, server: &Server, text: String) -> io::Result<()>;
}

/// Keeps them as long as the process lives.
impl Passwords for Mutex<BTreeMap<ServerId, String>> {
    fn get(&self, server: &Server) -> Option<String> {
        let all = self.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&server.id).cloned()
    }

    fn set(&self, server: &Server, text: String) -> io::Result<()> {
        let mut all = self.lock().unwrap_or_else(PoisonError::into_inner);
        match all.contains_key(&server.id) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => {
                all.insert(server.id, text);
                Ok(())
            }
        }
    }
}

/// Takes the password in that a request bears; how that went.
pub(super) async fn post<B: Body>(
    request: Request<B>,
    server: &Server,
    shared: &Shared,
) -> StatusCode
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if shared.passwords.get(server).is_some() {
        return StatusCode::CONFLICT;
    }
    let body = Limited::new(request.into_body(), PASSWORD_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return StatusCode::BAD_REQUEST,
        Err(_) => return StatusCode::REQUEST_TIMEOUT,
    };
    // An empty one would be none, and what is no text could not be shown.
    let Some(text) = String::from_utf8(body.into())
        .ok()
        .filter(|t| !t.is_empty())
    else {
        return StatusCode::BAD_REQUEST;
    };
    let (passwords, server) = (shared.passwords.clone(), server.clone());
    let id = server.id;
    let set = tokio::task::spawn_blocking(move || passwords.set(&server, text)).await;
    match set.map_err(io::Error::other).flatten() {
        Ok(()) => StatusCode::OK,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => StatusCode::CONFLICT,
        Err(error) => {
            tracing::error!(server = %id, %error, "keeping the password that a guest told");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
