//! Filters at clsact's ingress: what happens to a frame that a link has received, before anything else.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcActionType, TcAttribute,
    TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType, TcOption, TcU32Selector,
    TcU32SelectorFlags,
};

use super::kind;
use crate::netlink::{How, Link, Netlink, Result, unless};

/// A filter at a link's clsact, ingress side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The lowest is asked first.
    pub priority: u16,
    /// Its classifier: `u32`, `bpf`.
    pub kind: String,
    pub verdict: Verdict,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves by another link of the namespace; by none where that has gone, and is lost.
    Redirect(Option<String>),
    /// Something else.
    Other,
}

const MIRRED: &str = "mirred";
const U32: &str = "u32";
/// Minor number of the parent of filters for what a link receives.
pub(super) const INGRESS: TcHandle = TcHandle {
    major: u16::MAX,
    minor: TcHandle::MIN_INGRESS,
};
pub(super) const ETH_P_ALL: u16 = 3; // linux/if_ether.h

impl Netlink {
    /// A link's filters, by priority; none where it has no clsact.
    pub fn filters(&mut self, link: &str) -> Result<Vec<Filter>> {
        let message = self.of(link, INGRESS, None)?;
        let ask = RouteNetlinkMessage::GetTrafficFilter(message);
        let doing = format!("listing filters of link {link}");
        let messages = self.dump(&doing, ask)?;
        let links = self.links()?;
        let read = messages.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewTrafficFilter(message) => parse(&message, &links),
            _ => None,
        });
        let mut found: Vec<_> = read.collect();
        found.sort_by_key(|filter| filter.priority);
        Ok(found)
    }

    /// Redirects all that a link receives to another link of the namespace, which mostly is an ifb. The link
    /// needs a clsact. A redirection of this priority that leads elsewhere goes first.
    ///
    /// # Errors
    /// `ENOENT` from a kernel that has no u32 or no mirred.
    pub fn ensure_redirect(&mut self, link: &str, priority: u16, to: &str) -> Result<()> {
        let wanted = Filter {
            priority,
            kind: U32.to_owned(),
            verdict: Verdict::Redirect(Some(to.to_owned())),
        };
        let there = self.filters(link)?;
        let mut same = there.iter().filter(|filter| filter.priority == priority);
        match (same.next(), same.next()) {
            (Some(filter), None) if *filter == wanted => return Ok(()),
            (None, _) => {}
            _ => self.remove_filters(link, priority)?,
        }
        let target = self.index(to)?;
        let mut message = self.of(link, INGRESS, Some(U32))?;
        message.header.info = info(priority, ETH_P_ALL);
        let selector = TcFilterU32Option::Selector(everything());
        let action = TcFilterU32Option::Action(vec![redirect(target)]);
        let options = [selector, action].map(TcOption::U32).to_vec();
        message.attributes.push(TcAttribute::Options(options));
        let doing = format!("redirecting link {link} to {to}");
        let ask = RouteNetlinkMessage::NewTrafficFilter(message);
        self.change(doing, ask, How::Create)
    }

    /// Takes away all filters of one priority.
    pub fn remove_filters(&mut self, link: &str, priority: u16) -> Result<()> {
        let mut message = self.of(link, INGRESS, None)?;
        message.header.info = info(priority, 0);
        let ask = RouteNetlinkMessage::DelTrafficFilter(message);
        let doing = format!("removing filters {priority} of link {link}");
        // `EINVAL`: no clsact.
        let gone = [libc::ENOENT, libc::EINVAL];
        unless(self.change(doing, ask, How::Alter), &gone)
    }
}

/// `tcm_info`: the priority and the protocol, in network order.
pub(super) fn info(priority: u16, protocol: u16) -> u32 {
    u32::from(priority) << 16 | u32::from(protocol.to_be())
}

/// Without a key, every frame matches, however short.
fn everything() -> TcU32Selector {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector
}

fn redirect(target: u32) -> TcAction {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = target;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(MIRRED.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
            mirror,
        ))]),
    ];
    action
}

/// `None` for a part of a filter that decides nothing, as u32's hash tables are.
fn parse(message: &TcMessage, links: &[Link]) -> Option<Filter> {
    let kind = kind(message)?;
    let options = message.attributes.iter().find_map(|a| match a {
        TcAttribute::Options(options) => Some(options.as_slice()),
        _ => None,
    });
    let options = options.unwrap_or_default();
    let selects = |o: &TcOption| matches!(o, TcOption::U32(TcFilterU32Option::Selector(_)));
    if message.header.handle == TcHandle::UNSPEC || kind == U32 && !options.iter().any(selects) {
        return None;
    }
    let target = options.iter().find_map(target);
    let name = |index: u32| links.iter().find(|link| link.index == index);
    let leads = |index| Verdict::Redirect(name(index).map(|link| link.name.clone()));
    Some(Filter {
        priority: (message.header.info >> 16) as u16,
        kind: kind.to_owned(),
        verdict: target.map_or(Verdict::Other, leads),
    })
}

/// The index of the link that a u32 filter's first action redirects to; 0 when that has gone.
fn target(option: &TcOption) -> Option<u32> {
    let TcOption::U32(TcFilterU32Option::Action(actions)) = option else {
        return None;
    };
    let attributes = &actions.first()?.attributes;
    let options = attributes.iter().find_map(|a| match a {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    })?;
    options.iter().find_map(|option| match option {
        TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))
            if mirror.eaction == TcMirrorActionType::EgressRedir =>
        {
            Some(mirror.ifindex)
        }
        _ => None,
    })
}
