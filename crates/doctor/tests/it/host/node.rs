//! Bridges, programs, disks, the clock, nodes.

use doctor::host::Facts;
use doctor::host::disk::{Disk, Exposed};
use doctor::host::links::{Bridge, FlatNetwork, Seen};
use doctor::host::nodes::{Node, Nodes};
use doctor::host::programs::{Lack, Missing, Volumes};

use super::{Case, setting};

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

fn disk(facts: &mut Facts, free_bytes: u64, free_files: Option<u64>, read_only: bool) {
    facts.disks.disks.push(Disk {
        holds: "the database".into(),
        path: "/var/lib/hextet".into(),
        free_bytes,
        least_bytes: 1 << 30,
        free_files,
        read_only,
    });
}

pub(super) fn nodes(facts: &mut Facts, connected: Option<u64>) {
    let node = |name: &str, seen_ms| Node {
        name: name.into(),
        seen_ms,
    };
    facts.nodes = Nodes {
        connected,
        known: vec![node("n1", 900_000_000), node("n2", 100_000_000)],
        now_ms: 1_000_000_000,
    };
}

pub(super) const CASES: &[Case] = &[
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
    // Disks.
    (|f| disk(f, 1 << 30, Some(1000), false), &[]),
    (|f| disk(f, 1 << 40, None, false), &[]),
    (
        |f| disk(f, (1 << 30) - 1, None, false),
        &["disk-short /var/lib/hextet"],
    ),
    (
        |f| disk(f, 1 << 40, Some(999), false),
        &["disk-short /var/lib/hextet"],
    ),
    (
        |f| disk(f, 0, Some(0), true),
        &["disk-read-only /var/lib/hextet"],
    ),
    (
        |f| {
            f.disks.exposed.push(Exposed {
                path: "/var/lib/hextet".into(),
                mode: 0o755,
                should: 0o700,
            });
        },
        &["secret-exposed /var/lib/hextet"],
    ),
    (
        |f| {
            let (path, holds) = ("/var/lib/hextet/hextet.db", "the database");
            f.disks.gone.push((path.into(), holds.into()));
        },
        &["file-gone /var/lib/hextet/hextet.db"],
    ),
    // Time.
    (
        |f| {
            f.clock.now_ms = 1_000_000;
            f.clock.newest_ms = 1_060_000;
        },
        &[],
    ),
    (
        |f| {
            f.clock.now_ms = 1_000_000;
            f.clock.newest_ms = 1_060_001;
            f.clock.adrift = true;
        },
        &["clock-behind the clock", "clock-adrift the clock"],
    ),
    // Nodes.
    (|f| nodes(f, Some(2)), &[]),
    (|f| nodes(f, None), &[]),
    (|f| nodes(f, Some(1)), &["node-silent nodes"]),
];
