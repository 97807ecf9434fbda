//! What `hextet doctor` reads: chrony.conf.
#![no_main]

use doctor::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for setting in parse::words(&String::from_utf8_lossy(bytes)) {
        assert!(setting.line >= 1 && setting.line <= setting.last);
    }
});
