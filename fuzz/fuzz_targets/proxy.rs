//! The PROXY header of a balancer never brings its reader down.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::proxy::{FIXED, Fixed};

fuzz_target!(|octets: &[u8]| {
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED>() else {
        return;
    };
    if let Ok(header) = Fixed::parse(fixed) {
        let _ = header.client(&rest[..rest.len().min(header.length)]);
    }
});
