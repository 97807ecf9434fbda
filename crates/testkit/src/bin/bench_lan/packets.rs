//! Packets between two guests of a network, by how many rules the receiver has and how many ports
//! there are beside: hextet's tables, and the same one after the other, without maps of ports and sets
//! of rules, as neutron's iptables drivers lay them out.
//!
//! The sender's port is new and nobody answers, so that no packet is spared the rules by connection
//! tracking. A packet passes everything within the call that sends it: its cost is the processor's time
//! for that call, which other work on the machine does not change much.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use linux::netlink::{Netlink, VethEnd};
use linux::netns::Netns;
use linux::{nft, sysctl};
use model::{Direction, Mac, Network, NetworkId, Port, PortId, Protocol, Rule, Subnet, SubnetId};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use node::filter::{Scene, Tables};
use node::links::names;

use crate::Failure;

/// Where the receiver listens; the last of its rules lets that in.
const LISTENS: u16 = 60_000;
const BRIDGE: &str = "br";
const GUEST: &str = "eth0";
const PATIENCE: Duration = Duration::from_secs(5);
/// What may be lost before the figure means nothing.
const LOST_MAX: u64 = 100;

/// How the tables find a port's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As hextet applies them.
    Maps,
    /// A rule for each port and direction, and one for each of a port's own.
    Linear,
}

/// What is in the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) layout: Layout,
    pub(crate) rules: u16,
    /// Beside the two guests'.
    pub(crate) ports: u16,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.layout {
            Layout::Maps => "hextet",
            Layout::Linear => "one after the other",
        };
        let rules = match self.rules {
            1 => "1 rule".to_owned(),
            count => format!("{count} rules"),
        };
        f.pad(&format!("{how}, {rules}, {} ports beside", self.ports))
    }
}

/// A network with two guests; all of it goes with it.
pub(crate) struct Pair {
    network: Netns,
    guests: [Netns; 2],
    ids: [PortId; 2],
}

impl Pair {
    pub(crate) fn new() -> Result<Pair, Failure> {
        let name = |end: &str| format!("hxb{}p{end}", std::process::id());
        let pair = Pair {
            network: Netns::ensure(&name("n"))?,
            guests: [Netns::ensure(&name("a"))?, Netns::ensure(&name("b"))?],
            ids: [PortId::random(), PortId::random()],
        };
        let mut here = Netlink::open(&pair.network)?;
        here.ensure_bridge(BRIDGE, [2, 0, 0, 0, 0, 1])?;
        here.set_up(BRIDGE)?;
        for (number, (guest, id)) in (1..).zip(pair.guests.iter().zip(pair.ids)) {
            sysctl::set(guest, "net/ipv6/conf/default/accept_dad", "0")?;
            let tap = names::tap(id);
            let outer = VethEnd {
                ns: &pair.network,
                name: &tap,
                mac: None,
            };
            let inner = VethEnd {
                ns: guest,
                name: GUEST,
                mac: Some(mac(number).0),
            };
            Netlink::ensure_veth(outer, inner)?;
            here.set_master(&tap, Some(BRIDGE))?;
            here.set_up(&tap)?;
            let mut guest = Netlink::open(guest)?;
            guest.set_up(GUEST)?;
            guest.ensure_address(GUEST, format!("{}/64", address(number)).parse()?)?;
        }
        Ok(pair)
    }

    /// The processor's time that so many packets take.
    pub(crate) fn send(&self, load: Load, count: u32) -> Result<Duration, Failure> {
        nft::apply(&self.network, &self.tables(load)?)?;
        let [from, to] = &self.guests;
        let receiver = to.run(|| UdpSocket::bind((address(2), LISTENS)))?;
        receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
        let sender = from.run(|| {
            let socket = UdpSocket::bind((address(1), 0))?;
            socket.connect((address(2), LISTENS))?;
            Ok(socket)
        })?;
        // The first waits for Neighbour Discovery. From then on nobody reads what arrives.
        let began = Instant::now();
        while {
            sender.send(&[0; 64])?;
            receiver.recv(&mut [0; 64]).is_err()
        } {
            if began.elapsed() > PATIENCE {
                return Err("no packet arrives".into());
            }
        }
        let before = arrived(to)?;
        let began = spent()?;
        for _ in 0..count {
            sender.send(&[0; 64])?;
        }
        let taken = spent()?.saturating_sub(began);
        let lost = u64::from(count).saturating_sub(arrived(to)? - before);
        match lost <= LOST_MAX {
            true => Ok(taken),
            false => Err(format!("{lost} of {count} packets were lost").into()),
        }
    }

    fn tables(&self, load: Load) -> Result<String, Failure> {
        let network = Network {
            id: NetworkId::random(),
            mtu: 1500,
            physical_network: None,
            vlan: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets: vec![subnet()?],
            retired: Vec::new(),
        };
        let mut ports: Vec<Port> = Vec::new();
        // The guests are in the middle of the others.
        for number in 3..3 + load.ports {
            if number == 3 + load.ports / 2 {
                ports.extend(self.pair(&network, load.rules));
            }
            ports.push(port(
                &network,
                number,
                PortId::random(),
                vec![any(Direction::Egress)],
            ));
        }
        if load.ports == 0 {
            ports.extend(self.pair(&network, load.rules));
        }
        let scene = Scene {
            network: &network,
            ports: ports.iter().zip(1..).collect(),
            legs: Vec::new(),
            groups: &BTreeMap::new(),
            members: &BTreeMap::new(),
        };
        let text = Tables::of(&scene).render();
        match load.layout {
            Layout::Maps => Ok(text),
            Layout::Linear => linear(&text, &ports),
        }
    }

    fn pair(&self, network: &Network, rules: u16) -> [Port; 2] {
        let [from, to] = self.ids;
        [
            port(network, 1, from, vec![any(Direction::Egress)]),
            port(network, 2, to, ingress(rules)),
        ]
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for ns in self.guests.iter().chain([&self.network]) {
            let _ = Netns::remove(ns.name());
        }
    }
}

/// The same tables with both maps of the forward chain written out, in the ports' order, and a line
/// for each rule.
fn linear(text: &str, ports: &[Port]) -> Result<String, Failure> {
    let (mut from, mut to) = (String::new(), String::new());
    const SENDER: &str = "meta mark & 0x0000ffff";
    const RECEIVER: &str = "meta mark & 0xffff0000";
    for (port, mark) in ports.iter().zip(1_u32..) {
        let tap = names::tap(port.id);
        writeln!(from, "\t\t{SENDER} == {mark} jump from_{tap}")?;
        writeln!(to, "\t\t{RECEIVER} == {} jump to_{tap}", mark << 16)?;
    }
    let mut text = text.to_owned();
    for (map, rules) in [
        (format!("{SENDER} vmap @from"), from),
        (format!("{RECEIVER} vmap @to"), to),
    ] {
        let line = format!("\t\t{map}\n");
        if text.matches(&line).count() != 1 {
            return Err(format!("the tables have no single line '{map}'").into());
        }
        text = text.replace(&line, &rules);
    }
    let rules = text.lines().flat_map(|line| {
        let set = line.split_once("udp dport { ").and_then(|(before, rest)| {
            let (ports, _) = rest.split_once(" } return")?;
            Some((before, ports))
        });
        match set {
            None => vec![format!("{line}\n")],
            Some((before, ports)) => ports
                .split(", ")
                .map(|port| format!("{before}udp dport {port} return\n"))
                .collect(),
        }
    });
    Ok(rules.collect())
}

/// So many rules, of which only the last matches what the sender sends.
fn ingress(count: u16) -> Vec<Rule> {
    let rule = |port: u16| Rule {
        protocol: Some(Protocol::Udp),
        range: Some((port, Some(port))),
        ..any(Direction::Ingress)
    };
    // Apart, so that they are no range.
    (0..count).rev().map(|n| rule(LISTENS - 2 * n)).collect()
}

fn any(direction: Direction) -> Rule {
    Rule {
        direction,
        protocol: None,
        range: None,
        peer: None,
        ipv6: true,
    }
}

fn port(network: &Network, number: u16, id: PortId, rules: Vec<Rule>) -> Port {
    Port {
        id,
        network: network.id,
        mac: mac(number),
        enabled: true,
        addresses: vec![IpAddr::V6(address(number))],
        port_security: true,
        allowed_prefixes: Vec::new(),
        allowed_macs: Vec::new(),
        rules,
        stateless: false,
        server: None,
        security_groups: Vec::new(),
        qos: model::Qos::default(),
        delegated: Vec::new(),
        dhcp_options: Vec::new(),
        subport: None,
    }
}

fn subnet() -> Result<Subnet, Failure> {
    Ok(Subnet {
        id: SubnetId::random(),
        prefix: "2001:db8:1::/64".parse()?,
        gateway: None,
        ra_mode: None,
        address_mode: None,
        dns_nameservers: Vec::new(),
        enable_dhcp: true,
        host_routes: Vec::new(),
        lifetimes: model::Lifetimes::default(),
        pref64: None,
    })
}

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([0xfa, 0x16, 0x3e, 0x20, high, low])
}

fn address(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number)
}

/// The processor's time that this thread has had.
fn spent() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let spent = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(
        spent.num_microseconds().unsigned_abs(),
    ))
}

/// Packets that a guest's card has taken in.
fn arrived(guest: &Netns) -> io::Result<u64> {
    guest.run(|| {
        let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
        let line = text.lines().find_map(|line| {
            let (name, rest) = line.split_once(':')?;
            (name.trim() == GUEST).then_some(rest)
        });
        let packets = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        packets.ok_or_else(|| io::Error::other("the guest has no card"))
    })
}
