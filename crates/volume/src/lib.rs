//! Volumes on the node that keeps them: the files, and the iSCSI daemon `tgtd` that serves them.
//! Blocks; `node::volumes` says when, and on which thread.
//!
//! ```text
//!   files  DIR/VOLUME.raw -+                       +- target, one a volume
//!                          +-> tgtd, unprivileged -+- LUN 1, the file
//!   control socket --------+                       +- accounts, one an attachment (CHAP)
//! ```

mod daemon;
pub mod file;
pub mod listing;
pub mod plan;
pub mod portal;
pub mod probe;
pub mod protocol;

pub use daemon::{Daemon, DaemonSettings, Trouble};
pub use listing::Listing;
pub use plan::{Export, Step, plan};
