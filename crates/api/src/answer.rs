//! From a request to an answer: route, caller, body, handler, and the shape of what went wrong.

use std::time::Duration;

use bytes::Bytes;
use cloud::Cloud;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use model::{Caller, Error, Kind, Result, Scope};
use tokio::sync::Semaphore;

use crate::compute;
use crate::context::{Context, parse_query};
use crate::dialect::{Dialect, error_reply};
use crate::microversion::{self, Microversion};
use crate::network::revision;
use crate::notification::asked_by;
use crate::remembered::Remembered;
use crate::reply::{Body, Reply};
use crate::route::{Found, Handler, Routes};
use crate::volume;

/// The largest body that is held in memory, in octets: user data in base64 and a little more.
const MAX_BODY: usize = 1 << 20;
/// The largest body taken from one who has shown no token.
const MAX_OPEN_BODY: usize = 64 << 10;
/// How long a body that is held in memory may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How many may wait for a slow answer; further ones are told to come again.
const MAX_WAITING: usize = 256;

/// What [`Handler::Look`] holds.
type Look = fn(&Context) -> Result<Reply>;

/// All APIs of one cloud.
pub struct Api {
    routes: Routes,
    cloud: Cloud,
    remembered: Remembered,
    /// One permit for each processor: a password hash keeps one busy.
    slow: Semaphore,
    /// One for each request that waits for one of those, or has it.
    waiting: Semaphore,
}

impl Api {
    /// The APIs of a cloud.
    pub fn new(cloud: Cloud) -> Api {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Api {
            routes: Routes::new(),
            cloud,
            remembered: Remembered::default(),
            slow: Semaphore::new(processors),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Answers a request. Every failure becomes an answer in the service's own shape.
    pub async fn answer(&self, parts: Parts, body: Incoming, request_id: &str) -> Reply {
        let path = parts.uri.path().to_owned();
        let dialect = Dialect::of_path(&path);
        let (reply, version) = match microversion::asked(dialect, &parts.headers) {
            Err(refusal) => (*refusal, microversion::least(dialect)),
            Ok(version) => {
                let answered = self.handle(parts, path, body, version, request_id).await;
                let reply = answered.unwrap_or_else(|e| {
                    log(&e, request_id);
                    error_reply(dialect, &e, &self.cloud.settings().url)
                });
                (reply, version)
            }
        };
        let reply = reply.with("x-openstack-request-id", request_id);
        let reply = microversion::told(reply, dialect, version);
        match dialect {
            Dialect::Compute => reply.with("x-compute-request-id", request_id),
            Dialect::Identity => reply.with("vary", "X-Auth-Token"),
            _ => reply,
        }
    }

    /// The answer to a request that is not even looked at, in the shape of the service it is for.
    pub fn refuse(&self, path: &str, error: &Error, request_id: &str) -> Reply {
        log(error, request_id);
        error_reply(Dialect::of_path(path), error, &self.cloud.settings().url)
            .with("x-openstack-request-id", request_id)
    }

    async fn handle(
        &self,
        parts: Parts,
        path: String,
        body: Incoming,
        version: Microversion,
        request_id: &str,
    ) -> Result<Reply> {
        let (route, params) = match self.routes.find(&parts.method, &path) {
            Found::Route(route, params) => (route, params),
            // Strangers learn nothing of what is there and what is not.
            Found::OtherMethod(dialect) => {
                self.require_token(dialect, &parts.headers, request_id)?;
                return Err(Error::MethodNotAllowed(format!(
                    "{} is not a method of {path}.",
                    parts.method
                )));
            }
            Found::Nothing(dialect) => {
                self.require_token(dialect, &parts.headers, request_id)?;
                return Err(Error::not_found(Kind::Path, path));
            }
        };
        let mut caller = match route.handler {
            Handler::Open(_) | Handler::OpenSlow(_) => nobody(request_id),
            _ => self.caller(&parts.headers, request_id)?,
        };
        if !matches!(route.handler, Handler::Open(_)) {
            volume::check_project(&caller, &params)?;
        }
        if route.dialect == Dialect::Network {
            caller.if_match = revision::if_match(&parts.method, route.path, &parts.headers)?;
        }
        // A later microversion's route is not there for an earlier one's client.
        if route.dialect == Dialect::Compute && version < compute::since(route.path) {
            return Err(Error::not_found(Kind::Path, path));
        }
        let mut ctx = Context {
            cloud: self.cloud.clone(),
            caller,
            version,
            path,
            params,
            query: parse_query(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body: Bytes::new(),
        };
        if let Handler::Upload(handler) = route.handler {
            let caller = ctx.caller.clone();
            return asked_by::whole(caller, handler(ctx, body)).await;
        }
        let limit = match route.handler {
            Handler::Open(_) | Handler::OpenSlow(_) => MAX_OPEN_BODY,
            _ => MAX_BODY,
        };
        ctx.body = read(&ctx, body, limit).await?;
        match route.handler {
            Handler::Open(handler) => handler(&ctx),
            Handler::Plain(handler) => asked_by::within(ctx.caller.clone(), || handler(&ctx)),
            Handler::Look(handler) => self.look(handler, &ctx, parts.uri),
            Handler::OpenSlow(handler) => self.slowly(move || handler(&ctx)).await,
            Handler::Wait(handler) => handler(ctx).await,
            Handler::Upload(_) => Err(Error::internal(
                "answering",
                "an upload was handled already",
            )),
        }
    }

    /// The answer of a handler that only looks, or the one it gave since the last commit.
    fn look(&self, handler: Look, ctx: &Context, uri: Uri) -> Result<Reply> {
        let header = |name| ctx.header(name).unwrap_or_default();
        let question = format!(
            "{} {:?} {:?}\n{}\n{}\n{uri}",
            ctx.caller.user,
            ctx.caller.scope,
            ctx.caller.roles,
            header("openstack-api-version"),
            header("x-openstack-nova-api-version"),
        );
        let version = self.cloud.version();
        if let Some(reply) = self.remembered.find(version, &question) {
            return Ok(reply);
        }
        let reply = handler(ctx)?;
        if let (StatusCode::OK, true, Body::Json(body)) =
            (reply.status, reply.headers.is_empty(), &reply.body)
        {
            self.remembered.keep(version, question, body);
        }
        Ok(reply)
    }

    /// Runs work that costs a processor's time, as many at once as there are processors. Those that
    /// wait hold no thread, and only so many may wait.
    async fn slowly(&self, work: impl FnOnce() -> Result<Reply> + Send + 'static) -> Result<Reply> {
        let busy =
            |_| Error::Unavailable("too many are asking at once: come again in a moment".into());
        let _place = self.waiting.try_acquire().map_err(busy)?;
        let closed = |e| Error::internal("waiting for a processor", e);
        let _permit = self.slow.acquire().await.map_err(closed)?;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|e| Error::internal("answering", e))?
    }

    fn require_token(&self, dialect: Dialect, headers: &HeaderMap, request_id: &str) -> Result<()> {
        match dialect {
            Dialect::Root => Ok(()),
            _ => self.caller(headers, request_id).map(drop),
        }
    }

    fn caller(&self, headers: &HeaderMap, request_id: &str) -> Result<Caller> {
        let token = headers.get("x-auth-token").and_then(|t| t.to_str().ok());
        let token = token.ok_or_else(|| {
            Error::Unauthorized("The request you have made requires authentication.".into())
        })?;
        self.cloud.caller(token, request_id)
    }
}

async fn read(ctx: &Context, body: Incoming, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Error::TooLarge(format!(
            "The request body is larger than {limit} octets, the most this route takes."
        ))
    };
    let announced = ctx
        .header("content-length")
        .and_then(|l| l.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let whole = tokio::time::timeout(BODY_WITHIN, Limited::new(body, limit).collect());
    let Ok(collected) = whole.await else {
        return Err(Error::invalid(format!(
            "the request's body had not come after {} s",
            BODY_WITHIN.as_secs()
        )));
    };
    match collected {
        Ok(all) => Ok(all.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Error::invalid(
            "the request broke off before its whole body had come",
        )),
    }
}

fn nobody(request_id: &str) -> Caller {
    Caller {
        user: "".into(),
        scope: Scope::Unscoped,
        roles: Vec::new(),
        request_id: request_id.to_owned(),
        if_match: None,
    }
}

fn log(error: &Error, request_id: &str) {
    match error {
        Error::Internal { .. } => {
            tracing::error!(request_id, error = cloud::chain(error), "request failed")
        }
        _ => tracing::debug!(request_id, %error, "request refused"),
    }
}
