//! The edge: connections, TLS, HTTP, request ids; behind it are the APIs.

mod body;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Api;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How long a stranger may take for the TLS handshake, and for the headers of a request.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long requests in flight may take to finish after a stop was asked for.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Connections at a time; more wait in the listener's backlog.
const CONNECTIONS: usize = 20_000;

/// Serves the APIs until `stop` is ready, then lets requests in flight finish.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    api: Arc<Api>,
    stop: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                rest_after(&e).await;
                continue;
            }
        };
        let (acceptor, api, watcher) = (acceptor.clone(), api.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _slot = slot;
            connection(stream, acceptor, api, watcher).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST_WORDS, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            "requests were still running {} s after the stop: their connections are cut",
            LAST_WORDS.as_secs()
        );
    }
}

/// Out of files or memory: accepting again at once would only spin.
async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    api: Arc<Api>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
        Err(_) => return tracing::debug!("the TLS handshake took too long"),
    };
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(answer(&api, request).await) }
    });
    // What ALPN agreed on is what is spoken: waiting for the first octets to tell would have no end
    // when none come.
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => builder.http2_only(),
        _ => builder.http1_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE)
        .max_concurrent_streams(128);
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(api: &Api, request: Request<Incoming>) -> Response<body::Out> {
    let started = Instant::now();
    let request_id = format!("req-{}", model::ServerId::random());
    let (parts, incoming) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let reply = api.answer(parts, incoming, &request_id).await;
    let status = reply.status.as_u16();
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    // What changes something is worth a line; looking is not.
    match method {
        Method::GET | Method::HEAD => {
            tracing::debug!(request_id, %method, path, status, took_us, "answered")
        }
        _ => tracing::info!(request_id, %method, path, status, took_us, "answered"),
    }
    body::response(reply, method == Method::HEAD)
}
