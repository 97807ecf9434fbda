//! `hextet up`: controller and node in one process.

mod fake;

use std::fs::{File, TryLockError};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud::{Cloud, Secret, Settings};
use linux::inet4::Inet4;
use linux::netns::Netns;
use model::NodeId;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use node::host::Missing;
use node::links::names;
use node::{Agent, NodeSettings};
use store::Store;
use tokio::signal::unix::{SignalKind, signal};

use crate::acme::Issuer;
use crate::certificates::Watched;
use crate::config::{Config, Places, host_of, load};
use crate::edge::{Listeners, certificates, doors};
use crate::files::{Readers, directory};
use crate::{Failure, log, metrics, name, notifications, notify};

/// GiB of the disk that converted images take when the operator says nothing.
const IMAGE_CACHE_GIB: u64 = 64;

/// How long `ready` waits for the node.
const NODE_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a killed process's lock may outlive it.
pub(crate) const LOCK_FREED: Duration = Duration::from_secs(2);
/// Octets on their way between controller and node inside the process.
const LINK_BUFFER: usize = 256 << 10;

/// Runs until a signal asks to stop. Guests go on.
pub(crate) fn up(places: &Places) -> Result<(), Failure> {
    log::start();
    let config = load(places)?;
    directory(&places.run, Readers::Owner)?;
    let _lock = lock_within(places, LOCK_FREED)?;
    many_files()?;
    let nodes = nodes(places, &config)?;
    // Before any other thread: each inherits it, and so does all that they start.
    linux::seccomp::deny_inet4()
        .map_err(|e| format!("cannot forbid IPv4 sockets to this process: {e}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(places, config, nodes))
}

/// A connection, a tap, a QMP socket is a file each: as many as the system lets us have.
fn many_files() -> Result<(), Failure> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// What this process is to the cloud beside its controller.
enum Nodes {
    Real(Box<NodeSettings>, Inet4),
    Fake(u16),
}

/// Starts the one thread that the filter against IPv4 sockets does not lie on: it opens those that
/// guests' networks need.
fn nodes(places: &Places, config: &Config) -> Result<Nodes, Failure> {
    if let Some(count) = config.node.fakes()? {
        return Ok(Nodes::Fake(count));
    }
    programs()?;
    let settings = node_settings(places, config)?;
    node::bridge::ensure(&settings.base, &config.node.bridges)?;
    node::host::prepare(&settings.base)?;
    let prefix = names::networks_prefix(&settings.short());
    let inet4 = Inet4::start(&prefix, std::slice::from_ref(&settings.base))
        .map_err(|e| format!("cannot start the thread that opens IPv4 sockets: {e}"))?;
    Ok(Nodes::Real(Box::new(settings), inet4))
}

async fn run(places: &Places, config: Config, nodes: Nodes) -> Result<(), Failure> {
    let watched = Watched::new(certificates(places, &config)?);
    let tls = watched.certificates.server_config()?;
    if !config.edge.url_elsewhere {
        let resolver = net::Resolver::new(config.dns.upstreams()?);
        name::check(&resolver, &host_of(&config.url)?).await?;
    }
    let mut listeners = Listeners::inherited()?;
    let doors = doors(&config, &tls, &mut listeners)?;
    let counters = config.metrics.map(|at| listeners.on(at)).transpose()?;
    listeners.none_left()?;
    let cloud = open(places, &config)?;
    watched.start()?;
    let attempts = Issuer::start(places, &config, &watched)?;
    let mut node = None;
    match nodes {
        Nodes::Real(settings, inet4) => {
            let agent = Agent::start(*settings, inet4)?;
            node = Some(agent.metrics());
            tokio::spawn(link(cloud.clone(), agent));
        }
        Nodes::Fake(count) => fake::start(places, &config, count, &cloud)?,
    }
    let notifications = notifications::deliver(places, &config, cloud.store())?;
    if let Some(listener) = counters {
        let told = metrics::Told {
            cloud: cloud.clone(),
            node,
            watched: watched.clone(),
            attempts,
            notifications,
        };
        tokio::spawn(metrics::serve(listener, told));
    }
    let api = Arc::new(api::Api::new(cloud.clone()));
    let mut serve = std::pin::pin!(::edge::serve(
        doors,
        api,
        config.edge.limits(),
        stop_signal()?
    ));
    // The node says hello when its trial of KVM is over. Who reads `ready` may ask for a server, and
    // is shown a certificate.
    let usable = async {
        let _ = tokio::time::timeout(NODE_WITHIN, cloud.first_node()).await;
        watched.complete().await;
    };
    tokio::select! {
        () = &mut serve => {}
        _ = usable => {
            announce(&config.url)?;
            serve.await;
        }
    }
    notify::notify("STOPPING=1");
    Ok(())
}

/// The one line on standard output.
fn announce(url: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {url}")?;
    out.flush()?;
    notify::notify("READY=1");
    Ok(())
}

/// Waits for the lock of a hextet that was killed: a child between its birth and its program keeps
/// it for a moment.
///
/// # Errors
/// When another hextet runs on this root.
pub(crate) fn lock_within(places: &Places, patience: Duration) -> Result<File, Failure> {
    let began = Instant::now();
    loop {
        match lock(places) {
            Err(_) if began.elapsed() < patience => std::thread::sleep(Duration::from_millis(20)),
            outcome => return outcome,
        }
    }
}

/// One process at a time has a root. The lock goes with the process, however it ends.
fn lock(places: &Places) -> Result<File, Failure> {
    let path = places.run.join("lock");
    let file = File::create(&path).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another hextet runs on this root: it holds {}; stop it, or use another --root",
            path.display()
        )
        .into()),
        Err(TryLockError::Error(e)) => Err(format!("cannot lock {}: {e}", path.display()).into()),
    }
}

/// The programs that the node starts.
fn programs() -> Result<(), Failure> {
    match node::host::missing().first() {
        None => Ok(()),
        Some(Missing { program, package }) => Err(format!(
            "{program} is not on this host's PATH: install the package {package}"
        )
        .into()),
    }
}

pub(crate) fn open(places: &Places, config: &Config) -> Result<Cloud, Failure> {
    // `init` made it. To make an empty one here would be to order every guest and image away.
    if !places.database().is_file() {
        return Err(format!(
            "{} is not there: bring it back (is a file system not mounted?); without it this cloud's servers and images mean nothing",
            places.database().display()
        )
        .into());
    }
    let store = Store::open(&places.database())?;
    notifications::watch(config, &store)?;
    let path = places.token_key();
    let key = std::fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let settings = Settings {
        url: config.url.clone(),
        region: config.region.clone(),
        images: places.images(),
        max_image_bytes: config.max_image_gib << 30,
        token_lifetime_ms: i64::from(config.token_lifetime_hours) * 3_600_000,
        mtu: config.mtu,
    };
    let cloud = Cloud::new(store, settings, Secret::new(&key)?);
    let quota = cloud.use_quota_settings(&config.quota);
    quota.map_err(|e| format!("{}, [quota]: {e}", places.config().display()))?;
    let domain = cloud.use_dns_domain(&config.dns.dns_domain);
    domain.map_err(|e| format!("{}, [dns]: {e}", places.config().display()))?;
    cloud.recover_images()?;
    Ok(cloud)
}

/// What this host is as a node.
///
/// # Errors
/// When its id cannot be read or its namespace is not there.
pub(crate) fn node_settings(places: &Places, config: &Config) -> Result<NodeSettings, Failure> {
    let id = node_id(places)?;
    let base = match &config.node.netns {
        None => Netns::current()?,
        Some(name) => Netns::open(name).map_err(|e| format!("the network namespace {name} of [node] netns cannot be used: {e}; make it with `ip netns add {name}`"))?,
    };
    Ok(NodeSettings {
        id,
        name: config.node_name()?,
        base,
        physical: config.node.physical_networks.clone(),
        state: places.state.clone(),
        run: places.run.clone(),
        images: places.images(),
        image_cache_bytes: config.node.image_cache_gib.unwrap_or(IMAGE_CACHE_GIB) << 30,
        portals: config.node.portals()?,
        upstreams: config.dns.upstreams()?,
        volumes: match &config.node.volumes.directory {
            Some(directory) => std::path::absolute(directory)?,
            None => places.state.join("volumes"),
        },
        vendor_data: Arc::new(config.metadata.vendor_data()?),
    })
}

/// The id that `init` gave to this host.
fn node_id(places: &Places) -> Result<NodeId, Failure> {
    let path = places.node_id();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let id = text.trim().parse();
    Ok(id.map_err(|_| format!("{} holds no id", path.display()))?)
}

/// Joins controller and node by the same protocol that nodes elsewhere speak.
async fn link(cloud: Cloud, agent: Agent) {
    loop {
        let (here, there) = tokio::io::duplex(LINK_BUFFER);
        let (served, connected) = tokio::join!(cloud.serve_node(here), agent.connect(there));
        broken(served.err().or(connected.err())).await;
    }
}

/// Says that a link broke, and waits before it is made again.
async fn broken(error: Option<std::io::Error>) {
    tracing::error!(
        ?error,
        "the link between controller and node broke: it is made again"
    );
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
