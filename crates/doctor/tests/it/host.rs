//! What was seen of a host, and what must be found in it, no more and no less.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use doctor::host::dns::{Nobody, Silent};
use doctor::host::links::{Bridge, FlatNetwork, Seen};
use doctor::host::listeners::{Door, Held, Process, Space, Trouble};
use doctor::host::programs::{Lack, Missing, Volumes};
use doctor::host::sysctls::{Deaf, TooSmall};
use doctor::host::{Facts, at, findings, name};
use doctor::{Edit, Finding, Place};
use linux::sockets::Socket;
use net::{Ends, TlsError};

/// What was seen, and `ID PLACE` of each finding in their order.
type Case = (fn(&mut Facts), &'static [&'static str]);

const SETTINGS: &str = "/etc/hextet/hextet.toml";
const KEY: &str = "/etc/hextet/key.pem";
const CERTIFICATE: &str = "/etc/hextet/certificate.pem";

fn setting(option: &str, line: usize) -> Place {
    Place {
        file: SETTINGS.into(),
        line: Some(line),
        section: None,
        option: Some(option.into()),
    }
}

fn deaf(has_learned: bool, has_lost: bool) -> Deaf {
    Deaf {
        interface: "eth0.7".into(),
        has_learned,
        has_lost,
    }
}

fn too_small() -> TooSmall {
    TooSmall {
        knob: "net/ipv6/neigh/default/gc_thresh3".into(),
        now: 1024,
        least: 65_536,
    }
}

fn refused(facts: &mut Facts, error: TlsError) {
    facts.certificates.judged.push(Err(error));
}

fn file(path: &str) -> PathBuf {
    Path::new(path).into()
}

/// A certificate that ends so many days from now.
fn ends(facts: &mut Facts, days: u64) {
    facts.certificates.now = SystemTime::now();
    let at = facts.certificates.now + Duration::from_secs(days * 86_400 + 60);
    let file = file(CERTIFICATE);
    facts.certificates.judged.push(Ok(Ends { file, at }));
}

fn named(facts: &mut Facts, six: &[&str], four: &[&str]) {
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

fn held(facts: &mut Facts, table: &'static str, local: &str, space: Space) {
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

fn door(facts: &mut Facts, trouble: Trouble) {
    facts.listeners.doors.push(Door {
        address: "[2001:db8::5]:8443".parse().unwrap(),
        place: setting("listen", 3),
        trouble,
    });
}

fn bridge(facts: &mut Facts, seen: Seen) {
    facts.links.bridges.push(Bridge {
        physical_network: "public".into(),
        name: "br-ext".into(),
        place: setting("public", 20),
        seen,
    });
}

fn flat(facts: &mut Facts, physical_network: &str, mtu: u32) {
    facts.links.networks.push(FlatNetwork {
        id: "9f1c".into(),
        name: "outside".into(),
        physical_network: physical_network.into(),
        mtu,
    });
}

const CASES: &[Case] = &[
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
    // Bridges.
    (
        |f| {
            bridge(
                f,
                Seen::Bridge {
                    mtu: 1500,
                    up: true,
                },
            );
            flat(f, "public", 1500);
        },
        &[],
    ),
    (
        |f| {
            bridge(f, Seen::ToBeMade);
            flat(f, "public", 9000);
        },
        &[],
    ),
    (
        |f| bridge(f, Seen::Nothing),
        &["bridge-missing /etc/hextet/hextet.toml:20 public"],
    ),
    (
        |f| bridge(f, Seen::NoBridge),
        &["bridge-missing /etc/hextet/hextet.toml:20 public"],
    ),
    (
        |f| {
            bridge(
                f,
                Seen::Bridge {
                    mtu: 1500,
                    up: false,
                },
            );
            flat(f, "public", 9000);
        },
        &[
            "bridge-down /etc/hextet/hextet.toml:20 public",
            "mtu-bridge /etc/hextet/hextet.toml:20 public",
        ],
    ),
    (
        |f| {
            bridge(
                f,
                Seen::Bridge {
                    mtu: 1279,
                    up: true,
                },
            );
            flat(f, "public", 1500);
        },
        &["mtu-below-ipv6 /etc/hextet/hextet.toml:20 public"],
    ),
    (
        |f| {
            flat(f, "other", 1500);
            f.links.settings = setting("physical_networks", 19);
        },
        &["physical-network-unknown /etc/hextet/hextet.toml:19 physical_networks"],
    ),
    (
        |f| {
            let why = "interface eth1 has the address 2001:db8::1: make the bridge yourself";
            f.links.refused.push((setting("br300", 22), why.into()));
        },
        &["bridge-interface /etc/hextet/hextet.toml:22 br300"],
    ),
    // What guests run on.
    (
        |f| {
            f.programs.missing.push(Missing {
                program: "nft".into(),
                package: "nftables".into(),
            });
            f.programs.lacks.push(Lack {
                what: "the filters of a network".into(),
                error: "nft: /dev/stdin:3:1-2: Error: no\nadd rule".into(),
                fix: "`apt install nftables`".into(),
            });
        },
        &[
            "program-missing nft",
            "trial-failed the filters of a network",
        ],
    ),
    (
        |f| {
            f.programs.without_kvm = Some("warning\ncould not access KVM".into());
            f.programs.without_iscsi = true;
            f.programs.volumes = Some(Volumes::NoProgram);
        },
        &[
            "kvm-unusable /dev/kvm",
            "qemu-without-iscsi qemu-system-x86_64",
            "tgt-missing tgtd",
        ],
    ),
    (
        |f| {
            let why = "no volumes on [2001:db8::5]:3260: another program listens there; end it";
            f.programs.volumes = Some(Volumes::Portal {
                why: why.into(),
                place: setting("portals", 30),
            });
        },
        &["volume-portal /etc/hextet/hextet.toml:30 portals"],
    ),
];

fn look(see: fn(&mut Facts)) -> Vec<Finding> {
    let mut facts = Facts::default();
    see(&mut facts);
    findings(&facts)
}

fn line(finding: &Finding) -> String {
    let Place {
        file, line, option, ..
    } = &finding.place;
    let line = line.map(|l| format!(":{l}")).unwrap_or_default();
    let option = option.as_ref().map(|o| format!(" {o}")).unwrap_or_default();
    format!("{} {file}{line}{option}", finding.kind.id)
}

#[test]
fn what_is_wrong_is_found_and_nothing_else() {
    for (number, (see, expected)) in CASES.iter().enumerate() {
        let found = look(*see);
        let lines: Vec<String> = found.iter().map(line).collect();
        assert_eq!(lines, *expected, "case {number}");
        for finding in found {
            assert!(!finding.what.is_empty() && !finding.fix.is_empty());
            assert_eq!(finding.what.lines().count(), 1, "{}", finding.what);
        }
    }
}

#[test]
fn every_kind_has_a_case() {
    let seen: BTreeSet<&str> = CASES
        .iter()
        .flat_map(|(see, _)| look(*see))
        .map(|f| f.kind.id)
        .collect();
    let known: BTreeSet<&str> = doctor::host_kinds().iter().map(|kind| kind.id).collect();
    assert_eq!(seen, known);
}

#[test]
fn fixes_are_lines_to_run() {
    let fix = |see: fn(&mut Facts)| {
        let found = look(see).remove(0);
        (found.fix, found.edit)
    };
    let (said, edit) = fix(|f| f.sysctls.deaf = vec![deaf(true, false)]);
    assert!(
        said.starts_with("`sysctl -w net.ipv6.conf.eth0/7.accept_ra=2`"),
        "{said}"
    );
    assert!(
        said.contains("`net.ipv6.conf.eth0/7.accept_ra = 2` in /etc/sysctl.d/"),
        "{said}"
    );
    let name = "net/ipv6/conf/eth0.7/accept_ra".into();
    assert_eq!(
        edit,
        Some(Edit::Sysctl {
            name,
            value: "2".into()
        })
    );
    let (said, edit) = fix(|f| {
        refused(
            f,
            TlsError::Exposed {
                file: file(KEY),
                mode: 0o604,
            },
        )
    });
    assert!(
        said.starts_with("`chmod 600 /etc/hextet/key.pem`"),
        "{said}"
    );
    assert_eq!(edit, Some(Edit::Mode { mode: 0o600 }));
    let (said, edit) = fix(|f| {
        let by = Process {
            pid: 42,
            name: "nginx".into(),
        };
        door(f, Trouble::Taken(Some(by)));
    });
    assert!(said.contains("kill 42") && edit.is_none(), "{said}");
}
