use super::*;

fn text(pools: &[(IpAddr, IpAddr)]) -> Vec<String> {
    pools.iter().map(|(a, b)| format!("{a}-{b}")).collect()
}

#[test]
fn the_default_pool_leaves_the_gateway_out() {
    let check = |prefix: &str, gateway: &str, expected: &[&str]| {
        let pools = default_pools(&prefix.parse().unwrap(), gateway.parse().ok());
        assert_eq!(text(&pools), expected, "{prefix} {gateway}");
    };
    check(
        "2001:db8::/64",
        "2001:db8::1",
        &["2001:db8::2-2001:db8::ffff:ffff:ffff:ffff"],
    );
    check(
        "2001:db8::/126",
        "2001:db8::2",
        &["2001:db8::1-2001:db8::1", "2001:db8::3-2001:db8::3"],
    );
    check(
        "2001:db8::/64",
        "fe80::1",
        &["2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"],
    );
    check("192.0.2.0/24", "192.0.2.1", &["192.0.2.2-192.0.2.254"]);
    check(
        "192.0.2.0/24",
        "192.0.2.9",
        &["192.0.2.1-192.0.2.8", "192.0.2.10-192.0.2.254"],
    );
    check("192.0.2.0/24", "none", &["192.0.2.1-192.0.2.254"]);
    check("192.0.2.0/30", "192.0.2.1", &["192.0.2.2-192.0.2.2"]);
    check("192.0.2.0/31", "192.0.2.1", &["192.0.2.0-192.0.2.0"]);
    check("192.0.2.7/32", "none", &["192.0.2.7-192.0.2.7"]);
}

#[test]
fn the_gateway_is_the_first_host_where_there_is_one_to_spare() {
    let check = |prefix: &str, expected: &str| {
        let gateway = default_gateway(&prefix.parse().unwrap());
        assert_eq!(gateway, expected.parse().ok(), "{prefix}");
    };
    check("192.0.2.0/24", "192.0.2.1");
    check("192.0.2.64/26", "192.0.2.65");
    check("192.0.2.0/31", "192.0.2.1");
    check("192.0.2.7/32", "none");
    check("2001:db8::/64", "2001:db8::1");
    check("2001:db8::7/128", "none");
}

#[test]
fn hosts_have_neither_the_subnets_own_nor_the_broadcast_address() {
    let check = |prefix: &str, address: &str, expected: bool| {
        let found = is_host(&prefix.parse().unwrap(), address.parse().unwrap());
        assert_eq!(found, expected, "{address} in {prefix}");
    };
    check("192.0.2.0/24", "192.0.2.0", false);
    check("192.0.2.0/24", "192.0.2.1", true);
    check("192.0.2.0/24", "192.0.2.254", true);
    check("192.0.2.0/24", "192.0.2.255", false);
    check("192.0.2.0/24", "198.51.100.7", false);
    check("192.0.2.0/24", "2001:db8::1", false);
    check("192.0.2.0/31", "192.0.2.0", true);
    check("2001:db8::/64", "2001:db8::", false);
    check("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true);
    check("2001:db8::/127", "2001:db8::", true);
}
