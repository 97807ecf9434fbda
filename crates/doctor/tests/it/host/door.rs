//! Kernel, certificates, names, sockets, resolvers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use doctor::Place;
use doctor::host::dns::{Nobody, Silent};
use doctor::host::listeners::{Door, Held, Process, Space, Trouble};
use doctor::host::sysctls::{Deaf, TooSmall};
use doctor::host::{Facts, at, name};
use linux::sockets::Socket;
use net::{Ends, TlsError};

use super::{Case, setting};

const KEY: &str = "/etc/hextet/key.pem";
const CERTIFICATE: &str = "/etc/hextet/certificate.pem";

pub(super) fn deaf(has_learned: bool, has_lost: bool) -> Deaf {
    Deaf {
        interface: "eth0.7".into(),
        has_learned,
        has_lost,
    }
}

pub(super) fn too_small() -> TooSmall {
    TooSmall {
        knob: "net/ipv6/neigh/default/gc_thresh3".into(),
        now: 1024,
        least: 65_536,
    }
}

pub(super) fn refused(facts: &mut Facts, error: TlsError) {
    facts.certificates.judged.push(Err(error));
}

pub(super) fn file(path: &str) -> PathBuf {
    Path::new(path).into()
}

/// A certificate that ends so many days from now.
pub(super) fn ends(facts: &mut Facts, days: u64) {
    facts.certificates.now = SystemTime::now();
    let at = facts.certificates.now + Duration::from_secs(days * 86_400 + 60);
    let ends = Ends {
        file: file(CERTIFICATE),
        from: at - Duration::from_secs(365 * 86_400),
        at,
    };
    facts.certificates.judged.push(Ok(ends));
}

pub(super) fn named(facts: &mut Facts, six: &[&str], four: &[&str]) {
    let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect();
    facts.name = Some(name::Name {
        host: "cloud.example".into(),
        six: parse(six),
        four: parse(four),
        held: vec![name::Held {
            address: "2001:db8::5".parse().unwrap(),
            interface: "eth0".into(),
        }],
        place: setting("url", 2),
    });
}

pub(super) fn held(facts: &mut Facts, table: &'static str, local: &str, space: Space) {
    let local: SocketAddr = local.parse().unwrap();
    facts.listeners.held.push(Held {
        process: Process {
            pid: 7,
            name: "hextet".into(),
        },
        socket: Socket {
            table,
            local,
            inet4: local.is_ipv4(),
            mapped: false,
            listens: true,
            v6only: local.is_ipv6().then_some(local.port() != 1),
        },
        space,
    });
}

pub(super) fn door(facts: &mut Facts, trouble: Trouble) {
    facts.listeners.doors.push(Door {
        address: "[2001:db8::5]:8443".parse().unwrap(),
        place: setting("listen", 3),
        trouble,
    });
}

pub(super) const CASES: &[Case] = &[
    (|_| {}, &[]),
    // Kernel.
    (
        |f| f.sysctls.deaf = vec![deaf(true, false)],
        &["sysctl-accept-ra /proc/sys/net/ipv6/conf/eth0.7/accept_ra"],
    ),
    (
        |f| f.sysctls.deaf = vec![deaf(false, true)],
        &["sysctl-accept-ra /proc/sys/net/ipv6/conf/eth0.7/accept_ra"],
    ),
    // It lives by another link, or by a route that somebody wrote.
    (|f| f.sysctls.deaf = vec![deaf(false, false)], &[]),
    // `up` will raise it, and nobody needs more before.
    (|f| f.sysctls.neighbours = vec![too_small()], &[]),
    (
        |f| {
            f.sysctls.neighbours = vec![too_small()];
            f.sysctls.running = true;
        },
        &["sysctl-gc-thresh /proc/sys/net/ipv6/neigh/default/gc_thresh3"],
    ),
    (
        |f| {
            f.sysctls.neighbours = vec![too_small()];
            f.sysctls.neighbours_needed = 2000;
        },
        &["sysctl-gc-thresh /proc/sys/net/ipv6/neigh/default/gc_thresh3"],
    ),
    (
        |f| {
            f.sysctls.disabled = vec!["lo".into()];
            f.sysctls.bindv6only = true;
        },
        &[
            "sysctl-disable-ipv6 /proc/sys/net/ipv6/conf/lo/disable_ipv6",
            "sysctl-bindv6only /proc/sys/net/ipv6/bindv6only",
        ],
    ),
    // Certificates.
    (|f| ends(f, 30), &[]),
    (
        |f| ends(f, 29),
        &["certificate-ends-soon /etc/hextet/certificate.pem"],
    ),
    (
        |f| {
            refused(
                f,
                TlsError::Exposed {
                    file: file(KEY),
                    mode: 0o644,
                },
            );
            refused(
                f,
                TlsError::Expired {
                    file: file(CERTIFICATE),
                    end: "Jan 1".into(),
                },
            );
        },
        &[
            "certificate-expired /etc/hextet/certificate.pem",
            "key-exposed /etc/hextet/key.pem",
        ],
    ),
    (
        |f| {
            refused(
                f,
                TlsError::NotYet {
                    file: file(CERTIFICATE),
                    start: "Jan 1".into(),
                },
            )
        },
        &["certificate-not-yet-valid /etc/hextet/certificate.pem"],
    ),
    (
        |f| {
            let (file, ca) = (file(CERTIFICATE), file("/etc/hextet/ca.pem"));
            refused(f, TlsError::SelfSigned { file, ca });
        },
        &["certificate-untrusted /etc/hextet/certificate.pem"],
    ),
    (
        |f| {
            let (file, ca) = (file(CERTIFICATE), file("/etc/hextet/ca.pem"));
            refused(
                f,
                TlsError::Untrusted {
                    file,
                    ca,
                    why: "nobody signed it".into(),
                },
            );
        },
        &["certificate-untrusted /etc/hextet/certificate.pem"],
    ),
    (
        |f| {
            refused(
                f,
                TlsError::WrongName {
                    file: file(CERTIFICATE),
                    host: "a.example".into(),
                },
            )
        },
        &["certificate-without-host /etc/hextet/certificate.pem"],
    ),
    (
        |f| {
            let (certificate, key) = (file(CERTIFICATE), file(KEY));
            refused(
                f,
                TlsError::Mismatch {
                    certificate,
                    key,
                    why: "they differ".into(),
                },
            );
        },
        &["key-mismatch /etc/hextet/key.pem"],
    ),
    (
        |f| {
            let source = std::io::ErrorKind::NotFound.into();
            refused(
                f,
                TlsError::Unreadable {
                    file: file(CERTIFICATE),
                    source,
                },
            );
            refused(f, TlsError::NoKey { file: file(KEY) });
            refused(
                f,
                TlsError::NoCertificate {
                    file: file("/etc/hextet/ca.pem"),
                },
            );
        },
        &[
            "certificate-unreadable /etc/hextet/ca.pem",
            "certificate-unreadable /etc/hextet/certificate.pem",
            "certificate-unreadable /etc/hextet/key.pem",
        ],
    ),
    (
        |f| {
            let (awaited, source) = (file(CERTIFICATE), std::io::ErrorKind::NotFound.into());
            f.certificates.awaited = Some(awaited.clone());
            let file = awaited;
            refused(f, TlsError::Unreadable { file, source });
        },
        &["certificate-awaited /etc/hextet/certificate.pem"],
    ),
    // Names.
    (|f| named(f, &["2001:db8::5"], &[]), &[]),
    (
        |f| named(f, &[], &["192.0.2.1"]),
        &["name-without-aaaa /etc/hextet/hextet.toml:2 url"],
    ),
    (
        |f| named(f, &["2001:db8::9"], &["192.0.2.1"]),
        &["name-elsewhere /etc/hextet/hextet.toml:2 url"],
    ),
    (
        |f| named(f, &[], &[]),
        &["name-not-in-dns /etc/hextet/hextet.toml:2 url"],
    ),
    (
        |f| named(f, &["2001:db8::9", "2001:db8::5"], &["192.0.2.1"]),
        &[
            "name-orphaned-a /etc/hextet/hextet.toml:2 url",
            "name-partly-elsewhere /etc/hextet/hextet.toml:2 url",
        ],
    ),
    // Sockets.
    (
        |f| {
            held(f, "tcp6", "[::]:8443", Space::Host);
            held(f, "tcp", "169.254.169.254:80", Space::Network);
        },
        &[],
    ),
    (
        |f| {
            held(f, "tcp6", "[::]:1", Space::Host);
            held(f, "tcp", "127.0.0.1:8443", Space::Host);
        },
        &[
            "socket-ipv4 process 7 (hextet)",
            "socket-takes-ipv4 process 7 (hextet)",
        ],
    ),
    (
        |f| {
            let by = Process {
                pid: 42,
                name: "nginx".into(),
            };
            door(f, Trouble::Taken(Some(by)));
        },
        &["listener-taken /etc/hextet/hextet.toml:3 listen"],
    ),
    (
        |f| door(f, Trouble::Taken(None)),
        &["listener-taken /etc/hextet/hextet.toml:3 listen"],
    ),
    (
        |f| door(f, Trouble::Absent),
        &["listener-address-absent /etc/hextet/hextet.toml:3 listen"],
    ),
    // Resolvers.
    (
        |f| {
            f.dns.silent.push(Silent {
                server: "[2001:db8::53]:53".parse().unwrap(),
                why: "no answer within 1500 ms".into(),
                place: setting("upstreams", 9),
            });
        },
        &["resolver-silent /etc/hextet/hextet.toml:9 upstreams"],
    ),
    (
        |f| {
            let place = Place {
                line: Some(2),
                ..at("/etc/resolv.conf")
            };
            let server = "192.0.2.53".into();
            f.dns.nobody = Some(Nobody::Ipv4Only { server, place });
        },
        &["resolver-ipv4-only /etc/resolv.conf:2"],
    ),
    (
        |f| {
            let place = at("/etc/resolv.conf");
            f.dns.nobody = Some(Nobody::NotNamed { place });
        },
        &["resolver-none /etc/resolv.conf"],
    ),
];
