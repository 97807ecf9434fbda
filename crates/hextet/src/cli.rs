//! The command line.

use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{Failure, check, config, demo, doctor, init, network, purge, up};

/// A cloud in one process: OpenStack's APIs, IPv6 only, TLS everywhere.
#[derive(Debug, Parser)]
#[command(name = "hextet", version)]
pub(crate) struct Args {
    /// Everything is kept below this directory: etc/hextet, var/lib/hextet, run/hextet.
    #[arg(long, global = true, env = "HEXTET_ROOT", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the settings, certificates, database and administrator's account of a new cloud.
    Init(Init),
    /// Run the cloud: its controller and its node in one process.
    Up,
    /// Show a whole cloud at work on this machine, in a directory and network namespaces of its own
    /// (whatever --root says), and remove it again.
    Demo(Demo),
    /// Look at this host and say what keeps its cloud from working, why, and what to do: sockets,
    /// names, certificates, the kernel, bridges, programs. Changes nothing unless told to. The status is 0
    /// when nothing is found, 1 when something is, 2 when not everything could be looked at.
    #[command(args_conflicts_with_subcommands = true)]
    Doctor(Doctor),
    /// What has no OpenStack API.
    #[command(subcommand)]
    Manage(Manage),
    /// What concerns this host as a node.
    #[command(subcommand)]
    Node(Node),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Do what can harm nothing (settings of the running kernel, who may read a key), and say what
    /// was done. What is found after it is printed.
    #[arg(long)]
    pub(crate) fix: bool,
    #[command(subcommand)]
    of: Option<DoctorOf>,
}

#[derive(Debug, Subcommand)]
enum DoctorOf {
    /// Read the configuration files of an OpenStack and say what ties it to IPv4 or breaks under
    /// IPv6, why, and what to write. Runs nothing, changes nothing, and asks nobody but resolvers.
    /// The status is 0 when nothing is found, 1 when something is, 2 when not everything could be read.
    Openstack(DoctorOpenstack),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorOpenstack {
    /// The directory that stands for /etc. What lies beside it (usr, var) is read too when it is
    /// called `etc`.
    #[arg(long, default_value = "/etc", value_name = "DIR")]
    pub(crate) etc: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a unified diff of the safe changes, for `patch -p1 -d DIR`. It holds the lines around
    /// them as they are, passwords too.
    #[arg(long, conflicts_with = "json")]
    pub(crate) patch: bool,
    /// OpenStack's release, `train` or `2025.1`, when the installed packages do not say it.
    #[arg(long, value_name = "NAME")]
    pub(crate) release: Option<::doctor::Release>,
    /// Ask no resolver: of names only what /etc/hosts says is judged.
    #[arg(long, conflicts_with = "resolver")]
    pub(crate) no_dns: bool,
    /// Who knows the names in these files, asked over IPv6: an address, or [ADDRESS]:PORT. May be
    /// given again. Those of IPv6 in this machine's /etc/resolv.conf when left out.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::dns::resolver)]
    pub(crate) resolver: Vec<SocketAddrV6>,
}

#[derive(Debug, Subcommand)]
enum Manage {
    /// Compare database, kernel and disk of the cloud on this host, whether it runs or not. Prints
    /// what is wrong; the status is 0 when nothing is, 1 when something is, 2 when it could not be
    /// found out.
    Check(Check),
    /// Networks of this host.
    #[command(subcommand)]
    Network(Box<Network>),
}

#[derive(Debug, Subcommand)]
enum Network {
    /// Make a physical network with its subnets, and the settings and the bridge that lead to it:
    /// what `nova-manage network create` did. `hextet up` must be stopped.
    Create(CreateNetwork),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateNetwork {
    /// The network's name; the physical network's too.
    pub(crate) label: String,
    /// The prefix of its IPv6 subnet: guests make their addresses of what an outside router announces.
    #[arg(long = "fixed_range_v6", alias = "fixed-range-v6", value_name = "CIDR")]
    pub(crate) fixed_range_v6: Option<ipnet::Ipv6Net>,
    /// The prefix of its IPv4 subnet, if it is to have one.
    #[arg(long = "fixed_range_v4", alias = "fixed-range-v4", value_name = "CIDR")]
    pub(crate) fixed_range_v4: Option<ipnet::Ipv4Net>,
    /// The bridge that leads to it.
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: String,
    /// The interface that the bridge is to hold. Without it the bridge must be there.
    #[arg(
        long = "bridge_interface",
        alias = "bridge-interface",
        value_name = "NAME"
    )]
    pub(crate) bridge_interface: Option<String>,
    /// The VLAN that it is on the bridge, 1 to 4094. Without it, it is what bears no tag.
    #[arg(long, value_name = "ID")]
    pub(crate) vlan: Option<u32>,
    /// The outside router's address in the IPv6 subnet; its first address when left out.
    #[arg(long = "gateway_v6", alias = "gateway-v6", value_name = "ADDRESS")]
    pub(crate) gateway_v6: Option<std::net::Ipv6Addr>,
    /// The same in the IPv4 subnet.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Option<std::net::Ipv4Addr>,
    /// A DNS server of either family.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns1: Option<std::net::IpAddr>,
    /// Another.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns2: Option<std::net::IpAddr>,
    /// T, as it always is here: each node serves the guests it has.
    #[arg(long = "multi_host", alias = "multi-host", value_name = "T", default_value = "T",
          value_parser = ["T"])]
    pub(crate) multi_host: String,
    /// The project that is to own it; the administrator's when left out.
    #[arg(long = "project_id", alias = "project-id", value_name = "ID")]
    pub(crate) project_id: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Read the data of images too, and compare it with their checksums.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Node {
    /// End all guests on this host and remove everything hextet made here but its settings,
    /// database and images.
    Purge,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The address the APIs listen on. Port 0 picks a free one.
    #[arg(long, default_value = "[::1]:8443", value_name = "[ADDRESS]:PORT")]
    pub(crate) listen: SocketAddrV6,
    /// The URL clients use, when it is not the listening address.
    #[arg(long, value_name = "https://NAME:PORT")]
    pub(crate) url: Option<String>,
    /// Your certificate with its chain, in PEM. Without one hextet makes an authority of its own.
    #[arg(long, requires_all = ["key", "ca"], value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, requires = "certificate", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The root certificate clients trust, in PEM.
    #[arg(long, requires = "certificate", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A physical network and the bridge on this host that leads to it. May be given again.
    #[arg(long, value_name = "NETWORK=BRIDGE", value_parser = pair)]
    pub(crate) physical_network: Vec<(String, String)>,
    /// The network namespace in which those bridges are; this process's own when left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// So many made-up nodes instead of this host: their servers become ACTIVE and run nothing.
    /// Needs neither root nor QEMU.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["netns"],
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) fake_nodes: Option<u16>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Leave the cloud running, and say how to use it and how to end it.
    #[arg(long)]
    pub(crate) keep: bool,
    /// The directory with the servers' kernel and ramdisk: vmlinuz and initrd, as guest/build makes them.
    #[arg(long, default_value = "target/guest", value_name = "DIR")]
    pub(crate) guest: PathBuf,
    /// OpenStack's command.
    #[arg(
        long,
        env = "HEXTET_OPENSTACK",
        default_value = "openstack",
        value_name = "PROGRAM"
    )]
    pub(crate) openstack: PathBuf,
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong, in words for the operator.
pub(crate) fn run(args: Args) -> Result<ExitCode, Failure> {
    let places = config::Places::below(&args.root)?;
    match args.command {
        Command::Doctor(wish) => {
            return Ok(match &wish.of {
                Some(DoctorOf::Openstack(wish)) => doctor::openstack(wish),
                None => doctor::host(&places, &wish),
            });
        }
        Command::Manage(Manage::Check(wish)) => return Ok(check::command(&places, &wish)),
        Command::Manage(Manage::Network(network)) => {
            let Network::Create(wish) = *network;
            network::create(&places, &wish)
        }
        Command::Init(wish) => init::init(&places, &wish),
        Command::Up => up::up(&places),
        Command::Demo(wish) => demo::demo(&wish),
        Command::Node(Node::Purge) => purge::purge(&args.root, &places),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((network, bridge)) if !network.is_empty() && !bridge.is_empty() => {
            Ok((network.into(), bridge.into()))
        }
        _ => Err("it must be NETWORK=BRIDGE".into()),
    }
}
