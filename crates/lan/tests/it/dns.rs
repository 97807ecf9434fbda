//! Names, asked for with `dig`; and an upstream resolver that is not always nice.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use lan::{DnsCounts, Lan, Zone};
use linux::netns::Netns;
use model::NetworkId;

use crate::testlan::{Guest, TestLan};

const V6: &str = "2001:db8:1::53";
const V4: &str = "192.0.2.53";

/// A network whose resolver answers on both families, with a guest that is known and one that is
/// not.
struct Scene {
    test: TestLan,
    guest: Guest,
    stranger: Guest,
    lan: Lan,
    network: NetworkId,
}

impl Scene {
    fn new(servers: impl FnOnce(&Netns) -> Vec<SocketAddrV6>) -> Scene {
        let mut test = TestLan::new();
        test.sh(&format!(
            "ip addr add {V6}/64 dev br0 nodad; ip addr add {V4}/24 dev br0"
        ));
        let (guest, stranger) = (test.guest(), test.guest());
        for (guest, last) in [(&guest, "a"), (&stranger, "b")] {
            guest.up_quietly();
            guest.sh(&format!("ip addr add 2001:db8:1::{last}/64 dev eth0 nodad"));
        }
        guest.sh("ip addr add 192.0.2.10/24 dev eth0");
        guest.mark(&test, 0x101);
        let lan = test.lan_with(servers(&test.outside()));
        let scene = Scene {
            network: NetworkId::random(),
            test,
            guest,
            stranger,
            lan,
        };
        scene.serve(&[("www.alpha.example.", "2001:db8:1::a")]);
        scene
    }

    fn serve(&self, hosts: &[(&str, &str)]) {
        let hosts = hosts
            .iter()
            .map(|(name, address)| (*name, address.parse().unwrap()));
        let subnets = ["2001:db8:1::/64", "192.0.2.0/24"];
        let subnets = subnets.map(|net| net.parse().unwrap()).into();
        let zone = Zone::new("alpha.example.", subnets, hosts).unwrap();
        let addresses: [IpAddr; 2] = [V6, V4].map(|address| address.parse().unwrap());
        let served = self.lan.serve_dns(
            self.network,
            &self.test.ns,
            "br0",
            &addresses,
            Arc::new(zone),
        );
        served.unwrap();
    }

    fn counts(&self) -> DnsCounts {
        self.lan.dns_counts(&self.network).unwrap()
    }
}

/// What `dig` prints.
fn dig(guest: &Guest, question: &str) -> String {
    guest.sh(&format!("dig +time=8 +tries=1 {question}"))
}

fn short(guest: &Guest, question: &str) -> String {
    dig(guest, &format!("+short {question}")).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_names_are_answered_on_both_families_and_transports() {
    let scene = Scene::new(|_| Vec::new());
    let guest = &scene.guest;
    let mut asked = 0;
    for server in [V6, V4] {
        for transport in ["+notcp", "+tcp"] {
            let ask = |what: &str| short(guest, &format!("{transport} @{server} {what}"));
            assert_eq!(ask("www.alpha.example AAAA"), "2001:db8:1::a");
            assert_eq!(ask("-x 2001:db8:1::a"), "www.alpha.example.");
            asked += 2;
        }
    }
    let nothing = dig(guest, &format!("@{V6} none.alpha.example AAAA"));
    assert!(
        nothing.contains("status: NXDOMAIN") && nothing.contains("SOA"),
        "{nothing}"
    );
    let other_type = dig(guest, &format!("@{V6} www.alpha.example A"));
    assert!(other_type.contains("status: NOERROR"), "{other_type}");
    assert!(
        other_type.contains("ANSWER: 0, AUTHORITY: 1"),
        "{other_type}"
    );
    assert!(other_type.contains("flags: qr aa rd ra"), "{other_type}");
    // Nobody else knows either, and says why.
    let other = dig(guest, &format!("@{V6} other.example AAAA"));
    assert!(other.contains("status: SERVFAIL"), "{other}");
    assert!(
        other.contains("EDE: 0 (Other): (this cloud has no upstream"),
        "{other}"
    );
    let stranger = dig(&scene.stranger, &format!("@{V6} www.alpha.example AAAA"));
    assert!(stranger.contains("status: REFUSED"), "{stranger}");
    let expected = DnsCounts {
        queries: asked + 4,
        answered: asked + 2,
        failed: 1,
        refused: 1,
        ..DnsCounts::default()
    };
    assert_eq!(scene.counts(), expected);

    // A name's addresses are as the last zone has them; the sockets stay.
    scene.serve(&[("www.alpha.example.", "2001:db8:1::c")]);
    assert_eq!(
        short(guest, &format!("@{V4} www.alpha.example AAAA")),
        "2001:db8:1::c"
    );
    assert_eq!(scene.lan.serving_dns(), [scene.network]);
    // A bridge that was made anew is served again once it is said.
    scene.test.sh("ip link del br0");
    assert_eq!(scene.lan.serving_dns(), []);
    scene.test.make_bridge();
    scene.test.sh(&format!(
        "ip addr add {V6}/64 dev br0 nodad; ip link set {} master br0",
        guest.port
    ));
    scene.serve(&[("www.alpha.example.", "2001:db8:1::d")]);
    assert_eq!(
        short(guest, &format!("@{V6} www.alpha.example AAAA")),
        "2001:db8:1::d"
    );
    scene.lan.end_dns(&scene.network);
    assert_eq!(scene.lan.serving_dns(), []);
    let gone = scene
        .guest
        .sh(&format!("dig +tcp +time=2 +tries=1 @{V6} a AAAA || true"));
    assert!(gone.contains("connection refused"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_asked_for_over_tcp() {
    let scene = Scene::new(|_| Vec::new());
    let addresses: Vec<String> = (1..=60).map(|n| format!("2001:db8:1::{n}")).collect();
    let hosts: Vec<_> = addresses
        .iter()
        .map(|a| ("many.alpha.example", a.as_str()))
        .collect();
    scene.serve(&hosts);
    let ask = |more: &str| {
        short(
            &scene.guest,
            &format!("@{V6} {more} many.alpha.example AAAA"),
        )
    };
    assert_eq!(ask("").lines().count(), 60, "dig asks again over TCP");
    let cut = dig(
        &scene.guest,
        &format!("@{V6} +ignore many.alpha.example AAAA"),
    );
    assert!(
        cut.contains("flags: qr tc rd ra") && cut.contains("ANSWER: 0"),
        "{cut}"
    );
    scene.serve(&hosts[..20]);
    assert_eq!(ask("+ignore").lines().count(), 20);
    assert_eq!(ask("+ignore +noedns"), "", "20 of them exceed 512 octets");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_asked_of_upstreams() {
    let scene = Scene::new(|outside| vec![upstream(outside, 1), upstream(outside, 2)]);
    let ask = |what: &str| short(&scene.guest, &format!("@{V6} {what} AAAA"));
    // Forged answers come before the true one.
    assert_eq!(ask("plain.test"), "2001:db8:f::1");
    assert_eq!(ask("+tcp PLAIN.test"), "2001:db8:f::1");
    assert_eq!(
        short(&scene.guest, &format!("@{V4} plain.test AAAA")),
        "2001:db8:f::1"
    );
    // The first cannot say, or says nothing.
    assert_eq!(ask("broken.test"), "2001:db8:f::2");
    assert_eq!(ask("silent.test"), "2001:db8:f::2");
    // The one that answered is asked first from then on.
    assert_eq!(ask("plain.test"), "2001:db8:f::2");
    // An answer that is too long for UDP.
    assert_eq!(ask("long.test").lines().count(), 60);
    let cut = dig(&scene.guest, &format!("@{V6} +ignore long.test AAAA"));
    assert!(cut.contains("flags: qr tc rd ra"), "{cut}");
    let nowhere = dig(&scene.guest, &format!("@{V6} nowhere.test AAAA"));
    assert!(nowhere.contains("status: SERVFAIL"), "{nowhere}");
    assert!(
        nowhere.contains("EDE: 22 (No Reachable Authority)"),
        "{nowhere}"
    );
    let counts = scene.counts();
    assert_eq!((counts.answered, counts.failed, counts.refused), (0, 1, 0));
    assert_eq!(counts.forwarded, counts.queries - 1);
}

/// A resolver on `[::1]` of a namespace. Names ask for their own treatment.
fn upstream(ns: &Netns, number: u8) -> SocketAddrV6 {
    let (udp, tcp) = ns
        .run(|| {
            let udp = UdpSocket::bind("[::1]:0")?;
            let tcp = TcpListener::bind(udp.local_addr()?)?;
            Ok((udp, tcp))
        })
        .unwrap();
    let SocketAddr::V6(address) = udp.local_addr().unwrap() else {
        panic!("an address of IPv4");
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            for answer in answers(&buffer[..length], number) {
                udp.send_to(&answer, from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, 0x8180, 60, number);
            stream
                .write_all(&(answer.len() as u16).to_be_bytes())
                .unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    address
}

/// What is sent over UDP, in this order.
fn answers(question: &[u8], number: u8) -> Vec<Vec<u8>> {
    let asked = question[13..13 + usize::from(question[12])].to_ascii_lowercase();
    let right = answer(question, 0x8180, 1, number);
    let changed = |at: usize| {
        let mut forged = answer(question, 0x8180, 1, 0xee);
        forged[at] ^= 0x81;
        forged
    };
    match (asked.as_slice(), number) {
        (b"plain", _) => vec![changed(0), changed(2), changed(14), right],
        (b"broken", 1) => vec![answer(question, 0x8182, 0, number)],
        (b"silent", 1) | (b"nowhere", _) => Vec::new(),
        (b"long", _) => vec![answer(question, 0x8380, 0, number)],
        _ => vec![right],
    }
}

/// The question's answer with addresses that end in `last`.
fn answer(question: &[u8], flags: u16, count: u8, last: u8) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let mut out = question[..end].to_vec();
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    out[7] = count;
    out[11] = 0;
    for n in 0..count {
        out.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10");
        out.extend(b"\x20\x01\x0d\xb8\x00\x0f\0\0\0\0\0\0\0\0");
        out.extend([n, last]);
    }
    out
}
