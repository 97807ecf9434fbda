//! Links: bridges, veth pairs, taps, intermediate functional blocks.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::{How, Netlink, Result, unless};
use crate::netns::Netns;

/// A network device as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub kind: LinkKind,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// Administratively up, whatever the carrier.
    pub up: bool,
    /// The bridge it is a port of.
    pub master: Option<String>,
    /// A text that its maker left on it.
    pub alias: Option<String>,
}

/// What a link is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    Bridge,
    Veth,
    Tap,
    Ifb,
    Other,
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    pub ns: &'a Netns,
    pub name: &'a str,
    pub mac: Option<[u8; 6]>,
}

impl Netlink {
    /// All links of the namespace, by name.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let ask = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let messages: Vec<_> = self
            .dump("listing links", ask)?
            .into_iter()
            .filter_map(|m| match m {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })
            .collect();
        let name_of = |index: u32| {
            messages
                .iter()
                .find(|m| m.header.index == index)
                .map(|m| parse(m).0.name)
        };
        let mut links: Vec<_> = messages.iter().map(parse).collect();
        for (link, master) in &mut links {
            link.master = master.and_then(name_of);
        }
        let mut links: Vec<_> = links.into_iter().map(|(link, _)| link).collect();
        links.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(links)
    }

    /// A link by its name.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let Some((mut link, master)) = self.get(name, named(name))? else {
            return Ok(None);
        };
        if let Some(index) = master {
            let mut message = LinkMessage::default();
            message.header.index = index;
            link.master = self
                .get("the bridge of a link", message)?
                .map(|(bridge, _)| bridge.name);
        }
        Ok(Some(link))
    }

    /// A bridge that forwards everything at once: no spanning tree, and no snooping, which would
    /// lose Neighbour Discovery for as long as no querier is heard. VLAN filtering is off in a new
    /// bridge; a kernel built without it refuses even to be told so.
    pub fn ensure_bridge(&mut self, name: &str, mac: [u8; 6]) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(vec![
                    InfoBridge::StpState(0),
                    InfoBridge::MulticastSnooping(0),
                ])),
            ]),
        ];
        let doing = format!("making bridge {name}");
        let made = self.change(doing, RouteNetlinkMessage::NewLink(message), How::Create);
        unless(made, &[libc::EEXIST])?;
        self.set_mac(name, mac)
    }

    /// An intermediate functional block: what is redirected to it waits in its queueing discipline, and
    /// then goes on as if it had just come by the link that it came by.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from a kernel that has none.
    pub fn ensure_ifb(&mut self, name: &str) -> Result<()> {
        let mut message = named(name);
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]));
        let doing = format!("making intermediate functional block {name}");
        let made = self.change(doing, RouteNetlinkMessage::NewLink(message), How::Create);
        unless(made, &[libc::EEXIST])
    }

    /// A veth pair. An end that stands alone under a name of the pair is taken away first.
    pub fn ensure_veth(a: VethEnd<'_>, b: VethEnd<'_>) -> Result<()> {
        let mut here = Netlink::open(a.ns)?;
        let mut there = Netlink::open(b.ns)?;
        match (here.link(a.name)?, there.link(b.name)?) {
            (Some(_), Some(_)) => return Ok(()),
            (Some(_), None) => here.remove_link(a.name)?,
            (None, Some(_)) => there.remove_link(b.name)?,
            (None, None) => {}
        }
        let mut peer = end(&b);
        peer.attributes
            .push(LinkAttribute::NetNsFd(b.ns.as_fd().as_raw_fd()));
        let mut message = end(&a);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        let doing = format!("making veth pair {} and {}", a.name, b.name);
        here.change(doing, RouteNetlinkMessage::NewLink(message), How::Create)
    }

    /// Takes a link away; of a veth pair, the other end goes too.
    pub fn remove_link(&mut self, name: &str) -> Result<()> {
        let ask = RouteNetlinkMessage::DelLink(named(name));
        let removed = self.change(format!("removing link {name}"), ask, How::Alter);
        unless(removed, &[libc::ENODEV])
    }

    /// Makes a link a port of a bridge, or frees it.
    pub fn set_master(&mut self, name: &str, bridge: Option<&str>) -> Result<()> {
        let index = match bridge {
            Some(bridge) => self.index(bridge)?,
            None => 0,
        };
        let doing = match bridge {
            Some(bridge) => format!("putting link {name} into bridge {bridge}"),
            None => format!("taking link {name} out of its bridge"),
        };
        self.set(name, doing, LinkAttribute::Controller(index))
    }

    /// Sets the octets of an IP packet that fit a frame.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<()> {
        self.set(
            name,
            format!("setting link {name}'s MTU to {mtu}"),
            LinkAttribute::Mtu(mtu),
        )
    }

    /// Sets the Ethernet address.
    pub fn set_mac(&mut self, name: &str, mac: [u8; 6]) -> Result<()> {
        let doing = format!("setting link {name}'s Ethernet address");
        self.set(name, doing, LinkAttribute::Address(mac.to_vec()))
    }

    /// Leaves a text on the link.
    pub fn set_alias(&mut self, name: &str, alias: &str) -> Result<()> {
        let doing = format!("naming link {name} {alias}");
        self.set(name, doing, LinkAttribute::IfAlias(alias.to_owned()))
    }

    /// Administrative state up.
    pub fn set_up(&mut self, name: &str) -> Result<()> {
        self.set_flags(name, format!("setting link {name} up"), LinkFlags::Up)
    }

    /// Administrative state down.
    pub fn set_down(&mut self, name: &str) -> Result<()> {
        self.set_flags(
            name,
            format!("setting link {name} down"),
            LinkFlags::empty(),
        )
    }

    /// Whether a bridge's port may speak to other isolated ports of it.
    pub fn set_isolated(&mut self, name: &str, isolated: bool) -> Result<()> {
        let port = vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(
                isolated,
            )])),
        ];
        let doing = format!("setting bridge port {name}'s isolation");
        self.set(name, doing, LinkAttribute::LinkInfo(port))
    }

    /// The index of a link that must be there.
    pub(crate) fn index(&mut self, name: &str) -> Result<u32> {
        match self.get(name, named(name))? {
            Some((link, _)) => Ok(link.index),
            None => {
                let gone = std::io::Error::from_raw_os_error(libc::ENODEV);
                Err(self.failed(format!("looking for link {name}"), gone))
            }
        }
    }

    fn get(&mut self, name: &str, ask: LinkMessage) -> Result<Option<(Link, Option<u32>)>> {
        match self.exchange(RouteNetlinkMessage::GetLink(ask), NLM_F_REQUEST | NLM_F_ACK) {
            Ok(found) => Ok(found.iter().find_map(|m| match m {
                RouteNetlinkMessage::NewLink(link) => Some(parse(link)),
                _ => None,
            })),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(self.failed(format!("looking for link {name}"), e)),
        }
    }

    fn set(&mut self, name: &str, doing: String, attribute: LinkAttribute) -> Result<()> {
        let mut message = named(name);
        message.attributes.push(attribute);
        self.change(doing, RouteNetlinkMessage::NewLink(message), How::Alter)
    }

    fn set_flags(&mut self, name: &str, doing: String, flags: LinkFlags) -> Result<()> {
        let mut message = named(name);
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        self.change(doing, RouteNetlinkMessage::NewLink(message), How::Alter)
    }
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn end(veth: &VethEnd<'_>) -> LinkMessage {
    let mut message = named(veth.name);
    message
        .attributes
        .extend(veth.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    message
}

/// A link, and the index of its master.
fn parse(message: &LinkMessage) -> (Link, Option<u32>) {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: LinkKind::Other,
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        master: None,
        alias: None,
    };
    let mut master = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
            LinkAttribute::Controller(index) => master = Some(*index),
            LinkAttribute::LinkInfo(infos) => link.kind = kind(infos),
            _ => {}
        }
    }
    (link, master)
}

fn kind(infos: &[LinkInfo]) -> LinkKind {
    let kind = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    match kind {
        Some(InfoKind::Bridge) => LinkKind::Bridge,
        Some(InfoKind::Veth) => LinkKind::Veth,
        Some(InfoKind::Tun) => LinkKind::Tap,
        Some(InfoKind::Ifb) => LinkKind::Ifb,
        _ => LinkKind::Other,
    }
}
