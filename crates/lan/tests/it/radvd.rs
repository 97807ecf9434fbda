//! What we advertise beside what radvd advertises for the same settings.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lan::{Advert, AdvertKey, Interval, Preference, Prefix, Route};
use model::NetworkId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wire::icmpv6::Icmpv6;
use wire::nd::{NdOption, RouterAdvert, SourceLinkAddress};

use crate::testlan::{BRIDGE_MAC, Guest, TestLan, advert};

/// Asks routers to speak until one has, and prints its packet.
const ASK: &str = r#"
import socket, time
seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
seen.settimeout(1)
ask = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
ask.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
end = time.time() + 9
while time.time() < end:
    ask.sendto(bytes([133] + [0] * 7), ('ff02::2', 0, 0, socket.if_nametoindex('eth0')))
    try:
        packet = seen.recv(2000)
        while packet[6] != 58 or packet[40] != 134: packet = seen.recv(2000)
        print(packet.hex())
        break
    except socket.timeout: pass
"#;

/// radvd as a child that ends with the test.
struct Radvd {
    child: Child,
    file: PathBuf,
}

impl Radvd {
    fn start(test: &TestLan, settings: &str) -> Radvd {
        let file = std::env::temp_dir().join(format!("{}-radvd", test.ns.name()));
        std::fs::write(&file, settings).unwrap();
        let mut radvd = Command::new("ip");
        radvd.args([
            "netns",
            "exec",
            test.ns.name(),
            "radvd",
            "-n",
            "-m",
            "stderr",
        ]);
        radvd.arg("-C").arg(&file);
        radvd.arg("-p").arg(file.with_extension("pid"));
        let child = radvd.stderr(Stdio::null()).spawn();
        Radvd {
            child: child.unwrap(),
            file,
        }
    }
}

impl Drop for Radvd {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
        for file in [self.file.clone(), self.file.with_extension("pid")] {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn heard(guest: &Guest) -> (RouterAdvert, Vec<u8>) {
    guest.up_quietly();
    let text = guest.sh(&format!("python3 -c \"{ASK}\""));
    let hex = text.trim();
    assert!(!hex.is_empty(), "nobody advertises");
    let octets = (0..hex.len()).step_by(2);
    let packet: Vec<u8> = octets
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let packet = Icmpv6::parse(&packet).unwrap();
    let mut advert = RouterAdvert::parse(&packet).unwrap();
    // Their order means nothing.
    advert.options.sort_by_key(|option| format!("{option:?}"));
    // The fixed part as it is, but for the checksum: reserved bits are in it.
    (
        advert,
        [&packet.message[..2], &packet.message[4..16]].concat(),
    )
}

/// The same settings in radvd's words. What this does not say is radvd's default.
fn settings(advert: &Advert) -> String {
    let on = |is: bool| if is { "on" } else { "off" };
    let preference = |p| match p {
        Preference::Low => "low",
        Preference::Medium => "medium",
        Preference::High => "high",
    };
    let lifetime_s = 3 * advert.interval.max.as_secs();
    let mut text = format!(
        "interface br0 {{\nAdvSendAdvert on;\nMinRtrAdvInterval {};\nMaxRtrAdvInterval {};\n\
         AdvDefaultLifetime {};\nAdvDefaultPreference {};\nAdvManagedFlag {};\n\
         AdvOtherConfigFlag {};\nAdvLinkMTU {};\n",
        advert.interval.min.as_secs(),
        advert.interval.max.as_secs(),
        advert.router_lifetime_s,
        preference(advert.preference),
        on(advert.managed),
        on(advert.other),
        advert.mtu
    );
    for p in &advert.prefixes {
        text += &format!(
            "prefix {} {{ AdvOnLink {}; AdvAutonomous {}; AdvValidLifetime {}; AdvPreferredLifetime {}; }};\n",
            p.prefix,
            on(p.on_link),
            on(p.autonomous),
            p.valid_s,
            p.preferred_s
        );
    }
    for r in &advert.routes {
        text += &format!(
            "route {} {{ AdvRoutePreference {}; AdvRouteLifetime {}; }};\n",
            r.prefix,
            preference(r.preference),
            r.lifetime_s
        );
    }
    let servers: Vec<_> = advert.rdnss.iter().map(ToString::to_string).collect();
    text += &format!(
        "RDNSS {} {{ AdvRDNSSLifetime {lifetime_s}; }};\n",
        servers.join(" ")
    );
    let domains = advert.dnssl.join(" ");
    text + &format!("DNSSL {domains} {{ AdvDNSSLLifetime {lifetime_s}; }};\n}};\n")
}

/// A router with everything that radvd 2.19 can say too; it does not know PREF64.
fn everything() -> Advert {
    let plain = advert();
    let route = |prefix: &str, preference, lifetime_s| Route {
        prefix: prefix.parse().unwrap(),
        preference,
        lifetime_s,
    };
    Advert {
        router_lifetime_s: 9000,
        preference: Preference::High,
        managed: true,
        other: true,
        prefixes: vec![
            Prefix {
                autonomous: false,
                valid_s: 7200,
                preferred_s: 3600,
                ..plain.prefixes[0]
            },
            Prefix {
                prefix: "2001:db8:2::/64".parse().unwrap(),
                on_link: false,
                valid_s: u32::MAX,
                preferred_s: u32::MAX,
                ..plain.prefixes[0]
            },
        ],
        rdnss: ["2001:db8::53", "2001:db8::54"]
            .map(|a| a.parse().unwrap())
            .into(),
        dnssl: vec!["cloud.example".into(), "a.b.cloud.example".into()],
        routes: vec![
            route("2001:db8:7::/48", Preference::Low, 600),
            route("2001:db8:8::/64", Preference::High, 1800),
            route("2001:db8:9::1/128", Preference::Medium, 60),
        ],
        interval: Interval {
            min: Duration::from_secs(30),
            max: Duration::from_secs(100),
        },
        ..plain
    }
}

#[tokio::test]
async fn radvd_says_the_same() {
    let low = Advert {
        preference: Preference::Low,
        other: true,
        ..advert()
    };
    let no_router = Advert {
        router_lifetime_s: 0,
        ..advert()
    };
    for advert in [advert(), everything(), low, no_router] {
        let (mut ours, mut theirs) = (TestLan::new(), TestLan::new());
        let (guest, other) = (ours.guest(), theirs.guest());
        let lan = ours.lan();
        let key = AdvertKey {
            network: NetworkId::random(),
            router: None,
        };
        lan.advertise(key, &ours.ns, "br0", advert.clone()).unwrap();
        theirs.sh("sysctl -qw net.ipv6.conf.all.forwarding=1");
        let text = settings(&advert);
        let radvd = Radvd::start(&theirs, &text);
        let (said, radvds) = (heard(&guest), heard(&other));
        drop(radvd);
        assert_eq!(said, radvds, "{text}");
        let mac: model::Mac = BRIDGE_MAC.parse().unwrap();
        let source = NdOption::SourceLinkAddress(SourceLinkAddress(mac.0));
        assert!(said.0.options.contains(&source));
    }
}
