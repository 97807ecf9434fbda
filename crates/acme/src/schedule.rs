//! When a certificate is asked for: pure functions of clocks and chance.

use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

/// The least between two attempts, and what one waits after the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// The most that one waits after many.
const MOST: Duration = Duration::from_secs(6 * 3600);
/// The most that a server may ask one to wait.
const OBEYED: Duration = Duration::from_secs(86_400);

/// A share between 0 and 1, by chance: so that clouds that began together do not come together.
pub fn chance() -> f64 {
    let mut octets = [0; 2];
    let _ = SystemRandom::new().fill(&mut octets);
    f64::from(u16::from_be_bytes(octets)) / 65_536.0
}

/// When a certificate is renewed: when two thirds of its life are over, or up to a thirtieth of it
/// earlier.
pub fn due(from: SystemTime, end: SystemTime, chance: f64) -> SystemTime {
    let life = end.duration_since(from).unwrap_or_default();
    from + life.mul_f64(2.0 / 3.0 - chance / 30.0)
}

/// The same for one that has just come, and may have been made out long ago: not before a third of
/// what is left of it is over.
pub fn due_of_new(from: SystemTime, end: SystemTime, now: SystemTime, chance: f64) -> SystemTime {
    let left = end.duration_since(now).unwrap_or_default();
    due(from, end, chance).max(now + left / 3)
}

/// How long one waits after so many failures in a row (at least one): a minute, then twice as long
/// each time, up to 6 h, but not so long that a certificate with so much life left is lost for
/// want of attempts; less up to a quarter of it, and never less than the server asked for, where
/// that is no more than a day.
pub fn pause(
    failures: u32,
    left: Option<Duration>,
    asked: Option<Duration>,
    chance: f64,
) -> Duration {
    let doubled = FIRST * (1 << failures.saturating_sub(1).min(10));
    let enough = left.map_or(MOST, |left| (left / 8).max(FIRST));
    let wait = doubled.min(MOST).min(enough).mul_f64(1.0 - chance / 4.0);
    wait.max(asked.unwrap_or_default().min(OBEYED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let from = SystemTime::UNIX_EPOCH;
        assert_eq!(due(from, from + DAY * 90, 0.0), from + DAY * 60);
        assert_eq!(due(from, from + DAY * 90, 1.0), from + DAY * 57);
        assert_eq!(due(from, from + DAY, 0.0), from + HOUR * 16);
        // An end before the beginning, which nobody should believe, is due at once.
        assert_eq!(due(from + DAY, from, 0.5), from + DAY);
        // One that was made out long ago is not asked for over and over.
        let now = from + DAY * 80;
        assert_eq!(due_of_new(from, from + DAY * 89, now, 0.0), now + DAY * 3);
        assert_eq!(
            due_of_new(from, from + DAY * 90, from, 0.0),
            from + DAY * 60
        );
    }

    #[test]
    fn failures_make_patient_but_not_too_patient() {
        let minutes = |failures| pause(failures, None, None, 0.0).as_secs() / 60;
        let all: Vec<_> = [1, 2, 3, 9, 10, 99].map(minutes).to_vec();
        assert_eq!(all, [1, 2, 4, 256, 360, 360]);
        assert_eq!(pause(1, None, None, 1.0), FIRST * 3 / 4);
        // A day's certificate that has 8 h left is tried every hour at least.
        assert_eq!(pause(99, Some(HOUR * 8), None, 0.0), HOUR);
        assert_eq!(pause(99, Some(Duration::ZERO), None, 0.0), FIRST);
        // What the server asks for counts, within reason.
        assert_eq!(pause(1, None, Some(HOUR), 0.5), HOUR);
        assert_eq!(pause(10, None, Some(HOUR), 0.0), MOST);
        assert_eq!(pause(1, None, Some(DAY * 400), 0.0), DAY);
    }
}
