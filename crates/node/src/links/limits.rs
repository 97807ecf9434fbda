//! Limits of guests' ports, as their QoS policies have them.
//!
//! What a guest receives is what its tap sends: a token bucket at the tap's root. What it sends the tap receives, and is
//! redirected to an intermediate functional block before anything else sees it, whose bucket lets it go on as if it
//! had just come by the tap:
//!
//! ```text
//!   guest <-- tPORT, root: tbf <-- br
//!   guest --> tPORT, clsact --> iPORT, root: tbf --> tPORT --> br
//! ```
//! A limit that cannot be made leaves its port as it is otherwise: it works, unlimited, and the log and the checker say so.

use std::collections::BTreeMap;
use std::io;

use linux::netlink::{self, Netlink};
use linux::tc::qdisc::QdiscKind;
use linux::tc::{LIMIT_PRIORITY, Qdisc, Tbf, Verdict};
use model::Bandwidth;

use super::plan::Step;

/// An Ethernet header with a VLAN tag.
const HEADER: u64 = 18;
/// Octets a second in a thousand bits a second.
const OCTETS_IN_KBIT: u64 = 125;
/// A packet waits at most so long, in parts of a second.
const WAIT: u64 = 20;
/// But so many octets may wait for any rate, for TCP to have something to go by.
const LEAST_QUEUE: u64 = 32 * 1024;
/// What a bucket holds at least, in parts of what passes in a second: it is filled by a timer.
const LEAST_BURST: u64 = 1000;

/// The token bucket for a rate on a link with an MTU. No frame is too large for it, whatever burst was asked for.
pub(super) fn bucket(limit: &Bandwidth, mtu: u32) -> Tbf {
    let rate = u64::from(limit.max_kbps) * OCTETS_IN_KBIT;
    let asked = u64::from(limit.burst_kbit) * OCTETS_IN_KBIT;
    let burst = asked.max(u64::from(mtu) + HEADER).max(rate / LEAST_BURST);
    let queue = (rate / WAIT).max(LEAST_QUEUE);
    let octets = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Tbf {
        rate,
        burst: octets(burst),
        limit: octets(burst + queue),
    }
}

/// How fast links send, and where what they receive goes first, by their names.
pub(super) type Limits = BTreeMap<String, (Option<Tbf>, Option<String>)>;

/// What a namespace has of limits. What cannot be read is none: making it again says why not.
pub(super) fn observe(netlink: &mut Netlink) -> Limits {
    read(netlink).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read the limits of links");
        Limits::new()
    })
}

fn read(netlink: &mut Netlink) -> netlink::Result<Limits> {
    let mut found = Limits::new();
    for Qdisc { link, kind } in netlink.qdiscs()? {
        match kind {
            QdiscKind::Tbf(tbf) => found.entry(link).or_default().0 = Some(tbf),
            QdiscKind::Clsact => {
                let filters = netlink.filters(&link)?.into_iter();
                let mut ours = filters.filter(|filter| filter.priority == LIMIT_PRIORITY);
                let leads = ours.next().map(|filter| match filter.verdict {
                    Verdict::Redirect(Some(to)) => to,
                    _ => String::new(),
                });
                found.entry(link).or_default().1 = leads;
            }
            QdiscKind::Other => {}
        }
    }
    Ok(found)
}

/// Does one step on a limit.
pub(super) fn apply(netlink: &mut Netlink, step: &Step) -> io::Result<()> {
    let done = match step {
        Step::MakeIfb((_, name)) => netlink.ensure_ifb(name),
        Step::SetRate((_, name), tbf) => netlink.ensure_tbf(name, tbf),
        Step::RemoveRate((_, name)) => netlink.remove_tbf(name),
        Step::Redirect((_, name), to) => netlink
            .ensure_clsact(name)
            .and_then(|()| netlink.ensure_redirect(name, LIMIT_PRIORITY, to)),
        // The clsact stays: others may have filters there, and without any it does nothing.
        Step::RemoveRedirect((_, name)) => netlink.remove_filters(name, LIMIT_PRIORITY),
        _ => Ok(()),
    };
    done.map_err(|e| in_words(step, e))
}

/// An error of a step on a limit, with what the kernel lacks.
pub(super) fn in_words(step: &Step, e: netlink::Error) -> io::Error {
    let kind = match step {
        Step::MakeIfb(_) => "ifb devices (CONFIG_IFB)",
        Step::SetRate(..) => "the tbf scheduler (CONFIG_NET_SCH_TBF)",
        Step::Redirect(..) => {
            "clsact, u32 or mirred (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED)"
        }
        _ => return e.into(),
    };
    let unknown = e.is_of_unknown_kind();
    let e = io::Error::from(e);
    match unknown {
        true => io::Error::new(
            e.kind(),
            format!(
                "{e}: this host's kernel seems to lack {kind}, without which QoS policies do not limit ports"
            ),
        ),
        false => e,
    }
}

#[cfg(test)]
mod tests {
    use model::{Key, NetworkId, PortId};

    use super::*;
    use crate::links::Report;
    use crate::links::layout::{Design, Layout};
    use crate::links::names::{self, Space};

    #[test]
    fn a_limit_that_fails_leaves_its_port_up() {
        let (port, space) = (PortId::random(), Space::Network(NetworkId::random()));
        let [tap, ifb] = [names::tap(port), names::limit(port)].map(|name| (space, name));
        let mut design = Design::default();
        for place in [&tap, &ifb] {
            design.owners.insert(place.clone(), Key::Port(port));
        }
        let failed = |step: Step| {
            let mut report = Report::default();
            let e = io::Error::from(io::ErrorKind::Unsupported);
            report.record(&step, Err(e), &design, &Layout::default());
            (report.failures.len(), report.unlimited.len())
        };
        let limit = Bandwidth {
            max_kbps: 1,
            burst_kbit: 1,
        };
        let rate = bucket(&limit, 1500);
        for step in [
            Step::MakeIfb(ifb.clone()),
            Step::SetMtu(ifb.clone(), 1500),
            Step::SetUp(ifb.clone()),
            Step::SetRate(ifb.clone(), rate),
            Step::SetRate(tap.clone(), rate),
            Step::RemoveRate(tap.clone()),
            Step::Redirect(tap.clone(), ifb.1.clone()),
            Step::RemoveRedirect(tap.clone()),
            Step::RemoveLink(ifb.clone()),
        ] {
            assert_eq!(failed(step.clone()), (0, 1), "{step:?}");
        }
        for step in [Step::MakeTap(tap.clone()), Step::SetUp(tap)] {
            assert_eq!(failed(step.clone()), (1, 0), "{step:?}");
        }
    }

    #[test]
    fn every_frame_fits_every_bucket() {
        let bucket = |max_kbps, burst_kbit, mtu| {
            let limit = Bandwidth {
                max_kbps,
                burst_kbit,
            };
            let made = bucket(&limit, mtu);
            (made.rate, made.burst, made.limit)
        };
        assert_eq!(bucket(1, 1, 1500), (125, 1518, 1518 + 32_768));
        assert_eq!(bucket(1, 1, 9000), (125, 9018, 9018 + 32_768));
        assert_eq!(bucket(1000, 800, 1500), (125_000, 100_000, 132_768));
        let gigabit = (125_000_000, 125_000, 125_000 + 6_250_000);
        assert_eq!(bucket(1_000_000, 1, 1500), gigabit, "a timer's turn");
        let most = i32::MAX as u32;
        let rate = u64::from(most) * 125;
        assert_eq!(bucket(most, most, 1500), (rate, u32::MAX, u32::MAX));
    }
}
