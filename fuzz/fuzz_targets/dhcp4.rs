//! A packet from a guest to the DHCP server: what is read and written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::dhcp4::Dhcp4;
use wire::udp4::Udp4;

fuzz_target!(|packet: &[u8]| {
    let _ = Udp4::parse(packet).map(|udp| Dhcp4::parse(udp.payload));
    if let Ok(read) = Dhcp4::parse(packet) {
        let mut out = Vec::new();
        read.emit(&mut out);
        assert_eq!(Dhcp4::parse(&out), Ok(read));
    }
});
