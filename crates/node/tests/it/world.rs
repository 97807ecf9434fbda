//! A node in a namespace of its own, with guests played by namespaces.
//!
//! A guest's process holds the port's tap, as QEMU would, and copies frames to and from a tap
//! `eth0` in the guest's namespace: so the host's side is exactly what a real guest meets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use linux::inet4::Inet4;
use linux::netlink::{Netlink, VethEnd};
use linux::netns::Netns;
use linux::{nft, sysctl, tap};
use model::{
    Boot, Direction, ImageFile, Mac, Network, NetworkId, Port, PortId, PortName, Router, RouterId,
    RouterPort, Rule, SecurityGroupId, Server, ServerId, Subnet, SubnetId,
};
use node::Wanted;
use node::links::{LinkSettings, Links, Report, names};

use crate::frames::{FRAMES, pump};

pub(crate) struct World {
    pub(crate) short: String,
    pub(crate) base: Netns,
    pub(crate) links: Links,
    /// What guests hear on the links.
    pub(crate) lan: lan::Lan,
    pub(crate) wanted: Wanted,
    settings: LinkSettings,
    runtime: tokio::runtime::Runtime,
    guests: u8,
}

impl World {
    /// A node whose bridge `br-ext` holds the physical network `physnet`.
    pub(crate) fn new() -> World {
        let short = NetworkId::random().short()[..4].to_owned();
        let base = Netns::ensure(&format!("hxt{short}-base"))
            .expect("these tests make network namespaces: run them as root");
        let mut netlink = Netlink::open(&base).unwrap();
        netlink
            .ensure_bridge("br-ext", [2, 0, 0, 0, 0, 0xee])
            .unwrap();
        netlink.set_up("br-ext").unwrap();
        let settings = LinkSettings {
            short: short.clone(),
            base: base.clone(),
            physical: BTreeMap::from([("physnet".into(), "br-ext".into())]),
            filters: std::env::temp_dir().join(format!("hxt{short}-filters")),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (links, lan) = start(&runtime, &settings);
        World {
            short,
            base,
            links,
            lan,
            wanted: Wanted::default(),
            settings,
            runtime,
            guests: 0,
        }
    }

    /// Loses everything a process would lose.
    pub(crate) fn restart(&mut self) {
        (self.links, self.lan) = start(&self.runtime, &self.settings);
    }

    /// Waits until a guest with delegated prefixes has said where it is.
    pub(crate) fn guest_placed(&self) {
        let said =
            async { tokio::time::timeout(Duration::from_secs(8), self.lan.guest_placed()).await };
        let said = self.runtime.block_on(said);
        said.expect("no guest says where it is");
    }

    /// A pass that must not fail.
    pub(crate) fn pass(&mut self) -> Report {
        let report = self.links.pass(&self.wanted);
        assert_eq!(report.failures, [], "a pass failed");
        report
    }

    pub(crate) fn network(&mut self, prefix: &str) -> NetworkId {
        let network = network(prefix);
        let id = network.id;
        self.wanted.networks.insert(id, network);
        id
    }

    /// A port that may send anything and receive nothing.
    pub(crate) fn port(&mut self, network: NetworkId, address: &str) -> PortId {
        let port = port(network, self.wanted.ports.len() as u8 + 1, address);
        let id = port.id;
        self.wanted.ports.insert(id, port);
        id
    }

    pub(crate) fn rule(&mut self, port: PortId, rule: Rule) {
        self.wanted.ports.get_mut(&port).unwrap().rules.push(rule);
    }

    /// Puts a port into a security group.
    pub(crate) fn join(&mut self, port: PortId, group: SecurityGroupId) {
        let known = &self.wanted.ports[&port];
        let name = PortName {
            id: port,
            network: known.network,
            dns_name: String::new(),
            dns_domain: String::new(),
            addresses: known.addresses.clone(),
            paired: Vec::new(),
            groups: vec![group],
        };
        self.wanted.names.insert(port, name);
    }

    pub(crate) fn router(&mut self, ports: Vec<RouterPort>) -> RouterId {
        let id = RouterId::random();
        let router = Router {
            id,
            enabled: true,
            ports,
            routes: Vec::new(),
            default_nexthops: Vec::new(),
            snat: true,
            floating_ips: Vec::new(),
            forwardings: Vec::new(),
            nd_proxy: false,
        };
        self.wanted.routers.insert(id, router);
        id
    }

    /// A server with one port.
    pub(crate) fn server(&mut self, port: PortId) -> ServerId {
        let id = ServerId::random();
        self.wanted.ports.get_mut(&port).unwrap().server = Some(id);
        self.wanted.servers.insert(id, server(id, port));
        id
    }

    /// Plugs a guest into a port that is up. It has the port's MAC and addresses.
    pub(crate) fn guest(&mut self, port: PortId) -> Guest {
        let guest = self.bare(port);
        for address in &self.wanted.ports[&port].addresses {
            guest.address(&address.to_string());
        }
        guest
    }

    /// Plugs a guest into a port that is up. It has the port's MAC, and finds out the rest.
    pub(crate) fn bare(&mut self, port: PortId) -> Guest {
        let port = &self.wanted.ports[&port];
        self.guests += 1;
        let guest = Guest::new(&format!("hxt{}-g{}", self.short, self.guests), port.mac);
        let mut host = None;
        eventually("a guest before this one lets go of the tap", || {
            host = self.links.taps().open(port.network, port.id).ok();
            host.is_some()
        });
        guest.copy(File::from(host.unwrap()));
        guest
    }

    /// Adds an IPv4 subnet to a network. Its gateway is the first address.
    pub(crate) fn subnet4(&mut self, network: NetworkId, prefix: &str) {
        let subnets = &mut self.wanted.networks.get_mut(&network).unwrap().subnets;
        subnets.push(subnet(prefix.parse().unwrap()));
    }

    /// Gives a port an IPv4 address, and lets all of IPv4 out.
    pub(crate) fn address4(&mut self, port: PortId, address: &str) {
        let port = self.wanted.ports.get_mut(&port).unwrap();
        port.addresses.push(address.parse().unwrap());
        port.rules.push(allow4(Direction::Egress));
    }

    /// A router's namespace.
    pub(crate) fn router_netns(&self, router: RouterId) -> Netns {
        Netns::open(&names::Space::Router(router).name(&self.short).unwrap()).unwrap()
    }

    /// A host on the physical network.
    pub(crate) fn outside(&self, address: &str) -> Guest {
        let ns = Netns::ensure(&format!("hxt{}-outside", self.short)).unwrap();
        let inner = VethEnd {
            ns: &ns,
            name: "eth0",
            mac: None,
        };
        let outer = VethEnd {
            ns: &self.base,
            name: "outside",
            mac: None,
        };
        Netlink::ensure_veth(inner, outer).unwrap();
        let mut base = Netlink::open(&self.base).unwrap();
        base.set_master("outside", Some("br-ext")).unwrap();
        base.set_up("outside").unwrap();
        Netlink::open(&ns).unwrap().set_up("eth0").unwrap();
        let guest = Guest { ns };
        guest.address(address);
        guest
    }

    pub(crate) fn netns(&self, network: NetworkId) -> Netns {
        Netns::open(&names::Space::Network(network).name(&self.short).unwrap()).unwrap()
    }

    /// What the checker finds.
    pub(crate) fn findings(&self) -> std::io::Result<Vec<model::Finding>> {
        node::links::check(&self.settings, &self.wanted)
    }

    /// The packets that a counter of the bridge table has seen.
    pub(crate) fn counter(&self, network: NetworkId, family: &str, name: &str) -> u64 {
        let arguments = ["list", "counter", family, "hextet", name];
        let text = nft::ask(&self.netns(network), &arguments).unwrap();
        let mut words = text.split_whitespace().skip_while(|w| *w != "packets");
        words.nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let found = match std::thread::panicking() {
            true => Ok(Vec::new()),
            // What a test wants and never had made is made first.
            false => {
                self.links.pass(&self.wanted);
                self.findings()
            }
        };
        let _ = node::links::purge(&self.short, &self.base);
        let _ = std::fs::remove_dir_all(&self.settings.filters);
        for name in Netns::list(&format!("hxt{}-", self.short)).unwrap_or_default() {
            let _ = Netns::remove(&name);
        }
        if !std::thread::panicking() {
            assert_eq!(found.unwrap(), [], "the checker finds something");
        }
    }
}

fn start(runtime: &tokio::runtime::Runtime, settings: &LinkSettings) -> (Links, lan::Lan) {
    let _inside = runtime.enter();
    let prefix = names::networks_prefix(&settings.short);
    let inet4 = Inet4::start(&prefix, std::slice::from_ref(&settings.base)).unwrap();
    let upstreams = lan::Upstreams {
        ns: settings.base.clone(),
        // Where a test may have somebody answer.
        servers: vec!["[::1]:53".parse().unwrap()],
    };
    let lan = lan::Lan::start(inet4, upstreams, Default::default()).unwrap();
    (Links::new(settings.clone(), lan.clone()), lan)
}

/// A namespace with a network card.
pub(crate) struct Guest {
    pub(crate) ns: Netns,
}

impl Guest {
    pub(crate) fn new(name: &str, mac: Mac) -> Guest {
        let ns = Netns::ensure(name).unwrap();
        sysctl::set(&ns, "net/ipv6/conf/default/accept_dad", "0").unwrap();
        tap::ensure(&ns, "eth0").unwrap();
        let mut netlink = Netlink::open(&ns).unwrap();
        netlink.set_mac("eth0", mac.0).unwrap();
        netlink.set_mtu("eth0", 1400).unwrap();
        netlink.set_up("lo").unwrap();
        Guest { ns }
    }

    fn copy(&self, host: File) {
        let own = File::from(tap::open(&self.ns, "eth0").unwrap());
        drop(pump(host, own));
        Netlink::open(&self.ns).unwrap().set_up("eth0").unwrap();
    }

    pub(crate) fn address(&self, address: &str) {
        match address.contains(':') {
            true => self.shell(&format!("ip -6 address add {address}/64 dev eth0 nodad")),
            false => self.shell(&format!("ip address add {address}/24 dev eth0")),
        };
    }

    pub(crate) fn run(&self, script: &str) -> Output {
        let name = self.ns.name();
        Command::new("ip")
            .args(["netns", "exec", name, "sh", "-c", script])
            .output()
            .unwrap()
    }

    /// Runs a script that must succeed.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.run(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether one of three echo requests is answered.
    pub(crate) fn pings(&self, address: &str) -> bool {
        self.run(&format!("ping -n -c 3 -i 0.3 -W 1 -w 2 {address}"))
            .status
            .success()
    }

    /// Starts a Python program that has what makes frames.
    pub(crate) fn python(&self, program: &str) -> Python {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.ns.name(), "python3", "-c"]);
        let child = command
            .arg(format!("{FRAMES}\n{program}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Python(child)
    }

    /// Sends one frame, written as a Python expression of bytes.
    pub(crate) fn send(&self, frame: &str) {
        self.send_each(&format!("[{frame}]"));
    }

    /// Sends frames, one after another: a Python expression of several bytes.
    pub(crate) fn send_each(&self, frames: &str) {
        self.send_with("", frames);
    }

    /// The same, with what else the expression needs.
    pub(crate) fn send_with(&self, setup: &str, frames: &str) {
        let script = format!(
            "{FRAMES}\n{setup}\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
             s.bind(('eth0', 0))\nfor frame in {frames}: s.send(frame)"
        );
        let name = self.ns.name();
        let python = ["netns", "exec", name, "python3", "-c", &script];
        let output = Command::new("ip").args(python).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A program in a guest, which ends when it is dropped.
pub(crate) struct Python(Child);

impl Python {
    /// What it has said when it ends by itself, as it must.
    pub(crate) fn said(mut self) -> String {
        let mut text = String::new();
        let mut pipe = self.0.stdout.take().unwrap();
        pipe.read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "{text}");
        text
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Ends the threads that copy, which hold the namespace.
        if let Ok(mut netlink) = Netlink::open(&self.ns) {
            let _ = netlink.remove_link("eth0");
        }
        let _ = Netns::remove(self.ns.name());
    }
}

/// Waits for something that the kernel does in its own time.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(8);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn network(prefix: &str) -> Network {
    Network {
        id: NetworkId::random(),
        mtu: 1400,
        physical_network: None,
        vlan: None,
        dns_domain: "openstacklocal.".into(),
        resolver: Vec::new(),
        subnets: vec![subnet(prefix.parse().unwrap())],
        retired: Vec::new(),
    }
}

/// A subnet whose gateway is its first address.
pub(crate) fn subnet(prefix: IpNet) -> Subnet {
    Subnet {
        id: SubnetId::random(),
        prefix,
        gateway: prefix
            .hosts()
            .nth(if prefix.addr().is_ipv4() { 0 } else { 1 }),
        ra_mode: None,
        address_mode: None,
        dns_nameservers: Vec::new(),
        enable_dhcp: true,
        host_routes: Vec::new(),
        lifetimes: model::Lifetimes::default(),
        pref64: None,
    }
}

pub(crate) fn port(network: NetworkId, number: u8, address: &str) -> Port {
    Port {
        id: PortId::random(),
        network,
        mac: Mac([0xfa, 0x16, 0x3e, 0, 0, number]),
        enabled: true,
        addresses: vec![address.parse().unwrap()],
        port_security: true,
        allowed_prefixes: Vec::new(),
        allowed_macs: Vec::new(),
        rules: vec![allow(Direction::Egress)],
        server: None,
        stateless: false,
        security_groups: Vec::new(),
        qos: model::Qos::default(),
        delegated: Vec::new(),
        dhcp_options: Vec::new(),
        subport: None,
    }
}

pub(crate) fn leg(network: NetworkId, number: u8, address: &str, external: bool) -> RouterPort {
    RouterPort {
        id: PortId::random(),
        network,
        mac: Mac([0xfa, 0x16, 0x3e, 1, 0, number]),
        addresses: vec![address.parse().unwrap()],
        external,
        advertising: model::Advertising::default(),
        scopes: Default::default(),
    }
}

/// Any IPv6 packet of a direction.
pub(crate) fn allow(direction: Direction) -> Rule {
    Rule {
        direction,
        protocol: None,
        range: None,
        peer: None,
        ipv6: true,
    }
}

/// Any IPv4 packet of a direction.
pub(crate) fn allow4(direction: Direction) -> Rule {
    Rule {
        ipv6: false,
        ..allow(direction)
    }
}

fn server(id: ServerId, port: PortId) -> Server {
    let disk = ImageFile {
        id: model::ImageId::random(),
        size_bytes: 0,
        sha512: String::new(),
        disk_format: "raw".into(),
    };
    let boot = Boot {
        disk: Some(disk),
        kernel: None,
        ramdisk: None,
        kernel_args: String::new(),
        hardware: Default::default(),
    };
    Server {
        id,
        name: "guest".into(),
        hostname: "guest".into(),
        project: "project".into(),
        power: model::Power::Running,
        start_epoch: 1,
        reboot_epoch: 0,
        reboot: model::Reboot::Soft,
        vcpus: 1,
        ram_mib: 64,
        disk_gib: 0,
        boot,
        ports: vec![port],
        availability_zone: "nova".into(),
        public_keys: Vec::new(),
        user_data: None,
        metadata: Vec::new(),
        created_ms: 0,
        attachments: Vec::new(),
        config_drive: false,
        flavor: String::new(),
        reservation: String::new(),
        launch_index: 0,
        password: Default::default(),
    }
}
