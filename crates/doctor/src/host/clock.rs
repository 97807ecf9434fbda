//! The clock.

use super::{at, found};
use crate::finding::Finding;
use crate::table;

/// How far two moments may be apart and still be called the same, in milliseconds.
const SAME_MS: i64 = 60_000;

/// What was seen of the time; moments are milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Clock {
    /// The kernel says that nothing keeps its clock right.
    pub adrift: bool,
    pub now_ms: i64,
    /// The newest moment in the database.
    pub newest_ms: i64,
}

pub(super) fn check(seen: &Clock) -> Vec<Finding> {
    let ahead_ms = seen.newest_ms.saturating_sub(seen.now_ms);
    let behind = (ahead_ms > SAME_MS).then(|| {
        let what = format!("the database knows of a moment {} s from now", ahead_ms / 1000);
        let fix = "set the clock right (`date`, `chronyc makestep`) before anything is created; if it is right now, wait for that moment";
        found(&table::CLOCK_BEHIND, at("the clock"), what, fix.into())
    });
    let adrift = seen.adrift.then(|| {
        let what = "the kernel's clock is not synchronised (`adjtimex --print`, `timedatectl`)";
        let fix = "`apt install chrony`, and name a server that is reached over IPv6 in /etc/chrony; in a container this is for its host to do";
        found(&table::CLOCK_ADRIFT, at("the clock"), what.into(), fix.into())
    });
    behind.into_iter().chain(adrift).collect()
}
