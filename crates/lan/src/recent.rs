//! When each of many was last heard.

use std::collections::BTreeMap;

use model::Mac;

/// How many are remembered: more than a link has, but for one that is flooded.
const REMEMBERED_MAX: usize = 4096;

/// The latest ones, each with the time in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Recent(BTreeMap<Mac, i64>);

impl Recent {
    /// One was heard. Whoever has been silent for longest makes room.
    pub(crate) fn note(&mut self, mac: Mac, now_ms: i64) {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&mac) {
            let oldest = self.0.iter().min_by_key(|(_, last_ms)| **last_ms);
            if let Some(oldest) = oldest.map(|(mac, _)| *mac) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(mac, now_ms);
    }

    /// When it was last heard.
    pub(crate) fn last_ms(&self, mac: Mac) -> Option<i64> {
        self.0.get(&mac).copied()
    }

    /// Forgets those of whom this is not so.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Mac) -> bool) {
        self.0.retain(|mac, _| keep(mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let mac = |n: u32| {
            let [a, b, c, d] = n.to_be_bytes();
            Mac([2, 0, a, b, c, d])
        };
        let mut recent = Recent::default();
        let all = REMEMBERED_MAX as u32;
        (0..all).for_each(|n| recent.note(mac(n), i64::from(n)));
        recent.note(mac(0), 9_000_000);
        recent.note(mac(all), 9_000_001);
        assert_eq!(recent.0.len(), REMEMBERED_MAX);
        assert_eq!(recent.last_ms(mac(0)), Some(9_000_000));
        assert_eq!(recent.last_ms(mac(1)), None);
        recent.retain(|m| *m == mac(0));
        assert_eq!(recent.0.len(), 1);
    }
}
