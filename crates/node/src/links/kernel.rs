//! Observe and apply: the namespaces and links that the kernel has.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ipnet::IpNet;
use linux::netlink::{LinkKind, Netlink, VethEnd};
use linux::netns::Netns;
use linux::tc::Tbf;
use linux::{sysctl, tap};
use model::Mac;

use super::LinkSettings;
use super::layout::{Contents, Kind, Layout, Link, Place};
use super::limits::{self, Limits};
use super::names::{self, Space};
use super::plan::Step;
use super::proxied::Chosen;
use super::settings;
use crate::Wanted;
use crate::filter::chosen;

/// What was observed.
pub(super) struct Seen {
    /// Only what carries our mark.
    pub(super) layout: Layout,
    /// The node's own bridges with their MTUs.
    pub(super) bridges: BTreeMap<String, u32>,
}

/// The kernel, with a socket in each namespace that was visited.
pub(super) struct Kernel<'a> {
    settings: &'a LinkSettings,
    open: BTreeMap<Space, (Netns, Netlink)>,
}

impl<'a> Kernel<'a> {
    /// Nothing is opened yet.
    pub(super) fn new(settings: &'a LinkSettings) -> Kernel<'a> {
        Kernel {
            settings,
            open: BTreeMap::new(),
        }
    }

    /// Reads everything that is ours. A namespace that cannot be read counts as absent: making it
    /// again either succeeds or says why not.
    pub(super) fn observe(&mut self) -> io::Result<Seen> {
        let mut layout = Layout::default();
        for name in Netns::list(&names::prefix(&self.settings.short))? {
            let Some(space) = Space::parse(&self.settings.short, &name) else {
                continue;
            };
            match self.contents(space) {
                Ok(contents) => drop(layout.spaces.insert(space, contents)),
                Err(error) => tracing::warn!(%name, %error, "cannot read a namespace"),
            }
        }
        let mut base = self.contents(Space::Base)?;
        let bridges = base
            .links
            .iter()
            .filter(|(_, link)| link.kind == Kind::Bridge);
        let bridges = bridges
            .map(|(name, link)| (name.clone(), link.mtu))
            .collect();
        let ours = names::uplink_prefix(&self.settings.short);
        base.links
            .retain(|name, link| name.starts_with(&ours) && link.kind == Kind::Veth);
        base.links
            .values_mut()
            .for_each(|link| link.addresses.clear());
        base.routes.clear();
        base.proxies.clear();
        base.vlans.retain(|vlan| vlan.link.starts_with(&ours));
        base.prepared = true;
        layout.spaces.insert(Space::Base, base);
        Ok(Seen { layout, bridges })
    }

    /// The addresses that guests chose in networks whose routers answer for them. What cannot be read
    /// is none: the next pass reads again.
    pub(super) fn chosen(&mut self, wanted: &Wanted) -> Chosen {
        let routers = wanted.routers.values().filter(|router| router.nd_proxy);
        let inner = routers.flat_map(|router| &router.ports);
        let inner = inner.filter(|leg| !leg.external).map(|leg| leg.network);
        let networks: BTreeSet<_> = inner.collect();
        let mut read = |id| {
            let ns = self.netns(Space::Network(id)).ok()?;
            Some((id, chosen(ns).ok()?))
        };
        networks.into_iter().filter_map(&mut read).collect()
    }

    /// An open namespace.
    pub(super) fn netns(&mut self, space: Space) -> io::Result<&Netns> {
        Ok(&self.open(space)?.0)
    }

    /// Does one step.
    pub(super) fn apply(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::RemoveLink((space, name)) => self.open(*space)?.1.remove_link(name)?,
            Step::RemoveSpace(space) => self.remove(*space)?,
            Step::PrepareSpace(space) => self.prepare(*space)?,
            Step::MakeBridge((space, name), mac) => {
                self.open(*space)?.1.ensure_bridge(name, mac.0)?
            }
            Step::MakeTap((space, name)) => tap::ensure(&self.open(*space)?.0, name)?,
            Step::MakePair(a, b) => self.make_pair(a, b)?,
            Step::MakeIfb((space, _))
            | Step::SetRate((space, _), _)
            | Step::RemoveRate((space, _))
            | Step::Redirect((space, _), _)
            | Step::RemoveRedirect((space, _)) => limits::apply(&mut self.open(*space)?.1, step)?,
            Step::SetMac((space, name), mac) => self.open(*space)?.1.set_mac(name, mac.0)?,
            Step::SetMtu((space, name), mtu) => self.open(*space)?.1.set_mtu(name, *mtu)?,
            Step::SetAlias((space, name), alias) => self.open(*space)?.1.set_alias(name, alias)?,
            Step::SetMaster((space, name), bridge) => {
                self.open(*space)?.1.set_master(name, bridge.as_deref())?;
            }
            Step::RemoveAddress((space, name), net) => {
                self.open(*space)?.1.remove_address(name, *net)?;
            }
            Step::AddAddress((space, name), net) => {
                self.open(*space)?.1.ensure_address(name, *net)?;
            }
            Step::SetUp((space, name)) => self.set_up(*space, name)?,
            Step::SetDown((space, name)) => self.open(*space)?.1.set_down(name)?,
            Step::RemoveRoute(space, route) => self.open(*space)?.1.remove_route(route)?,
            Step::AddRoute(space, route) => self.open(*space)?.1.ensure_route(route)?,
            Step::RemoveProxy(space, proxy) => self.open(*space)?.1.remove_proxy(proxy)?,
            Step::AddProxy(space, proxy) => {
                let (ns, netlink) = self.open(*space)?;
                // Not by the link alone: then probes to one address would be passed on, and fail.
                sysctl::set(ns, "net/ipv6/conf/all/proxy_ndp", "1")?;
                let delay = format!("net/ipv6/neigh/{}/proxy_delay", proxy.link);
                sysctl::set(ns, &delay, "0")?;
                netlink.ensure_proxy(proxy)?;
            }
            Step::RemoveVlan(space, vlan) => self.open(*space)?.1.remove_vlan(vlan)?,
            Step::AddVlan(space, vlan) => self.open(*space)?.1.ensure_vlan(vlan)?,
            Step::Announce((space, name), mac, address) => {
                lan::announce(&self.open(*space)?.0, name, mac.0, *address)?;
            }
        }
        crash::point_of(|| format!("links: {}", step.name()));
        Ok(())
    }

    fn set_up(&mut self, space: Space, name: &str) -> io::Result<()> {
        let (ns, netlink) = self.open(space)?;
        if matches!(space, Space::Router(_)) {
            for family in ["ipv4", "ipv6"] {
                let knob = format!("net/{family}/neigh/{name}/retrans_time_ms");
                sysctl::set(ns, &knob, settings::LEG_RETRANS_MS)?;
            }
        }
        Ok(netlink.set_up(name)?)
    }

    fn contents(&mut self, space: Space) -> io::Result<Contents> {
        // VLANs are looked for only where some can be: most namespaces have none.
        let carrier = match space {
            Space::Network(_) => Some(names::SUBPORT.to_owned()),
            Space::Base => Some(names::carrier_prefix(&self.settings.short)),
            Space::Router(_) => None,
        };
        let (_, netlink) = self.open(space)?;
        let links = netlink.links()?;
        let mut addresses = BTreeMap::<u32, BTreeSet<IpNet>>::new();
        for (index, net) in netlink.all_addresses()? {
            addresses.entry(index).or_default().insert(net);
        }
        let routes = netlink.routes()?.into_iter().collect();
        let proxies = netlink.proxies()?.into_iter().collect();
        let prepared = links.iter().any(|l| l.name == "lo" && l.up);
        let carries = |l: &linux::netlink::Link| carrier.iter().any(|c| l.name.starts_with(c));
        let vlans = match links.iter().any(carries) {
            true => netlink.vlans()?.into_iter().collect(),
            false => BTreeSet::new(),
        };
        let mut limits = match space {
            Space::Network(_) => limits::observe(netlink),
            _ => Limits::new(),
        };
        let ours = links.into_iter().filter_map(|l| {
            let addresses = addresses.remove(&l.index).unwrap_or_default();
            let limits = limits.remove(&l.name).unwrap_or_default();
            Some((l.name.clone(), link(l, addresses, limits)?))
        });
        Ok(Contents {
            prepared,
            links: ours.collect(),
            routes,
            proxies,
            vlans,
        })
    }

    fn open(&mut self, space: Space) -> io::Result<&mut (Netns, Netlink)> {
        if !self.open.contains_key(&space) {
            let ns = match space.name(&self.settings.short) {
                Some(name) => Netns::open(&name)?,
                None => self.settings.base.clone(),
            };
            let netlink = Netlink::open(&ns)?;
            self.open.insert(space, (ns, netlink));
        }
        self.open
            .get_mut(&space)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn prepare(&mut self, space: Space) -> io::Result<()> {
        let Some(name) = space.name(&self.settings.short) else {
            return Ok(());
        };
        let ns = Netns::ensure(&name)?;
        sysctl::set_all(&ns, settings::COMMON)?;
        match space {
            Space::Network(_) => sysctl::set_all(&ns, settings::NETWORK)?,
            Space::Router(_) => sysctl::set_all(&ns, settings::ROUTER)?,
            Space::Base => {}
        }
        self.open(space)?.1.set_up("lo")?;
        Ok(())
    }

    fn remove(&mut self, space: Space) -> io::Result<()> {
        self.open.remove(&space);
        match space.name(&self.settings.short) {
            Some(name) => Netns::remove(&name),
            None => Ok(()),
        }
    }

    fn make_pair(&mut self, a: &Place, b: &Place) -> io::Result<()> {
        let (left, right) = (self.netns(a.0)?.clone(), self.netns(b.0)?.clone());
        let end = |ns, name| VethEnd {
            ns,
            name,
            mac: None,
        };
        Netlink::ensure_veth(end(&left, &a.1), end(&right, &b.1))?;
        // The node's own namespace has its own defaults, under which the link would take part in
        // the physical network.
        for (ns, (space, name)) in [(&left, a), (&right, b)] {
            if *space == Space::Base {
                sysctl::set(ns, &format!("net/ipv6/conf/{name}/disable_ipv6"), "1")?;
            }
        }
        Ok(())
    }
}

/// `None` for what we never make: the loopback, and the tunnels that some kernels put into each
/// new namespace.
fn link(
    seen: linux::netlink::Link,
    addresses: BTreeSet<IpNet>,
    (rate, redirect): (Option<Tbf>, Option<String>),
) -> Option<Link> {
    let kind = match seen.kind {
        LinkKind::Bridge => Kind::Bridge,
        LinkKind::Tap => Kind::Tap,
        LinkKind::Veth => Kind::Veth,
        LinkKind::Ifb => Kind::Ifb,
        LinkKind::Other => return None,
    };
    Some(Link {
        kind,
        mac: seen.mac.map(Mac),
        mtu: seen.mtu,
        up: seen.up,
        master: seen.master,
        alias: seen.alias,
        addresses,
        rate,
        redirect,
    })
}
