use super::*;

const WWW: &str = "www.example";

fn zone() -> Zone {
    let subnets = ["2001:db8:1::/64", "192.0.2.0/26", "2001:db8:2::/63"];
    let hosts = [
        ("www.alpha.example.", "2001:db8:1::a"),
        ("www.alpha.example.", "2001:db8:1::b"),
        ("www.alpha.example.", "192.0.2.10"),
        ("host-192-0-2-11.alpha.example.", "192.0.2.11"),
        ("deep.below.alpha.example.", "2001:db8:1::d"),
        ("elsewhere.invalid.", "2001:db8:1::e"),
        ("no..name", "2001:db8:1::f"),
    ];
    let subnets = subnets.map(|net| net.parse().unwrap()).into();
    let hosts = hosts.map(|(name, address)| (name, address.parse().unwrap()));
    Zone::new("alpha.example.", subnets, hosts).unwrap()
}

fn query(name: &str, kind: u16) -> Query {
    let name: Name = name.parse().unwrap();
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(name.as_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    Query::parse(&bytes).unwrap()
}

/// The answer in short: records, or the code with the zone that says so.
fn told(name: &str, kind: u16) -> String {
    let reply = match zone().answer(&query(name, kind)) {
        Decision::Forward => return "forward".into(),
        Decision::Reply(reply) => reply,
    };
    let data = reply.answers.iter().map(|record| match &record.data {
        Data::A(address) => address.to_string(),
        Data::Aaaa(address) => address.to_string(),
        Data::Ptr(name) => name.to_string(),
        Data::Soa(soa) => format!("SOA {}", soa.zone),
    });
    let data = data.collect::<Vec<_>>().join(" ");
    match (reply.rcode, reply.soa) {
        (0, None) => data,
        (0, Some(soa)) => format!("{data}NODATA {}", soa.zone),
        (3, Some(soa)) => format!("{data}NXDOMAIN {}", soa.zone),
        (5, None) => "REFUSED".into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_have_addresses() {
    for (name, kind, expected) in [
        (
            "www.alpha.example",
            kind::AAAA,
            "2001:db8:1::a 2001:db8:1::b",
        ),
        ("WWW.Alpha.Example", kind::A, "192.0.2.10"),
        (
            "www.alpha.example",
            kind::ANY,
            "192.0.2.10 2001:db8:1::a 2001:db8:1::b",
        ),
        ("www.alpha.example", kind::NS, "NODATA alpha.example."),
        ("host-192-0-2-11.alpha.example", kind::A, "192.0.2.11"),
        (
            "host-192-0-2-11.alpha.example",
            kind::AAAA,
            "NODATA alpha.example.",
        ),
        (
            "host-192-0-2-12.alpha.example",
            kind::A,
            "NXDOMAIN alpha.example.",
        ),
        ("a.www.alpha.example", kind::A, "NXDOMAIN alpha.example."),
        ("below.alpha.example", kind::AAAA, "NODATA alpha.example."),
        ("alpha.example", kind::AAAA, "NODATA alpha.example."),
        ("alpha.example", kind::SOA, "SOA alpha.example."),
    ] {
        assert_eq!(told(name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn a_name_of_another_domain_takes_nothing_else_from_it() {
    for (name, kind, expected) in [
        ("elsewhere.invalid", kind::AAAA, "2001:db8:1::e"),
        ("elsewhere.invalid", kind::A, "NODATA elsewhere.invalid."),
        ("invalid", kind::A, "forward"),
        ("other.invalid", kind::A, "forward"),
        (WWW, kind::AAAA, "forward"),
        ("example", kind::AAAA, "forward"),
        (".", kind::NS, "forward"),
    ] {
        assert_eq!(told(name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn addresses_have_names() {
    let zeros = |count: usize| "0.".repeat(count);
    let v6 = |low: &str, subnet: &str| format!("{low}{subnet}.8.b.d.0.1.0.0.2.ip6.arpa");
    let own = "0.0.0.0.1.0.0.0";
    let zone = "0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    for (name, kind, expected) in [
        (
            v6(&format!("a.{}", zeros(15)), own),
            kind::PTR,
            "www.alpha.example.".into(),
        ),
        (
            v6(&format!("A.{}", zeros(15)), own),
            kind::AAAA,
            format!("NODATA {zone}"),
        ),
        (
            v6(&format!("9.{}", zeros(15)), own),
            kind::PTR,
            format!("NXDOMAIN {zone}"),
        ),
        (v6(&zeros(15), own), kind::PTR, format!("NODATA {zone}")),
        (
            v6(&format!("1.{}", zeros(14)), own),
            kind::PTR,
            format!("NXDOMAIN {zone}"),
        ),
        (v6("", own), kind::SOA, format!("SOA {zone}")),
        (
            v6(&format!("x.a.{}", zeros(15)), own),
            kind::PTR,
            format!("NXDOMAIN {zone}"),
        ),
        (
            v6(&format!("0.a.{}", zeros(15)), own),
            kind::PTR,
            format!("NXDOMAIN {zone}"),
        ),
        (v6("", "0.0.0.1.0.0.0"), kind::PTR, "forward".into()),
        // The names of a /63 are two: each is a zone of its own.
        (
            v6("", "0.0.0.0.2.0.0.0"),
            kind::PTR,
            format!("NODATA {}", v6("", "0.0.0.0.2.0.0.0") + "."),
        ),
        (
            v6("", "1.0.0.0.2.0.0.0"),
            kind::SOA,
            format!("SOA {}", v6("", "1.0.0.0.2.0.0.0") + "."),
        ),
        (v6("", "0.0.0.0.4.0.0.0"), kind::PTR, "forward".into()),
        (
            "10.2.0.192.in-addr.arpa".into(),
            kind::PTR,
            "www.alpha.example.".into(),
        ),
        (
            "10.2.0.192.in-addr.arpa".into(),
            kind::A,
            "NODATA 10.2.0.192.in-addr.arpa.".into(),
        ),
        (
            "010.2.0.192.in-addr.arpa".into(),
            kind::PTR,
            "forward".into(),
        ),
        (
            "64.2.0.192.in-addr.arpa".into(),
            kind::PTR,
            "forward".into(),
        ),
        ("2.0.192.in-addr.arpa".into(), kind::PTR, "forward".into()),
        ("in-addr.arpa".into(), kind::PTR, "forward".into()),
        ("ip6.arpa".into(), kind::PTR, "forward".into()),
    ] {
        assert_eq!(told(&name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn some_questions_are_refused() {
    for kind in [kind::AXFR, kind::IXFR, kind::OPT, 250, 254] {
        assert_eq!(told("alpha.example", kind), "REFUSED", "{kind}");
    }
    let mut chaos = query("version.bind", 16);
    chaos.class = 3;
    let mut no_recursion = query(WWW, kind::A);
    no_recursion.recursion_desired = false;
    for query in [chaos, no_recursion] {
        match zone().answer(&query) {
            Decision::Reply(reply) => assert_eq!(reply.rcode, rcode::REFUSED),
            Decision::Forward => panic!("{query:?}"),
        }
    }
    let mut own = query("www.alpha.example", kind::AAAA);
    own.recursion_desired = false;
    assert!(matches!(zone().answer(&own), Decision::Reply(reply) if reply.answers.len() == 2));
}

/// The name of an address, as RFC 3596 and RFC 1035 have it.
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", address.to_bits());
            let labels: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

#[test]
fn each_subnet_knows_the_names_of_its_own_addresses_and_no_others() {
    let v6: Ipv6Addr = "2001:db8:1234:5678:9abc:def0:1357:9bdf".parse().unwrap();
    let v4 = Ipv4Addr::new(192, 0, 2, 85);
    let v6 = (1..=128).map(|n| {
        (
            IpAddr::V6(v6),
            n,
            Ipv6Addr::from_bits(v6.to_bits() ^ 1 << (128 - n)).into(),
        )
    });
    let v4 = (1..=32).map(|n| {
        (
            IpAddr::V4(v4),
            n,
            Ipv4Addr::from_bits(v4.to_bits() ^ 1 << (32 - n)).into(),
        )
    });
    for (address, length, outside) in v6.chain(v4) {
        let subnet = IpNet::new(address, length).unwrap().trunc();
        let zone = Zone::new("example.", vec![subnet], [("web.example.", address)]).unwrap();
        let own: Name = reverse_name(address).parse().unwrap();
        let Decision::Reply(reply) = zone.answer(&query(&own.to_string(), kind::PTR)) else {
            panic!("{subnet} does not answer for {address}");
        };
        assert_eq!(
            reply.answers[0].data,
            Data::Ptr("web.example".parse().unwrap())
        );
        let decision = zone.answer(&query(&reverse_name(outside), kind::PTR));
        assert_eq!(decision, Decision::Forward, "{outside} is not of {subnet}");
        // A negative answer comes from a zone that holds the name, and nothing of others.
        for name in std::iter::successors(Some(own), Name::parent) {
            if let Decision::Reply(reply) = zone.answer(&query(&name.to_string(), kind::A)) {
                let soa = reply.soa.unwrap();
                assert!(name.is_within(&soa.zone), "{name} {subnet}");
                let (net, _) = net_of(&soa.zone).unwrap();
                assert!(subnet.contains(&net), "{net} is more than {subnet}");
            }
        }
    }
}
