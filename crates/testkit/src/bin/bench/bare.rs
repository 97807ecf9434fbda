//! The same guest without a cloud: QEMU with the arguments hextet would give it, on a bridge that
//! is there already, with Router Advertisements from hextet's own `lan`. What a server takes more
//! than this is what hextet costs.

use std::fs::{self, File};
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lan::{Advert, AdvertKey, Interval, Lan, Prefix, Upstreams};
use linux::inet4::Inet4;
use linux::netlink::Netlink;
use linux::netns::Netns;
use linux::process::{self, ProcessId};
use linux::spawn::{self, Limits, Program};
use linux::{sysctl, tap};
use model::{Hardware, Mac, NetworkId, RouterId, ServerId};
use nix::sys::signal::Signal;
use qemu::qmp::{self, Qmp, RunState};
use qemu::{Accelerator, KERNEL_ARGUMENTS, Kernel, Machine, Nic};

use crate::Failure;
use crate::ping;
use crate::servers::Times;
use crate::world::World;

const PREFIX: &str = "2001:db8:b::/64";
const GATEWAY: &str = "2001:db8:b::1/64";
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xbb];
const GUEST_MAC: Mac = Mac([0xfa, 0x16, 0x3e, 0, 0, 0x0b]);
const MTU: u32 = 1500;

/// A link for guests, ready before the clock starts.
pub(crate) struct Bare {
    ns: Netns,
    dir: PathBuf,
    kernel: PathBuf,
    ramdisk: PathBuf,
    accelerator: Accelerator,
    uid: u32,
    /// Advertises while it lives.
    _lan: Lan,
}

impl Bare {
    pub(crate) async fn new(world: &World) -> Result<Bare, Failure> {
        let ns = Netns::ensure(&world.name("bare"))?;
        let mut netlink = Netlink::open(&ns)?;
        // An address of the bridge's own MAC would be a second router on the link.
        sysctl::set(&ns, "net/ipv6/conf/default/addr_gen_mode", "1")?;
        netlink.ensure_bridge("br", ROUTER_MAC)?;
        netlink.set_up("br")?;
        netlink.ensure_address("br", format!("{ROUTER}/64").parse()?)?;
        netlink.ensure_address("br", GATEWAY.parse()?)?;
        // Asked ten times a second whether the guest is there: nothing but the guest takes time.
        sysctl::set(&ns, "net/ipv6/neigh/br/retrans_time_ms", "100")?;
        let upstreams = Upstreams {
            ns: Netns::current()?,
            servers: Vec::new(),
        };
        let lan = Lan::start(Inet4::start(ns.name(), &[])?, upstreams, Default::default())?;
        let key = AdvertKey {
            network: NetworkId::random(),
            router: Some(RouterId::random()),
        };
        lan.advertise(key, &ns, "br", advert()?)?;
        let dir = world.path("bare");
        fs::create_dir_all(&dir)?;
        let accelerator = qemu::accelerator("qemu-system-x86_64".as_ref(), world.uid).await;
        eprintln!("guests run on {}", accelerator.as_str());
        Ok(Bare {
            ns,
            dir,
            kernel: world.guest.join("vmlinuz"),
            ramdisk: world.guest.join("initrd"),
            accelerator,
            uid: world.uid,
            _lan: lan,
        })
    }

    /// Starts a guest, takes its times, and ends it.
    pub(crate) async fn boot(&self) -> Result<Times, Failure> {
        let prefix: ipnet::Ipv6Net = PREFIX.parse()?;
        let address = GUEST_MAC.slaac(prefix.addr());
        let (link, disk) = (self.link()?, self.disk()?);
        let ping = {
            let ns = self.ns.clone();
            tokio::spawn(async move { ping::first_reply(&ns, address).await })
        };
        let began = Instant::now();
        let process = self.start(link, disk)?;
        let running = self.running().await;
        let active = began.elapsed();
        let pinged = match running {
            Ok(()) => ping.await?,
            Err(e) => Err(e),
        };
        end(process)?;
        Netlink::open(&self.ns)?.remove_link("tap0")?;
        Ok(Times {
            active,
            pinged: pinged? - began,
        })
    }

    fn link(&self) -> Result<OwnedFd, Failure> {
        tap::ensure(&self.ns, "tap0")?;
        let mut netlink = Netlink::open(&self.ns)?;
        netlink.set_master("tap0", Some("br"))?;
        netlink.set_up("tap0")?;
        Ok(tap::open(&self.ns, "tap0")?)
    }

    fn disk(&self) -> Result<File, Failure> {
        let path = self.dir.join("disk.raw");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        file.set_len(1 << 30)?;
        Ok(file)
    }

    fn start(&self, link: OwnedFd, disk: File) -> Result<ProcessId, Failure> {
        let listener = qmp::listen(&self.dir)?;
        let (kernel, ramdisk) = (File::open(&self.kernel)?, File::open(&self.ramdisk)?);
        let machine = Machine {
            server: ServerId::random(),
            accelerator: self.accelerator.clone(),
            vcpus: 1,
            ram_mib: 128,
            hardware: Hardware::default(),
            variables: None,
            disk: Some(disk.as_raw_fd()),
            volumes: Vec::new(),
            beneath: None,
            config_drive: None,
            kernel: Some(Kernel {
                image: kernel.as_raw_fd(),
                ramdisk: Some(ramdisk.as_raw_fd()),
                command_line: format!("{KERNEL_ARGUMENTS} "),
            }),
            nics: vec![Nic {
                port: model::PortId::random(),
                tap: link.as_raw_fd(),
                mac: GUEST_MAC,
                mtu: MTU,
            }],
            qmp: listener.as_raw_fd(),
        };
        let program = Program {
            path: "qemu-system-x86_64".into(),
            arguments: machine.arguments().into_iter().map(Into::into).collect(),
            uid: self.uid,
            groups: self.accelerator.groups(),
            descriptors: vec![
                listener.into(),
                disk.into(),
                kernel.into(),
                ramdisk.into(),
                link,
            ],
            stderr: spawn::bounded_file(c"qemu-stderr", 16 << 10)?,
            cgroup: None,
            directory: "/".into(),
            environment: Vec::new(),
            limits: Limits::default(),
        };
        Ok(program.start()?)
    }

    /// Waits until QEMU says that the guest runs.
    async fn running(&self) -> Result<(), Failure> {
        let (mut qmp, _events) = Qmp::connect(&self.dir).await?;
        while qmp.status().await? != RunState::Running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// What hextet's router would say.
fn advert() -> Result<Advert, Failure> {
    let prefix = Prefix {
        prefix: PREFIX.parse()?,
        autonomous: true,
        on_link: true,
        valid_s: 86_400,
        preferred_s: 14_400,
        ends_ms: None,
    };
    let (rdnss, dnssl, routes) = Default::default();
    Ok(Advert {
        source: ROUTER,
        mac: Mac(ROUTER_MAC),
        mtu: MTU,
        router_lifetime_s: 1800,
        managed: false,
        other: false,
        prefixes: vec![prefix],
        rdnss,
        dnssl,
        routes,
        interval: Interval::default(),
        pref64: Vec::new(),
        preference: lan::Preference::Medium,
    })
}

fn end(process: ProcessId) -> Result<(), Failure> {
    let watch = spawn::watch(process)?;
    process::kill(process, Signal::SIGKILL)?;
    while process::alive(process) {
        std::thread::sleep(Duration::from_millis(5));
    }
    spawn::reap(std::os::fd::AsFd::as_fd(&watch));
    Ok(())
}
