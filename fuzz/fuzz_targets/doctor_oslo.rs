//! What `hextet doctor` reads: an oslo.config file, and its substitutions.
#![no_main]

use doctor::{Config, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(settings) = parse::oslo(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let mut config = Config::default();
    config.add("fuzz", &settings);
    for setting in &settings {
        assert!(setting.line >= 1 && setting.line <= setting.last);
        let _ = config.get(&setting.section, &setting.key);
    }
});
