//! One connection: who it is from, TLS or a balancer's word, HTTP.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use net::proxy::{FIXED, Fixed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::Way;
use crate::answer::{Came, Desk};
use crate::crowd::Crowd;

/// How long a stranger may take for the TLS handshake, and for the headers of a request.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one who has just connected may take for the first request when we stop: he was let in,
/// and cannot know.
const FIRST_WORDS: Duration = Duration::from_secs(1);
/// Octets that a request's headers may have.
const HEADERS: usize = 64 << 10;

/// Tells, with `true`, that no more connections are taken in. Held as long as one lasts.
type Stopped = watch::Receiver<bool>;

/// One way in.
#[derive(Clone)]
pub(crate) struct Entrance {
    /// `None`: by a balancer.
    tls: Option<TlsAcceptor>,
    prefix: &'static str,
    crowd: Crowd,
    desk: Arc<Desk>,
}

impl Entrance {
    pub(crate) fn new(way: Way, prefix: &'static str, crowd: Crowd, desk: Arc<Desk>) -> Entrance {
        let tls = match way {
            Way::Tls(config) => Some(TlsAcceptor::from(config)),
            Way::Balancer => None,
        };
        Entrance {
            tls,
            prefix,
            crowd,
            desk,
        }
    }

    /// Serves a connection to its end.
    pub(crate) async fn admit(&self, stream: TcpStream, from: IpAddr, stopped: Stopped) {
        let _ = stream.set_nodelay(true);
        match &self.tls {
            Some(tls) => self.by_tls(tls, stream, from, stopped).await,
            None => self.by_balancer(stream, from, stopped).await,
        }
    }

    async fn by_tls(&self, tls: &TlsAcceptor, stream: TcpStream, from: IpAddr, stopped: Stopped) {
        // Before the handshake, which is what costs.
        let Some(place) = self.crowd.enter(from) else {
            return tracing::debug!(%from, "too many connections");
        };
        let stream = match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%from, %error, "no TLS"),
            Err(_) => return tracing::debug!(%from, "the TLS handshake took too long"),
        };
        // What ALPN agreed on is what is spoken: waiting for the first octets to tell would have no
        // end when none come.
        let spoken = stream.get_ref().1.alpn_protocol();
        if spoken == Some(net::ACME_TLS) {
            // An ACME server has seen the certificate that it came for (RFC 8737, section 3).
            return tracing::debug!(%from, "a challenge was looked at");
        }
        let http2 = spoken == Some(b"h2");
        self.speak(stream, http2, place.over, stopped).await;
    }

    async fn by_balancer(&self, mut stream: TcpStream, balancer: IpAddr, stopped: Stopped) {
        let header = tokio::time::timeout(PATIENCE, client_of(&mut stream));
        let from = match header.await {
            Ok(Ok(client)) => client.unwrap_or(balancer),
            Ok(Err(error)) => return tracing::debug!(%error, "not from a balancer"),
            Err(_) => return tracing::debug!("the PROXY header took too long"),
        };
        let Some(place) = self.crowd.enter(from) else {
            return tracing::debug!(%from, "too many connections");
        };
        self.speak(stream, false, place.over, stopped).await;
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        http2: bool,
        over: bool,
        stopped: Stopped,
    ) {
        let came = Came {
            prefix: self.prefix,
            by_balancer: self.tls.is_none(),
            over,
        };
        let (desk, asked) = (self.desk.clone(), Arc::new(Notify::new()));
        let first = asked.clone();
        let service = service_fn(move |request| {
            first.notify_one();
            let desk = desk.clone();
            async move { Ok::<_, Infallible>(desk.answer(request, came).await) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut builder = match http2 {
            true => builder.http2_only(),
            false => builder.http1_only(),
        };
        builder
            .http1()
            .timer(TokioTimer::new())
            .max_buf_size(HEADERS)
            .header_read_timeout(PATIENCE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .max_header_list_size(HEADERS as u32)
            .max_concurrent_streams(128);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // Told to finish, hyper hangs up on one who has not asked yet.
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = time_is_up(stopped, &asked) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Waits until we stop and the client has asked for something, or had the time to.
async fn time_is_up(mut stopped: Stopped, asked: &Notify) {
    // Without a sender nobody waits for the end of this connection.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    let _ = tokio::time::timeout(FIRST_WORDS, asked.notified()).await;
}

/// Whose connection a balancer passes on; `None`: its own.
async fn client_of(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let header = Fixed::parse(&fixed).map_err(io::Error::other)?;
    let mut rest = vec![0; header.length];
    stream.read_exact(&mut rest).await?;
    header.client(&rest).map_err(io::Error::other)
}
