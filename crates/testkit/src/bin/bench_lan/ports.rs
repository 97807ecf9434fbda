//! Ports that come to a network that has many already: how soon each is given its address by DHCP.
//!
//! Before, hextet is handed a new map; dnsmasq's file of hosts is written anew and it is told to read
//! that (SIGHUP), which is what neutron's agent does.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lan::{Lease, Leases};
use linux::netlink::Netlink;
use linux::netns::Netns;
use model::{Mac, NetworkId};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use wire::dhcp4::{CLIENT_PORT, Dhcp4, DhcpOption, Kind, Op, SERVER_PORT};

use crate::Failure;
use crate::servers::{Server, Which, own, start};
use crate::site::{CLIENT, CLIENT_MAC, SERVER, Site};

/// Ports that are there already.
pub(crate) const THERE: u16 = 1000;
const PREFIX: &str = "10.0.0.0/16";
/// What was not answered is asked again so soon.
const AGAIN: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds so many, one after the other; how long it took until each was answered.
pub(crate) fn add(which: Which, site: &Site, count: u16) -> Result<Duration, Failure> {
    Netlink::open(&site.server)?.ensure_address(SERVER, "10.0.0.1/16".parse()?)?;
    let mut client = Netlink::open(&site.client)?;
    client.ensure_address(CLIENT, "10.0.255.254/16".parse()?)?;
    let mut served = Served::start(which, site)?;
    let socket = socket(site)?;
    let mut taken = Duration::ZERO;
    // The first waits for the server's start.
    for number in THERE - 1..THERE + count {
        client.set_mac(CLIENT, mac(number).0)?;
        let began = Instant::now();
        if number >= THERE {
            served.add(number)?;
        }
        answered(&socket, number)?;
        if number >= THERE {
            taken += began.elapsed();
        }
    }
    client.set_mac(CLIENT, CLIENT_MAC)?;
    Ok(taken)
}

/// A server with its ports.
enum Served {
    Own {
        server: Server,
        network: NetworkId,
        leases: Arc<Leases>,
        ns: Netns,
    },
    Dnsmasq {
        server: Server,
        hosts: PathBuf,
        lines: String,
    },
}

impl Served {
    fn start(which: Which, site: &Site) -> Result<Served, Failure> {
        match which {
            Which::Dnsmasq => {
                let lines: String = (0..THERE).map(line).collect();
                let hosts = std::env::temp_dir().join(format!("{}-hosts", site.server.name()));
                fs::write(&hosts, &lines)?;
                let server = dnsmasq(site, &hosts)?;
                Ok(Served::Dnsmasq {
                    server,
                    hosts,
                    lines,
                })
            }
            _ => {
                let leases = (0..THERE).map(lease).collect::<Result<Leases, _>>()?;
                let (lan, network, leases) =
                    (own(&site.server)?, NetworkId::random(), Arc::new(leases));
                lan.serve_dhcp4(network, &site.server, SERVER, leases.clone())?;
                Ok(Served::Own {
                    server: Server::Own(lan),
                    network,
                    leases,
                    ns: site.server.clone(),
                })
            }
        }
    }

    fn add(&mut self, number: u16) -> Result<(), Failure> {
        match self {
            Served::Own {
                server,
                network,
                leases,
                ns,
            } => {
                // Made whole again, as the node does at each pass.
                let mut all = Leases::clone(leases);
                all.extend([lease(number)?]);
                *leases = Arc::new(all);
                let lan = server.lan().ok_or("no server of ours")?;
                lan.serve_dhcp4(*network, ns, SERVER, leases.clone())?;
            }
            Served::Dnsmasq {
                server,
                hosts,
                lines,
            } => {
                lines.push_str(&line(number));
                let new = hosts.with_extension("new");
                fs::write(&new, &lines)?;
                fs::rename(new, hosts)?;
                let pid = server.pid().ok_or("no process")?;
                kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGHUP)?;
            }
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Served::Dnsmasq { hosts, .. } = self {
            let _ = fs::remove_file(hosts);
        }
    }
}

fn dnsmasq(site: &Site, hosts: &Path) -> Result<Server, Failure> {
    let config = format!(
        "port=0\ninterface={SERVER}\nbind-interfaces\ndhcp-authoritative\nno-ping\ndhcp-lease-max=100000\n\
         dhcp-range=10.0.0.0,static,255.255.0.0,24h\ndhcp-hostsfile={}\nlog-facility=/dev/null\n",
        hosts.display()
    );
    start(site, "dnsmasq4.conf", &config, |config, dir| {
        let dir = dir.display();
        [
            "dnsmasq".to_owned(),
            "--keep-in-foreground".to_owned(),
            "--user=root".to_owned(),
            format!("--conf-file={config}"),
            format!("--pid-file={dir}/pid"),
            format!("--dhcp-leasefile={dir}/leases"),
        ]
        .into()
    })
}

/// A host of dnsmasq's file, as neutron's agent writes it.
fn line(number: u16) -> String {
    let (mac, address) = (mac(number), address(number));
    let name = address.to_string().replace('.', "-");
    format!("{mac},host-{name}.openstacklocal,{address}\n")
}

fn lease(number: u16) -> Result<(Mac, Lease), Failure> {
    let lease = Lease {
        address: address(number),
        prefix: PREFIX.parse()?,
        gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
        dns: Vec::new(),
        routes: Vec::new(),
        mtu: 1500,
        hostname: None,
        domain: "openstacklocal.".into(),
        extra: Vec::new(),
    };
    Ok((mac(number), lease))
}

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([0xfa, 0x16, 0x3e, 0x10, high, low])
}

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 0, 16 + high, low)
}

fn socket(site: &Site) -> Result<UdpSocket, Failure> {
    Ok(site.client.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT_PORT))?;
        socket.set_broadcast(true)?;
        setsockopt(&socket, sockopt::BindToDevice, &CLIENT.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })?)
}

/// Asks until the port's own address is offered.
fn answered(socket: &UdpSocket, number: u16) -> Result<(), Failure> {
    let (began, mut question) = (Instant::now(), Vec::new());
    discover(number).emit(&mut question);
    let mut buffer = [0; 1500];
    while began.elapsed() < PATIENCE {
        socket.send_to(&question, (Ipv4Addr::BROADCAST, SERVER_PORT))?;
        let sent = Instant::now();
        while sent.elapsed() < AGAIN {
            let heard = socket.recv(&mut buffer).ok();
            let heard = heard.and_then(|length| Dhcp4::parse(&buffer[..length]).ok());
            if heard.is_some_and(|offer| offer.yours == address(number)) {
                return Ok(());
            }
            std::thread::yield_now();
        }
    }
    Err(format!("port {number} was not offered its address").into())
}

fn discover(number: u16) -> Dhcp4 {
    let none = Ipv4Addr::UNSPECIFIED;
    Dhcp4 {
        op: Op::Request,
        transaction: number.into(),
        seconds: 0,
        broadcast: true,
        client: none,
        yours: none,
        next_server: none,
        relay: none,
        mac: mac(number).0,
        options: vec![DhcpOption::Kind(Kind::Discover)],
    }
}
