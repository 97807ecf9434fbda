//! Addresses on links.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{How, Netlink, Result, unless};

impl Netlink {
    /// The addresses of a link, each with the prefix length of its subnet.
    pub fn addresses(&mut self, link: &str) -> Result<Vec<IpNet>> {
        let index = self.index(link)?;
        let all = self.all_addresses()?;
        Ok(all
            .into_iter()
            .filter(|(i, _)| *i == index)
            .map(|(_, net)| net)
            .collect())
    }

    /// Every address of the namespace with its link's index.
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, IpNet)>> {
        let ask = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let messages = self.dump("listing addresses", ask)?;
        let mut found: Vec<_> = messages
            .into_iter()
            .filter_map(|m| match m {
                RouteNetlinkMessage::NewAddress(address) => parse(&address),
                _ => None,
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Gives a link an address without Duplicate Address Detection: it is ours by decree, and
    /// must answer from the first moment.
    pub fn ensure_address(&mut self, link: &str, address: IpNet) -> Result<()> {
        let mut message = addressed(self.index(link)?, address);
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
        let doing = format!("giving link {link} address {address}");
        self.change(
            doing,
            RouteNetlinkMessage::NewAddress(message),
            How::Replace,
        )
    }

    /// Takes an address away.
    pub fn remove_address(&mut self, link: &str, address: IpNet) -> Result<()> {
        let message = addressed(self.index(link)?, address);
        let doing = format!("taking address {address} from link {link}");
        let removed = self.change(doing, RouteNetlinkMessage::DelAddress(message), How::Alter);
        unless(removed, &[libc::EADDRNOTAVAIL])
    }
}

fn addressed(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = address.prefix_len();
    message.header.family = match address {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message
        .attributes
        .push(AddressAttribute::Local(address.addr()));
    if address.addr().is_ipv4() {
        message
            .attributes
            .push(AddressAttribute::Address(address.addr()));
    }
    message
}

fn parse(message: &AddressMessage) -> Option<(u32, IpNet)> {
    let mut local: Option<IpAddr> = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            // The kernel reports an IPv6 address here when it has no peer.
            AddressAttribute::Address(address) => local = local.or(Some(*address)),
            _ => {}
        }
    }
    let net = IpNet::new(local?, message.header.prefix_len).ok()?;
    Some((message.header.index, net))
}
