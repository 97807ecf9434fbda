//! The link: a namespace for servers, another for the client.

use std::io;
use std::time::Duration;

use ipnet::IpNet;
use linux::netlink::{Netlink, VethEnd};
use linux::netns::Netns;
use linux::sysctl;

/// The server's end, and the client's.
pub(crate) const SERVER: &str = "srv0";
pub(crate) const CLIENT: &str = "cli0";
pub(crate) const SERVER_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 1];
pub(crate) const CLIENT_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 2];
/// The prefix of the link; the server has its first address.
pub(crate) const PREFIX: &str = "2001:db8:1::/64";

/// Both namespaces; they go with it.
pub(crate) struct Site {
    pub(crate) server: Netns,
    pub(crate) client: Netns,
}

impl Site {
    pub(crate) fn new() -> io::Result<Site> {
        let name = |end: &str| format!("hxb{}{end}", std::process::id());
        let site = Site {
            server: Netns::ensure(&name("s"))?,
            client: Netns::ensure(&name("c"))?,
        };
        sysctl::set(&site.client, "net/ipv6/conf/default/accept_ra", "0")?;
        for ns in [&site.server, &site.client] {
            sysctl::set(ns, "net/ipv6/conf/default/accept_dad", "0")?;
        }
        // radvd looks at it; nothing is forwarded here.
        sysctl::set(&site.server, "net/ipv6/conf/all/forwarding", "1")?;
        Netlink::ensure_veth(
            VethEnd {
                ns: &site.server,
                name: SERVER,
                mac: Some(SERVER_MAC),
            },
            VethEnd {
                ns: &site.client,
                name: CLIENT,
                mac: Some(CLIENT_MAC),
            },
        )?;
        let mut here = Netlink::open(&site.server)?;
        here.set_up("lo")?;
        here.set_up(SERVER)?;
        Netlink::open(&site.client)?.set_up(CLIENT)?;
        let own = "2001:db8:1::1/64".parse().map_err(io::Error::other)?;
        here.ensure_address(SERVER, own)?;
        // An interface has its own address a moment after it is up.
        for (ns, link) in [(&site.server, SERVER), (&site.client, CLIENT)] {
            let mut netlink = Netlink::open(ns)?;
            let link_local =
                |net: &IpNet| matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
            while !netlink.addresses(link)?.iter().any(link_local) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(site)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for ns in [&self.server, &self.client] {
            let _ = Netns::remove(ns.name());
        }
    }
}
