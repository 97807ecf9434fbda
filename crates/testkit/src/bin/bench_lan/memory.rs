//! What the services of many networks take: hextet's in one process, and a radvd and a dnsmasq for
//! each network, which is what others run.
//!
//! Counted are the processes (PSS) and what the kernel holds for them: slab, stacks, page tables and
//! memory of each processor, of the whole machine, so that a busy one spoils the figure. Namespaces
//! and links are there before: all need them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lan::{Bindings, Lan, Lease, Leases, Zone};
use linux::netlink::{Netlink, VethEnd};
use linux::netns::Netns;
use linux::sysctl;
use model::{Mac, NetworkId, RouterId};

use crate::Failure;
use crate::servers::{advert, binding, own};
use crate::site::{CLIENT, CLIENT_MAC, SERVER, SERVER_MAC};

const PATIENCE: Duration = Duration::from_secs(60);
const SERVICE: &str = "fe80::a9fe:a9fe/64";

/// Kibibytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) processes: u64,
    pub(crate) kernel: u64,
}

impl Taken {
    /// Of all networks, in MiB, from so many of them.
    pub(crate) fn mib(self, counted: usize, all: usize) -> [f64; 3] {
        let scale = all as f64 / counted as f64 / 1024.0;
        let (processes, kernel) = (self.processes as f64, self.kernel as f64);
        [processes, kernel, processes + kernel].map(|kib| kib * scale)
    }
}

/// Namespaces with a link each; they go with it.
pub(crate) struct Networks(Vec<Netns>);

impl Networks {
    /// Makes them, and says what the kernel took for them.
    pub(crate) fn new(count: usize) -> Result<(Networks, Taken), Failure> {
        let before = kernel_kib()?;
        let mut networks = Networks(Vec::new());
        for number in 0..count {
            let ns = Netns::ensure(&format!("hxb{}m{number}", std::process::id()))?;
            networks.0.push(ns.clone());
            link(&ns)?;
        }
        let kernel = kernel_kib()?.saturating_sub(before);
        let taken = Taken {
            processes: 0,
            kernel,
        };
        Ok((networks, taken))
    }

    /// One process for all.
    pub(crate) fn own(&self) -> Result<Taken, Failure> {
        let first = self.0.first().ok_or("no network")?;
        let lan = own(first)?;
        let (own, kernel) = (pss_kib(std::process::id())?, kernel_kib()?);
        for ns in &self.0 {
            serve(&lan, ns)?;
        }
        let taken = Taken {
            processes: pss_kib(std::process::id())?.saturating_sub(own),
            kernel: kernel_kib()?.saturating_sub(kernel),
        };
        lan.stop();
        Ok(taken)
    }

    /// Two processes for each of the first `count`.
    pub(crate) fn daemons(&self, count: usize) -> Result<Taken, Failure> {
        let before = kernel_kib()?;
        let mut daemons = Daemons::default();
        for ns in self.0.iter().take(count) {
            daemons.start(ns)?;
        }
        daemons.ready()?;
        let each = daemons.children.iter().map(|child| pss_kib(child.id()));
        Ok(Taken {
            processes: each.sum::<Result<u64, _>>()?,
            kernel: kernel_kib()?.saturating_sub(before),
        })
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for ns in &self.0 {
            let _ = Netns::remove(ns.name());
        }
    }
}

/// A link with a carrier, whose one end has the addresses of services and of a router.
fn link(ns: &Netns) -> Result<(), Failure> {
    for (name, value) in [("accept_ra", "0"), ("accept_dad", "0")] {
        sysctl::set(ns, &format!("net/ipv6/conf/default/{name}"), value)?;
    }
    sysctl::set(ns, "net/ipv6/conf/all/forwarding", "1")?;
    let end = |name, mac| VethEnd {
        ns,
        name,
        mac: Some(mac),
    };
    Netlink::ensure_veth(end(SERVER, SERVER_MAC), end(CLIENT, CLIENT_MAC))?;
    let mut netlink = Netlink::open(ns)?;
    for name in ["lo", SERVER, CLIENT] {
        netlink.set_up(name)?;
    }
    for address in [
        SERVICE,
        "2001:db8:1::1/64",
        "192.0.2.1/24",
        "169.254.169.254/32",
    ] {
        netlink.ensure_address(SERVER, address.parse()?)?;
    }
    Ok(())
}

/// What a network with one port is served: advertisements, both kinds of DHCP and names.
fn serve(lan: &Lan, ns: &Netns) -> Result<(), Failure> {
    let network = NetworkId::random();
    let key = lan::AdvertKey {
        network,
        router: Some(RouterId::random()),
    };
    lan.advertise(key, ns, SERVER, advert()?)?;
    let mac = Mac(CLIENT_MAC);
    let bindings = Bindings {
        on_link: vec!["2001:db8:1::/64".parse()?],
        ports: [(mac, binding()?)].into(),
    };
    lan.serve_dhcp6(network, ns, SERVER, Arc::new(bindings))?;
    let lease = Lease {
        address: "192.0.2.2".parse()?,
        prefix: "192.0.2.0/24".parse()?,
        gateway: Some("192.0.2.1".parse()?),
        dns: Vec::new(),
        routes: Vec::new(),
        mtu: 1500,
        hostname: None,
        domain: "openstacklocal.".into(),
        extra: Vec::new(),
    };
    lan.serve_dhcp4(network, ns, SERVER, Arc::new(Leases::from([(mac, lease)])))?;
    let (addresses, subnets) = (["2001:db8:1::1".parse()?], vec!["2001:db8:1::/64".parse()?]);
    let zone = Zone::new("openstacklocal.", subnets, []).ok_or("no zone")?;
    lan.serve_dns(network, ns, SERVER, &addresses, Arc::new(zone))?;
    Ok(())
}

/// Processes and their directories; they end with it.
#[derive(Default)]
struct Daemons {
    children: Vec<Child>,
    dirs: Vec<std::path::PathBuf>,
}

impl Daemons {
    fn start(&mut self, ns: &Netns) -> Result<(), Failure> {
        let dir = std::env::temp_dir().join(ns.name());
        fs::create_dir_all(&dir)?;
        self.dirs.push(dir.clone());
        let path = |name: &str| dir.join(name).display().to_string();
        fs::write(
            path("radvd.conf"),
            format!("interface {SERVER} {{ AdvSendAdvert on; prefix 2001:db8:1::/64 {{ }}; }};\n"),
        )?;
        fs::write(path("hosts"), "fa:16:3e:00:00:02,host-2,192.0.2.2\n")?;
        let config = format!(
            "interface={SERVER}\nbind-interfaces\nno-resolv\nno-hosts\ndhcp-authoritative\n\
             dhcp-range=192.0.2.0,static,255.255.255.0,24h\ndhcp-range=2001:db8:1::,static,64,24h\n\
             dhcp-hostsfile={}\nlog-facility=/dev/null\n",
            path("hosts")
        );
        fs::write(path("dnsmasq.conf"), config)?;
        let (radvd, dnsmasq) = (path("radvd.pid"), path("dnsmasq.pid"));
        let words: [&[&str]; 2] = [
            &[
                "radvd",
                "-n",
                "-m",
                "none",
                "-C",
                &path("radvd.conf"),
                "-p",
                &radvd,
            ],
            &[
                "dnsmasq",
                "--keep-in-foreground",
                "--user=root",
                &format!("--conf-file={}", path("dnsmasq.conf")),
                &format!("--pid-file={dnsmasq}"),
                &format!("--dhcp-leasefile={}", path("leases")),
            ],
        ];
        for words in words {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", ns.name()]).args(words);
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            self.children.push(command.stderr(Stdio::null()).spawn()?);
        }
        Ok(())
    }

    /// Each has written its pid, and so come to its work.
    fn ready(&self) -> Result<(), Failure> {
        let began = Instant::now();
        let there = |name: &str| self.dirs.iter().all(|dir| dir.join(name).is_file());
        while !(there("radvd.pid") && there("dnsmasq.pid")) {
            if began.elapsed() > PATIENCE {
                return Err("a radvd or a dnsmasq did not start".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for dir in &self.dirs {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn kernel_kib() -> Result<u64, Failure> {
    const OF_US: [&str; 4] = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"];
    sum(&fs::read_to_string("/proc/meminfo")?, &OF_US)
}

fn pss_kib(pid: u32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    sum(&text, &["Pss:"])
}

/// The sum of some lines of `NAME: N kB`.
fn sum(text: &str, names: &[&str]) -> Result<u64, Failure> {
    let values = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let named = words.next().is_some_and(|name| names.contains(&name));
        named.then(|| words.next().unwrap_or_default().parse::<u64>())
    });
    Ok(values.sum::<Result<u64, _>>()?)
}
