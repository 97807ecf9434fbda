//! Disks as octets: what an image's data really is ([`check`]), and ISO 9660 file systems
//! ([`iso`]). No I/O.
//!
//! An image comes from anyone, and says of itself what its owner likes: its data is believed only
//! as far as [`check`] has read it.

mod format;
pub mod iso;
mod qcow2;

pub use format::{Format, HEAD_SIZE, Refused, check, probe};
pub use qcow2::{Malformed, qcow2_layer};
