//! A network's namespace with a bridge, and guests in namespaces of their own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddrV6;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lan::{Advert, Interval, Lan, Prefix, Upstreams};
use linux::inet4::Inet4;
use linux::netns::Netns;
use model::Mac;

/// The bridge's Ethernet address: what a router port's would be.
pub(crate) const BRIDGE_MAC: &str = "fa:16:3e:00:00:01";

/// Everything it made goes when it is dropped.
pub(crate) struct TestLan {
    /// Begins the names of all that belongs to it.
    name: String,
    pub(crate) ns: Netns,
    guests: u32,
}

/// A guest: a namespace with one interface, `eth0`, on the bridge.
pub(crate) struct Guest {
    pub(crate) ns: Netns,
    pub(crate) mac: Mac,
    /// Its end on the bridge.
    pub(crate) port: String,
}

impl TestLan {
    /// A bridge named `br0` that has the metadata address.
    pub(crate) fn new() -> TestLan {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests need root");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hxl{}x{count}", std::process::id());
        let ns = Netns::ensure(&name).unwrap();
        let lan = TestLan {
            name,
            ns,
            guests: 0,
        };
        lan.sh("sysctl -qw net.ipv4.tcp_fwmark_accept=1 net.ipv6.conf.default.accept_ra=0");
        lan.make_bridge();
        lan
    }

    /// What serves it; IPv4 sockets only inside. It has no upstream resolver.
    pub(crate) fn lan(&self) -> Lan {
        self.lan_with(Vec::new())
    }

    /// The same with upstream resolvers in [`TestLan::outside`].
    pub(crate) fn lan_with(&self, servers: Vec<SocketAddrV6>) -> Lan {
        let ns = self.outside();
        let inet4 = Inet4::start(&self.name, std::slice::from_ref(&ns)).unwrap();
        let upstreams = Upstreams { ns, servers };
        Lan::start(inet4, upstreams, Default::default()).unwrap()
    }

    /// A namespace that stands for the node's own.
    pub(crate) fn outside(&self) -> Netns {
        let ns = Netns::ensure(&format!("{}o", self.name)).unwrap();
        sh(&ns, "ip link set lo up");
        ns
    }

    pub(crate) fn make_bridge(&self) {
        self.sh(&format!(
            "ip link add br0 address {BRIDGE_MAC} type bridge mcast_snooping 0"
        ));
        self.sh("ip link set br0 up");
        self.sh("ip addr add fe80::a9fe:a9fe/64 dev br0 nodad");
    }

    /// A guest whose interface is down still. Its kernel configures itself as any Linux guest's.
    pub(crate) fn guest(&mut self) -> Guest {
        self.guests += 1;
        let (number, name) = (self.guests, format!("{}g{}", self.name, self.guests));
        let ns = Netns::ensure(&name).unwrap();
        let (mac, port) = (
            Mac([0xfa, 0x16, 0x3e, 1, 1, number as u8]),
            format!("tap{number}"),
        );
        self.sh(&format!(
            "ip link add {port} type veth peer name eth0 address {mac} netns {name}; \
             sysctl -qw net.ipv6.conf.{port}.disable_ipv6=1; \
             ip link set {port} master br0 up"
        ));
        Guest { ns, mac, port }
    }

    /// Runs a shell's commands in the network's namespace; they must succeed.
    pub(crate) fn sh(&self, commands: &str) -> String {
        sh(&self.ns, commands)
    }
}

impl Drop for TestLan {
    fn drop(&mut self) {
        for name in Netns::list(&self.name).unwrap_or_default() {
            let _ = Netns::remove(&name);
        }
    }
}

impl Guest {
    pub(crate) fn up(&self) {
        self.sh("ip link set lo up; ip link set eth0 up");
    }

    /// Up at once, without duplicate address detection or solicitations of its kernel's own.
    pub(crate) fn up_quietly(&self) {
        self.sh("sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.accept_ra=0");
        self.up();
        wait("the guest's link-local address", || {
            self.sh("ip -6 addr show dev eth0 scope link")
                .contains("fe80::")
        });
    }

    pub(crate) fn sh(&self, commands: &str) -> String {
        sh(&self.ns, commands)
    }

    /// Has what comes from its port marked, as the node's filters do.
    pub(crate) fn mark(&self, test: &TestLan, mark: u32) {
        let port = &self.port;
        test.sh(&format!(
            "nft add table bridge t; \
             nft add chain bridge t in '{{ type filter hook prerouting priority 0; }}'; \
             nft add rule bridge t in iifname {port} meta mark set {mark}"
        ));
    }

    /// Runs `tcpdump` until it has seen as many packets as asked, or for 8 seconds; `act` is done
    /// once it listens. What it printed.
    pub(crate) fn capture(&self, count: u32, filter: &str, act: impl FnOnce()) -> String {
        let tcpdump = format!(
            "exec timeout 8 tcpdump --immediate-mode -lnevvi eth0 -c {count} '{filter}' 2>&1"
        );
        let mut child = shell(&self.ns, &tcpdump)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("listening on") {
            assert!(output.read_line(&mut text).unwrap() > 0, "{text}");
        }
        act();
        output.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        text
    }
}

/// A router's advertisement of 2001:db8:1::/64.
pub(crate) fn advert() -> Advert {
    let mac: Mac = BRIDGE_MAC.parse().unwrap();
    Advert {
        source: mac.link_local(),
        mac,
        mtu: 1430,
        router_lifetime_s: 1800,
        managed: false,
        other: false,
        prefixes: vec![Prefix {
            prefix: "2001:db8:1::/64".parse().unwrap(),
            autonomous: true,
            on_link: true,
            valid_s: 2_592_000,
            preferred_s: 604_800,
            ends_ms: None,
        }],
        rdnss: vec!["2001:db8::53".parse().unwrap()],
        dnssl: vec!["cloud.example".to_owned()],
        routes: Vec::new(),
        interval: Interval::default(),
        pref64: Vec::new(),
        preference: lan::Preference::Medium,
    }
}

/// Waits for something to become true, for 10 seconds at most.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

fn sh(ns: &Netns, commands: &str) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = shell(ns, &format!("set -e; {commands}")).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{commands}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

fn shell(ns: &Netns, commands: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", ns.name(), "sh", "-c", commands]);
    command
}
