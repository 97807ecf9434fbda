//! What an ACME server says never brings its reader down, and is never shown with what steers
//! terminals.
#![no_main]

use acme::message::{Authorization, Directory, Order, Problem, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = parse::<Directory>(octets);
    if let Ok(order) = parse::<Order>(octets) {
        for url in order.authorizations.iter().chain(&order.certificate) {
            let _ = acme::Place::parse(url);
        }
    }
    if let Ok(authorization) = parse::<Authorization>(octets) {
        for challenge in &authorization.challenges {
            let letters = |t: &str| t.bytes().all(|c| c.is_ascii_graphic() && c != b'/');
            assert!(challenge.token().is_none_or(letters));
        }
    }
    if let Ok(problem) = parse::<Problem>(octets) {
        assert!(!problem.to_string().contains(char::is_control));
    }
    if let Ok(url) = std::str::from_utf8(octets) {
        let _ = acme::Place::parse(url);
    }
});
