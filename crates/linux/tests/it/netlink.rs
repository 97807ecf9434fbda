use linux::netlink::{LinkKind, Netlink, Route, VethEnd};

use crate::space::Space;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

#[test]
fn a_bridge_is_made_once() {
    let space = Space::new();
    let mut netlink = Netlink::open(&space.0).unwrap();
    for _ in 0..2 {
        netlink.ensure_bridge("br", MAC).unwrap();
        netlink.set_mtu("br", 1400).unwrap();
        netlink.set_up("br").unwrap();
        netlink.set_alias("br", "a bridge").unwrap();
    }
    let seen = space.shell("ip -d -j link show br");
    for part in [
        r#""address":"02:00:00:00:00:01""#,
        r#""mtu":1400"#,
        r#""ifalias":"a bridge""#,
        r#""mcast_snooping":0"#,
        r#""stp_state":0"#,
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    let link = netlink.link("br").unwrap().unwrap();
    assert_eq!(
        (link.kind, link.mac, link.mtu, link.up),
        (LinkKind::Bridge, Some(MAC), 1400, true)
    );
    assert_eq!(link.alias.as_deref(), Some("a bridge"));
    netlink.set_down("br").unwrap();
    netlink.remove_link("br").unwrap();
    netlink.remove_link("br").unwrap();
    assert_eq!(netlink.link("br").unwrap(), None);
}

#[test]
fn a_veth_pair_joins_two_namespaces() {
    let (left, right) = (Space::new(), Space::new());
    let a = VethEnd {
        ns: &left.0,
        name: "a",
        mac: Some(MAC),
    };
    let b = VethEnd {
        ns: &right.0,
        name: "b",
        mac: None,
    };
    Netlink::ensure_veth(a, b).unwrap();
    Netlink::ensure_veth(a, b).unwrap();
    let mut here = Netlink::open(&left.0).unwrap();
    let mut there = Netlink::open(&right.0).unwrap();
    assert_eq!(here.link("a").unwrap().unwrap().mac, Some(MAC));
    there.ensure_bridge("br", MAC).unwrap();
    there.set_master("b", Some("br")).unwrap();
    there.set_isolated("b", true).unwrap();
    assert_eq!(
        there.link("b").unwrap().unwrap().master.as_deref(),
        Some("br")
    );
    assert!(
        right
            .shell("ip -d -j link show b")
            .contains(r#""isolated":true"#)
    );
    there.set_master("b", None).unwrap();
    assert_eq!(there.link("b").unwrap().unwrap().master, None);
    here.remove_link("a").unwrap();
    assert_eq!(there.link("b").unwrap(), None);
}

#[test]
fn addresses_and_routes_are_ours_to_list() {
    let (left, right) = (Space::new(), Space::new());
    let a = VethEnd {
        ns: &left.0,
        name: "a",
        mac: None,
    };
    let b = VethEnd {
        ns: &right.0,
        name: "b",
        mac: None,
    };
    Netlink::ensure_veth(a, b).unwrap();
    let mut netlink = Netlink::open(&left.0).unwrap();
    netlink.set_up("a").unwrap();
    let address = "2001:db8:1::5/64".parse().unwrap();
    netlink.ensure_address("a", address).unwrap();
    netlink.ensure_address("a", address).unwrap();
    assert!(netlink.addresses("a").unwrap().contains(&address));
    assert!(
        left.shell("ip -j address show a")
            .contains(r#""nodad":true"#)
    );

    let ipv4 = "192.0.2.5/24".parse().unwrap();
    netlink.ensure_address("a", ipv4).unwrap();
    netlink.ensure_address("a", ipv4).unwrap();
    let route = |to: &str, via: Option<&str>| Route {
        destination: to.parse().unwrap(),
        nexthop: via.map(|via| via.parse().unwrap()),
        link: "a".into(),
    };
    let wanted = vec![
        route("0.0.0.0/0", Some("192.0.2.1")),
        route("198.51.100.0/24", None),
        route("203.0.113.0/24", Some("192.0.2.2")),
        route("::/0", Some("2001:db8:1::1")),
        route("2001:db8:2::/48", Some("2001:db8:1::2")),
    ];
    for route in wanted.iter().chain(&wanted) {
        netlink.ensure_route(route).unwrap();
    }
    assert_eq!(netlink.routes().unwrap(), wanted);
    assert!(
        left.shell("ip -6 route")
            .contains("default via 2001:db8:1::1")
    );
    for route in wanted.iter().chain(&wanted) {
        netlink.remove_route(route).unwrap();
    }
    assert_eq!(netlink.routes().unwrap(), []);
    netlink.remove_address("a", ipv4).unwrap();
    netlink.remove_address("a", address).unwrap();
    netlink.remove_address("a", address).unwrap();
    assert!(!netlink.addresses("a").unwrap().contains(&address));
}

#[test]
fn an_error_names_its_object() {
    let space = Space::new();
    let mut netlink = Netlink::open(&space.0).unwrap();
    let e = netlink.set_up("nowhere").unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("setting link nowhere up in namespace {}", space.0.name())
    );
    assert_eq!(e.errno(), Some(libc::ENODEV));
}
