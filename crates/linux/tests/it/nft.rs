use linux::{nft, sysctl};

use crate::space::Space;

#[test]
fn a_script_is_all_or_nothing() {
    let space = Space::new();
    let before = nft::generation(&space.0).unwrap();
    nft::apply(&space.0, "add table inet a; add chain inet a b").unwrap();
    assert_ne!(nft::generation(&space.0).unwrap(), before);
    assert!(
        nft::ask(&space.0, &["list", "tables"])
            .unwrap()
            .contains("table inet a")
    );
    let e = nft::apply(&space.0, "add table inet c\ndelete table inet d\n").unwrap_err();
    assert!(e.to_string().contains("No such file or directory"), "{e}");
    assert!(
        !nft::ask(&space.0, &["list", "tables"])
            .unwrap()
            .contains("table inet c")
    );
}

#[test]
fn a_sysctl_is_set_inside() {
    let space = Space::new();
    let name = "net/ipv6/conf/all/forwarding";
    let outside = std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    sysctl::set(&space.0, name, "1").unwrap();
    assert_eq!(sysctl::get(&space.0, name).unwrap(), "1");
    let after = std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    assert_eq!(outside, after);
    let e = sysctl::set(&space.0, "net/ipv6/conf/nowhere/forwarding", "1").unwrap_err();
    assert!(
        e.to_string().contains("net/ipv6/conf/nowhere/forwarding"),
        "{e}"
    );
}
