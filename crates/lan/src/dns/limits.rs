//! How much one port may ask, so that none keeps the others from being answered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Questions that a port may ask in a second, and at once. Public clouds allow as many.
const PER_SECOND: u32 = 1024;
/// Questions of one port that are on their way to an upstream.
const FORWARDS_MAX: u32 = 128;
/// Ports that are remembered before those that are silent are forgotten.
const REMEMBERED: usize = 1024;

/// What the ports of one network have asked lately, by their marks.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<u32, Asker>);

#[derive(Debug)]
struct Asker {
    /// Questions that it may ask now.
    left: u32,
    /// Since when more of them have not been counted.
    since: Instant,
    forwards: u32,
}

impl Limits {
    /// Counts a question; `false` when it is one too many.
    pub(super) fn ask(&mut self, mark: u32, now: Instant) -> bool {
        if self.0.len() >= REMEMBERED {
            self.forget(now);
        }
        let asker = self.0.entry(mark).or_insert(Asker {
            left: PER_SECOND,
            since: now,
            forwards: 0,
        });
        let passed = now.saturating_duration_since(asker.since);
        let more = passed.as_secs_f64().min(1.0) * f64::from(PER_SECOND);
        if more >= 1.0 {
            asker.left = (asker.left + more as u32).min(PER_SECOND);
            asker.since = now;
        }
        let allowed = asker.left > 0;
        asker.left = asker.left.saturating_sub(1);
        allowed
    }

    /// Counts a question that goes to an upstream; `false` when too many of the port's do.
    pub(super) fn begin(&mut self, mark: u32) -> bool {
        match self.0.get_mut(&mark) {
            Some(asker) if asker.forwards < FORWARDS_MAX => {
                asker.forwards += 1;
                true
            }
            _ => false,
        }
    }

    /// One has come back.
    pub(super) fn end(&mut self, mark: u32) {
        if let Some(asker) = self.0.get_mut(&mark) {
            asker.forwards = asker.forwards.saturating_sub(1);
        }
    }

    fn forget(&mut self, now: Instant) {
        let lately = |since| now.saturating_duration_since(since) < Duration::from_secs(1);
        self.0
            .retain(|_, asker| asker.forwards > 0 || lately(asker.since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_asks_so_often_and_no_more() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        let burst = |limits: &mut Limits, now| (0..5000).filter(|_| limits.ask(7, now)).count();
        assert_eq!(burst(&mut limits, start), 1024);
        assert!(limits.ask(8, start), "another port is not concerned");
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(burst(&mut limits, later(500)), 512);
        assert_eq!(burst(&mut limits, later(3_600_000)), 1024);
    }

    #[test]
    fn a_port_waits_for_so_many_answers_and_no_more() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert!(!limits.begin(7), "nobody has asked");
        assert!(limits.ask(7, now) && limits.ask(8, now));
        assert_eq!((0..500).filter(|_| limits.begin(7)).count(), 128);
        assert!(limits.begin(8));
        limits.end(7);
        assert!(limits.begin(7) && !limits.begin(7));
    }

    #[test]
    fn silent_ports_are_forgotten() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert!((0..2000).all(|mark| limits.ask(mark, now)));
        assert!(limits.begin(5));
        limits.ask(0, now + Duration::from_secs(2));
        assert_eq!(limits.0.len(), 2);
    }
}
