//! Addresses as columns: their order as text is their order as numbers.

use std::net::IpAddr;

use model::{ip_from_bits, ip_to_bits};
use proptest::prelude::*;
use store::{Column, Field, Value};

fn text(address: IpAddr) -> String {
    match address.to_value() {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(bits: u128) {
        let address = ip_from_bits(bits);
        prop_assert_eq!(IpAddr::from_column((&address.to_value()).into()).unwrap(), address);
        prop_assert_eq!(text(address).len(), 32);
    }

    #[test]
    fn text_sorts_as_numbers(a: u128, b: u128, shift in 0_u32..128) {
        // Neighbours, and addresses that differ in their last bits only, too.
        for (a, b) in [(a, b), (a >> shift, b >> shift), (a, a.wrapping_add(1))] {
            let (a, b) = (ip_from_bits(a), ip_from_bits(b));
            prop_assert_eq!(text(a).cmp(&text(b)), ip_to_bits(a).cmp(&ip_to_bits(b)));
        }
    }
}

#[test]
fn ipv4_sorts_as_numbers_and_before_ipv6() {
    let text = |t: &str| text(t.parse().unwrap());
    assert!(text("192.0.2.9") < text("192.0.2.10"));
    assert!(text("255.255.255.255") < text("2001:db8::"));
    assert_eq!(text("192.0.2.1"), "00000000000000000000ffffc0000201");
}

#[test]
fn what_is_no_address_is_corrupt() {
    for bad in ["", "::1", "x", &"f".repeat(33)] {
        let value = Value::Text(bad.to_owned());
        assert!(IpAddr::from_column((&value).into()).is_err(), "{bad}");
    }
    assert!(IpAddr::from_column(Column::Null).is_err());
}
