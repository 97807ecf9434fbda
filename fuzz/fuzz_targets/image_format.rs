//! Image data: whatever it is, it is judged without a panic, and a disk taken has a size.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// More than any table of a small image lies at.
const LARGE: u64 = 1 << 40;

fuzz_target!(|bytes: &[u8]| {
    let whole = bytes.len() as u64;
    // The data may go on after what is looked at.
    for size in [whole, LARGE] {
        for declared in ["qcow2", "ami", "aki", "iso"] {
            let _ = disk::check(declared, bytes, size);
        }
        if let Ok(found) = disk::check("raw", bytes, size) {
            assert_eq!(found, size);
        }
    }
});
