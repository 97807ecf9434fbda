//! What tgtd answers on its control socket, and what a portal answers to a login.
#![no_main]

use libfuzzer_sys::fuzz_target;
use volume::{listing, portal, probe, protocol};

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = bytes.first_chunk() {
        let _ = protocol::parse_answer(*header);
    }
    if let Some(header) = bytes.first_chunk() {
        let _ = probe::parse_header(header, "target");
    }
    let _ = probe::parse_keys(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = listing::parse_targets(&text);
    let _ = listing::parse_accounts(&text);
    let _ = listing::parse_portals(&text);
    let _ = portal::parse(&text, None);
});
