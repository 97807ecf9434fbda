//! Limits and marks of ports, measured with real connections: a limit is never exceeded, however busy the
//! machine is.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use linux::netlink::Netlink;
use linux::tap;
use model::{Bandwidth, Direction, NetworkId, PortId, Qos};
use node::links::names;

use crate::frames::pump;
use crate::world::{Guest, World, allow, allow4, eventually};

/// 4 Mbit/s: half a megabyte a second, of which 20 KB may pass at once.
const LIMIT: Bandwidth = Bandwidth {
    max_kbps: 4000,
    burst_kbit: 160,
};
const OCTETS: usize = 400_000;

nix::ioctl_write_int!(tun_set_offload, b'T', 208);
/// Checksums and segments of TCP over both families are the other end's (linux/if_tun.h).
const OFFLOADS: u64 = 0x01 | 0x02 | 0x04;

struct Scene {
    world: World,
    network: NetworkId,
    /// The limited port.
    port: PortId,
    other: PortId,
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new();
        let network = world.network("2001:db8:1::/64");
        let port = world.port(network, "2001:db8:1::a");
        let other = world.port(network, "2001:db8:1::b");
        for port in [port, other] {
            world.rule(port, allow(Direction::Ingress));
        }
        Scene {
            world,
            network,
            port,
            other,
        }
    }

    fn qos(&mut self) -> &mut Qos {
        &mut self.world.wanted.ports.get_mut(&self.port).unwrap().qos
    }

    /// What tc says of a link of the network.
    fn tc(&self, what: &str, link: &str) -> String {
        let ns = self.world.netns(self.network);
        let guest = std::mem::ManuallyDrop::new(Guest { ns });
        guest.shell(&format!("tc -s {what} show dev {link}"))
    }

    fn netlink(&self) -> Netlink {
        Netlink::open(&self.world.netns(self.network)).unwrap()
    }

    fn has_ifb(&self) -> bool {
        let name = names::limit(self.port);
        self.netlink().link(&name).unwrap().is_some()
    }
}

/// How long it takes to send so much to an address.
fn transfer(from: &Guest, to: &Guest, address: &str) -> Duration {
    let address = address.to_owned();
    let bound = to.ns.run(|| TcpListener::bind(format!("[{address}]:0")));
    let listener = bound.unwrap();
    let to: SocketAddr = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut octets = Vec::new();
        stream.take(OCTETS as u64).read_to_end(&mut octets).unwrap();
        octets
    });
    let begun = Instant::now();
    let mut stream = from.ns.run(|| TcpStream::connect(to)).unwrap();
    let sent: Vec<u8> = (0..OCTETS).map(|n| (n % 251) as u8).collect();
    stream.write_all(&sent).unwrap();
    assert!(
        receiver.join().unwrap() == sent,
        "what came is what was sent"
    );
    begun.elapsed()
}

/// The least time that it takes below the limit.
fn least() -> Duration {
    let burst = f64::from(LIMIT.burst_kbit) * 125.0;
    let rate = f64::from(LIMIT.max_kbps) * 125.0;
    Duration::from_secs_f64((OCTETS as f64 - burst) / rate)
}

#[test]
fn a_port_is_limited_in_both_directions() {
    let mut scene = Scene::new();
    *scene.qos() = Qos {
        ingress: Some(LIMIT),
        egress: Some(LIMIT),
        dscp: None,
    };
    scene.world.pass();
    assert_eq!(scene.world.pass().steps, 0, "all is as wanted");
    let (guest, other) = (
        scene.world.guest(scene.port),
        scene.world.guest(scene.other),
    );
    for (from, to, address) in [
        (&other, &guest, "2001:db8:1::a"),
        (&guest, &other, "2001:db8:1::b"),
    ] {
        let took = transfer(from, to, address);
        assert!(took >= least(), "to {address}: {took:?}");
    }
    for link in [names::tap(scene.port), names::limit(scene.port)] {
        let seen = scene.tc("qdisc", &link);
        assert!(seen.contains("rate 4Mbit burst 20000b"), "{seen}");
        let sent = seen.split("Sent ").nth(1).unwrap();
        let sent: usize = sent.split(' ').next().unwrap().parse().unwrap();
        assert!(sent > OCTETS, "{seen}");
    }
}

#[test]
fn a_limit_changes_and_goes_while_the_guest_runs() {
    let mut scene = Scene::new();
    let (tap, ifb) = (names::tap(scene.port), names::limit(scene.port));
    scene.world.pass();
    let (guest, other) = (
        scene.world.guest(scene.port),
        scene.world.guest(scene.other),
    );
    assert!(guest.pings("2001:db8:1::b"));
    scene.qos().egress = Some(LIMIT);
    scene.world.pass();
    let took = transfer(&guest, &other, "2001:db8:1::b");
    assert!(took >= least(), "{took:?}");

    scene.qos().ingress = Some(LIMIT);
    let max_kbps = 9000;
    scene.qos().egress = Some(Bandwidth { max_kbps, ..LIMIT });
    assert_eq!(scene.world.pass().steps, 2, "a rate more, and another");
    let seen = scene.tc("qdisc", &ifb);
    assert!(seen.contains("rate 9Mbit"), "{seen}");
    assert!(guest.pings("2001:db8:1::b"));

    // What another life made is found, and what somebody took away is made again.
    scene.world.restart();
    assert_eq!(scene.world.pass().steps, 0, "it is found");
    scene.netlink().remove_link(&ifb).unwrap();
    scene.netlink().remove_tbf(&tap).unwrap();
    let found = scene.world.findings().unwrap();
    for link in [&ifb, &tap] {
        let of_link = |f: &&model::Finding| f.what.contains(link.as_str());
        let finding = found.iter().find(of_link).unwrap();
        assert!(finding.what.contains("is not limited"), "{finding:?}");
    }
    scene.world.pass();
    let seen = scene.tc("filter", &format!("{tap} ingress"));
    assert!(
        seen.contains(&format!("Egress Redirect to device {ifb}")),
        "{seen}"
    );
    assert!(guest.pings("2001:db8:1::b"));

    *scene.qos() = Qos::default();
    scene.world.pass();
    assert!(!scene.has_ifb());
    let seen = scene.tc("qdisc", &tap) + &scene.tc("filter", &format!("{tap} ingress"));
    assert!(
        !seen.contains("tbf") && !seen.contains("Redirect"),
        "{seen}"
    );
    assert!(guest.pings("2001:db8:1::b"));
}

#[test]
fn a_limit_goes_with_its_port() {
    let mut scene = Scene::new();
    scene.qos().egress = Some(LIMIT);
    scene.world.pass();
    assert!(scene.has_ifb());
    scene.world.wanted.ports.remove(&scene.port);
    let report = scene.world.pass();
    assert!(report.removed.contains(&scene.port), "{report:?}");
    assert!(!scene.has_ifb());
}

/// QEMU hands over segments of up to 64 KiB as one, many times what the bucket holds.
#[test]
fn large_segments_pass_small_buckets() {
    let mut scene = Scene::new();
    let small = Bandwidth {
        burst_kbit: 1,
        ..LIMIT
    };
    *scene.qos() = Qos {
        ingress: Some(small),
        egress: Some(small),
        dscp: None,
    };
    scene.world.pass();
    let plug = |port| {
        let port = &scene.world.wanted.ports[&port];
        let guest = Guest::new(
            &format!("hxt{}-o{}", scene.world.short, port.mac.0[5]),
            port.mac,
        );
        let own = File::from(tap::open(&guest.ns, "eth0").unwrap());
        let host = scene.world.links.taps().open(port.network, port.id);
        let host = File::from(host.unwrap());
        for end in [&own, &host] {
            // SAFETY: the descriptor is open and the argument is a plain integer.
            #[allow(unsafe_code)]
            unsafe { tun_set_offload(end.as_raw_fd(), OFFLOADS) }.unwrap();
        }
        let largest = pump(host, own);
        Netlink::open(&guest.ns).unwrap().set_up("eth0").unwrap();
        guest.address(&port.addresses[0].to_string());
        (guest, largest)
    };
    let ((guest, sent), (other, received)) = (plug(scene.port), plug(scene.other));
    for (from, to, address) in [
        (&other, &guest, "2001:db8:1::a"),
        (&guest, &other, "2001:db8:1::b"),
    ] {
        let took = transfer(from, to, address);
        assert!(took >= least(), "to {address}: {took:?}");
    }
    for largest in [sent, received] {
        let largest = largest.load(Ordering::Relaxed);
        assert!(largest > 3000, "no large segments were sent: {largest}");
    }
}

/// Reports the code points of the echo requests of both families that come in, as pairs.
const LISTEN: &str = "
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 0)); s.settimeout(8); seen = {}
print('', flush=True)
while len(seen) < 2:
    f = s.recv(2000); kind = f[12:14]
    if kind == b'\\x08\\x00' and f[23] == 1 and f[34] == 8: seen[4] = f[15] >> 2
    if kind == b'\\x86\\xdd' and f[20] == 58 and f[54] == 128: seen[6] = (f[14] & 15) << 2 | f[15] >> 6
print(seen[4], seen[6])
";

#[test]
fn what_a_guest_sends_is_marked() {
    let mut scene = Scene::new();
    scene.world.subnet4(scene.network, "192.0.2.0/24");
    scene.world.address4(scene.port, "192.0.2.10");
    scene.world.address4(scene.other, "192.0.2.11");
    scene.world.rule(scene.other, allow4(Direction::Ingress));
    scene.world.pass();
    let (guest, other) = (
        scene.world.guest(scene.port),
        scene.world.guest(scene.other),
    );
    // What the guest set itself goes.
    for (mark, expected) in [
        (None, "2 2"),
        (Some(46), "46 46"),
        (Some(0), "0 0"),
        (None, "2 2"),
    ] {
        scene.qos().dscp = mark;
        scene.world.pass();
        let listener = other.python(LISTEN);
        let heard = thread::spawn(|| listener.said());
        eventually("the other hears both families", || {
            for address in ["192.0.2.11", "2001:db8:1::b"] {
                guest.run(&format!("ping -n -c 1 -W 1 -Q 8 {address}"));
            }
            heard.is_finished()
        });
        assert_eq!(heard.join().unwrap().trim(), expected, "{mark:?}");
    }
}
