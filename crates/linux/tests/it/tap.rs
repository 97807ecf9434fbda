use std::io::ErrorKind;

use linux::netlink::{LinkKind, Netlink};
use linux::tap;

use crate::space::Space;

#[test]
fn a_tap_stays_and_is_opened_by_one() {
    let space = Space::new();
    assert_eq!(
        tap::open(&space.0, "t1").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    tap::ensure(&space.0, "t1").unwrap();
    tap::ensure(&space.0, "t1").unwrap();
    let mut netlink = Netlink::open(&space.0).unwrap();
    assert_eq!(netlink.link("t1").unwrap().unwrap().kind, LinkKind::Tap);

    let held = tap::open(&space.0, "t1").unwrap();
    tap::ensure(&space.0, "t1").unwrap();
    assert_eq!(
        tap::open(&space.0, "t1").unwrap_err().kind(),
        ErrorKind::ResourceBusy
    );
    let seen = space.shell("ip -d -j link show t1");
    for part in [
        r#""type":"tap""#,
        r#""pi":false"#,
        r#""vnet_hdr":true"#,
        r#""persist":true"#,
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    drop(held);
    tap::open(&space.0, "t1").unwrap();
    let e = tap::ensure(&space.0, "sixteen-octets-x").unwrap_err();
    assert!(e.to_string().contains("1 to 15 octets"), "{e}");
}
