//! Addresses as columns: their order as text is their order as numbers.

use std::net::Ipv6Addr;

use proptest::prelude::*;
use store::{Column, Field, Value};

fn text(address: Ipv6Addr) -> String {
    match address.to_value() {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        prop_assert_eq!(Ipv6Addr::from_column((&address.to_value()).into()).unwrap(), address);
        prop_assert_eq!(text(address).len(), 32);
    }

    #[test]
    fn text_sorts_as_numbers(a: u128, b: u128, shift in 0_u32..128) {
        // Neighbours, and addresses that differ in their last bits only, too.
        for (a, b) in [(a, b), (a >> shift, b >> shift), (a, a.wrapping_add(1))] {
            let (a, b) = (Ipv6Addr::from_bits(a), Ipv6Addr::from_bits(b));
            prop_assert_eq!(text(a).cmp(&text(b)), a.cmp(&b));
        }
    }
}

#[test]
fn what_is_no_address_is_corrupt() {
    for bad in ["", "::1", "x", &"f".repeat(33)] {
        let value = Value::Text(bad.to_owned());
        assert!(Ipv6Addr::from_column((&value).into()).is_err(), "{bad}");
    }
    assert!(Ipv6Addr::from_column(Column::Null).is_err());
}
