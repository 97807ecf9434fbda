//! Queueing disciplines: clsact, at which filters stand, and tbf, a token bucket.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use netlink_packet_utils::nla::DefaultNla;

use super::{inside, kind, name_of, octets, options};
use crate::netlink::{How, Netlink, Result, unless};

/// A queueing discipline that is not the kernel's own choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    /// The link's name.
    pub link: String,
    pub kind: QdiscKind,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QdiscKind {
    /// Filters stand here.
    Clsact,
    /// The link's root is a token bucket.
    Tbf(Tbf),
    /// Something else.
    Other,
}

/// A token bucket: on average a rate, for a moment more. A GSO packet that does not fit the bucket is cut
/// into those that it stands for, and one that does not fit even then is dropped: no bucket may be
/// smaller than a frame of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tbf {
    /// Octets a second, at least 1.
    pub rate: u64,
    /// Octets that may leave at once, at least a frame.
    pub burst: u32,
    /// Octets that wait at most; more are dropped.
    pub limit: u32,
}

impl Tbf {
    /// Whether a bucket that was read is this one: what the kernel reports of a burst has gone through ticks, of
    /// which 32 bits are told.
    pub fn is(&self, read: &Tbf) -> bool {
        let tick = self.rate / (NS_IN_S / TICK_NS) + 2;
        let told = u64::from(self.burst) <= self.rate * LONGEST_S;
        (self.rate, self.limit) == (read.rate, read.limit)
            && (!told || u64::from(self.burst.abs_diff(read.burst)) <= tick)
    }
}

const TICK_NS: u64 = 64; // PSCHED_SHIFT of net/pkt_sched.h
/// How long a bucket may take to fill so that its ticks fit 32 bits.
const LONGEST_S: u64 = 270;
const NS_IN_S: u64 = 1_000_000_000;

const CLSACT: &str = "clsact";
const TBF: &str = "tbf";
const TBF_PARMS: u16 = 1; // TCA_TBF_PARMS of linux/pkt_sched.h, as those below
const TBF_RATE64: u16 = 4; // TCA_TBF_RATE64
const TBF_BURST: u16 = 6; // TCA_TBF_BURST
const LINKLAYER_ETHERNET: u8 = 1; // TC_LINKLAYER_ETHERNET
/// The handle of ours at a root; which it is does not matter.
const HANDLE: TcHandle = TcHandle { major: 1, minor: 0 };

impl Netlink {
    /// All queueing disciplines at the roots and at the clsact hooks of the namespace's links, by link.
    pub fn qdiscs(&mut self) -> Result<Vec<Qdisc>> {
        let ask = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let messages = self.dump("listing queueing disciplines", ask)?;
        let read = messages.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewQueueDiscipline(message) => Some((parse(&message)?, message)),
            _ => None,
        });
        let read: Vec<_> = read.collect();
        // Most namespaces have none: then nobody needs to know the links' names.
        if read.is_empty() {
            return Ok(Vec::new());
        }
        let links = self.links()?;
        let named = read.into_iter().filter_map(|(kind, message)| {
            Some(Qdisc {
                link: name_of(&links, &message)?,
                kind,
            })
        });
        let mut found: Vec<_> = named.collect();
        found.sort_by(|a, b| a.link.cmp(&b.link));
        Ok(found)
    }

    /// A place for filters; those that are there stay.
    pub fn ensure_clsact(&mut self, link: &str) -> Result<()> {
        let mut message = self.of(link, TcHandle::CLSACT, Some(CLSACT))?;
        message.header.handle = TcHandle::from(0xffff_0000);
        let doing = format!("making a clsact of link {link}");
        let ask = RouteNetlinkMessage::NewQueueDiscipline(message);
        unless(self.change(doing, ask, How::Create), &[libc::EEXIST])
    }

    /// Takes it away with all its filters, whosever they are.
    pub fn remove_clsact(&mut self, link: &str) -> Result<()> {
        self.remove_qdisc(link, TcHandle::CLSACT, CLSACT)
    }

    /// Limits what a link sends; what waits already goes on to wait where only numbers change.
    ///
    /// # Errors
    /// `ENOENT` from a kernel that has no tbf.
    pub fn ensure_tbf(&mut self, link: &str, tbf: &Tbf) -> Result<()> {
        let mut message = self.of(link, TcHandle::ROOT, Some(TBF))?;
        message.header.handle = HANDLE;
        message.attributes.push(options(&emit(tbf)));
        let doing = format!("limiting link {link} to {} octets a second", tbf.rate);
        let ask = RouteNetlinkMessage::NewQueueDiscipline(message);
        self.change(doing, ask, How::Replace)
    }

    /// Lets a link send as fast as it can. What waits is lost.
    pub fn remove_tbf(&mut self, link: &str) -> Result<()> {
        self.remove_qdisc(link, TcHandle::ROOT, TBF)
    }

    /// A root that the kernel chose itself cannot be removed (`ENOENT`), nor one of another kind (`EINVAL`).
    fn remove_qdisc(&mut self, link: &str, parent: TcHandle, kind: &str) -> Result<()> {
        let message = self.of(link, parent, Some(kind))?;
        let ask = RouteNetlinkMessage::DelQueueDiscipline(message);
        let removed = self.change(format!("removing {kind} of link {link}"), ask, How::Alter);
        unless(removed, &[libc::ENOENT, libc::EINVAL])
    }
}

/// `struct tc_tbf_qopt`, and what does not fit it.
fn emit(tbf: &Tbf) -> Vec<DefaultNla> {
    let mut parms = ratespec(u32::try_from(tbf.rate).unwrap_or(u32::MAX));
    parms.extend([0; 12]); // no peak rate
    parms.extend(tbf.limit.to_ne_bytes());
    parms.extend([0; 8]); // the bucket in ticks, for which TCA_TBF_BURST stands, and the peak's
    vec![
        DefaultNla::new(TBF_PARMS, parms),
        DefaultNla::new(TBF_RATE64, tbf.rate.to_ne_bytes().to_vec()),
        DefaultNla::new(TBF_BURST, tbf.burst.to_ne_bytes().to_vec()),
    ]
}

/// `struct tc_ratespec`.
fn ratespec(rate: u32) -> Vec<u8> {
    let mut bytes = vec![0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    bytes.extend(rate.to_ne_bytes());
    bytes
}

/// `None` for what is neither at a root nor at clsact, or the kernel's own choice.
fn parse(message: &TcMessage) -> Option<QdiscKind> {
    let header = &message.header;
    match (kind(message)?, header.parent) {
        (CLSACT, TcHandle::CLSACT) => Some(QdiscKind::Clsact),
        (TBF, TcHandle::ROOT) => message.attributes.iter().find_map(tbf).map(QdiscKind::Tbf),
        (_, TcHandle::ROOT) if header.handle != TcHandle::UNSPEC => Some(QdiscKind::Other),
        (_, TcHandle::CLSACT) => Some(QdiscKind::Other),
        _ => None,
    }
}

fn tbf(attribute: &TcAttribute) -> Option<Tbf> {
    let TcAttribute::Options(options) = attribute else {
        return None;
    };
    let nest = options.iter().find_map(|option| match option {
        TcOption::Other(nest) => Some(octets(nest)),
        _ => None,
    })?;
    let parms = inside(&nest, TBF_PARMS)?;
    let word = |at: usize| Some(u32::from_ne_bytes(parms.get(at..at + 4)?.try_into().ok()?));
    let rate = match inside(&nest, TBF_RATE64) {
        Some(bytes) => u64::from_ne_bytes(bytes.try_into().ok()?),
        None => u64::from(word(8)?),
    };
    let burst = u128::from(word(28)?) * u128::from(TICK_NS) * u128::from(rate);
    let burst = burst.div_ceil(u128::from(NS_IN_S));
    Some(Tbf {
        rate,
        burst: u32::try_from(burst).unwrap_or(u32::MAX),
        limit: word(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_may_be_off_by_a_tick() {
        let tbf = Tbf {
            rate: 1_250_000_000,
            burst: 1_000_000,
            limit: 9,
        };
        for (burst, same) in [(1_000_000, true), (1_000_080, true), (1_000_090, false)] {
            assert_eq!(tbf.is(&Tbf { burst, ..tbf }), same, "{burst}");
        }
        assert!(!tbf.is(&Tbf { limit: 8, ..tbf }));
    }

    #[test]
    fn a_rate_of_more_than_32_bits_is_said_twice() {
        let tbf = Tbf {
            rate: 5_000_000_000,
            burst: 70_000,
            limit: 80_000,
        };
        let attributes = emit(&tbf);
        let value = |at: usize| octets(&attributes[at]);
        assert_eq!(value(0)[8..12], [0xff; 4]);
        assert_eq!(value(0)[24..28], 80_000_u32.to_ne_bytes());
        assert_eq!(value(0).len(), 36, "struct tc_tbf_qopt");
        assert_eq!(value(1), 5_000_000_000_u64.to_ne_bytes());
        assert_eq!(value(2), 70_000_u32.to_ne_bytes());
    }
}
