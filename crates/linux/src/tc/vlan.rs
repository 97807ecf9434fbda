//! VLANs of a guest's card, each led to a link of its own: a program at the ingress of both tags and
//! untags ([`crate::bpf`]).

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcMessage, TcOption};
use netlink_packet_utils::nla::DefaultNla;
use netlink_packet_utils::parsers::parse_string;

use super::filter::{ETH_P_ALL, INGRESS, info};
use super::qdisc::QdiscKind;
use super::{VLAN_PRIORITY, inside, kind, octets, options};
use crate::bpf::{ETH_P_8021Q, Program};
use crate::netlink::{How, Link, Netlink, Result, unless};

/// A VLAN of a card and the link of the same namespace that carries its frames without a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan {
    /// The host's end of the card.
    pub link: String,
    /// 1 to 4094.
    pub id: u16,
    /// Where its frames come out. Of what the kernel has: `None` when one of both ways is missing.
    pub untagged: Option<String>,
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VLAN {} of link {}", self.id, self.link)
    }
}

/// A filter of ours at a link's ingress, as its name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// The link it is at, by index.
    at: u32,
    /// Whether it takes tags off.
    pop: bool,
    id: u16,
    /// The link it sends to, by index.
    to: u32,
}

impl Netlink {
    /// The namespace's VLANs, sorted.
    pub fn vlans(&mut self) -> Result<Vec<Vlan>> {
        let links = self.links()?;
        let mut ways = Vec::new();
        for qdisc in self.qdiscs()? {
            if qdisc.kind == QdiscKind::Clsact {
                ways.extend(self.ways(&qdisc.link, &links)?);
            }
        }
        let name = |index: u32| links.iter().find(|l| l.index == index).map(|l| &l.name);
        let vlan = |way: &Way| {
            let back = Way {
                at: way.to,
                pop: false,
                id: way.id,
                to: way.at,
            };
            Some(Vlan {
                link: name(way.at)?.clone(),
                id: way.id,
                untagged: name(way.to).filter(|_| ways.contains(&back)).cloned(),
            })
        };
        let mut found: Vec<_> = ways.iter().filter(|w| w.pop).filter_map(vlan).collect();
        found.sort();
        Ok(found)
    }

    /// Leads a VLAN to its link, in both directions. Whatever else comes to that link from its other
    /// end goes the same way.
    ///
    /// # Errors
    /// When a link is missing, or the kernel lacks the classifier `bpf` or the qdisc `clsact`.
    pub fn ensure_vlan(&mut self, vlan: &Vlan) -> Result<()> {
        let doing = format!("leading {vlan} to a link of its own");
        let Some(untagged) = &vlan.untagged else {
            return Err(self.failed(doing, io::ErrorKind::InvalidInput.into()));
        };
        let (card, own) = (self.index(&vlan.link)?, self.index(untagged)?);
        let out = Way {
            at: own,
            pop: false,
            id: vlan.id,
            to: card,
        };
        let inward = Way {
            at: card,
            pop: true,
            id: vlan.id,
            to: own,
        };
        for link in [&vlan.link, untagged] {
            self.ensure_clsact(link)?;
        }
        for way in [out, inward] {
            let program = match way.pop {
                true => Program::pop(way.id, way.to),
                false => Program::push(way.id, way.to),
            };
            let program = program.load().map_err(|e| self.failed(&doing, e))?;
            let mut message = way.filter();
            message.attributes.push(options(&[
                DefaultNla::new(BPF_FD, program.as_raw_fd().to_ne_bytes().to_vec()),
                DefaultNla::new(BPF_NAME, [way.name().as_bytes(), &[0]].concat()),
                DefaultNla::new(BPF_FLAGS, BPF_FLAG_ACT_DIRECT.to_ne_bytes().to_vec()),
            ]));
            let message = RouteNetlinkMessage::NewTrafficFilter(message);
            self.change(&doing, message, How::Replace)?;
        }
        Ok(())
    }

    /// Ends it: its frames are left to what else is at its card's ingress.
    pub fn remove_vlan(&mut self, vlan: &Vlan) -> Result<()> {
        let Some(Link { index, .. }) = self.link(&vlan.link)? else {
            return Ok(());
        };
        let way = Way {
            at: index,
            pop: true,
            id: vlan.id,
            to: 0,
        };
        let message = RouteNetlinkMessage::DelTrafficFilter(way.filter());
        let removed = self.change(format!("ending {vlan}"), message, How::Alter);
        unless(removed, &[libc::ENOENT, libc::EINVAL])
    }

    fn ways(&mut self, link: &str, links: &[Link]) -> Result<Vec<Way>> {
        let Some(at) = links.iter().find(|l| l.name == link) else {
            return Ok(Vec::new());
        };
        let message = self.of(link, INGRESS, None)?;
        let ask = RouteNetlinkMessage::GetTrafficFilter(message);
        let found = self.dump("listing VLANs of a link", ask)?;
        let way = |message: RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewTrafficFilter(filter) if kind(&filter) == Some(BPF) => {
                Way::parse(at.index, &name(&filter)?)
            }
            _ => None,
        };
        Ok(found.into_iter().filter_map(way).collect())
    }
}

impl Way {
    /// What the filter is called: all that the kernel tells of it later.
    fn name(self) -> String {
        let Way { pop, id, to, .. } = self;
        format!("hextet {} {id} {to}", if pop { "pop" } else { "push" })
    }

    fn parse(at: u32, name: &str) -> Option<Way> {
        let mut words = name.strip_prefix("hextet ")?.split(' ');
        let pop = match words.next()? {
            "pop" => true,
            "push" => false,
            _ => return None,
        };
        Some(Way {
            at,
            pop,
            id: words.next()?.parse().ok()?,
            to: words.next()?.parse().ok()?,
        })
    }

    /// Where it is among a link's filters. Those that take tags off see tagged frames alone.
    fn filter(self) -> TcMessage {
        let (protocol, handle) = match self.pop {
            true => (ETH_P_8021Q, u32::from(self.id)),
            false => (ETH_P_ALL, 1),
        };
        let mut message = TcMessage::with_index(self.at.cast_signed());
        message.header.parent = INGRESS;
        message.header.handle = handle.into();
        message.header.info = info(VLAN_PRIORITY, protocol);
        message.attributes.push(TcAttribute::Kind(BPF.into()));
        message
    }
}

const BPF: &str = "bpf";
const BPF_FD: u16 = 6; // TCA_BPF_FD of linux/pkt_cls.h, as those below
const BPF_NAME: u16 = 7; // TCA_BPF_NAME
const BPF_FLAGS: u16 = 8; // TCA_BPF_FLAGS
const BPF_FLAG_ACT_DIRECT: u32 = 1; // TCA_BPF_FLAG_ACT_DIRECT

fn name(filter: &TcMessage) -> Option<String> {
    let options = filter.attributes.iter().find_map(|a| match a {
        TcAttribute::Options(options) => options.first(),
        _ => None,
    })?;
    let TcOption::Other(nest) = options else {
        return None;
    };
    parse_string(&inside(&octets(nest), BPF_NAME)?).ok()
}
