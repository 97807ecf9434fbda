//! AMQP 0-9-1, as far as somebody who publishes needs it: what is said to a broker ([`say`]) and what
//! it tells ([`Told`]). The specification is amqp0-9-1.pdf; confirms, `basic.nack` and
//! `connection.blocked` are RabbitMQ's additions to it.
//!
//! ```text
//! | type: 1 | channel: 2 | size: 4 | payload | end: 0xCE |      section 4.2.3
//! a method's payload:  | class: 2 | method: 2 | arguments |      section 4.2.4
//! ```

pub mod say;
mod told;

pub use told::Told;

use crate::Malformed;

/// The first octets on a connection (section 4.2.2).
pub const GREETING: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// Octets of a frame around its payload.
pub const OVERHEAD: usize = 8;
/// The largest frame that may come before a size is agreed on (section 4.2.3).
pub const FRAME_MIN: u32 = 4096;
/// Octets of a short string, at most.
pub const SHORT_MAX: usize = 255;

const END: u8 = 0xCE;

/// Types of frames (section 4.2.3).
mod frame {
    pub(super) const METHOD: u8 = 1;
    pub(super) const HEADER: u8 = 2;
    pub(super) const BODY: u8 = 3;
    pub(super) const HEARTBEAT: u8 = 8;
}

/// Classes and their methods (section 1.3 of the reference).
mod method {
    type Method = (u16, u16);
    pub(super) const START: Method = (10, 10);
    pub(super) const START_OK: Method = (10, 11);
    pub(super) const TUNE: Method = (10, 30);
    pub(super) const TUNE_OK: Method = (10, 31);
    pub(super) const OPEN: Method = (10, 40);
    pub(super) const OPEN_OK: Method = (10, 41);
    pub(super) const CLOSE: Method = (10, 50);
    pub(super) const CLOSE_OK: Method = (10, 51);
    pub(super) const BLOCKED: Method = (10, 60);
    pub(super) const UNBLOCKED: Method = (10, 61);
    pub(super) const CHANNEL_OPEN: Method = (20, 10);
    pub(super) const CHANNEL_OPEN_OK: Method = (20, 11);
    pub(super) const CHANNEL_CLOSE: Method = (20, 40);
    pub(super) const EXCHANGE_DECLARE: Method = (40, 10);
    pub(super) const EXCHANGE_DECLARE_OK: Method = (40, 11);
    pub(super) const QUEUE_DECLARE: Method = (50, 10);
    pub(super) const QUEUE_DECLARE_OK: Method = (50, 11);
    pub(super) const QUEUE_BIND: Method = (50, 20);
    pub(super) const QUEUE_BIND_OK: Method = (50, 21);
    pub(super) const BASIC_PUBLISH: Method = (60, 40);
    pub(super) const BASIC_ACK: Method = (60, 80);
    pub(super) const BASIC_NACK: Method = (60, 120);
    pub(super) const CONFIRM_SELECT: Method = (85, 10);
    pub(super) const CONFIRM_SELECT_OK: Method = (85, 11);
}

/// The first frame in what has come, as what it tells, and its octets. `None`: more must come.
///
/// # Errors
/// [`Malformed`]: what came is no frame, or one larger than `max`, or tells nothing this knows.
pub fn parse(bytes: &[u8], max: u32) -> Result<Option<(Told, usize)>, Malformed> {
    let Some((&[kind, _, _, a, b, c, d], rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    if size > max.saturating_sub(OVERHEAD as u32) {
        return Err(Malformed("AMQP frame: larger than agreed"));
    }
    let size = size as usize;
    let Some((payload, end)) = rest.split_at_checked(size) else {
        return Ok(None);
    };
    let told = match (end.first(), kind) {
        (None, _) => return Ok(None),
        (Some(&END), frame::METHOD) => Told::parse(payload)?,
        (Some(&END), frame::HEARTBEAT) => Told::Heartbeat,
        (Some(&END), _) => return Err(Malformed("AMQP frame: not one for a publisher")),
        (Some(_), _) => return Err(Malformed("AMQP frame: its end")),
    };
    Ok(Some((told, size + OVERHEAD)))
}
