//! How much one guest may ask, so that none keeps the others or the host from their work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests that a guest may send at once: more than cloud-init sends at any boot.
const BURST: u32 = 50;
/// How soon it may send one more.
const REFILL: Duration = Duration::from_millis(100);

/// What was asked of one listener since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataCounts {
    pub requests: u64,
    /// Requests that were answered with an error, but for those below.
    pub refused: u64,
    /// Requests that were told to come later, and connections past what one guest may have.
    pub limited: u64,
}

/// The same, as it grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
}

impl Counters {
    pub(super) fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, status: http::StatusCode) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match status {
            http::StatusCode::TOO_MANY_REQUESTS => self.limited(),
            status if status.is_success() => {}
            _ => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(super) fn read(&self) -> MetadataCounts {
        MetadataCounts {
            requests: self.requests.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            limited: self.limited.load(Ordering::Relaxed),
        }
    }
}

/// A token bucket, as the moment at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes a token; when there is none, says how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + REFILL;
        match (full_at - now).checked_sub(REFILL * BURST) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = Some(full_at);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_fills_again() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for n in 0..BURST {
            assert_eq!(bucket.take(start), Ok(()), "{n}");
        }
        assert_eq!(bucket.take(start), Err(REFILL));
        assert_eq!(bucket.take(start + REFILL / 2), Err(REFILL / 2));
        assert_eq!(bucket.take(start + REFILL), Ok(()), "refusals cost nothing");
        assert_eq!(bucket.take(start + REFILL), Err(REFILL));
        // However long it was left alone, it holds no more than that.
        let later = start + REFILL * BURST * 10;
        assert!((0..BURST).all(|_| bucket.take(later).is_ok()));
        assert_eq!(bucket.take(later), Err(REFILL));
    }
}
