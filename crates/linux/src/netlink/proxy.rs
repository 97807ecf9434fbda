//! Neighbours that a link answers for (proxying Neighbour Discovery; RFC 4861, section 7.2.8).

use std::fmt;
use std::net::Ipv6Addr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{How, Netlink, Result, unless};

/// An address that is elsewhere, and the link on which solicitations for it are answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    pub address: Ipv6Addr,
    pub link: String,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on link {}", self.address, self.link)
    }
}

impl Netlink {
    /// The namespace's proxied addresses of IPv6, sorted.
    pub fn proxies(&mut self) -> Result<Vec<Proxy>> {
        let mut ask = NeighbourMessage::default();
        ask.header.family = AddressFamily::Inet6;
        ask.header.flags = NeighbourFlags::Proxy;
        let ask = RouteNetlinkMessage::GetNeighbour(ask);
        let messages = self.dump("listing proxied neighbours", ask)?;
        let links = self.links()?;
        let proxied = messages.into_iter().filter_map(|message| {
            let RouteNetlinkMessage::NewNeighbour(neighbour) = message else {
                return None;
            };
            let mut there = links.iter();
            let link = there.find(|link| link.index == neighbour.header.ifindex)?;
            Some(Proxy {
                address: neighbour.attributes.iter().find_map(address)?,
                link: link.name.clone(),
            })
        });
        let mut found: Vec<_> = proxied.collect();
        found.sort();
        Ok(found)
    }

    /// Lets a link answer for an address, where the namespace's `proxy_ndp` is 1.
    pub fn ensure_proxy(&mut self, proxy: &Proxy) -> Result<()> {
        let message = RouteNetlinkMessage::NewNeighbour(self.proxied(proxy)?);
        self.change(format!("proxying {proxy}"), message, How::Replace)
    }

    /// Ends it.
    pub fn remove_proxy(&mut self, proxy: &Proxy) -> Result<()> {
        let message = RouteNetlinkMessage::DelNeighbour(self.proxied(proxy)?);
        let doing = format!("no longer proxying {proxy}");
        let removed = self.change(doing, message, How::Alter);
        unless(removed, &[libc::ENOENT])
    }

    fn proxied(&mut self, proxy: &Proxy) -> Result<NeighbourMessage> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.ifindex = self.index(&proxy.link)?;
        message.header.flags = NeighbourFlags::Proxy;
        let address = NeighbourAddress::Inet6(proxy.address);
        message.attributes = vec![NeighbourAttribute::Destination(address)];
        Ok(message)
    }
}

fn address(attribute: &NeighbourAttribute) -> Option<Ipv6Addr> {
    match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(*address),
        _ => None,
    }
}
