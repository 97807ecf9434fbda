//! Rates, measured with real connections: a limit is never exceeded, however the machine is busy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use linux::netlink::{LinkKind, Netlink, VethEnd};
use linux::tc::qdisc::QdiscKind;
use linux::tc::{Filter, LIMIT_PRIORITY, Qdisc, Tbf, Verdict};

use crate::space::Space;

const LIMIT: Tbf = Tbf {
    rate: 2_000_000,
    burst: 100_000,
    limit: 200_000,
};

/// Two namespaces with a link between them, `a` on the left and `b` on the right.
fn pair() -> (Space, Space) {
    let (left, right) = (Space::new(), Space::new());
    let end = |space: &'static str, ns| VethEnd {
        ns,
        name: space,
        mac: None,
    };
    Netlink::ensure_veth(end("a", &left.0), end("b", &right.0)).unwrap();
    for (space, link, address) in [
        (&left, "a", "2001:db8::1/64"),
        (&right, "b", "2001:db8::2/64"),
    ] {
        let mut netlink = Netlink::open(&space.0).unwrap();
        netlink
            .ensure_address(link, address.parse().unwrap())
            .unwrap();
        netlink.set_up(link).unwrap();
    }
    (left, right)
}

/// How long it takes to send so much from the left to the right.
fn transfer(left: &Space, right: &Space, octets: usize) -> Duration {
    let bound = right.0.run(|| TcpListener::bind("[2001:db8::2]:0"));
    let listener = bound.unwrap();
    let to: SocketAddr = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = 0;
        let mut buffer = vec![0; 1 << 16];
        while got < octets {
            match stream.read(&mut buffer).unwrap() {
                0 => panic!("it ended after {got}"),
                n => got += n,
            }
        }
    });
    let begun = Instant::now();
    let mut stream = left.0.run(|| TcpStream::connect(to)).unwrap();
    stream.write_all(&vec![0; octets]).unwrap();
    receiver.join().unwrap();
    begun.elapsed()
}

/// The least time that so much takes below a limit.
fn least(octets: usize) -> Duration {
    Duration::from_secs_f64((octets as f64 - f64::from(LIMIT.burst)) / LIMIT.rate as f64)
}

#[test]
fn what_a_link_sends_is_limited() {
    let (left, right) = pair();
    let mut netlink = Netlink::open(&left.0).unwrap();
    assert_eq!(netlink.qdiscs().unwrap(), []);
    netlink.remove_tbf("a").unwrap();
    for rate in [9_999, LIMIT.rate, LIMIT.rate] {
        netlink.ensure_tbf("a", &Tbf { rate, ..LIMIT }).unwrap();
    }
    let seen = left.shell("tc qdisc show dev a");
    assert!(seen.contains("tbf 1: root"), "{seen}");
    assert!(seen.contains("rate 16Mbit"), "{seen}");
    let [read] = netlink.qdiscs().unwrap().try_into().unwrap();
    assert!(
        matches!(&read, Qdisc { link, kind: QdiscKind::Tbf(tbf) } if link == "a" && LIMIT.is(tbf)),
        "{read:?}"
    );
    let took = transfer(&left, &right, 1_500_000);
    assert!(took >= least(1_500_000), "{took:?}");
    netlink.remove_tbf("a").unwrap();
    netlink.remove_tbf("a").unwrap();
    assert_eq!(netlink.qdiscs().unwrap(), []);
}

#[test]
fn what_a_link_receives_is_limited_behind_it() {
    let (left, right) = pair();
    let mut netlink = Netlink::open(&right.0).unwrap();
    for _ in 0..2 {
        netlink.ensure_ifb("i").unwrap();
        netlink.set_up("i").unwrap();
        netlink.ensure_tbf("i", &LIMIT).unwrap();
        netlink.ensure_clsact("b").unwrap();
        netlink.ensure_redirect("b", LIMIT_PRIORITY, "i").unwrap();
    }
    assert_eq!(netlink.link("i").unwrap().unwrap().kind, LinkKind::Ifb);
    let seen = right.shell("tc filter show dev b ingress");
    assert!(seen.contains("Egress Redirect to device i"), "{seen}");
    let filter = Filter {
        priority: LIMIT_PRIORITY,
        kind: "u32".into(),
        verdict: Verdict::Redirect(Some("i".into())),
    };
    assert_eq!(netlink.filters("b").unwrap(), [filter]);
    let took = transfer(&left, &right, 1_500_000);
    assert!(took >= least(1_500_000), "{took:?}");
    let counted = right.shell("tc -s qdisc show dev i");
    let sent = counted.split("Sent ").nth(1).unwrap();
    let sent: u64 = sent.split(' ').next().unwrap().parse().unwrap();
    assert!(sent >= 1_500_000, "{counted}");
}

#[test]
fn filters_are_told_apart_by_their_priority() {
    let space = Space::new();
    let mut netlink = Netlink::open(&space.0).unwrap();
    for ifb in ["i", "j", "k"] {
        netlink.ensure_ifb(ifb).unwrap();
    }
    assert_eq!(netlink.filters("i").unwrap(), []);
    netlink.remove_filters("i", 1).unwrap();
    netlink.remove_clsact("i").unwrap();
    netlink.ensure_clsact("i").unwrap();
    netlink.ensure_redirect("i", 10, "j").unwrap();
    netlink.ensure_redirect("i", 1, "k").unwrap();
    // Where one leads is changed, the other stays.
    netlink.ensure_redirect("i", 10, "k").unwrap();
    let to = |netlink: &mut Netlink| {
        let filters = netlink.filters("i").unwrap().into_iter();
        filters.map(|f| (f.priority, f.verdict)).collect::<Vec<_>>()
    };
    let leads = |name: &str| Verdict::Redirect(Some(name.to_owned()));
    assert_eq!(to(&mut netlink), [(1, leads("k")), (10, leads("k"))]);
    netlink.ensure_redirect("i", 10, "j").unwrap();
    netlink.remove_link("j").unwrap();
    let lost = Verdict::Redirect(None);
    assert_eq!(to(&mut netlink), [(1, leads("k")), (10, lost)]);
    netlink.ensure_redirect("i", 10, "k").unwrap();
    netlink.remove_filters("i", 1).unwrap();
    netlink.remove_filters("i", 1).unwrap();
    assert_eq!(to(&mut netlink), [(10, leads("k"))]);
    netlink.ensure_clsact("i").unwrap();
    assert_eq!(to(&mut netlink), [(10, leads("k"))], "they stay");
    netlink.remove_clsact("i").unwrap();
    assert_eq!(
        (to(&mut netlink), netlink.qdiscs().unwrap()),
        (vec![], vec![])
    );
}

#[test]
fn numbers_of_all_sizes_come_back() {
    let space = Space::new();
    let mut netlink = Netlink::open(&space.0).unwrap();
    netlink.ensure_ifb("i").unwrap();
    for (rate, burst) in [
        (125, 9_018),
        (125, 33_000),
        (125, 65_553),
        (125_000, 100_000),
        (1_250_000_000, 1 << 30),
        (268_435_455_875, u32::MAX),
    ] {
        let tbf = Tbf {
            rate,
            burst,
            limit: u32::MAX,
        };
        netlink.ensure_tbf("i", &tbf).unwrap();
        let read = netlink.qdiscs().unwrap();
        assert!(
            matches!(read[0].kind, QdiscKind::Tbf(read) if tbf.is(&read)),
            "{tbf:?} {read:?}"
        );
    }
}
