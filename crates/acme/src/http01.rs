//! What an ACME server looks for over plain HTTP (http-01, RFC 8555, section 8.3). The listener is
//! there only while a name is proved, and says nothing but what answers the challenges.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddrV6;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Where challenges are looked for.
const PATH: &str = "/.well-known/acme-challenge/";
/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// What one connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of a request's headers, and the least that hyper can be told.
const HEADERS: usize = 8 << 10;

/// Tokens, each with what answers it.
type Answers = Arc<Mutex<HashMap<String, String>>>;

/// A listener. It goes when this does.
pub(crate) struct Board {
    answers: Answers,
    serving: JoinHandle<()>,
}

impl Board {
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) fn open(address: SocketAddrV6) -> io::Result<Board> {
        let listener = net::listen(address)?;
        let answers = Answers::default();
        let serving = tokio::spawn(serve(listener, answers.clone()));
        Ok(Board { answers, serving })
    }

    pub(crate) fn pin(&self, token: &str, authorization: String) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), authorization);
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, answers: Answers) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    let _ = tokio::time::timeout(PATIENCE, speak(stream, answers)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for http-01 could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn speak(stream: TcpStream, answers: Answers) {
    let service = service_fn(move |request: Request<Incoming>| {
        let found = answer(&answers, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response(found)) }
    });
    let _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(answers: &Answers, method: &Method, path: &str) -> Option<String> {
    let token = path.strip_prefix(PATH)?;
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let found = answers.get(token).cloned();
    found.filter(|_| method == Method::GET)
}

fn response(found: Option<String>) -> Response<Full<Bytes>> {
    let status = match found {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Full::from(found.unwrap_or_default()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(port: u16, line: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("::1", port)).await?;
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok(said)
    }

    #[tokio::test]
    async fn nothing_but_the_answer_is_said_and_only_while_it_is_wanted() {
        let free = net::listen("[::1]:0".parse().unwrap()).unwrap();
        let std::net::SocketAddr::V6(address) = free.local_addr().unwrap() else {
            panic!("an IPv6 listener");
        };
        drop(free);
        let board = Board::open(address).unwrap();
        board.pin("abc", "abc.thumb".into());
        let port = address.port();
        let said = ask(port, "GET /.well-known/acme-challenge/abc")
            .await
            .unwrap();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\nabc.thumb"));
        for other in [
            "GET /",
            "GET /.well-known/acme-challenge/",
            "GET /.well-known/acme-challenge/abd",
            "GET /.well-known/acme-challenge/abc/",
            "POST /.well-known/acme-challenge/abc",
        ] {
            let said = ask(port, other).await.unwrap();
            assert!(said.starts_with("HTTP/1.1 404 "), "{other}: {said}");
        }
        let serving = board.serving.abort_handle();
        drop(board);
        while !serving.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(ask(port, "GET /").await.is_err());
    }
}
