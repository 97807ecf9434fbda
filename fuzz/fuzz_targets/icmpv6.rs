//! Whole packets: what is read and written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::icmpv6::Icmpv6;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Icmpv6::parse(bytes) {
        let mut out = Vec::new();
        packet.emit(&mut out);
        let again = Icmpv6::parse(&out).expect("what we emit");
        assert_eq!(
            (again.source, again.destination),
            (packet.source, packet.destination)
        );
        assert_eq!(again.message[4..], packet.message[4..]);
    }
});
