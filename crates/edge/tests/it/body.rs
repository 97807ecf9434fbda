//! What comes over the wire before it is a body: lengths, broken streams, odd paths.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::json;
use testkit::{Person, TestCloud, assert_same};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::shape;

const PLACES: [&str; 4] = [
    "/identity/v3/projects",
    "/image/v2/images",
    "/compute/v2.1/servers",
    "/network/v2.0/networks",
];

/// What comes back for octets, until the peer closes or says nothing more for this request.
async fn say(cloud: &TestCloud, request: &[u8]) -> String {
    let mut stream = cloud.raw().await;
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    // Some answers close the connection, others keep it: enough is what has a whole body.
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(n) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..n]);
            if n == 0 || is_whole(&answer) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|l| {
        l.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    body.len() >= length.unwrap_or(0_usize)
}

fn pieces(
    count: usize,
    size: usize,
) -> impl hyper::body::Body<Data = Bytes, Error = io::Error> + Send {
    let piece = Bytes::from(vec![b' '; size]);
    let frames = (0..count).map(move |_| Ok(Frame::data(piece.clone())));
    StreamBody::new(stream::iter(frames))
}

#[tokio::test]
async fn a_gigabyte_that_is_announced_is_not_waited_for() {
    let cloud = TestCloud::start().await;
    let token = cloud.token(Person::Admin);
    for path in PLACES {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-auth-token: {token}\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n{{"
        );
        let answer = say(&cloud, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("connection: close"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn three_megabytes_without_a_length_are_refused() {
    let cloud = TestCloud::start().await;
    let before = cloud.dump();
    for path in PLACES {
        let admin = cloud.admin().await;
        let request = admin
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .stream(pieces(48, 64 << 10));
        shape::error(&request.send().await, 413, "3 MB in pieces");
        admin.get(path).await.expect(200);
    }
    assert_same(&before, &cloud.dump(), "bodies that are too large");
}

/// One who has shown no token gets less room.
#[tokio::test]
async fn an_open_route_takes_little() {
    let cloud = TestCloud::start().await;
    let nobody = cloud.client_with(None).await;
    for path in ["/identity/v3/auth/tokens", "/identity/v3/users/x/password"] {
        let request = nobody
            .request(Method::POST, path)
            .stream(pieces(3, 32 << 10));
        shape::error(&request.send().await, 413, "96 kB from nobody");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let cloud = TestCloud::start().await;
    let before = cloud.dump();
    let token = cloud.token(Person::Admin);
    for path in PLACES {
        let mut stream = cloud.raw().await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-auth-token: {token}\r\ncontent-length: 100\r\n\r\n{{\"name\": \"x\"}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
    }
    assert_same(&before, &cloud.dump(), "bodies that broke off");
}

#[tokio::test]
async fn paths_of_any_octets_are_answered() {
    let cloud = TestCloud::start().await;
    let before = cloud.dump();
    let token = cloud.token(Person::Admin);
    let long = format!("/network/v2.0/networks/{}", "x".repeat(20_000));
    let longer = format!("/network/v2.0/networks/{}", "x".repeat(70_000));
    let query = format!("/network/v2.0/networks?{}", "name=x&".repeat(5_000));
    let cases: [(&[u8], &[&str]); 12] = [
        (b"/network/v2.0/networks/%00", &["404"]),
        (b"/network/v2.0/networks/%", &["404"]),
        (b"/network/v2.0/networks/%zz", &["404"]),
        (b"/network/v2.0/networks/%ff%fe", &["404"]),
        (b"/network/v2.0/networks/%2e%2e%2fports", &["404"]),
        (b"/network/v2.0/%6eetworks", &["404", "200"]),
        (b"/network/v2.0/networks/\xff\xfe", &["400", "404"]),
        (b"/network/v2.0/networks/\x00", &["400"]),
        (b"/network/v2.0/networks/a b", &["400"]),
        (long.as_bytes(), &["404", "414"]),
        (longer.as_bytes(), &["404", "414", "431", "400"]),
        (query.as_bytes(), &["200", "414", "431"]),
    ];
    for (path, expected) in cases {
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(path);
        request.extend_from_slice(
            format!(" HTTP/1.1\r\nhost: x\r\nx-auth-token: {token}\r\n\r\n").as_bytes(),
        );
        let answer = say(&cloud, &request).await;
        let status = answer.get(9..12).unwrap_or_default();
        let shown = String::from_utf8_lossy(path)
            .chars()
            .take(60)
            .collect::<String>();
        assert!(expected.contains(&status), "{shown}: {answer}");
    }
    assert_same(&before, &cloud.dump(), "odd paths");
}

#[tokio::test]
async fn requests_that_are_no_http_end_the_connection() {
    let cloud = TestCloud::start().await;
    for request in [
        &b"\x16\x03\x01\x00\x00\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = say(&cloud, request).await;
        let refused = ["", "HTTP/1.1 400 ", "HTTP/1.1 405 ", "HTTP/1.1 404 "];
        assert!(refused.iter().any(|r| answer.starts_with(r)), "{answer}");
    }
    // It goes on serving others.
    cloud
        .admin()
        .await
        .get("/identity/v3/users")
        .await
        .expect(200);
}

/// Python's clients keep a connection and send the next request on it, whatever the last one got.
#[tokio::test]
async fn a_refused_body_does_not_spoil_the_connection() {
    let cloud = TestCloud::start().await;
    let token = cloud.token(Person::Admin);
    let mut stream = cloud.raw().await;
    let body = json!({"network": {"name": "x".repeat(1000)}}).to_string();
    let head = format!(
        "host: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (auth, expected) in [
        (String::new(), "401"),
        ("x-auth-token: bad\r\n".to_owned(), "401"),
        (format!("x-auth-token: {token}\r\n"), "400"),
    ] {
        let request = format!("POST /network/v2.0/networks HTTP/1.1\r\n{head}{auth}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !is_whole(&answer) {
            let n = stream.read(&mut piece).await.unwrap();
            assert_ne!(n, 0, "the connection was closed");
            answer.extend_from_slice(&piece[..n]);
        }
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(&text[9..12], expected, "{text}");
    }
}

#[tokio::test]
async fn a_wrong_media_type_is_415_where_it_matters() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let body = json!({"disk_format": "raw", "container_format": "bare"});
    let made = member.post("/image/v2/images", body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let before = cloud.dump();
    let data = format!("/image/v2/images/{id}/file");
    for media in ["application/json", "text/plain", "application/octet", ""] {
        let request = member
            .request(Method::PUT, &data)
            .header("content-type", media);
        shape::error(&request.body("x").send().await, 415, media);
    }
    let bare = member.request(Method::PUT, &data).body("x").send().await;
    shape::error(&bare, 415, "no media type");
    let record = format!("/image/v2/images/{id}");
    for media in [
        "application/json",
        "application/json-patch+json",
        "text/plain",
        "",
    ] {
        let request = member
            .request(Method::PATCH, &record)
            .header("content-type", media);
        shape::error(&request.body("[]").send().await, 415, media);
    }
    assert_same(&before, &cloud.dump(), "wrong media types");
}
