//! Routes of the main table that we made. Connected ones are the kernel's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{How, Netlink, Result, unless};

/// A way to a destination; `::/0` and `0.0.0.0/0` are the default routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub destination: IpNet,
    /// Of the destination's family; `None` when the destination is on the link itself.
    pub nexthop: Option<IpAddr>,
    pub link: String,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(nexthop) = self.nexthop {
            write!(f, " to {nexthop}")?;
        }
        write!(f, " on link {}", self.link)
    }
}

impl Netlink {
    /// Our routes (protocol `static`), sorted.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut messages = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut ask = RouteMessage::default();
            ask.header.address_family = family;
            messages.extend(self.dump("listing routes", RouteNetlinkMessage::GetRoute(ask))?);
        }
        let links = self.links()?;
        let name = |index| {
            links
                .iter()
                .find(|l| l.index == index)
                .map(|l| l.name.clone())
        };
        let mut found: Vec<_> = messages
            .into_iter()
            .filter_map(|m| match m {
                RouteNetlinkMessage::NewRoute(route) => parse(&route, name),
                _ => None,
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Adds a route, or replaces the one that leads to the same destination.
    pub fn ensure_route(&mut self, route: &Route) -> Result<()> {
        let message = self.message(route)?;
        let doing = format!("routing {route}");
        self.change(doing, RouteNetlinkMessage::NewRoute(message), How::Replace)
    }

    /// Takes a route away.
    pub fn remove_route(&mut self, route: &Route) -> Result<()> {
        let message = self.message(route)?;
        let doing = format!("removing the route for {route}");
        let removed = self.change(doing, RouteNetlinkMessage::DelRoute(message), How::Alter);
        unless(removed, &[libc::ESRCH])
    }

    fn message(&mut self, route: &Route) -> Result<RouteMessage> {
        let mut message = RouteMessage::default();
        message.header.address_family = match route.destination {
            IpNet::V4(_) => AddressFamily::Inet,
            IpNet::V6(_) => AddressFamily::Inet6,
        };
        message.header.destination_prefix_length = route.destination.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        // IPv6 has no scopes of routes: the kernel reports this one whatever was said.
        message.header.scope = match (route.destination, route.nexthop) {
            (IpNet::V4(_), None) => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(self.index(&route.link)?)];
        let attributes = &mut message.attributes;
        attributes.extend(route.nexthop.map(|a| RouteAttribute::Gateway(address(a))));
        // The kernel takes the default route only without a destination of zero bits.
        if route.destination.prefix_len() > 0 {
            let destination = address(route.destination.network());
            attributes.push(RouteAttribute::Destination(destination));
        }
        Ok(message)
    }
}

fn parse(message: &RouteMessage, name: impl Fn(u32) -> Option<String>) -> Option<Route> {
    let header = &message.header;
    let ours = header.table == RouteHeader::RT_TABLE_MAIN
        && header.protocol == RouteProtocol::Static
        && header.kind == RouteType::Unicast;
    if !ours {
        return None;
    }
    let (mut nexthop, mut link) = (None, None);
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(a) => destination = plain(a)?,
            RouteAttribute::Gateway(a) => nexthop = Some(plain(a)?),
            RouteAttribute::Oif(index) => link = name(*index),
            _ => {}
        }
    }
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    Some(Route {
        destination,
        nexthop,
        link: link?,
    })
}

fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn plain(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
