//! A router's address translation. IPv6 is routed as it is, but for floating addresses.
//!
//! ```text
//!   from outside, to FLOATING          prerouting:  to FIXED
//!   from outside, to FLOATING's port   prerouting:  to FIXED's port, where it is forwarded
//!   out by the external leg            postrouting: FIXED's FLOATING, else, of IPv4, the leg's own address
//!   from inside to FLOATING (hairpin)  both: so that the answer comes back by the router
//! ```
//!
//! Between networks of different address scopes nothing passes untranslated, within one nothing is translated (`scope`).

mod scope;

use std::net::IpAddr;

use linux::conntrack::Tuple;
use model::{FloatingIp, Forwarding, Router, RouterPort};

use super::table::Table;
use crate::links::names;

/// As nft tells them apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "ip",
            Family::Ipv6 => "ip6",
        }
    }

    fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

/// Renders the tables of a router: without an object where it translates nothing.
pub(super) fn tables(router: &Router) -> Vec<Table> {
    vec![table(router, Family::Ipv4), table(router, Family::Ipv6)]
}

fn table(router: &Router, family: Family) -> Table {
    let mut table = Table::new(family.name());
    translate(&mut table, router, family);
    scope::separate(&mut table, router, family);
    table
}

fn translate(table: &mut Table, router: &Router, family: Family) {
    let ip = family.name();
    let addresses = match family {
        Family::Ipv4 => "type ipv4_addr : ipv4_addr",
        Family::Ipv6 => "type ipv6_addr : ipv6_addr",
    };
    let floating: Vec<_> = floating(router, family).collect();
    let Some((leg, own)) = outer(router, family) else {
        return;
    };
    let forwardings = router.forwardings.iter();
    let forwardings: Vec<_> = forwardings
        .filter(|f| Family::of(f.floating) == family)
        .collect();
    if floating.is_empty() && forwardings.is_empty() && family == Family::Ipv6 {
        return;
    }
    table.map("inward", addresses);
    table.map("outward", addresses);
    for ip in floating {
        table.element("inward", ip.floating.to_string(), ip.fixed.to_string());
        table.element("outward", ip.fixed.to_string(), ip.floating.to_string());
    }
    let link = format!("\"{}\"", names::leg_in_router(leg.id));
    let hairpin = format!("iifname != {link} oifname != {link} ct status dnat");
    let mut postrouting = vec![
        format!("{hairpin} snat to {ip} saddr map @outward"),
        format!("{hairpin} snat to {own}"),
    ];
    if family == Family::Ipv6 {
        // Until there is a floating address nothing is tracked: a connection that was there before
        // keeps the address that it began with.
        postrouting.push("tcp flags & (syn | ack) != syn accept".into());
    }
    postrouting.push(format!("oifname {link} snat to {ip} saddr map @outward"));
    if router.snat && family == Family::Ipv4 {
        postrouting.extend(scope::untranslated(router, leg));
        postrouting.push(format!("oifname {link} snat to {own}"));
    }
    let inward = inward(table, family, &forwardings);
    table.base(
        "prerouting",
        "type nat hook prerouting priority -100; policy accept;",
        &inward,
    );
    table.base(
        "postrouting",
        "type nat hook postrouting priority 100; policy accept;",
        &postrouting,
    );
}

/// The floating addresses of a family.
fn floating(router: &Router, family: Family) -> impl Iterator<Item = &FloatingIp> {
    let all = router.floating_ips.iter();
    all.filter(move |ip| Family::of(ip.floating) == family)
}

/// Rules for what comes to floating addresses, and the maps that those of forwardings look into:
/// ranges that keep their ports stand as such, of all others each port by itself.
fn inward(table: &mut Table, family: Family, forwardings: &[&Forwarding]) -> Vec<String> {
    let (ip, ports, kept) = match family {
        Family::Ipv4 => ("ip", PORTS4, KEPT4),
        Family::Ipv6 => ("ip6", PORTS6, KEPT6),
    };
    let mut rules = vec![format!("dnat to {ip} daddr map @inward")];
    if forwardings.is_empty() {
        return rules;
    }
    table.map("ports", ports);
    table.map("kept", kept);
    for f in forwardings {
        let (first, last) = f.external;
        let to = format!("{} . {}", f.floating, f.protocol);
        if f.keeps_ports() && first != last {
            let range = format!("{to} . {first}-{last}");
            table.element("kept", range, f.fixed.to_string());
            continue;
        }
        for port in first..=last {
            if let Some(inward) = f.inward(port) {
                let fixed = format!("{} . {inward}", f.fixed);
                table.element("ports", format!("{to} . {port}"), fixed);
            }
        }
    }
    let key = format!("{ip} daddr . meta l4proto . th dport");
    rules.push(format!("dnat {ip} to {key} map @ports"));
    rules.push(format!("dnat to {key} map @kept"));
    rules
}

const PORTS4: &str = "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service";
const PORTS6: &str = "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service";
const KEPT4: &str = "type ipv4_addr . inet_proto . inet_service : ipv4_addr; flags interval";
const KEPT6: &str = "type ipv6_addr . inet_proto . inet_service : ipv6_addr; flags interval";

/// Whether a connection was translated as the router would not do it now: a floating address that
/// moved, went or came, or a leg that has another address.
pub(super) fn stale(router: &Router, original: &Tuple, reply: &Tuple) -> bool {
    let (from, to) = (original.source, original.destination);
    let (at, seen_as) = (reply.source, reply.destination);
    let wrong_inward = (at, reply.source_port) != destination(router, original);
    let floats_as = |ip: &model::FloatingIp| ip.fixed == from && ip.floating == seen_as;
    let snat = router.snat && from.is_ipv4() && !scope::leaves_as_it_is(router, from);
    let outer = outer(router, Family::of(from));
    let own = outer.is_some_and(|(_, own)| own == seen_as && (snat || at != to));
    let right_outward = seen_as == from || own || router.floating_ips.iter().any(floats_as);
    wrong_inward || !right_outward
}

/// Where what is sent so ends up: at an address, and a port there.
fn destination(router: &Router, sent: &Tuple) -> (IpAddr, u16) {
    let (to, port) = (sent.destination, sent.destination_port);
    if let Some(ip) = router.floating_ips.iter().find(|ip| ip.floating == to) {
        return (ip.fixed, port);
    }
    let forwarded = |f: &Forwarding| {
        let meant = f.floating == to && f.protocol == sent.protocol;
        Some((f.fixed, f.inward(port).filter(|_| meant)?))
    };
    let found = router.forwardings.iter().find_map(forwarded);
    found.unwrap_or((to, port))
}

/// The leg in the external network that has an address of a family, and that address.
fn outer(router: &Router, family: Family) -> Option<(&RouterPort, IpAddr)> {
    let external = router.ports.iter().filter(|leg| leg.external);
    let mut with_address = external.filter_map(|leg| {
        let mut addresses = leg.addresses.iter().map(|net| net.addr());
        let own = addresses.find(|address| Family::of(*address) == family)?;
        Some((leg, own))
    });
    with_address.next()
}

#[cfg(test)]
mod tests {
    use model::{FloatingIpId, Mac, NetworkId, PortId, RouterId};

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
            scopes: model::Scopes::default(),
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
            forwardings: Vec::new(),
            nd_proxy: false,
        }
    }

    /// `FROM > TO` of the first packet, and of the answer.
    fn is_stale(router: &Router, [from, to]: [&str; 2], [at, seen_as]: [&str; 2]) -> bool {
        // `ADDRESS PORT`; without a port, of one that is the same all the way.
        let end = |text: &str| {
            let (address, port) = text.split_once(' ').unwrap_or((text, "9"));
            (address.parse().unwrap(), port.parse().unwrap())
        };
        let tuple = |source: &str, destination: &str| Tuple {
            source: end(source).0,
            destination: end(destination).0,
            protocol: 6,
            source_port: end(source).1,
            destination_port: end(destination).1,
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
    fn what_is_forwarded_otherwise_ends() {
        let mut router = router();
        router.floating_ips.clear();
        router.forwardings.push(Forwarding {
            floating: FLOATING.parse().unwrap(),
            protocol: 6,
            external: (80, 81),
            fixed: FIXED.parse().unwrap(),
            internal: (8080, 8081),
        });
        let (outside, guest) = (format!("{FLOATING} 81"), format!("{FIXED} 8081"));
        let there = |router: &Router| is_stale(router, [FAR, &outside], [&guest, FAR]);
        assert!(!there(&router));
        let own = format!("{OWN} 1029");
        let inside = ["192.0.2.6 1028", &outside];
        assert!(!is_stale(&router, inside, [&guest, &own]), "from inside");
        assert!(!is_stale(&router, [FIXED, FAR], [FAR, OWN]));
        let other = format!("{FLOATING} 82");
        assert!(is_stale(&router, [FAR, &other], [&guest, FAR]));
        router.forwardings[0].internal = (8090, 8091);
        assert!(there(&router), "another port");
        router.forwardings[0].internal = (8081, 8081);
        assert!(!there(&router), "one for all");
        router.forwardings[0].protocol = 17;
        assert!(there(&router), "of another protocol");
        router.forwardings.clear();
        assert!(there(&router), "gone");
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
        let scope = Some(model::AddressScopeId::random());
        let mut inner = router.ports[0].clone();
        (inner.external, inner.scopes.v4) = (false, scope);
        inner.addresses = vec!["192.0.2.1/24".parse().unwrap()];
        router.ports.push(inner);
        assert!(!is_stale(&router, [FIXED, FAR], [FAR, OWN]), "two scopes");
        router.ports[0].scopes.v4 = scope;
        assert!(is_stale(&router, [FIXED, FAR], [FAR, OWN]), "one scope");
        router.ports.pop();
        router.snat = false;
        assert!(is_stale(&router, [FIXED, FAR], [FAR, OWN]), "no SNAT");
        router.ports.clear();
        assert!(is_stale(&router, [FIXED, FAR], [FAR, OWN]), "no leg");
    }
}
