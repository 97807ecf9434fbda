//! The state machine in simulated time.

use wire::icmpv6::ALL_ROUTERS;
use wire::nd::{RouterAdvert, SourceLinkAddress};

use super::*;
use crate::advert::Interval;

const GUEST: MacBytes = [0xfa, 0x16, 0x3e, 1, 2, 3];

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn start(now: Instant, seed: u64) -> Advertiser {
    Advertiser::new(now, 0, Advert::sample(), seed).unwrap()
}

/// Runs timers only; when each multicast went out.
fn multicasts(machine: &mut Advertiser, count: usize) -> Vec<Instant> {
    let mut times = Vec::new();
    while times.len() < count {
        let now = machine.due().unwrap();
        let frames = machine.on_timer(now);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].to, [0x33, 0x33, 0, 0, 0, 1]);
        times.push(now);
    }
    times
}

fn solicitation(source: &str, hop_limit: u8, named: bool) -> Vec<u8> {
    let source_link_address = named.then_some(SourceLinkAddress(GUEST));
    let mut message = Vec::new();
    RouterSolicit {
        source_link_address,
    }
    .emit(&mut message);
    let source = source.parse().unwrap();
    let mut packet = Vec::new();
    Icmpv6 {
        source,
        destination: ALL_ROUTERS,
        hop_limit,
        message: &message,
    }
    .emit(&mut packet);
    packet
}

fn read(frame: &Frame) -> (Ipv6Addr, RouterAdvert) {
    let packet = Icmpv6::parse(&frame.packet).unwrap();
    (packet.destination, RouterAdvert::parse(&packet).unwrap())
}

#[test]
fn the_first_three_are_quick_and_the_rest_random() {
    for seed in 0..200 {
        let now = Instant::now();
        let times = multicasts(&mut start(now, seed), 40);
        assert_eq!(times[0], now, "the first goes out at once");
        let pauses: Vec<_> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(pauses[..2].iter().all(|p| *p == seconds(3)), "{pauses:?}");
        assert!(
            pauses[2..]
                .iter()
                .all(|p| (seconds(198)..=seconds(600)).contains(p))
        );
        assert!(pauses[2..].windows(2).any(|w| w[0] != w[1]), "they differ");
    }
}

#[test]
fn multicasts_keep_three_seconds_whatever_the_interval() {
    let now = Instant::now();
    let interval = Interval {
        min: Duration::ZERO,
        max: seconds(1),
    };
    let advert = Advert {
        interval,
        ..Advert::sample()
    };
    let mut machine = Advertiser::new(now, 0, advert, 1).unwrap();
    let times = multicasts(&mut machine, 20);
    assert!(times.windows(2).all(|w| w[1] - w[0] >= seconds(3)));
}

#[test]
fn a_guest_with_an_address_is_answered_by_unicast() {
    let now = Instant::now();
    let mut machine = start(now, 1);
    machine.on_timer(now);
    let due = machine.due().unwrap();
    for source in ["fe80::f816:3eff:fe01:203", "2001:db8:1::7"] {
        let frames = machine.on_packet(now, GUEST, &solicitation(source, 255, true));
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].to, GUEST);
        let (destination, advert) = read(&frames[0]);
        assert_eq!(destination, source.parse::<Ipv6Addr>().unwrap());
        assert_eq!(advert.router_lifetime_s, 1800);
    }
    assert_eq!(machine.due().unwrap(), due, "multicasts are not put off");
    assert_eq!(machine.counts.solicitations, 2);
}

#[test]
fn a_guest_without_an_address_is_answered_alone() {
    let mut machine = start(Instant::now(), 1);
    for mac in [GUEST, [2, 0, 0, 0, 0, 9]] {
        // The second asks in the same instant, and does not wait three seconds.
        let frames = machine.on_packet(Instant::now(), mac, &solicitation("::", 255, false));
        assert_eq!(frames[0].to, mac);
        assert_eq!(read(&frames[0]).0, ALL_NODES);
    }
}

#[test]
fn hostile_packets_are_dropped_and_counted() {
    let mut machine = start(Instant::now(), 1);
    let good = solicitation("fe80::1", 255, true);
    let mut spoilt = good.clone();
    spoilt[43] ^= 1;
    let hostile: [(&str, MacBytes, &[u8]); 7] = [
        ("empty", GUEST, &[]),
        ("cut", GUEST, &good[..45]),
        ("checksum", GUEST, &spoilt),
        ("forwarded", GUEST, &solicitation("fe80::1", 64, true)),
        (
            "named without address",
            GUEST,
            &solicitation("::", 255, true),
        ),
        ("group as ethernet source", [0x33, 0x33, 0, 0, 0, 1], &good),
        ("no ethernet source", [0; 6], &good),
    ];
    for (count, (what, mac, packet)) in (1..).zip(hostile) {
        assert_eq!(machine.on_packet(Instant::now(), mac, packet), [], "{what}");
        assert_eq!(machine.counts.malformed, count, "{what}");
    }
    assert_eq!(machine.counts.solicitations, 0);
}

#[test]
fn a_change_is_told_at_once_but_not_within_three_seconds() {
    let now = Instant::now();
    let mut machine = start(now, 1);
    machine.on_timer(now);
    let other = Advert {
        mtu: 1400,
        ..Advert::sample()
    };

    let due = machine.due().unwrap();
    machine.change(now + seconds(1), Advert::sample()).unwrap();
    assert_eq!(
        machine.due().unwrap(),
        due,
        "the same again changes nothing"
    );

    machine.change(now + seconds(1), other.clone()).unwrap();
    assert_eq!(machine.due().unwrap(), now + seconds(3));
    assert_eq!(machine.on_timer(now + seconds(2)), []);
    assert_eq!(machine.on_timer(now + seconds(3)).len(), 1);

    let later = now + seconds(300);
    machine.change(later, Advert::sample()).unwrap();
    assert_eq!(machine.due().unwrap(), later);
    let times = multicasts(&mut machine, 3);
    assert_eq!(
        times[2] - times[0],
        seconds(6),
        "a change is told three times, quickly"
    );

    let wrong = Advert { mtu: 100, ..other };
    assert!(machine.change(later, wrong).is_err());
    let answer = machine.on_packet(now, GUEST, &solicitation("::", 255, false));
    assert_eq!(
        read(&answer[0]).1.options.len(),
        5,
        "what stood before still stands"
    );
}

#[test]
fn the_farewell_has_lifetime_zero() {
    let mut machine = start(Instant::now(), 1);
    let frames = machine.farewell(Instant::now());
    let (destination, advert) = read(&frames[0]);
    assert_eq!((destination, advert.router_lifetime_s), (ALL_NODES, 0));
    assert_eq!(frames[0].to, [0x33, 0x33, 0, 0, 0, 1]);
}
