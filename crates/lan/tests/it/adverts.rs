//! Router Advertisements.

use std::time::{Duration, Instant};

use lan::{Advert, AdvertKey, Family};
use linux::socket::PacketSocket;
use model::{NetworkId, RouterId};
use wire::icmpv6::{ALL_ROUTERS, Icmpv6, multicast_mac};
use wire::nd::RouterSolicit;

use crate::testlan::{Guest, TestLan, advert, wait};

fn key() -> AdvertKey {
    AdvertKey {
        network: NetworkId::random(),
        router: Some(RouterId::random()),
    }
}

fn solicit_from_nowhere(guest: &Guest) {
    let mut message = Vec::new();
    RouterSolicit {
        source_link_address: None,
    }
    .emit(&mut message);
    let mut packet = Vec::new();
    let source = "::".parse().unwrap();
    Icmpv6 {
        source,
        destination: ALL_ROUTERS,
        hop_limit: 255,
        message: &message,
    }
    .emit(&mut packet);
    let socket = PacketSocket::solicitations(&guest.ns, "eth0").unwrap();
    socket.send(multicast_mac(ALL_ROUTERS), &packet).unwrap();
}

#[tokio::test]
async fn a_linux_guest_configures_itself() {
    let mut test = TestLan::new();
    let guest = test.guest();
    let lan = test.lan();
    let key = key();
    // The first multicast is before the guest is there: what it hears is the answer it asks for.
    let neighbour = test.guest();
    neighbour.up_quietly();
    neighbour.capture(1, "icmp6[0] == 134", || {
        lan.advertise(key, &test.ns, "br0", advert()).unwrap();
    });
    assert_eq!(lan.advertising(), [key]);
    guest.up();

    let address = guest.mac.slaac("2001:db8:1::".parse().unwrap()).to_string();
    let took = wait("the guest's address", || {
        let shown = guest.sh("ip -6 addr show dev eth0 scope global");
        shown.contains(&format!("{address}/64")) && !shown.contains("tentative")
    });
    println!("address after {took:?}");
    let route = guest.sh("ip -6 route show default");
    assert!(
        route.contains("default via fe80::f816:3eff:fe00:1 dev eth0"),
        "{route}"
    );
    assert!(
        route.contains("expires 1") && route.contains("hoplimit 64"),
        "{route}"
    );
    assert_eq!(
        guest.sh("cat /proc/sys/net/ipv6/conf/eth0/mtu").trim(),
        "1430"
    );

    lan.silence(&key, true);
    assert_eq!(lan.advertising(), []);
    wait("the default route to go", || {
        guest.sh("ip -6 route show default").is_empty()
    });
    assert!(
        guest.sh("ip -6 addr show dev eth0").contains(&address),
        "addresses stay"
    );
}

#[tokio::test]
async fn rdisc6_reads_what_was_said() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let lan = test.lan();
    lan.advertise(
        key(),
        &test.ns,
        "br0",
        Advert {
            other: true,
            ..advert()
        },
    )
    .unwrap();
    let heard = guest.sh("rdisc6 -n1 -w 2000 eth0");
    for line in [
        "Hop limit                 :           64",
        "Stateful address conf.    :           No",
        "Stateful other conf.      :          Yes",
        "Router lifetime           :         1800 (0x00000708) seconds",
        "Prefix                   : 2001:db8:1::/64",
        "On-link                 :          Yes",
        "Autonomous address conf.:          Yes",
        "Valid time              :      2592000 (0x00278d00) seconds",
        "Pref. time              :       604800 (0x00093a80) seconds",
        "MTU                      :         1430 bytes (valid)",
        "Source link-layer address: FA:16:3E:00:00:01",
        "Recursive DNS server     : 2001:db8::53",
        "DNS server lifetime     :         1800 (0x00000708) seconds",
        "DNS search list          : cloud.example",
        "from fe80::f816:3eff:fe00:1",
    ] {
        assert!(heard.contains(line), "{line} is not in\n{heard}");
    }
}

#[tokio::test]
async fn each_asker_is_answered_alone_and_at_once() {
    let mut test = TestLan::new();
    let (asker, other) = (test.guest(), test.guest());
    asker.up_quietly();
    other.up_quietly();
    let lan = test.lan();
    let key = key();
    lan.advertise(key, &test.ns, "br0", advert()).unwrap();
    wait("the first multicast", || {
        lan.counts(&key).unwrap().sent == 1
    });

    let adverts = "icmp6 and ip6[40] == 134";
    let mut seen = String::new();
    let foreign = other.capture(1, adverts, || {
        seen = asker.capture(3, adverts, || {
            solicit_from_nowhere(&asker);
            solicit_from_nowhere(&asker);
            asker.sh("rdisc6 -n1 -w 2000 eth0");
        });
        solicit_from_nowhere(&other);
    });
    let first = format!("fa:16:3e:00:00:01 > {},", other.mac);
    assert!(
        foreign.contains(&first),
        "the first that it hears is its own: {foreign}"
    );
    let to = format!("fa:16:3e:00:00:01 > {},", asker.mac);
    assert_eq!(seen.matches(&to).count(), 3, "{seen}");
    assert_eq!(
        seen.matches("fe80::f816:3eff:fe00:1 > ff02::1:").count(),
        2,
        "{seen}"
    );
    let unicast = format!("fe80::f816:3eff:fe00:1 > {}:", asker.mac.link_local());
    assert_eq!(seen.matches(&unicast).count(), 1, "{seen}");
    let counts = lan.counts(&key).unwrap();
    assert_eq!(
        (counts.solicitations, counts.malformed, counts.sent),
        (4, 0, 5)
    );
}

#[tokio::test]
async fn malformed_solicitations_are_counted() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let lan = test.lan();
    let key = key();
    lan.advertise(key, &test.ns, "br0", advert()).unwrap();

    let socket = PacketSocket::solicitations(&guest.ns, "eth0").unwrap();
    let source = guest.mac.link_local();
    let hostile: [&[u8]; 3] = [
        &[133, 0, 0, 0],
        &[133, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[133; 1300],
    ];
    for message in hostile {
        let mut packet = Vec::new();
        Icmpv6 {
            source,
            destination: ALL_ROUTERS,
            hop_limit: 255,
            message,
        }
        .emit(&mut packet);
        socket.send(multicast_mac(ALL_ROUTERS), &packet).unwrap();
    }
    wait("the counter", || lan.counts(&key).unwrap().malformed == 3);
    assert_eq!(lan.counts(&key).unwrap().solicitations, 0);
}

#[tokio::test]
async fn a_change_reaches_the_guest_and_the_same_again_does_not() {
    let mut test = TestLan::new();
    let guest = test.guest();
    guest.up_quietly();
    let lan = test.lan();
    let key = key();
    let heard = guest.capture(2, "icmp6 and ip6[40] == 134", || {
        let start = Instant::now();
        let advertise = |mtu| {
            let advert = Advert { mtu, ..advert() };
            lan.advertise(key, &test.ns, "br0", advert).unwrap();
        };
        advertise(1430);
        wait("the first multicast", || {
            lan.counts(&key).unwrap().sent == 1
        });
        advertise(1430);
        advertise(1400);
        wait("the second multicast", || {
            lan.counts(&key).unwrap().sent == 2
        });
        assert!(
            start.elapsed() >= Duration::from_millis(2900),
            "{:?}",
            start.elapsed()
        );
    });
    assert!(
        heard.contains("mtu option (5), length 8 (1):  1400"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_link_made_anew_is_taken_up_again() {
    let test = TestLan::new();
    let lan = test.lan();
    let key = key();
    lan.advertise(key, &test.ns, "br0", advert()).unwrap();
    wait("the first multicast", || {
        lan.counts(&key).unwrap().sent == 1
    });
    test.sh("ip link del br0");
    assert_eq!(lan.advertising(), [], "what is gone is not advertised on");
    let missing = lan.advertise(key, &test.ns, "br0", advert()).unwrap_err();
    assert_eq!(missing.raw_os_error(), Some(nix::libc::ENODEV));
    test.make_bridge();
    assert_eq!(lan.advertising(), [], "nor is another of the same name");
    lan.advertise(key, &test.ns, "br0", advert()).unwrap();
    assert_eq!(lan.advertising(), [key]);
    wait("the first multicast", || {
        lan.counts(&key).unwrap().sent == 1
    });
}

#[tokio::test]
async fn nothing_is_served_once_stopped() {
    let test = TestLan::new();
    let lan = test.lan();
    let network = NetworkId::random();
    lan.advertise(key(), &test.ns, "br0", advert()).unwrap();
    lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
        .unwrap();
    lan.clone().stop();
    assert_eq!(
        (lan.advertising(), lan.serving_metadata()),
        (vec![], vec![])
    );
    let refused = lan.advertise(key(), &test.ns, "br0", advert()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(
        lan.serve_metadata(network, Family::Ipv6, &test.ns, "br0")
            .is_err()
    );
}
