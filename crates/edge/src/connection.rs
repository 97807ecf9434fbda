//! One connection: who it is from, TLS or a balancer's word, HTTP.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use net::proxy::{FIXED, Fixed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::Way;
use crate::answer::{Came, Desk};
use crate::body::Out;
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
        // What each step needs is in a box of its own, and goes with it.
        let accepted = Box::pin(tokio::time::timeout(PATIENCE, tls.accept(stream))).await;
        let mut stream = match accepted {
            Ok(Ok(stream)) => Box::new(stream),
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
        let (socket, session) = stream.get_mut();
        // Some clients' first request comes with the last octets of the handshake.
        let asks = session.process_new_packets();
        let asks = asks.is_ok_and(|state| state.plaintext_bytes_to_read() > 0);
        if !asks && !begins(socket, stopped.clone()).await {
            return;
        }
        match http2 {
            true => self.speak_http2(stream, place.over, stopped).await,
            false => self.speak_http1(stream, place.over, stopped).await,
        }
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
        if begins(&stream, stopped.clone()).await {
            self.speak_http1(stream, place.over, stopped).await;
        }
    }

    fn speak_http1<S>(
        &self,
        stream: S,
        over: bool,
        stopped: Stopped,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (service, asked) = self.service(over);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_buf_size(HEADERS)
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service);
        to_its_end(Box::pin(connection), asked, stopped)
    }

    fn speak_http2<S>(
        &self,
        stream: S,
        over: bool,
        stopped: Stopped,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (service, asked) = self.service(over);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .max_header_list_size(HEADERS as u32)
            .max_concurrent_streams(128)
            .serve_connection(TokioIo::new(stream), service);
        to_its_end(Box::pin(connection), asked, stopped)
    }

    /// What answers requests, and what tells that there is one.
    fn service(
        &self,
        over: bool,
    ) -> (
        impl Service<Request<Incoming>, Response = Response<Out>, Error = Infallible, Future = Answered>
        + use<>,
        Arc<Notify>,
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
            // A request's own state is large, and is not kept between requests.
            Box::pin(async move { Ok(desk.answer(request, came).await) }) as Answered
        });
        (service, asked)
    }
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Out>, Infallible>> + Send>>;

/// Serves a connection until it ends, or until we stop and it has had its turn.
async fn to_its_end<C>(mut connection: Pin<Box<C>>, asked: Arc<Notify>, stopped: Stopped)
where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
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

/// Waits for the first octets of a request; until then a connection has no buffers. False: none
/// came in time, or we stop.
async fn begins(socket: &TcpStream, stopped: Stopped) -> bool {
    let mut octet = [0];
    let never = Notify::new();
    tokio::select! {
        first = tokio::time::timeout(PATIENCE, socket.peek(&mut octet)) => {
            matches!(first, Ok(Ok(1)))
        }
        () = time_is_up(stopped, &never) => false,
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
