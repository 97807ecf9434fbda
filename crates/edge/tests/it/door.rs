//! The ways in: TLS, a service's own port, a balancer; and what one client may take of them.

use std::net::Ipv6Addr;

use edge::Limits;
use testkit::TestCloud;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request, and everything that comes back until the peer closes.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, header: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that refuses may reset instead of closing.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The PROXY header of a client (HAProxy's `proxy-protocol.txt`, section 2.2).
fn proxy(client: Ipv6Addr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    header.extend(client.octets());
    header.extend(Ipv6Addr::LOCALHOST.octets());
    header.extend([0xc0, 0, 0x20, 0xfb]);
    header
}

async fn balancer(cloud: &TestCloud, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("::1", cloud.balancer)).await.unwrap();
    stream.write_all(header).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_own_port_lacks_its_prefix() {
    let cloud = TestCloud::start().await;
    let own = cloud.connect_to(cloud.identity, b"http/1.1").await;
    let answer = ask(own, "/v3", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let link = format!("{}/identity/v3/", cloud.url);
    assert!(answer.contains(&link), "{answer}");
    let own = cloud.connect_to(cloud.identity, b"http/1.1").await;
    let answer = ask(own, "/identity/v3", "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_says_whose_request_it_is_and_that_it_came_by_tls() {
    let cloud = TestCloud::start().await;
    let header = proxy("2001:db8::7".parse().unwrap());
    for (forwarded, status) in [
        ("", "200"),
        ("x-forwarded-proto: https\r\n", "200"),
        ("x-forwarded-proto: http\r\n", "403"),
        (
            "x-forwarded-proto: https\r\nx-forwarded-proto: http\r\n",
            "403",
        ),
    ] {
        let answer = ask(balancer(&cloud, &header).await, "/identity/v3", forwarded).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{forwarded}: {answer}");
    }
    // Health checks come from the balancer itself.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let answer = ask(balancer(&cloud, local).await, "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 300"), "{answer}");
    // Who is no balancer is not answered, and one who comes by TLS is not believed.
    let answer = ask(balancer(&cloud, b"").await, "/identity/v3", "").await;
    assert_eq!(answer, "");
    let answer = ask(
        cloud.raw().await,
        "/identity/v3",
        "x-forwarded-proto: http\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_with_the_last_words_of_the_handshake() {
    let cloud = TestCloud::start().await;
    let request = b"GET /v3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut stream = cloud
        .connect_saying(cloud.identity, b"http/1.1", request)
        .await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_so_many_connections_and_no_more() {
    let limits = Limits {
        connections_per_client: 4,
        ..Limits::default()
    };
    let cloud = TestCloud::limited(|_| (), limits).await;
    let greedy = |host: u16| proxy(format!("2001:db8:1::{host:x}").parse().unwrap());
    let mut held = Vec::new();
    for host in 0..4 {
        let mut stream = balancer(&cloud, &greedy(host)).await;
        // An answer shows that it was let in.
        let request = b"GET /identity/v3 HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        held.push(stream);
    }
    for (path, shape) in [
        ("/identity/v3", "\"error\""),
        ("/network/v2.0/networks", "\"NeutronError\""),
        ("/compute/v2.1/servers", "\"overLimit\""),
    ] {
        let answer = ask(balancer(&cloud, &greedy(9)).await, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        assert!(answer.contains(shape), "{answer}");
    }
    let other = proxy("2001:db8:1:1::1".parse().unwrap());
    let answer = ask(balancer(&cloud, &other).await, "/identity/v3", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Room is free again as soon as a connection has gone.
    drop(held.pop());
    loop {
        let answer = ask(balancer(&cloud, &greedy(9)).await, "/identity/v3", "").await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_requests_are_answered_at_a_time() {
    let limits = Limits {
        requests: 1,
        ..Limits::default()
    };
    let cloud = TestCloud::limited(|_| (), limits).await;
    // A body that does not come keeps its request in flight.
    let mut slow = cloud.raw().await;
    let request = b"POST /identity/v3/auth/tokens HTTP/1.1\r\nhost: x\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(request).await.unwrap();
    slow.flush().await.unwrap();
    loop {
        let answer = ask(cloud.raw().await, "/network/", "").await;
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            assert!(answer.contains("\"NeutronError\""), "{answer}");
            break;
        }
    }
    drop(slow);
    loop {
        let answer = ask(cloud.raw().await, "/identity/v3", "").await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}
