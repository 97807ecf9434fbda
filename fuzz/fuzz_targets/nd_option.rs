//! Single options: what is read and written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::nd::{NdOption, TargetLinkAddress};

fuzz_target!(|bytes: &[u8]| {
    let _ = TargetLinkAddress::parse(bytes);
    if let Ok(Some(option)) = NdOption::parse(bytes) {
        let mut out = Vec::new();
        option.emit(&mut out);
        assert_eq!(NdOption::parse(&out), Ok(Some(option)));
    }
});
