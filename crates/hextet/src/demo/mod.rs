//! `hextet demo`: a whole cloud on this machine, used as its users would, and gone afterwards.
//!
//! The story is told once, in [`tell`]; everything it needs is made in a directory and in network
//! namespaces of its own ([`place`]), so that demos run side by side. However it ends, [`tidy`]
//! takes everything away by looking at what is there, never by remembering what was made.

mod client;
mod cloud;
mod follow;
mod needs;
mod openstack;
pub(crate) mod place;
pub(crate) mod processes;
mod reach;
mod say;
mod server;
mod sockets;
mod table;
mod tidy;
mod volume;

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::try_join_all;
use linux::netns::Netns;
use linux::process::{ProcessId, alive};
use node::Depth;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Demo;
use crate::{Failure, check};
use client::{Account, Target};
use follow::Followed;
use needs::Tools;
use openstack::OpenStack;
use place::Place;
use say::Say;
use server::Hextet;
use sockets::{Suspects, Watch};
use volume::Door;

/// How many lines of hextet's log are shown when something fails.
const LOG_LINES: usize = 15;

type Servers = BTreeMap<String, Followed>;

/// Shows the whole of it.
///
/// # Errors
/// What is missing on this machine, or the first step that failed.
pub(crate) fn demo(wish: &Demo) -> Result<(), Failure> {
    let tools = needs::check(wish)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(wish, &tools))
}

async fn run(wish: &Demo, tools: &Tools) -> Result<(), Failure> {
    // Before anything is made: from here on a signal ends the story, never the program.
    let stop = stop_signal()?;
    let say = Say::new();
    for left in Place::left() {
        clear_left(&say, left).await;
    }
    let mut place = Place::make()?;
    let story = Story {
        place: &place,
        tools,
        say: &say,
    };
    let told = tokio::select! {
        told = story.tell() => told.map_err(|e| with_log(&place, &e)),
        signal = stop => Err(format!("stopped by {signal}").into()),
    };
    match told {
        Ok(servers) if wish.keep => {
            place.keep()?;
            table::print_use(&place, tools, &servers)
        }
        told => ended(told.map(drop), clear(&say, place).await),
    }
}

/// What the telling of it needs.
#[derive(Clone, Copy)]
struct Story<'a> {
    place: &'a Place,
    tools: &'a Tools,
    say: &'a Say,
}

impl Story<'_> {
    /// From an empty directory to servers that outlived their cloud, with a witness looking on.
    async fn tell(self) -> Result<Servers, Failure> {
        let root = self.place.root().display();
        let stage = self.say.stage(format!("a cloud below {root}"));
        let outside = self.place.lay_links(&cloud::gateways())?;
        server::init(self.place).await?;
        let places = self.place.places()?;
        let suspects = Suspects {
            root: self.place.root().to_owned(),
            namespaces: tidy::prefixes(self.place, &places),
            networks: tidy::networks_prefix(&places)?,
        };
        let (watch, alarm) = Watch::start(suspects)?;
        stage.done_as(&format!("hextet init: a cloud below {root}, a network namespace for its node, one for the outside"));
        let acted = tokio::select! {
            acted = self.act(&outside) => Some(acted),
            _ = alarm => None,
        };
        let count = watch.end()?;
        let servers = acted.ok_or("the witness of sockets fell silent")??;
        self.say.note(&count.to_string());
        table::print(&servers)?;
        Ok(servers)
    }

    async fn act(self, outside: &Netns) -> Result<Servers, Failure> {
        let hextet = self.start("hextet up").await?;
        let openstack = OpenStack {
            tools: self.tools,
            place: self.place,
            say: self.say,
        };
        let router = cloud::prepare(openstack).await?;
        self.place.route(cloud::private(), router)?;
        self.say.note(&format!(
            "          outside: {} is reached by {router}, the router",
            cloud::private()
        ));
        let stage = self
            .say
            .stage("three servers: ACTIVE, and answering ping from the outside");
        let mut client = self.client(&hextet).await?;
        let followed = follow::follow(&mut client, outside, cloud::SERVERS.len());
        let (servers, ()) = tokio::try_join!(followed, cloud::servers(openstack))?;
        stage.done();
        let stage = self.say.stage("SSH to each: it knows its name");
        self.log_in_to(outside, &servers).await?;
        stage.done();
        let floating = self.float(openstack, outside).await?;
        let key = self.place.file(cloud::KEY);
        let door = |name: &str| Door {
            outside,
            address: servers[name].address.into(),
            key: &key,
        };
        let [first, second, _] = cloud::SERVERS;
        let data = volume::write(openstack, &mut client, first, door(first)).await?;
        let hextet = self.restart(hextet, outside, &servers).await?;
        let stage = self.say.stage("the floating IP answers as before");
        reach::ping(outside, floating).await?;
        stage.done();
        let mut client = self.client(&hextet).await?;
        let (from, to) = ((first, second), door(second));
        volume::read_elsewhere(openstack, &mut client, &data, from, to).await?;
        self.say.note(&format!(
            "          {second} reads what {first} wrote before hextet was killed"
        ));
        self.judge().await?;
        Ok(servers)
    }

    /// Database, kernel and disk must agree when all is done.
    async fn judge(self) -> Result<(), Failure> {
        let stage = self.say.stage("hextet manage check --deep");
        let places = self.place.places()?;
        let found = off_thread(move || check::check(&places, Depth::Deep)).await?;
        if let Some(first) = found.first() {
            let count = found.len();
            return Err(format!("the checker found {count} things, first: {}", first.what).into());
        }
        stage.done_as("hextet manage check --deep: database, kernel and disk agree");
        Ok(())
    }

    /// Reaches a server by IPv4: its address is a DHCP lease, and the outside knows another.
    async fn float(self, openstack: OpenStack<'_>, outside: &Netns) -> Result<IpAddr, Failure> {
        let name = cloud::SERVERS[0];
        let address = cloud::floating_ip(openstack, name).await?.into();
        let doing = format!("{name} over IPv4, by its floating IP {address}: ping and SSH");
        let stage = self.say.stage(doing);
        reach::ping(outside, address).await?;
        reach::ssh(outside, address, &self.place.file(cloud::KEY), name).await?;
        stage.done();
        Ok(address)
    }

    /// Kills hextet and starts it again: the guests must not notice.
    async fn restart(
        self,
        hextet: Hextet,
        outside: &Netns,
        servers: &Servers,
    ) -> Result<Hextet, Failure> {
        let before = qemus(servers)?;
        hextet.kill().await?;
        let hextet = self.start("kill -9 hextet; hextet up").await?;
        let stage = self
            .say
            .stage("the same QEMU processes, answering ping and SSH as before");
        let pings = servers
            .values()
            .map(|s| reach::ping(outside, s.address.into()));
        try_join_all(pings).await?;
        self.log_in_to(outside, servers).await?;
        self.still_active(&hextet, servers).await?;
        if let Some(gone) = before.iter().find(|id| !alive(**id)) {
            return Err(format!("QEMU {} ended when hextet was started again", gone.pid).into());
        }
        if qemus(servers)? != before {
            return Err("a server has another QEMU since hextet was started again".into());
        }
        let pids: Vec<String> = before.iter().map(|id| id.pid.to_string()).collect();
        stage.done_as(&format!(
            "the same QEMU processes ({}), answering ping and SSH as before",
            pids.join(", ")
        ));
        Ok(hextet)
    }

    async fn start(self, doing: &str) -> Result<Hextet, Failure> {
        let stage = self.say.stage(doing);
        let hextet = Hextet::start(self.place).await?;
        stage.done_as(&format!("{doing}: ready {}", hextet.url));
        Ok(hextet)
    }

    async fn client(self, hextet: &Hextet) -> Result<client::Client, Failure> {
        let places = self.place.places()?;
        let openrc = std::fs::read_to_string(places.etc.join("openrc"))?;
        let value = |name: &str| {
            let line = openrc.lines().find_map(|l| {
                l.strip_prefix("export ")?
                    .strip_prefix(name)?
                    .strip_prefix('=')
            });
            line.map(|quoted| quoted.trim_matches('\'').to_owned())
                .unwrap_or_default()
        };
        let account = Account {
            user: value("OS_USERNAME"),
            password: value("OS_PASSWORD"),
            project: value("OS_PROJECT_NAME"),
        };
        let mut client = Target::new(&hextet.url, &places.ca())?.connect().await?;
        client.log_in(&account).await?;
        Ok(client)
    }

    async fn log_in_to(self, outside: &Netns, servers: &Servers) -> Result<(), Failure> {
        let key = self.place.file(cloud::KEY);
        let each = servers
            .iter()
            .map(|(name, s)| reach::ssh(outside, s.address.into(), &key, name));
        try_join_all(each).await.map(drop)
    }

    async fn still_active(self, hextet: &Hextet, servers: &Servers) -> Result<(), Failure> {
        let mut client = self.client(hextet).await?;
        for (name, server) in servers {
            let path = format!("/compute/v2.1/servers/{}", server.id);
            let status = &client.get(&path).await?["server"]["status"];
            if status != "ACTIVE" {
                return Err(
                    format!("server {name} is {status} since hextet was started again").into(),
                );
            }
        }
        Ok(())
    }
}

fn qemus(servers: &Servers) -> Result<Vec<ProcessId>, Failure> {
    let find = |(name, server): (&String, &Followed)| {
        let found = processes::qemu_of(&server.id);
        found.ok_or_else(|| format!("no QEMU runs server {name}").into())
    };
    servers.iter().map(find).collect()
}

/// What another demo left must not keep this one from running.
async fn clear_left(say: &Say, left: Place) {
    let root = left.root().display().to_string();
    let stage = say.stage(format!("removing {root}, left by a demo that was killed"));
    match off_thread(move || tidy::remove(&left)).await {
        Ok(_) => stage.done(),
        Err(e) => say.note(&format!(
            "{root} was left by a demo that was killed, and stays: {e}"
        )),
    }
}

async fn clear(say: &Say, place: Place) -> Result<(), Failure> {
    let stage = say.stage("removing everything");
    let root = place.root().to_owned();
    let removed = off_thread(move || tidy::remove(&place)).await?;
    stage.done_as(&format!(
        "gone: hextet, {} QEMU processes with their cgroups, {} network namespaces with their links and filters, {}",
        removed.guests, removed.namespaces, root.display()
    ));
    Ok(())
}

/// One outcome of two: the story's, and the clearing's behind it.
fn ended(told: Result<(), Failure>, cleared: Result<(), Failure>) -> Result<(), Failure> {
    match (told, cleared) {
        (Err(told), Err(cleared)) => Err(format!("{told}\nand then: {cleared}").into()),
        (told, cleared) => told.and(cleared),
    }
}

/// A failure with the end of hextet's log, which is about to be removed.
fn with_log(place: &Place, error: &Failure) -> Failure {
    let error = ::cloud::chain(error.as_ref());
    let log = std::fs::read_to_string(place.log()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
    match tail.is_empty() {
        true => error.into(),
        false => format!(
            "{error}\nthe last lines of hextet's log:\n{}",
            tail.join("\n")
        )
        .into(),
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?
}

/// Waits for the first signal that asks to end, and names it.
fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
            _ = hangup.recv() => "the end of its terminal",
        }
    })
}
