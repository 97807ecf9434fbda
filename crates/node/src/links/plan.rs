//! The steps that turn what is into what should be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use linux::netlink::{Proxy, Route};
use linux::tc::{Tbf, Vlan};
use model::Mac;

use super::layout::{Contents, Kind, Layout, Link, Place};
use super::names::Space;

/// One thing to do. Each may be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    RemoveLink(Place),
    RemoveSpace(Space),
    /// Makes the namespace, sets its sysctls, and its loopback up last.
    PrepareSpace(Space),
    MakeBridge(Place, Mac),
    MakeTap(Place),
    MakePair(Place, Place),
    MakeIfb(Place),
    SetMac(Place, Mac),
    SetMtu(Place, u32),
    SetAlias(Place, String),
    SetMaster(Place, Option<String>),
    RemoveAddress(Place, IpNet),
    AddAddress(Place, IpNet),
    SetUp(Place),
    SetDown(Place),
    SetRate(Place, Tbf),
    RemoveRate(Place),
    /// Has all that a link receives go by another first.
    Redirect(Place, String),
    RemoveRedirect(Place),
    RemoveRoute(Space, Route),
    AddRoute(Space, Route),
    RemoveProxy(Space, Proxy),
    AddProxy(Space, Proxy),
    RemoveVlan(Space, Vlan),
    /// Leads a VLAN of a card to its subport.
    AddVlan(Space, Vlan),
    /// Tells a link that a router has an address now.
    Announce(Place, Mac, IpAddr),
}

impl Step {
    /// Whether it clears the ground for others: to be done before filters are applied.
    pub fn is_ground(&self) -> bool {
        matches!(
            self,
            Step::RemoveLink(_)
                | Step::RemoveSpace(_)
                | Step::PrepareSpace(_)
                | Step::RemoveVlan(..)
                | Step::RemoveRedirect(_)
        )
    }

    /// Whether it is about how fast a port sends or receives, and about nothing else of it.
    pub fn is_of_limit(&self) -> bool {
        let of_ifb = |place: &Place| place.1.starts_with('i');
        match self {
            Step::SetRate(..) | Step::RemoveRate(_) => true,
            Step::Redirect(..) | Step::RemoveRedirect(_) => true,
            step => step.place().1.is_some_and(of_ifb),
        }
    }

    /// What it does, without to what.
    pub(super) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }

    /// The namespace and, if it is about one, the link.
    pub fn place(&self) -> (Space, Option<&Place>) {
        match self {
            Step::RemoveSpace(s) | Step::PrepareSpace(s) => (*s, None),
            Step::RemoveRoute(s, _) | Step::AddRoute(s, _) => (*s, None),
            Step::RemoveProxy(s, _) | Step::AddProxy(s, _) => (*s, None),
            Step::RemoveVlan(s, _) | Step::AddVlan(s, _) => (*s, None),
            Step::RemoveLink(p)
            | Step::MakeBridge(p, _)
            | Step::MakeTap(p)
            | Step::MakeIfb(p)
            | Step::SetRate(p, _)
            | Step::RemoveRate(p)
            | Step::Redirect(p, _)
            | Step::RemoveRedirect(p)
            | Step::MakePair(p, _)
            | Step::SetMac(p, _)
            | Step::SetMtu(p, _)
            | Step::SetAlias(p, _)
            | Step::SetMaster(p, _)
            | Step::RemoveAddress(p, _)
            | Step::AddAddress(p, _)
            | Step::SetUp(p)
            | Step::SetDown(p)
            | Step::Announce(p, ..) => (p.0, Some(p)),
        }
    }
}

/// Removals first, so that a freed name can be used again; links before what lies on them.
pub fn plan(wanted: &Layout, seen: &Layout) -> Vec<Step> {
    let removed = stale(wanted, seen);
    let kept = |place: &Place| link(seen, place).filter(|_| !removed.contains(place));
    // What still went there would be lost.
    let freed = links(wanted).filter(|(place, link)| {
        link.redirect.is_none() && kept(place).is_some_and(|l| l.redirect.is_some())
    });
    let mut steps: Vec<_> = freed
        .map(|(place, _)| Step::RemoveRedirect(place))
        .collect();
    // Before the links: where one went without this, its VLAN would be lost instead of unknown.
    steps.extend(ended(wanted, seen, &removed));
    steps.extend(removed.iter().cloned().map(Step::RemoveLink));
    steps.extend(
        seen.spaces
            .keys()
            .filter(|s| !wanted.spaces.contains_key(s))
            .map(|s| Step::RemoveSpace(*s)),
    );
    for (space, _) in wanted
        .spaces
        .iter()
        .filter(|(_, contents)| contents.prepared)
    {
        if !seen
            .spaces
            .get(space)
            .is_some_and(|contents| contents.prepared)
        {
            steps.push(Step::PrepareSpace(*space));
        }
    }
    for (place, link) in links(wanted).filter(|(place, _)| kept(place).is_none()) {
        match link.kind {
            Kind::Bridge => {
                steps.extend(link.mac.map(|mac| Step::MakeBridge(place, mac)));
            }
            Kind::Tap => steps.push(Step::MakeTap(place)),
            Kind::Ifb => steps.push(Step::MakeIfb(place)),
            Kind::Veth => {}
        }
    }
    for (a, b) in &wanted.pairs {
        if kept(a).is_none() || kept(b).is_none() {
            steps.push(Step::MakePair(a.clone(), b.clone()));
        }
    }
    for (place, link) in links(wanted) {
        set(&mut steps, &place, link, kept(&place));
    }
    for (place, link) in links(wanted) {
        rate(&mut steps, &place, link, kept(&place));
    }
    for (place, link) in links(wanted) {
        let seen = kept(&place).and_then(|l| l.redirect.as_ref());
        let due = link.redirect.as_ref().filter(|to| seen != Some(*to));
        steps.extend(due.map(|to| Step::Redirect(place, to.clone())));
    }
    for (space, contents) in &wanted.spaces {
        let lives = |link: &str| !removed.contains(&(*space, link.to_owned()));
        let seen = seen.spaces.get(space);
        routes(&mut steps, *space, contents, seen, lives);
        proxies(&mut steps, *space, contents, seen, lives);
        let there = |vlan: &&Vlan| {
            let links = [Some(&vlan.link), vlan.untagged.as_ref()];
            let lives = links.into_iter().flatten().all(|link| lives(link));
            lives && seen.is_some_and(|s| s.vlans.contains(*vlan))
        };
        let due = contents.vlans.iter().filter(|vlan| !there(vlan));
        steps.extend(due.map(|vlan| Step::AddVlan(*space, vlan.clone())));
    }
    for (place, link) in links(wanted) {
        announce(&mut steps, &place, link, kept(&place));
    }
    steps
}

/// Links that should not be, that are of another kind, and veth ends that stand alone.
fn stale(wanted: &Layout, seen: &Layout) -> Vec<Place> {
    let halves = |place: &Place| {
        let pair = wanted.pairs.iter().find(|(a, b)| a == place || b == place);
        pair.is_some_and(|(a, b)| link(seen, a).is_none() || link(seen, b).is_none())
    };
    let misfit = |(place, found): &(Place, &Link)| {
        link(wanted, place).is_none_or(|l| l.kind != found.kind) || halves(place)
    };
    links(seen).filter(misfit).map(|(place, _)| place).collect()
}

fn set(steps: &mut Vec<Step>, place: &Place, link: &Link, seen: Option<&Link>) {
    let place = || place.clone();
    if let Some(mac) = link.mac
        && seen.is_none_or(|s| s.mac != Some(mac))
    {
        steps.push(Step::SetMac(place(), mac));
    }
    if seen.is_none_or(|s| s.mtu != link.mtu) {
        steps.push(Step::SetMtu(place(), link.mtu));
    }
    if let Some(alias) = &link.alias
        && seen.is_none_or(|s| s.alias.as_ref() != Some(alias))
    {
        steps.push(Step::SetAlias(place(), alias.clone()));
    }
    let master = seen.map_or(&None, |s| &s.master);
    if *master != link.master {
        steps.push(Step::SetMaster(place(), link.master.clone()));
    }
    for address in seen
        .iter()
        .flat_map(|s| s.addresses.difference(&link.addresses))
    {
        steps.push(Step::RemoveAddress(place(), *address));
    }
    for address in &link.addresses {
        if seen.is_none_or(|s| !s.addresses.contains(address)) {
            steps.push(Step::AddAddress(place(), *address));
        }
    }
    match (link.up, seen.is_some_and(|s| s.up)) {
        (true, false) => steps.push(Step::SetUp(place())),
        (false, true) => steps.push(Step::SetDown(place())),
        _ => {}
    }
}

fn rate(steps: &mut Vec<Step>, place: &Place, link: &Link, seen: Option<&Link>) {
    let seen = seen.and_then(|l| l.rate.as_ref());
    match (&link.rate, seen) {
        (Some(wanted), Some(seen)) if wanted.is(seen) => {}
        (Some(wanted), _) => steps.push(Step::SetRate(place.clone(), *wanted)),
        (None, Some(_)) => steps.push(Step::RemoveRate(place.clone())),
        (None, None) => {}
    }
}

/// A route whose link was removed does not live: it went with it.
fn routes(
    steps: &mut Vec<Step>,
    space: Space,
    wanted: &Contents,
    seen: Option<&Contents>,
    lives: impl Fn(&str) -> bool,
) {
    let seen = seen.iter().flat_map(|s| &s.routes);
    let seen: BTreeSet<&Route> = seen.filter(|route| lives(&route.link)).collect();
    let gone = seen.iter().filter(|route| !wanted.routes.contains(**route));
    steps.extend(gone.map(|route| Step::RemoveRoute(space, (*route).clone())));
    let due = wanted.routes.iter().filter(|route| !seen.contains(*route));
    steps.extend(due.map(|r| Step::AddRoute(space, r.clone())));
}

/// As routes, proxies go with their links.
fn proxies(
    steps: &mut Vec<Step>,
    space: Space,
    wanted: &Contents,
    seen: Option<&Contents>,
    lives: impl Fn(&str) -> bool,
) {
    let seen = seen.iter().flat_map(|s| &s.proxies);
    let seen: BTreeSet<&Proxy> = seen.filter(|proxy| lives(&proxy.link)).collect();
    let gone = seen
        .iter()
        .filter(|proxy| !wanted.proxies.contains(**proxy));
    steps.extend(gone.map(|proxy| Step::RemoveProxy(space, (*proxy).clone())));
    let due = wanted.proxies.iter().filter(|proxy| !seen.contains(*proxy));
    steps.extend(due.map(|proxy| Step::AddProxy(space, proxy.clone())));
}

/// VLANs that should not be. Those of a card that goes, go with it.
fn ended(wanted: &Layout, seen: &Layout, removed: &[Place]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (space, contents) in &seen.spaces {
        let wanted = wanted.spaces.get(space);
        let ends = |vlan: &&Vlan| {
            let place = (*space, vlan.link.clone());
            let led = |w: &Contents| {
                w.vlans
                    .iter()
                    .any(|v| (&v.link, v.id) == (&vlan.link, vlan.id))
            };
            !removed.contains(&place) && wanted.is_some_and(|w| !led(w))
        };
        let ended = contents.vlans.iter().filter(ends).cloned();
        steps.extend(ended.map(|vlan| Step::RemoveVlan(*space, vlan)));
    }
    steps
}

/// A neighbour that knew an address elsewhere would go on sending there. The kernel says it by
/// itself of IPv6 (`ndisc_notify`), but not of an address that comes to a link which is up.
fn announce(steps: &mut Vec<Step>, place: &Place, link: &Link, seen: Option<&Link>) {
    let (Space::Router(_), true, Some(mac)) = (place.0, link.up, link.mac) else {
        return;
    };
    let before = seen.filter(|s| s.up && s.mac == link.mac);
    for address in &link.addresses {
        if before.is_none_or(|s| !s.addresses.contains(address)) {
            steps.push(Step::Announce(place.clone(), mac, address.addr()));
        }
    }
}

fn links(layout: &Layout) -> impl Iterator<Item = (Place, &Link)> {
    layout.spaces.iter().flat_map(|(space, contents)| {
        contents
            .links
            .iter()
            .map(|(name, link)| ((*space, name.clone()), link))
    })
}

fn link<'a>(layout: &'a Layout, (space, name): &Place) -> Option<&'a Link> {
    layout.spaces.get(space)?.links.get(name)
}
