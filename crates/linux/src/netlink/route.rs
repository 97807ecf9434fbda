//! IPv6 routes of the main table that we made. Connected ones are the kernel's.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{How, Netlink, Result, unless};

/// A way to a destination; `::/0` is the default route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub destination: Ipv6Net,
    pub nexthop: Ipv6Addr,
    pub link: String,
}

impl Netlink {
    /// Our routes (protocol `static`), sorted.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = AddressFamily::Inet6;
        let messages = self.dump("listing routes", RouteNetlinkMessage::GetRoute(ask))?;
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
        let Route {
            destination,
            nexthop,
            link,
        } = route;
        let doing = format!("routing {destination} to {nexthop} on link {link}");
        self.change(doing, RouteNetlinkMessage::NewRoute(message), How::Replace)
    }

    /// Takes a route away.
    pub fn remove_route(&mut self, route: &Route) -> Result<()> {
        let message = self.message(route)?;
        let Route {
            destination,
            nexthop,
            link,
        } = route;
        let doing = format!("removing the route for {destination} to {nexthop} on link {link}");
        let removed = self.change(doing, RouteNetlinkMessage::DelRoute(message), How::Alter);
        unless(removed, &[libc::ESRCH])
    }

    fn message(&mut self, route: &Route) -> Result<RouteMessage> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        message.header.destination_prefix_length = route.destination.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Gateway(RouteAddress::Inet6(route.nexthop)),
            RouteAttribute::Oif(self.index(&route.link)?),
        ];
        // The kernel takes the default route only without a destination of zero bits.
        if route.destination.prefix_len() > 0 {
            let destination = RouteAddress::Inet6(route.destination.network());
            message
                .attributes
                .push(RouteAttribute::Destination(destination));
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
    let (mut destination, mut nexthop, mut link) = (Ipv6Addr::UNSPECIFIED, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet6(a)) => destination = *a,
            RouteAttribute::Gateway(RouteAddress::Inet6(a)) => nexthop = Some(*a),
            RouteAttribute::Oif(index) => link = name(*index),
            _ => {}
        }
    }
    let destination = Ipv6Net::new(destination, header.destination_prefix_length).ok()?;
    Some(Route {
        destination,
        nexthop: nexthop?,
        link: link?,
    })
}
