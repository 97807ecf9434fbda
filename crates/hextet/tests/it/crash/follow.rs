//! How far the node has followed the database: what the API does not show, it does meanwhile.

use std::thread::sleep;
use std::time::Instant;

use serde_json::Value;
use store::Store;

use super::{LOOK_EVERY, PATIENCE};
use crate::host::Host;

/// Waits until the node has reached the generation that is the newest now, or hextet has ended.
pub(super) fn wait(host: &mut Host) {
    let store = Store::open(&host.root.join("var/lib/hextet/hextet.db")).unwrap();
    let newest = store.read(|tx| tx.newest_generation()).unwrap();
    let end = Instant::now() + PATIENCE;
    while reached(&host.said()) < Some(newest) && !host.ended() {
        assert!(
            Instant::now() < end,
            "the node does not reach generation {newest}:\n{}",
            host.log()
        );
        sleep(LOOK_EVERY);
    }
}

/// The generation that the node reached last, by what the controller logged.
fn reached(log: &str) -> Option<u64> {
    let mut lines = log
        .lines()
        .rev()
        .filter(|line| line.contains("\"reached\""));
    let line: Value = serde_json::from_str(lines.next()?).ok()?;
    line["generation"].as_u64()
}
