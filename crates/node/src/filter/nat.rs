//! A router's address translation, of IPv4 only: IPv6 is routed as it is.
//!
//! ```text
//!   from outside, to FLOATING          prerouting:  to FIXED
//!   out by the external leg            postrouting: FIXED's FLOATING, else the leg's own address
//!   from inside to FLOATING (hairpin)  both: so that the answer comes back by the router
//! ```

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use linux::conntrack::Tuple;
use model::{Router, RouterPort};

use super::table::Table;
use crate::links::names;

/// Renders the table of a router: without an object when it translates nothing.
pub(super) fn table(router: &Router) -> Table {
    let mut table = Table::new("ip");
    let Some((leg, own)) = outer(router) else {
        return table;
    };
    table.map("inward", "type ipv4_addr : ipv4_addr");
    table.map("outward", "type ipv4_addr : ipv4_addr");
    for ip in &router.floating_ips {
        table.element("inward", ip.floating.to_string(), ip.fixed.to_string());
        table.element("outward", ip.fixed.to_string(), ip.floating.to_string());
    }
    let link = format!("\"{}\"", names::leg_in_router(leg.id));
    let hairpin = format!("iifname != {link} oifname != {link} ct status dnat");
    let mut postrouting = vec![
        format!("{hairpin} snat to ip saddr map @outward"),
        format!("{hairpin} snat to {own}"),
        format!("oifname {link} snat to ip saddr map @outward"),
    ];
    if router.snat {
        postrouting.push(format!("oifname {link} snat to {own}"));
    }
    table.base(
        "prerouting",
        "type nat hook prerouting priority -100; policy accept;",
        &["dnat to ip daddr map @inward"],
    );
    table.base(
        "postrouting",
        "type nat hook postrouting priority 100; policy accept;",
        &postrouting,
    );
    table
}

/// Whether a connection was translated as the router would not do it now: a floating address that
/// moved, went or came, or a leg that has another address.
pub(super) fn stale(router: &Router, original: &Tuple, reply: &Tuple) -> bool {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (original.source, original.destination) else {
        return false;
    };
    let (IpAddr::V4(at), IpAddr::V4(seen_as)) = (reply.source, reply.destination) else {
        return false;
    };
    let fixed = router.floating_ips.iter().find(|ip| ip.floating == to);
    let wrong_inward = match fixed {
        Some(ip) => at != ip.fixed,
        None => at != to,
    };
    let floats_as = |ip: &model::FloatingIp| ip.fixed == from && ip.floating == seen_as;
    let own = outer(router).is_some_and(|(_, own)| own == seen_as && (router.snat || at != to));
    let right_outward = seen_as == from || own || router.floating_ips.iter().any(floats_as);
    wrong_inward || !right_outward
}

/// The leg in the external network that has an IPv4 address, and that address.
fn outer(router: &Router) -> Option<(&RouterPort, Ipv4Addr)> {
    let external = router.ports.iter().filter(|leg| leg.external);
    let mut with_address = external.filter_map(|leg| Some((leg, ipv4(leg)?)));
    with_address.next()
}

fn ipv4(leg: &RouterPort) -> Option<Ipv4Addr> {
    leg.addresses.iter().find_map(|net| match net {
        IpNet::V4(net) => Some(net.addr()),
        IpNet::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use model::{FloatingIp, FloatingIpId, Mac, NetworkId, PortId, RouterId};

    use super::*;

    const FIXED: &str = "192.0.2.5";
    const FLOATING: &str = "198.51.100.9";
    const OWN: &str = "198.51.100.2";
    const FAR: &str = "203.0.113.1";

    fn router() -> Router {
        let leg = RouterPort {
            id: PortId::random(),
            network: NetworkId::random(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec![format!("{OWN}/24").parse().unwrap()],
            external: true,
            advertising: model::Advertising::default(),
        };
        let floating = FloatingIp {
            id: FloatingIpId::random(),
            floating: FLOATING.parse().unwrap(),
            fixed: FIXED.parse().unwrap(),
        };
        Router {
            id: RouterId::random(),
            enabled: true,
            ports: vec![leg],
            routes: Vec::new(),
            default_nexthops: Vec::new(),
            snat: true,
            floating_ips: vec![floating],
        }
    }

    /// `FROM > TO` of the first packet, and of the answer.
    fn is_stale(router: &Router, [from, to]: [&str; 2], [at, seen_as]: [&str; 2]) -> bool {
        let tuple = |source: &str, destination: &str| Tuple {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: 6,
        };
        stale(router, &tuple(from, to), &tuple(at, seen_as))
    }

    #[test]
    fn what_is_translated_as_now_goes_on() {
        let router = router();
        for (original, reply) in [
            ([FAR, FLOATING], [FIXED, FAR]),
            ([FIXED, FAR], [FAR, FLOATING]),
            (["192.0.2.6", FAR], [FAR, OWN]),
            (["192.0.2.6", FLOATING], [FIXED, OWN]),
            ([FIXED, FLOATING], [FIXED, FLOATING]),
            (["192.0.2.6", "192.0.3.7"], ["192.0.3.7", "192.0.2.6"]),
            (
                ["2001:db8::1", "2001:db8::2"],
                ["2001:db8::2", "2001:db8::1"],
            ),
        ] {
            assert!(
                !is_stale(&router, original, reply),
                "{original:?} {reply:?}"
            );
        }
    }

    #[test]
    fn what_is_translated_otherwise_ends() {
        let mut router = router();
        router.floating_ips[0].fixed = "192.0.2.7".parse().unwrap();
        assert!(is_stale(&router, [FAR, FLOATING], [FIXED, FAR]), "moved");
        assert!(is_stale(&router, [FIXED, FAR], [FAR, FLOATING]), "moved");
        router.floating_ips.clear();
        assert!(is_stale(&router, [FAR, FLOATING], [FIXED, FAR]), "gone");
        assert!(!is_stale(&router, [FIXED, FAR], [FAR, OWN]));
        router.snat = false;
        assert!(is_stale(&router, [FIXED, FAR], [FAR, OWN]), "no SNAT");
        router.ports.clear();
        assert!(is_stale(&router, [FIXED, FAR], [FAR, OWN]), "no leg");
    }
}
