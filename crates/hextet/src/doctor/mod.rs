//! `hextet doctor`: what keeps a cloud from working, found before somebody meets it.
//!
//! This module looks; the crate `doctor` judges what was seen. A look that fails is told of and
//! never stops the others.

mod database;
mod disks;
mod dns;
mod fix;
mod kernel;
mod links;
mod names;
mod nodes;
mod openstack;
mod programs;
mod settings;
mod sockets;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use doctor::host::clock::Clock;
use doctor::host::nodes::Nodes;
use doctor::host::{Facts, certificates, findings, name};
use doctor::{Finding, render};

use crate::cli::Doctor;
use crate::config::{Config, Places, host_of, load};
use crate::edge::source;
use crate::{Failure, check};

use database::Database;
pub(crate) use openstack::openstack;
use settings::SettingsFile;

/// Looks at this host. The status is 0 when nothing was found, 1 when something was, 2 when not
/// everything could be looked at.
pub(crate) fn host(places: &Places, wish: &Doctor) -> ExitCode {
    match examine(places, wish) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hextet: {}", cloud::chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn examine(places: &Places, wish: &Doctor) -> Result<u8, Failure> {
    let mut look = look(places)?;
    let mut found = findings(&look.facts);
    if wish.fix {
        for finding in &found {
            fix::mend(&look.host, finding);
        }
        look = self::look(places)?;
        found = findings(&look.facts);
    }
    let text = match wish.json {
        true => render::json(&found) + "\n",
        false => render::text(&found),
    };
    print(&text)?;
    for line in &look.unseen {
        eprintln!("hextet: {}", doctor::shown(line));
    }
    tell(&found, wish.fix);
    Ok(status(found.len(), look.unseen.len()))
}

/// Says how many there are, and what of them is left to the operator.
fn tell(found: &[Finding], fixed: bool) {
    let safe = found.iter().filter(|f| f.edit.is_some()).count();
    match (counted(found.len()), fixed) {
        _ if found.is_empty() => {}
        (count, true) => eprintln!(
            "hextet: {count} left: to mend what is left is for you to decide, or could harm somebody"
        ),
        (count, false) if safe > 0 => {
            eprintln!("hextet: {count}; `hextet doctor --fix` mends {safe}");
        }
        (count, false) => eprintln!("hextet: {count}"),
    }
}

fn counted(findings: usize) -> String {
    match findings {
        1 => "1 finding".into(),
        many => format!("{many} findings"),
    }
}

/// Prints what is data. `| head` has what it wanted.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn status(found: usize, unseen: usize) -> u8 {
    match (unseen, found) {
        (1.., _) => 2,
        (0, 0) => 0,
        (0, _) => 1,
    }
}

/// Whom is looked at.
struct Host<'a> {
    places: &'a Places,
    config: Config,
    settings: SettingsFile,
    /// The node; none where nodes are made up.
    node: Option<node::NodeSettings>,
    /// The process of its `hextet up`.
    up: Option<i32>,
}

/// What was seen.
struct Look<'a> {
    host: Host<'a>,
    facts: Facts,
    /// What could not be looked at, and why.
    unseen: Vec<String>,
}

impl Look<'_> {
    /// What a look brought; nothing when it failed, which is told.
    fn seen<T: Default, E: Display>(&mut self, what: &str, seen: Result<T, E>) -> T {
        seen.unwrap_or_else(|e| {
            let root = match nix::unistd::geteuid().is_root() {
                true => "",
                false => " (run it as root)",
            };
            self.unseen
                .push(format!("{what} could not be looked at: {e}{root}"));
            T::default()
        })
    }
}

/// Looks at everything.
///
/// # Errors
/// When there are no settings, so that nothing says what should be.
fn look(places: &Places) -> Result<Look<'_>, Failure> {
    let mut look = begin(places)?;
    let mut database = database::look(&mut look);
    let now = SystemTime::now();
    let source = source(places, &look.host.config)?;
    look.facts.certificates = certificates::Seen {
        now,
        judged: net::Certificates::judge(&source, now),
        awaited: source.awaited.map(|pair| pair.certificate),
    };
    look.forgive_unreadable_keys();
    kernel::look(&mut look, &database);
    sockets::look(&mut look);
    dns::look(&mut look);
    links::look(&mut look, &mut database);
    programs::look(&mut look);
    disks::look(&mut look);
    clock(&mut look, &database)?;
    all_that_waits(&mut look, database)?;
    Ok(look)
}

/// The settings, and what follows from them.
fn begin(places: &Places) -> Result<Look<'_>, Failure> {
    let mut look = Look {
        host: Host {
            config: load(places)?,
            settings: SettingsFile::read(&places.config())?,
            places,
            node: None,
            up: None,
        },
        facts: Facts::default(),
        unseen: Vec::new(),
    };
    let up = check::holder(places);
    look.host.up = look.seen("whether `hextet up` runs", up);
    if look.host.config.node.fakes()?.is_none() {
        let settings = crate::up::node_settings(places, &look.host.config);
        look.host.node = look.seen("this node", settings.map(Some));
    }
    Ok(look)
}

fn clock(look: &mut Look<'_>, database: &Database) -> Result<(), Failure> {
    let synchronised = linux::clock::is_synchronised();
    look.facts.clock = Clock {
        adrift: look.seen("the clock", synchronised.map(|is| !is)),
        now_ms: now_ms()?,
        newest_ms: database.newest_ms,
    };
    Ok(())
}

/// What others have to answer, or a trial to end: all at once.
fn all_that_waits(look: &mut Look<'_>, database: Database) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (host, known) = (&look.host, database.nodes.len() as u64);
    let (named, kvm, connected) = runtime.block_on(async {
        tokio::join!(
            name(host),
            programs::without_kvm(host),
            nodes::connected(host, known)
        )
    });
    look.facts.name = look.seen("the name of this cloud", named);
    look.facts.programs.without_kvm = look.seen("KVM", kvm);
    look.facts.nodes = Nodes {
        connected: look.seen("nodes", connected),
        known: database.nodes,
        now_ms: now_ms()?,
    };
    Ok(())
}

/// Milliseconds since 1970.
fn now_ms() -> Result<i64, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

impl Look<'_> {
    /// What only root may read is not wrong because somebody else looks.
    fn forgive_unreadable_keys(&mut self) {
        let judged = std::mem::take(&mut self.facts.certificates.judged);
        for one in judged {
            match one {
                Err(net::TlsError::Unreadable { file, source })
                    if source.kind() == io::ErrorKind::PermissionDenied =>
                {
                    self.seen::<(), _>(&file.display().to_string(), Err(source));
                }
                one => self.facts.certificates.judged.push(one),
            }
        }
    }
}

/// What clients find that look the URL's host up; nothing where that is another machine.
async fn name(host: &Host<'_>) -> Result<Option<name::Name>, Failure> {
    if host.config.edge.url_elsewhere {
        return Ok(None);
    }
    let resolver = net::Resolver::new(host.config.dns.upstreams()?);
    let of = host_of(&host.config.url)?;
    let mut name = match crate::name::look(&resolver, &of).await {
        // A name that is not in the DNS has no address.
        Err(net::NameError::NoSuchName(_)) => name::Name {
            host: of,
            six: Vec::new(),
            four: Vec::new(),
            held: crate::name::held(),
            place: doctor::Place::default(),
        },
        looked => looked?,
    };
    name.place = host.settings.place(&["url"]);
    Ok(Some(name))
}
