//! Links: for each network a namespace with a bridge and its guests' taps, for each router one
//! with a leg in each of its networks; their filters; and what is heard on them.
//!
//! ```text
//!   node's own namespace   hxSHORT-n-NETWORK                       hxSHORT-r-ROUTER
//!   +------------------+   +----------------------------------+   +------------------+
//!   | operator's bridge|   | br  fe80::a9fe:a9fe              |   | forwards, sends  |
//!   |   hxSHORTpNETWORK+---+ uplink (provider networks only)  |   | Router Adverts   |
//!   +------------------+   | tPORT  tap, opened by QEMU       |   |                  |
//!                          | iPORT  where what it sends waits |   |                  |
//!                          | rPORT  router's port  -----------+---+ nPORT  its MAC   |
//!                          | sPORT  subport of a tap's VLAN   |   +------------------+
//!                          +---+------------------------------+
//!                              +-- tPORT in the subport's own network, in a tap's place
//! ```
//! One pass: [`layout`] draws what should be, [`kernel`] reads what is and does each step,
//! [`plan`] says which. Filters (`crate::filter`) are applied before a link joins its bridge.

mod bindings;
mod check;
pub mod delegated;
mod heard;
mod instance;
mod kernel;
pub mod layout;
mod leases;
mod limits;
mod marks;
pub mod names;
pub mod plan;
mod proxied;
pub(crate) mod settings;
mod voice;
mod zones;

pub(crate) use instance::instance;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use linux::netns::Netns;
use linux::tap;
use model::{Key, NetworkId, PortId};

use crate::filter::{Filters, Members, Scene};
use crate::{Metrics, Wanted};
use delegated::Nexthops;
use heard::Heard;
use kernel::{Kernel, Seen};
use layout::{Design, Layout};
use names::Space;
use plan::{Step, plan};

pub use check::check;

/// What the node's settings say of its links.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// The node's short id, four lower-case letters or digits: part of every kernel object's name.
    pub short: String,
    /// The node's own namespace, in which the bridges of physical networks are.
    pub base: Netns,
    /// The bridge in `base` for each physical network.
    pub physical: BTreeMap<String, String>,
    /// Where it is written what filters let pass: `DIR/run/hextet/filters`.
    pub filters: PathBuf,
}

/// Keeps links, filters and what is heard on them as wanted.
pub struct Links {
    settings: LinkSettings,
    heard: Heard,
    filters: Filters,
    marks: BTreeMap<PortId, u32>,
    /// `None` before the first pass.
    nexthops: Option<Nexthops>,
}

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Ports whose tap or router's leg, filters and advertisements are in place.
    pub up: BTreeSet<PortId>,
    /// Ports whose taps were taken away.
    pub removed: BTreeSet<PortId>,
    /// How many steps on namespaces and links were done: none when all was as wanted.
    pub steps: usize,
    /// The first thing that failed for each object.
    pub failures: Vec<(Key, String)>,
    /// Ports that are not limited as their QoS policies have it, and why. They work all the same.
    pub unlimited: Vec<(Key, String)>,
}

impl Links {
    /// Touches nothing yet.
    pub fn new(settings: LinkSettings, lan: lan::Lan) -> Links {
        Links {
            filters: Filters::new(settings.filters.clone()),
            settings,
            heard: Heard::new(lan),
            marks: BTreeMap::new(),
            nexthops: None,
        }
    }

    /// Makes everything as wanted. Blocks: to be called on a thread of its own.
    pub fn pass(&mut self, wanted: &Wanted) -> Report {
        self.look(wanted, |_| true)
    }

    /// As [`Links::pass`], but no link and no namespace goes: for a node that has not heard from its
    /// controller yet, and cannot tell what is not wanted from what it does not remember.
    pub fn pass_without_removal(&mut self, wanted: &Wanted) -> Report {
        self.look(wanted, |step| {
            !matches!(step, Step::RemoveLink(_) | Step::RemoveSpace(_))
        })
    }

    fn look(&mut self, wanted: &Wanted, allowed: fn(&Step) -> bool) -> Report {
        let mut report = Report::default();
        let settings = self.settings.clone();
        let mut kernel = Kernel::new(&settings);
        let Seen {
            layout: seen,
            bridges,
        } = match kernel.observe() {
            Ok(seen) => seen,
            // Steps can be repeated, but what is stale cannot be told from what is not.
            Err(e) => {
                let all = wanted.networks.keys().map(|id| Key::Network(*id));
                all.for_each(|key| report.fail(key, format!("reading the node's links: {e}")));
                return report;
            }
        };
        self.marks = marks::assign(wanted.ports.keys().copied(), &self.marks);
        let speech = heard::speech(wanted, &self.marks);
        self.heard.end(&speech);
        let before = self.nexthops.take();
        let before = before.unwrap_or_else(|| delegated::routed(wanted, &seen));
        let nexthops = delegated::heard(wanted, self.heard.lan(), &before);
        let mut design = layout::design(wanted, &settings, &bridges, &nexthops);
        proxied::add(&mut design.layout, wanted, &kernel.chosen(wanted));
        self.nexthops = Some(nexthops);
        design
            .failures
            .iter()
            .for_each(|(key, text)| report.fail(*key, text.clone()));
        self.make(&design, &seen, wanted, allowed, &mut kernel, &mut report);
        for (key, e) in self.heard.begin(&speech, &mut kernel) {
            report.fail(key, e);
        }
        // A tap that was of the wrong kind was made anew.
        report
            .removed
            .retain(|port| !wanted.ports.contains_key(port));
        report.up = up(wanted, &report);
        report
    }

    /// Takes everything away, as if nothing were wanted.
    pub fn remove_all(&mut self) -> Report {
        self.pass(&Wanted::default())
    }

    /// A handle that opens taps from any thread.
    pub fn taps(&self) -> Taps {
        Taps {
            short: self.settings.short.clone(),
        }
    }

    /// A handle that reads the counters of what is served and dropped here.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            lan: self.heard.lan().clone(),
            short: self.settings.short.clone(),
            foreign: Default::default(),
        }
    }

    /// The mark by which filters and services know a port, once a pass has seen it.
    pub fn mark(&self, port: PortId) -> Option<u32> {
        self.marks.get(&port).copied()
    }

    fn make(
        &mut self,
        design: &Design,
        seen: &Layout,
        wanted: &Wanted,
        allowed: fn(&Step) -> bool,
        kernel: &mut Kernel<'_>,
        report: &mut Report,
    ) {
        let steps = plan(&design.layout, seen).into_iter().filter(allowed);
        let (ground, links): (Vec<_>, Vec<_>) = steps.partition(Step::is_ground);
        for step in &ground {
            report.record(step, kernel.apply(step), design, seen);
        }
        let open = self.filter(wanted, design, kernel, report);
        self.translate(wanted, design, kernel, report);
        for step in &links {
            // Without filters a tap stays out of the bridge.
            let unfiltered = matches!(step.place(), (Space::Network(id), Some(place))
                if open.contains(&id) && place.1.starts_with('t'));
            if !unfiltered {
                report.record(step, kernel.apply(step), design, seen);
            }
        }
    }

    /// Applies every network's filters, and returns the networks that have none at all.
    fn filter(
        &mut self,
        wanted: &Wanted,
        design: &Design,
        kernel: &mut Kernel<'_>,
        report: &mut Report,
    ) -> BTreeSet<NetworkId> {
        let spaces = &design.layout.spaces;
        self.filters.retain(|space| spaces.contains_key(&space));
        let mut open = BTreeSet::new();
        let members = wanted.members();
        for (id, scene) in scenes(wanted, &members, design, &self.marks) {
            let ns = kernel.netns(Space::Network(id));
            let applied = ns.and_then(|ns| self.filters.apply(ns, &scene));
            if let Err(e) = applied {
                report.fail(Key::Network(id), e);
                if !self.filters.in_force(Space::Network(id)) {
                    open.insert(id);
                }
            }
        }
        open
    }

    /// Applies every router's address translation.
    fn translate(
        &mut self,
        wanted: &Wanted,
        design: &Design,
        kernel: &mut Kernel<'_>,
        report: &mut Report,
    ) {
        for router in wanted.routers.values() {
            let space = Space::Router(router.id);
            if design.layout.spaces.contains_key(&space) {
                let ns = kernel.netns(space);
                if let Err(e) = ns.and_then(|ns| self.filters.apply_router(ns, router)) {
                    report.fail(Key::Router(router.id), e);
                }
            }
        }
    }
}

/// Opens taps. Clones are the same.
#[derive(Clone, Debug)]
pub struct Taps {
    short: String,
}

impl Taps {
    /// Opens the tap of a port that is up, to be handed to QEMU.
    ///
    /// # Errors
    /// `NotFound` when the port has no tap here, `ResourceBusy` when a guest has it open.
    pub fn open(&self, network: NetworkId, port: PortId) -> io::Result<OwnedFd> {
        let name = Space::Network(network)
            .name(&self.short)
            .unwrap_or_default();
        tap::open(&Netns::open(&name)?, &names::tap(port))
    }
}

/// Removes everything on this host that carries a node's short id, whatever was wanted.
pub fn purge(short: &str, base: &Netns) -> io::Result<()> {
    let settings = LinkSettings {
        short: short.to_owned(),
        base: base.clone(),
        physical: BTreeMap::new(),
        filters: PathBuf::new(),
    };
    let mut kernel = Kernel::new(&settings);
    let seen = kernel.observe()?;
    let mut outcome = Ok(());
    for step in plan(&Design::default().layout, &seen.layout) {
        outcome = outcome.and(kernel.apply(&step));
    }
    // What could not even be read goes by its name.
    for name in Netns::list(&names::prefix(short))? {
        outcome = outcome.and(Netns::remove(&name));
    }
    outcome
}

impl Report {
    fn fail(&mut self, key: Key, what: impl Display) {
        // What follows a failure on the same object mostly follows from it.
        if self.failures.iter().all(|(k, _)| *k != key) {
            self.failures.push((key, what.to_string()));
        }
    }

    fn record(&mut self, step: &Step, done: io::Result<()>, design: &Design, seen: &Layout) {
        match done {
            Ok(()) => {
                self.steps += 1;
                if let Step::RemoveLink((space, name)) = step {
                    let link = seen.spaces.get(space).and_then(|c| c.links.get(name));
                    let alias = link.and_then(|l| l.alias.as_deref());
                    self.removed
                        .extend(alias.and_then(|a| a.parse::<PortId>().ok()));
                }
            }
            Err(e) => {
                let key = owner(step, design);
                if let Some(key) = key.filter(|_| step.is_of_limit()) {
                    // Who passes says it once.
                    return self.unlimited.push((key, e.to_string()));
                }
                if let Some(key) = key {
                    self.fail(key, &e);
                }
                tracing::warn!(?step, error = %e, "a link step failed");
            }
        }
    }
}

/// Whose step it is; nobody's when it is about the node's own namespace.
fn owner(step: &Step, design: &Design) -> Option<Key> {
    let (space, place) = step.place();
    match (place.and_then(|p| design.owners.get(p)), space) {
        (Some(key), _) => Some(*key),
        (None, Space::Network(id)) => Some(Key::Network(id)),
        (None, Space::Router(id)) => Some(Key::Router(id)),
        (None, Space::Base) => None,
    }
}

/// What each network's filters are made of.
fn scenes<'a>(
    wanted: &'a Wanted,
    members: &'a Members,
    design: &Design,
    marks: &BTreeMap<PortId, u32>,
) -> BTreeMap<NetworkId, Scene<'a>> {
    let mut scenes = BTreeMap::new();
    for network in wanted.networks.values() {
        if design
            .layout
            .spaces
            .contains_key(&Space::Network(network.id))
        {
            let (ports, legs) = Default::default();
            scenes.insert(
                network.id,
                Scene {
                    network,
                    ports,
                    legs,
                    groups: &wanted.groups,
                    members,
                },
            );
        }
    }
    for port in wanted.ports.values() {
        if let (Some(scene), Some(mark)) = (scenes.get_mut(&port.network), marks.get(&port.id)) {
            scene.ports.push((port, *mark));
        }
    }
    for leg in wanted.routers.values().flat_map(|r| &r.ports) {
        if let Some(scene) = scenes.get_mut(&leg.network) {
            scene.legs.push(leg);
        }
    }
    scenes
}

/// What is in place when nothing failed but what the report says. A leg of a router that is switched
/// off is on its network as before, as clients of neutron expect: tempest waits for it.
pub(crate) fn up(wanted: &Wanted, report: &Report) -> BTreeSet<PortId> {
    let failed = |key| report.failures.iter().any(|(k, _)| *k == key);
    let up = wanted.ports.values().filter(|port| {
        port.enabled
            && wanted.networks.contains_key(&port.network)
            && !failed(Key::Port(port.id))
            && !failed(Key::Network(port.network))
    });
    let routers = wanted.routers.values();
    let routers = routers.filter(|router| !failed(Key::Router(router.id)));
    let legs = routers.flat_map(|router| &router.ports);
    let legs = legs.filter(|leg| {
        wanted.networks.contains_key(&leg.network) && !failed(Key::Network(leg.network))
    });
    up.map(|port| port.id)
        .chain(legs.map(|leg| leg.id))
        .collect()
}
