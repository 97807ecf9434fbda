//! When one link is told what: the router's side of Router Discovery (RFC 4861, section 6.2) as a
//! state machine that is told the time and owns no socket.
//!
//! ```text
//!            new, or a change                       after the third
//!   (silent) ---------------> initial, 3 s apart ---------------> regular, min..max apart
//!                                       |  a solicitation: answered at once,  |
//!                                       |  in a unicast frame, state unchanged|
//!                                       +---------------+---------------------+
//!                                                       | farewell: lifetime 0
//!                                                       v
//!                                                   (silent)
//! ```
//! A deviation from section 6.2.6: solicitations are answered without the random delay. It is
//! there so that several routers do not answer in chorus, and here one answers for each link;
//! radvd does the same. The 3 seconds between multicasts hold for multicast frames only: an answer
//! wakes no one but its asker (RFC 6085, RFC 7772), so the next guest never waits for them.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use model::Mac;
use wire::icmpv6::{ALL_NODES, Icmpv6, multicast_mac};
use wire::nd::{HOP_LIMIT, RouterSolicit};
use wire::{MacBytes, Malformed};

use crate::advert::Advert;
use crate::links::{Frame, Speaker};
use crate::recent::Recent;

/// Between the first advertisements. RFC 4861, section 10, allows up to 16 s; but a link that has
/// just come up may lose the very first, and who missed it should not wait that long.
const INITIAL_INTERVAL: Duration = MIN_DELAY_BETWEEN_RAS;
/// Constants of RFC 4861, section 10.
const MAX_INITIAL_RTR_ADVERTISEMENTS: u32 = 3;
const MIN_DELAY_BETWEEN_RAS: Duration = Duration::from_secs(3);

/// What happened on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Solicitations that were answered.
    pub solicitations: u64,
    /// Packets that were dropped as malformed.
    pub malformed: u64,
    /// Advertisements that went out.
    pub sent: u64,
    /// Advertisements that the kernel refused.
    pub failed: u64,
}

/// Advertises on one link.
#[derive(Debug)]
pub(crate) struct Advertiser {
    advert: Advert,
    messages: Vec<Vec<u8>>,
    /// How many more come at the shorter interval.
    initial_left: u32,
    last_multicast: Option<Instant>,
    due: Instant,
    dice: Dice,
    /// A moment on both clocks: when it began, and that in milliseconds since 1970.
    began: (Instant, i64),
    asked: Recent,
    /// When all were last told, in milliseconds since 1970.
    told_ms: Option<i64>,
    pub(crate) counts: Counts,
}

impl Advertiser {
    /// Is due at once. `now_ms` is now since 1970; the seed makes its timing differ from that of
    /// others.
    pub(crate) fn new(
        now: Instant,
        now_ms: i64,
        advert: Advert,
        seed: u64,
    ) -> std::io::Result<Advertiser> {
        Ok(Advertiser {
            messages: advert.messages(now_ms)?,
            began: (now, now_ms),
            asked: Recent::default(),
            told_ms: None,
            advert,
            initial_left: MAX_INITIAL_RTR_ADVERTISEMENTS,
            last_multicast: None,
            due: now,
            dice: Dice(seed),
            counts: Counts::default(),
        })
    }

    /// Advertises something else from now on, as if it had begun anew (RFC 4861, section 6.2.4).
    pub(crate) fn change(&mut self, now: Instant, advert: Advert) -> std::io::Result<()> {
        if advert == self.advert {
            return Ok(());
        }
        self.messages = advert.messages(self.unix_ms(now))?;
        self.advert = advert;
        self.initial_left = MAX_INITIAL_RTR_ADVERTISEMENTS;
        self.due = self
            .last_multicast
            .map_or(now, |last| now.max(last + MIN_DELAY_BETWEEN_RAS));
        Ok(())
    }

    /// When a host last asked, and when all were last told, in milliseconds since 1970.
    pub(crate) fn times(&self, mac: Mac) -> (Option<i64>, Option<i64>) {
        (self.asked.last_ms(mac), self.told_ms)
    }

    /// Tells everyone that this router goes (RFC 4861, section 6.2.5). It does not wait for the 3
    /// seconds between multicasts: what comes next is that the link goes too.
    pub(crate) fn farewell(&mut self, now: Instant) -> Vec<Frame> {
        let last = self.advert.farewell();
        self.messages = last.messages(self.unix_ms(now)).unwrap_or_default();
        self.frames(multicast_mac(ALL_NODES), ALL_NODES)
    }

    fn pause(&mut self) -> Duration {
        let interval = self.advert.interval;
        let drawn = interval.min + self.dice.up_to(interval.max - interval.min);
        let capped = if self.initial_left > 0 {
            drawn.min(INITIAL_INTERVAL)
        } else {
            drawn
        };
        capped.max(MIN_DELAY_BETWEEN_RAS)
    }

    /// Lifetimes that count down are said as they are now.
    fn count_down(&mut self, now: Instant) {
        if self.advert.counts_down()
            && let Ok(messages) = self.advert.messages(self.unix_ms(now))
        {
            self.messages = messages;
        }
    }

    fn unix_ms(&self, now: Instant) -> i64 {
        let (instant, ms) = self.began;
        let since = now.saturating_duration_since(instant).as_millis();
        ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }

    fn frames(&self, to: MacBytes, destination: Ipv6Addr) -> Vec<Frame> {
        let source = self.advert.source;
        let frame = |message: &Vec<u8>| {
            let mut packet = Vec::with_capacity(40 + message.len());
            Icmpv6 {
                source,
                destination,
                hop_limit: HOP_LIMIT,
                message,
            }
            .emit(&mut packet);
            Frame { to, packet }
        };
        self.messages.iter().map(frame).collect()
    }
}

impl Speaker for Advertiser {
    fn on_packet(&mut self, now: Instant, from: MacBytes, packet: &[u8]) -> Vec<Frame> {
        match asker(from, packet) {
            Ok(to) => {
                self.counts.solicitations += 1;
                self.asked.note(Mac(from), self.unix_ms(now));
                self.count_down(now);
                self.frames(from, to)
            }
            Err(Malformed(part)) => {
                self.counts.malformed += 1;
                tracing::trace!(part, "dropped a solicitation");
                Vec::new()
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        Some(self.due)
    }

    /// Sends what is due to everyone.
    fn on_timer(&mut self, now: Instant) -> Vec<Frame> {
        if now < self.due {
            return Vec::new();
        }
        self.last_multicast = Some(now);
        self.told_ms = Some(self.unix_ms(now));
        self.initial_left = self.initial_left.saturating_sub(1);
        self.due = now + self.pause();
        self.count_down(now);
        self.frames(multicast_mac(ALL_NODES), ALL_NODES)
    }

    fn sent(&mut self, done: bool) {
        match done {
            true => self.counts.sent += 1,
            false => self.counts.failed += 1,
        }
    }
}

/// The address that a solicitation's answer goes to.
fn asker(from: MacBytes, packet: &[u8]) -> Result<Ipv6Addr, Malformed> {
    if from[0] & 1 != 0 || from == [0; 6] {
        return Err(Malformed("ethernet source"));
    }
    let packet = Icmpv6::parse(packet)?;
    RouterSolicit::parse(&packet)?;
    Ok(if packet.source.is_unspecified() {
        ALL_NODES
    } else {
        packet.source
    })
}

/// Random enough to keep routers out of step (splitmix64); no secret depends on it.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, longest: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        longest.mul_f64((b >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
#[path = "advertiser_tests.rs"]
mod tests;
