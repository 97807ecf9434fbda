//! A packet from a guest to the DHCPv6 server: what is read and written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::dhcp6::Dhcp6;
use wire::udp6::Udp6;

fuzz_target!(|packet: &[u8]| {
    let _ = Udp6::parse(packet).map(|udp| Dhcp6::parse(udp.payload));
    if let Ok(read) = Dhcp6::parse(packet) {
        let mut out = Vec::new();
        read.emit(&mut out);
        assert_eq!(Dhcp6::parse(&out), Ok(read));
    }
});
