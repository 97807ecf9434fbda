//! Named places between two steps, at which a test can have the process killed.
//!
//! `HEXTET_CRASH_LOG=FILE` writes the name of every point that is passed, a line each;
//! `HEXTET_CRASH_AT=NAME#COUNT` kills the process, as a power failure would, when it passes a point
//! for the count-th time. Both are read once. Without them a point costs one load.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, raise};

enum Order {
    Log(File),
    Kill { name: String, left: AtomicU32 },
}

static ORDER: OnceLock<Option<Order>> = OnceLock::new();

/// A place between two steps.
pub fn point(name: &str) {
    if let Some(order) = ORDER.get_or_init(read) {
        order.passes(name);
    }
}

/// A place that many share: what the name is made of is not looked at without an order.
pub fn point_of(name: impl FnOnce() -> String) {
    if let Some(order) = ORDER.get_or_init(read) {
        order.passes(&name());
    }
}

fn read() -> Option<Order> {
    if let Some(path) = std::env::var_os("HEXTET_CRASH_LOG") {
        let file = File::options().create(true).append(true).open(path);
        return file.ok().map(Order::Log);
    }
    let (name, count) = {
        let text = std::env::var("HEXTET_CRASH_AT").ok()?;
        let (name, count) = text.rsplit_once('#')?;
        (name.to_owned(), count.parse().ok()?)
    };
    Some(Order::Kill {
        name,
        left: AtomicU32::new(count),
    })
}

impl Order {
    fn passes(&self, passed: &str) {
        match self {
            // One write a line: threads do not mix theirs.
            Order::Log(file) => drop((&*file).write_all(format!("{passed}\n").as_bytes())),
            Order::Kill { name, left } => {
                if name == passed && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    let _ = raise(Signal::SIGKILL);
                }
            }
        }
    }
}
