//! Metadata over link-local addresses; who asks is known by a mark.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV6, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lan::{Family, Instance};
use linux::netns::Netns;
use model::NetworkId;
use serde_json::{Value, json};

use crate::testlan::{Guest, TestLan, wait};

const URL: &str = "http://[fe80::a9fe:a9fe%25eth0]";

fn instance(hostname: &str) -> Arc<Instance> {
    let id = "6f1a3c58-0b6e-4c1e-9a55-000000000001";
    let image = json!({"id": id, "size_bytes": 1, "sha512": "", "disk_format": "raw"});
    let server = json!({
        "id": id, "name": hostname, "hostname": hostname, "project": "p1", "power": "running",
        "start_epoch": 1, "reboot_epoch": 0, "reboot": "soft", "vcpus": 1, "ram_mib": 64,
        "disk_gib": 0, "ports": [], "availability_zone": "nova",
        "boot": {"disk": image, "kernel": null, "ramdisk": null, "kernel_args": "", "hardware": {}},
        "public_keys": [["laptop", "ssh-ed25519 AAAA"]], "user_data": null, "metadata": [],
        "created_ms": 0, "attachments": [], "config_drive": false,
    });
    Arc::new(Instance {
        server: serde_json::from_value(server).unwrap(),
        ports: Vec::new(),
        floating: Vec::new(),
    })
}

fn hostname(guest: &Guest) -> Option<String> {
    let got = guest.sh(&format!(
        "curl -sgm5 '{URL}/openstack/latest/meta_data.json'"
    ));
    let document: Value = serde_json::from_str(&got).ok()?;
    Some(document["hostname"].as_str()?.to_owned())
}

fn connect(guest: &Guest) -> TcpStream {
    let connected = |ns: &Netns| {
        ns.run(|| {
            let scope = nix::net::if_::if_nametoindex("eth0")?;
            let to = SocketAddrV6::new("fe80::a9fe:a9fe".parse().unwrap(), 80, 0, scope);
            TcpStream::connect(to)
        })
    };
    connected(&guest.ns).unwrap()
}

/// Sends bytes over a connection, and reads until the server closes it.
fn exchange(mut stream: &TcpStream, request: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn raw(guest: &Guest, request: &str) -> String {
    exchange(&connect(guest), request).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_known_by_its_mark() {
    let mut test = TestLan::new();
    let (one, two, stranger) = (test.guest(), test.guest(), test.guest());
    for guest in [&one, &two, &stranger] {
        guest.up_quietly();
    }
    one.mark(&test, 0x101);
    two.mark(&test, 0x102);
    let lan = test.lan();
    let network = NetworkId::random();
    lan.set_instance(network, 0x101, instance("one"));
    lan.set_instance(network, 0x102, instance("two"));
    lan.set_instance(NetworkId::random(), 0, instance("elsewhere"));
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    assert_eq!(lan.serving_metadata(), [(network, Family::Ipv6)]);

    assert_eq!(hostname(&one).as_deref(), Some("one"));
    assert_eq!(hostname(&two).as_deref(), Some("two"));
    assert_eq!(hostname(&stranger), None);
    let status = stranger.sh(&format!(
        "curl -sgm5 -o /dev/null -w '%{{http_code}}' {URL}/openstack"
    ));
    assert_eq!(status, "404");

    lan.set_instance(network, 0x101, instance("renamed"));
    assert_eq!(hostname(&one).as_deref(), Some("renamed"));
    lan.remove_instance(network, 0x101);
    assert_eq!(hostname(&one), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_http_versions_end_their_connections_rightly() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let lan = test.lan();
    let network = NetworkId::random();
    lan.set_instance(network, 0, instance("web"));
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();

    let old = raw(&guest, "GET /latest HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
    assert!(
        old.contains("content-length: 10\r\n") && old.ends_with("\r\n\r\nmeta-data/"),
        "{old}"
    );

    let first = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let kept = raw(&guest, &format!("{first}GET /x HTTP/1.0\r\n\r\n"));
    assert!(kept.contains("connection: keep-alive"), "{kept}");
    assert!(kept.contains("404 Not Found"), "{kept}");

    let last = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let new = raw(&guest, &format!("GET / HTTP/1.1\r\nHost: h\r\n\r\n{last}"));
    assert_eq!(new.matches("HTTP/1.1 200 OK").count(), 2, "{new}");
    assert_eq!(new.matches("connection: close").count(), 1, "{new}");

    let body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n";
    let refused = raw(&guest, body);
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let refused = raw(&guest, &long);
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_closes_at_once_and_follows_its_bridge() {
    let mut test = TestLan::new();
    let lan = test.lan();
    let network = NetworkId::random();
    lan.set_instance(network, 0, instance("web"));
    let listening = || !test.sh("ss -6Htln sport = :80").is_empty();
    for _ in 0..20 {
        lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
            .unwrap();
        lan.end_metadata(network, Family::Ipv6);
    }
    assert_eq!(lan.serving_metadata(), []);
    wait("the listener to go", || !listening());

    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    assert!(listening());
    test.sh("ip link del br0");
    assert_eq!(lan.serving_metadata(), []);
    test.make_bridge();
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    assert_eq!(lan.serving_metadata(), [(network, Family::Ipv6)]);
    let guest = test.guest();
    guest.up_quietly();
    assert_eq!(hostname(&guest).as_deref(), Some("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_too_often_is_told_so_and_the_others_are_not() {
    let mut test = TestLan::new();
    let (busy, calm) = (test.guest(), test.guest());
    busy.up_quietly();
    calm.up_quietly();
    busy.mark(&test, 0x101);
    calm.mark(&test, 0x102);
    let (lan, network) = (test.lan(), NetworkId::random());
    lan.set_instance(network, 0x101, instance("busy"));
    lan.set_instance(network, 0x102, instance("calm"));
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    let counts = || lan.metadata_counts(network, Family::Ipv6).unwrap();
    let missing = raw(&busy, "GET /x HTTP/1.0\r\n\r\n");
    assert!(missing.starts_with("HTTP/1.0 404 "), "{missing}");
    assert_eq!((counts().requests, counts().refused), (1, 1));

    let many = "GET /latest HTTP/1.1\r\nHost: h\r\n\r\n".repeat(99);
    let many = raw(&busy, &format!("{many}GET /latest HTTP/1.0\r\n\r\n"));
    let limited = many.matches("HTTP/1.1 429 Too Many Requests").count();
    assert!(limited > 0 && many.contains("HTTP/1.1 200 OK"), "{many}");
    assert!(many.contains("retry-after: 1\r\n"), "{many}");
    assert_eq!(hostname(&calm).as_deref(), Some("calm"));
    let counts = counts();
    assert_eq!((counts.requests, counts.refused), (102, 1));
    assert!(counts.limited >= limited as u64, "{counts:?}");
    assert_eq!(lan.metadata_counts(network, Family::Ipv4), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_tells_its_password_once() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let (lan, network) = (test.lan(), NetworkId::random());
    lan.set_instance(network, 0, instance("web"));
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    let path = format!("'{URL}/openstack/latest/password'");
    let post = |text: &str| {
        guest.sh(&format!(
            "curl -sgm5 -w '%{{http_code}}' -d '{text}' {path}"
        ))
    };
    assert!(post(&"x".repeat(1021)).ends_with("400"));
    assert_eq!(post("secret"), "200");
    assert!(post("other").ends_with("409"));
    assert_eq!(guest.sh(&format!("curl -sgm5 {path}")), "secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_so_many_connections_and_no_more() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let (lan, network) = (test.lan(), NetworkId::random());
    lan.set_instance(network, 0, instance("web"));
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    let held: Vec<TcpStream> = (0..20).map(|_| connect(&guest)).collect();
    let counts = || lan.metadata_counts(network, Family::Ipv6).unwrap();
    wait("four to be closed", || counts().limited == 4);
    assert_eq!(counts().requests, 0);
    // Those that were there first are as good as ever.
    let answer = exchange(held.first().unwrap(), "GET /latest HTTP/1.0\r\n\r\n");
    assert!(answer.unwrap().starts_with("HTTP/1.0 200 "));
    let closed = held.last().unwrap();
    assert_eq!(
        exchange(closed, "GET / HTTP/1.0\r\n\r\n").unwrap_or_default(),
        ""
    );
    drop(held);
    wait("a place to be free", || hostname(&guest).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv4_is_served_beside_ipv6() {
    let mut test = TestLan::new();
    test.sh("ip address add 169.254.169.254/32 dev br0; ip route add 192.0.2.0/24 dev br0");
    let guest = test.guest();
    guest.up_quietly();
    guest.sh("ip address add 192.0.2.5/24 dev eth0; ip route add 169.254.169.254 dev eth0");
    guest.mark(&test, 0x101);
    let (lan, network) = (test.lan(), NetworkId::random());
    lan.set_instance(network, 0x101, instance("one"));
    let ipv4 = || test.sh("ss -4Htln");
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    assert_eq!(ipv4(), "", "none unless it is asked for");
    lan.serve_metadata(network, Family::Ipv4, &test.ns, "br0")
        .unwrap();
    let both = [(network, Family::Ipv4), (network, Family::Ipv6)];
    assert_eq!(lan.serving_metadata(), both);
    let url = "http://169.254.169.254/openstack/latest/meta_data.json";
    let got = guest.sh(&format!("curl -sgm5 {url}"));
    assert!(got.contains(r#""hostname":"one""#), "{got}");
    assert_eq!(hostname(&guest).as_deref(), Some("one"));
    lan.end_metadata(network, Family::Ipv4);
    assert_eq!(lan.serving_metadata(), [(network, Family::Ipv6)]);
    wait("the listener to go", || ipv4().is_empty());
}
