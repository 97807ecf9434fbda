//! The cloud that is measured: its directory, its namespaces and its process.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::Method;
use linux::netlink::{Netlink, Route, VethEnd};
use linux::netns::Netns;
use linux::{process, spawn};
use model::NodeId;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::client::{Account, Client, Content, Target};

/// How the names of a bench's directory and namespaces begin.
const PREFIX: &str = "hextet-bench-";
const UID_BASE: u32 = 2_100_000_000;
const BRIDGE: &str = "br-ext";
const BRIDGE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];
/// How long `hextet up` may take until it answers.
const UP: Duration = Duration::from_secs(30);
/// What each service answers without a token: its versions.
const SERVICES: [&str; 5] = [
    "/identity/v3",
    "/image/v2",
    "/compute/v2.1/",
    "/network/v2.0",
    "/volume/v3",
];

/// A cloud, and what it was made of.
pub(crate) struct World {
    id: String,
    root: PathBuf,
    hextet: PathBuf,
    pub(crate) guest: PathBuf,
    /// A host on the external network, at `2001:db8:ffff::1`.
    pub(crate) outside: Netns,
    /// The user of guests without hextet: above those of hextet's guests, and this bench's own.
    pub(crate) uid: u32,
    node: Netns,
    up: Option<Child>,
}

impl World {
    /// The directory and the namespaces.
    pub(crate) fn make(hextet: &Path, guest: &Path) -> Result<World, Failure> {
        let hextet = fs::canonicalize(hextet)
            .map_err(|e| format!("--hextet {}: {e}; build it first", hextet.display()))?;
        let guest = fs::canonicalize(guest)
            .map_err(|e| format!("--guest {}: {e}; guest/build makes it", guest.display()))?;
        let id = NodeId::random().short()[..6].to_owned();
        let uid = UID_BASE + u32::from_str_radix(&id, 16)?;
        let root = std::env::temp_dir().join(format!("{PREFIX}{id}"));
        DirBuilder::new().mode(0o700).create(&root)?;
        let node = Netns::ensure(&format!("{PREFIX}{id}-node"))?;
        let outside = Netns::ensure(&format!("{PREFIX}{id}-outside"))?;
        Ok(World {
            id,
            uid,
            root,
            hextet,
            guest,
            outside,
            node,
            up: None,
        })
    }

    /// Tells the outside by which router a prefix is reached.
    pub(crate) fn route(&self, destination: &str, router: &str) -> Result<(), Failure> {
        let route = Route {
            destination: destination.parse()?,
            nexthop: Some(router.parse()?),
            link: "eth0".into(),
        };
        Ok(Netlink::open(&self.outside)?.ensure_route(&route)?)
    }

    /// A name for a namespace of this bench.
    pub(crate) fn name(&self, end: &str) -> String {
        format!("{PREFIX}{}-{end}", self.id)
    }

    /// A path below the directory of this bench.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Joins the namespaces, and sets up a cloud.
    pub(crate) async fn init(&self) -> Result<(), Failure> {
        self.lay_links()?;
        let physical = format!("public={BRIDGE}");
        let netns = self.node.name();
        self.finish(&[
            "init",
            "--listen",
            "[::1]:0",
            "--netns",
            netns,
            "--physical-network",
            &physical,
        ])
        .await
    }

    /// Sets up a cloud of made-up nodes.
    pub(crate) async fn init_fakes(&self, nodes: u16) -> Result<(), Failure> {
        let nodes = nodes.to_string();
        self.finish(&["init", "--listen", "[::1]:0", "--fake-nodes", &nodes])
            .await
    }

    /// Lets the cloud's own project have as much as it likes.
    pub(crate) async fn lift_quotas(&self, client: &mut Client) -> Result<(), Failure> {
        let name = self.account()?.project;
        let found = client
            .get(&format!("/identity/v3/projects?name={name}"))
            .await?;
        let id = found["projects"][0]["id"].as_str().ok_or("no project")?;
        let compute = json!({"quota_set": {"instances": -1, "cores": -1, "ram": -1}});
        let network = json!({"quota": {"network": -1, "subnet": -1, "port": -1, "router": -1,
                                       "security_group": -1, "security_group_rule": -1}});
        for (path, quota) in [
            (format!("/compute/v2.1/os-quota-sets/{id}"), compute),
            (format!("/network/v2.0/quotas/{id}"), network),
        ] {
            let (status, said) = client.ask(Method::PUT, &path, Some(quota.into())).await?;
            // A hextet without quotas has nothing to lift.
            if !status.is_success() && status != http::StatusCode::NOT_FOUND {
                let said = String::from_utf8_lossy(&said);
                return Err(format!("PUT {path}: {status} {said}").into());
            }
        }
        Ok(())
    }

    /// Starts the cloud, and returns how long it took until every service answered.
    pub(crate) async fn up(&mut self) -> Result<Duration, Failure> {
        let target = self.target()?;
        let log = fs::File::create(self.path("hextet.log"))?;
        let mut command = self.command();
        command.arg("up").stdout(Stdio::piped()).stderr(log);
        let began = Instant::now();
        let mut up = command.spawn()?;
        let out = up.stdout.take();
        self.up = Some(up);
        timeout(UP, all_answer(&target))
            .await
            .map_err(|_| format!("hextet does not answer after {UP:?}"))?;
        let took = began.elapsed();
        // From then on a server has a place.
        let mut lines = BufReader::new(out.ok_or("hextet has no output")?).lines();
        let said = timeout(UP, lines.next_line()).await??;
        said.ok_or("hextet ended before it was ready")?;
        Ok(took)
    }

    /// Ends the cloud without a word.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut up) = self.up.take() {
            up.kill().await?;
        }
        Ok(())
    }

    /// The number of the cloud's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.up.as_ref().and_then(Child::id)
    }

    /// A connection whose requests carry a token.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let mut client = self.target()?.connect().await?;
        client.log_in(&self.account()?).await?;
        Ok(client)
    }

    /// The administrator, as `init` wrote it down.
    pub(crate) fn account(&self) -> Result<Account, Failure> {
        Ok(Account {
            user: self.openrc("OS_USERNAME")?,
            password: self.openrc("OS_PASSWORD")?,
            project: self.openrc("OS_PROJECT_NAME")?,
        })
    }

    /// Takes everything away, in whatever state it is.
    pub(crate) async fn remove(mut self) -> Result<(), Failure> {
        self.kill().await?;
        let mut purged = Ok(());
        if self.path("etc/hextet/hextet.toml").exists() {
            purged = self.finish(&["node", "purge"]).await;
        }
        for process in spawn::of_user(self.uid)? {
            process::kill(process, Signal::SIGKILL)?;
        }
        for name in Netns::list(&self.name(""))? {
            Netns::remove(&name)?;
        }
        purged?;
        Ok(fs::remove_dir_all(&self.root)?)
    }

    fn lay_links(&self) -> Result<(), Failure> {
        let end = |ns, name| VethEnd {
            ns,
            name,
            mac: None,
        };
        Netlink::ensure_veth(end(&self.node, "outside"), end(&self.outside, "eth0"))?;
        let mut there = Netlink::open(&self.node)?;
        there.ensure_bridge(BRIDGE, BRIDGE_MAC)?;
        there.set_master("outside", Some(BRIDGE))?;
        there.set_up("outside")?;
        there.set_up(BRIDGE)?;
        let mut here = Netlink::open(&self.outside)?;
        here.set_up("eth0")?;
        Ok(here.ensure_address("eth0", "2001:db8:ffff::1/64".parse()?)?)
    }

    fn target(&self) -> Result<Target, Failure> {
        let url = self.openrc("OS_AUTH_URL")?;
        let url = url.trim_end_matches("/identity/v3");
        Target::new(url, &self.path("etc/hextet/ca.pem"))
    }

    fn openrc(&self, name: &str) -> Result<String, Failure> {
        let text = fs::read_to_string(self.path("etc/hextet/openrc"))?;
        let start = format!("export {name}='");
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(&start)?.strip_suffix('\''));
        Ok(value
            .ok_or_else(|| format!("openrc lacks {name}"))?
            .to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.hextet);
        command.arg("--root").arg(&self.root).stdin(Stdio::null());
        command.process_group(0);
        command
    }

    async fn finish(&self, arguments: &[&str]) -> Result<(), Failure> {
        // A killed process may hold its lock a moment longer.
        for _ in 0..50 {
            let done = self.command().args(arguments).output().await?;
            let said = String::from_utf8_lossy(&done.stderr);
            match done.status.success() {
                true => return Ok(()),
                false if said.contains("another hextet runs") => {}
                false => return Err(format!("hextet {}: {said}", arguments.join(" ")).into()),
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err("hextet's lock stays taken".into())
    }
}

/// Waits until each service answers over TLS.
async fn all_answer(target: &Target) {
    while services(target).await.is_err() {
        sleep(Duration::from_millis(1)).await;
    }
}

async fn services(target: &Target) -> Result<(), Failure> {
    let mut client = target.connect().await?;
    for path in SERVICES {
        let (status, _) = client.ask(Method::GET, path, None).await?;
        if !status.is_success() && status != http::StatusCode::MULTIPLE_CHOICES {
            return Err(format!("GET {path}: {status}").into());
        }
    }
    Ok(())
}

/// `POST`s JSON, and returns what was made.
pub(crate) async fn post(client: &mut Client, path: &str, body: Value) -> Result<Value, Failure> {
    let asked = format!("POST {path} {body}");
    let (status, octets) = client.ask(Method::POST, path, Some(body.into())).await?;
    if !status.is_success() {
        let text = String::from_utf8_lossy(&octets);
        return Err(format!("{asked}: {status} {text}").into());
    }
    Ok(serde_json::from_slice(&octets)?)
}

/// `PUT`s octets.
pub(crate) async fn put(client: &mut Client, path: &str, octets: Vec<u8>) -> Result<(), Failure> {
    let content = Content {
        media_type: "application/octet-stream",
        octets: octets.into(),
    };
    match client.ask(Method::PUT, path, Some(content)).await? {
        (status, _) if status.is_success() => Ok(()),
        (status, said) => {
            Err(format!("PUT {path}: {status} {}", String::from_utf8_lossy(&said)).into())
        }
    }
}
