//! What a broker sends, frame after frame: nothing brings its reader down, and each frame moves on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::amqp::{FRAME_MIN, parse};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((_, length))) = parse(rest, FRAME_MIN) {
        assert!(length >= 8 && length <= FRAME_MIN as usize);
        rest = &rest[length..];
    }
});
