//! The edge: connections, TLS, HTTP, request ids; behind it are the APIs.

mod answer;
mod body;
mod connection;
mod crowd;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api::Api;
use futures_util::FutureExt;
use futures_util::future::join_all;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::answer::Desk;
use crate::connection::Entrance;
use crate::crowd::Crowd;

/// How long requests in flight may take to finish after a stop was asked for.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A listener, and how clients come in by it.
pub struct Door {
    pub listener: TcpListener,
    pub way: Way,
    /// What its paths lack: a service's prefix at a port of that service's own, else nothing.
    pub prefix: &'static str,
}

/// How clients come in.
#[derive(Clone)]
pub enum Way {
    Tls(Arc<ServerConfig>),
    /// In plain, from a balancer on this host that ends TLS and says whose connection it is (PROXY
    /// protocol, version 2) and how the request came to it (`X-Forwarded-Proto`).
    Balancer,
}

/// What strangers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's backlog.
    pub connections: usize,
    /// Those that one client may have: a /64 of IPv6, or a balancer's client with one address of
    /// IPv4.
    pub connections_per_client: u32,
    /// Requests that are answered at a time.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 20_000,
            connections_per_client: 2_000,
            requests: 2_000,
        }
    }
}

/// Serves the APIs until `stop` is ready, then lets requests in flight finish.
pub async fn serve(
    doors: Vec<Door>,
    api: Arc<Api>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) {
    let (stopping, stopped) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let crowd = Crowd::new(limits.connections_per_client);
    let desk = Arc::new(Desk::new(api, limits.requests));
    let stop = stop.shared();
    let all = doors.into_iter().map(|door| {
        let entrance = Entrance::new(door.way, door.prefix, crowd.clone(), desk.clone());
        accept(
            door.listener,
            entrance,
            slots.clone(),
            stopped.clone(),
            stop.clone(),
        )
    });
    join_all(all).await;
    drop(stopped);
    let _ = stopping.send(true);
    // Each connection holds a receiver as long as it lasts.
    if tokio::time::timeout(LAST_WORDS, stopping.closed())
        .await
        .is_err()
    {
        tracing::warn!(
            "requests were still running {} s after the stop: their connections are cut",
            LAST_WORDS.as_secs()
        );
    }
}

/// Takes connections in until `stop` is ready.
async fn accept(
    listener: TcpListener,
    entrance: Entrance,
    slots: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
    stop: impl Future<Output = ()>,
) {
    tokio::pin!(stop);
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let (entrance, stopped) = (entrance.clone(), stopped.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    entrance.admit(stream, from.ip(), stopped).await;
                });
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

/// Out of files or memory: accepting again at once would only spin.
async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}
