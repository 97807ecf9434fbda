//! Frames of the node protocol, in both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use link::{FromNode, ToNode};

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _ = runtime.block_on(link::receive::<FromNode>(&mut &bytes[..]));
    let _ = runtime.block_on(link::receive::<ToNode>(&mut &bytes[..]));
});
