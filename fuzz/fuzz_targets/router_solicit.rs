//! Messages behind a sound IPv6 header: what is read and written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::icmpv6::{ALL_NODES, Icmpv6};
use wire::nd::{HOP_LIMIT, RouterSolicit};

fuzz_target!(|message: &[u8]| {
    let source = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let packet = Icmpv6 {
        source,
        destination: ALL_NODES,
        hop_limit: HOP_LIMIT,
        message,
    };
    if let Ok(read) = RouterSolicit::parse(&packet) {
        let mut out = Vec::new();
        read.emit(&mut out);
        let again = RouterSolicit::parse(&Icmpv6 {
            message: &out,
            ..packet
        });
        assert_eq!(again, Ok(read));
    }
});
