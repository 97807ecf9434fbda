//! Lines of QEMU's monitor: a guest that broke out of its machine can write any.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = qemu::qmp::parse(bytes);
});
