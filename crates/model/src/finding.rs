//! What an invariant checker found wrong.

use serde::Serialize;

/// One thing that should not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What is wrong, with the thing's name.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about it.
    pub next: &'static str,
}

impl Finding {
    pub fn new(what: impl Into<String>, why: &'static str, next: &'static str) -> Finding {
        let what = what.into();
        Finding { what, why, next }
    }
}
