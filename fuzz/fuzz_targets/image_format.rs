//! Image data: whatever it is, it is judged without a panic, and a disk taken has a size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    for declared in ["raw", "qcow2", "ami", "aki", "iso"] {
        let _ = disk::check(declared, bytes, size);
    }
    if let Ok(found) = disk::check("raw", bytes, size) {
        assert_eq!(found, size);
    }
});
