use super::*;

const MAC: MacBytes = [0xfa, 0x16, 0x3e, 0, 0, 5];
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 6);

fn leases() -> Leases {
    let lease = Lease {
        address: OWN,
        prefix: "192.0.2.0/24".parse().unwrap(),
        gateway: Some(Ipv4Addr::new(192, 0, 2, 1)),
        dns: vec![Ipv4Addr::new(192, 0, 2, 53)],
        routes: vec![("198.51.100.0/24".parse().unwrap(), OTHER)],
        mtu: 1430,
        hostname: Some("web".into()),
        domain: "alpha.example.".into(),
        extra: Vec::new(),
    };
    [(Mac(MAC), lease)].into()
}

fn ask(kind: Kind, options: &[DhcpOption]) -> Dhcp4 {
    let none = Ipv4Addr::UNSPECIFIED;
    Dhcp4 {
        op: Op::Request,
        transaction: 7,
        seconds: 0,
        broadcast: false,
        client: none,
        yours: none,
        next_server: none,
        relay: none,
        mac: MAC,
        options: [&[DhcpOption::Kind(kind)], options].concat(),
    }
}

fn packet(message: &Dhcp4) -> Vec<u8> {
    let (mut payload, mut packet) = (Vec::new(), Vec::new());
    message.emit(&mut payload);
    Udp4 {
        source: "0.0.0.0:68".parse().unwrap(),
        destination: "255.255.255.255:67".parse().unwrap(),
        payload: &payload,
    }
    .emit(&mut packet);
    packet
}

/// The answer, and the address in its IPv4 header.
fn said(message: &Dhcp4) -> Option<(Dhcp4, Ipv4Addr)> {
    said_of(&leases(), message)
}

fn said_of(leases: &Leases, message: &Dhcp4) -> Option<(Dhcp4, Ipv4Addr)> {
    let mut counts = DhcpCounts::default();
    let frame = answer(leases, MAC, &packet(message), &mut counts)?;
    assert_eq!(frame.to, MAC);
    let udp = Udp4::parse(&frame.packet).unwrap();
    assert_eq!(udp.source, "169.254.169.254:67".parse().unwrap());
    assert_eq!(udp.destination.port(), 68);
    Some((Dhcp4::parse(udp.payload).unwrap(), *udp.destination.ip()))
}

fn kind(message: &Dhcp4) -> Option<Kind> {
    said(message).and_then(|(answer, _)| answer.kind())
}

#[test]
fn an_offer_says_everything() {
    let id = DhcpOption::ClientId(vec![1, 2, 3]);
    let (offer, to) = said(&ask(Kind::Discover, std::slice::from_ref(&id))).unwrap();
    assert_eq!((offer.yours, to, offer.transaction), (OWN, OWN, 7));
    let route = |to: &str, by: Ipv4Addr| (to.parse().unwrap(), by);
    let gateway = Ipv4Addr::new(192, 0, 2, 1);
    let expected = [
        DhcpOption::Kind(Kind::Offer),
        DhcpOption::ServerId(SERVICE),
        DhcpOption::LeaseTime(86_400),
        DhcpOption::RenewalTime(43_200),
        DhcpOption::RebindingTime(75_600),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::Mtu(1430),
        DhcpOption::Broadcast(Ipv4Addr::new(192, 0, 2, 255)),
        DhcpOption::Routers(vec![gateway]),
        DhcpOption::DnsServers(vec![Ipv4Addr::new(192, 0, 2, 53)]),
        DhcpOption::HostName(b"web".to_vec()),
        DhcpOption::DomainName(b"alpha.example".to_vec()),
        DhcpOption::Routes(vec![
            route("169.254.169.254/32", Ipv4Addr::UNSPECIFIED),
            route("198.51.100.0/24", OTHER),
            route("0.0.0.0/0", gateway),
        ]),
        id,
    ];
    assert_eq!(offer.options, expected);
}

#[test]
fn a_search_list_is_for_those_who_ask() {
    let list = DhcpOption::ParameterList(vec![1, 119]);
    let (offer, _) = said(&ask(Kind::Discover, &[list])).unwrap();
    let expected = DhcpOption::Other {
        code: 119,
        value: b"\x05alpha\x07example\x00".to_vec(),
    };
    assert!(offer.options.contains(&expected), "{:?}", offer.options);
}

/// The whole packet, octet by octet but for the zeros of RFC 2131's fixed fields.
#[test]
fn golden() {
    let mut counts = DhcpCounts::default();
    let frame = answer(
        &leases(),
        MAC,
        &packet(&ask(Kind::Discover, &[])),
        &mut counts,
    )
    .unwrap();
    let (headers, message) = frame.packet.split_at(28);
    let length = [(frame.packet.len() >> 8) as u8, frame.packet.len() as u8];
    assert_eq!(headers[..4], [0x45, 0, length[0], length[1]]);
    assert_eq!(headers[8..10], [64, 17]);
    assert_eq!(
        headers[12..24],
        [169, 254, 169, 254, 192, 0, 2, 5, 0, 67, 0, 68]
    );
    assert_eq!(message[..8], [2, 1, 6, 0, 0, 0, 0, 7]);
    assert_eq!(message[16..20], [192, 0, 2, 5]);
    assert_eq!(message[28..34], MAC);
    let options = [
        99, 130, 83, 99, 53, 1, 2, 54, 4, 169, 254, 169, 254, 51, 4, 0, 1, 0x51, 0x80, 58, 4, 0, 0,
        0xa8, 0xc0, 59, 4, 0, 1, 0x27, 0x50, 1, 4, 255, 255, 255, 0, 26, 2, 5, 150, 28, 4, 192, 0,
        2, 255, 3, 4, 192, 0, 2, 1, 6, 4, 192, 0, 2, 53, 12, 3, b'w', b'e', b'b', 15, 13, b'a',
        b'l', b'p', b'h', b'a', b'.', b'e', b'x', b'a', b'm', b'p', b'l', b'e', 121, 22, 32, 169,
        254, 169, 254, 0, 0, 0, 0, 24, 198, 51, 100, 192, 0, 2, 6, 0, 192, 0, 2, 1, 255,
    ];
    assert_eq!(message[236..236 + options.len()], options);
    assert!(
        message[236 + options.len()..]
            .iter()
            .all(|octet| *octet == 0)
    );
    let expected = DhcpCounts {
        offers: 1,
        ..DhcpCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn without_a_gateway_no_router_is_named() {
    let mut leases = leases();
    let lease = leases.get_mut(&Mac(MAC)).unwrap();
    (lease.gateway, lease.hostname) = (None, None);
    lease.prefix = "192.0.2.4/31".parse().unwrap();
    let options = settings(lease);
    assert_eq!(
        options.len(),
        5,
        "mask, MTU, DNS, domain, routes: {options:?}"
    );
    let Some(DhcpOption::Routes(routes)) = options.last() else {
        panic!("{options:?}")
    };
    assert_eq!(routes.len(), 2);
}

/// Leases of a port that has further options.
fn with_extra(extra: &[(u8, &[u8])]) -> Leases {
    let mut leases = leases();
    let lease = leases.get_mut(&Mac(MAC)).unwrap();
    lease.extra = extra.iter().map(|(code, v)| (*code, v.to_vec())).collect();
    leases
}

fn other(code: u8, value: &[u8]) -> DhcpOption {
    let value = value.to_vec();
    DhcpOption::Other { code, value }
}

#[test]
fn a_ports_own_options_come_instead_of_others_or_for_who_asks() {
    let leases = with_extra(&[(67, b"boot"), (6, &[192, 0, 2, 99]), (66, b"a"), (66, b"b")]);
    let list = DhcpOption::ParameterList;
    let options = |codes: &[u8]| {
        let discover = ask(Kind::Discover, &[list(codes.into())]);
        said_of(&leases, &discover).unwrap().0.options
    };
    let dns = DhcpOption::DnsServers(vec![Ipv4Addr::new(192, 0, 2, 99)]);
    let codes = |options: &[DhcpOption]| options.iter().map(DhcpOption::code).collect::<Vec<_>>();
    let plain = options(&[1]);
    assert!(plain.contains(&dns), "{plain:?}");
    assert_eq!(
        codes(&plain),
        [53, 54, 51, 58, 59, 1, 26, 28, 3, 6, 12, 15, 121]
    );
    let asked = options(&[66, 67]);
    assert_eq!(asked[13..], [other(67, b"boot"), other(66, b"b")]);
}

#[test]
fn a_lease_of_another_length_has_its_own_times() {
    let leases = with_extra(&[(51, &[0, 0, 0, 60])]);
    let request = [DhcpOption::RequestedAddress(OWN)];
    let (ack, _) = said_of(&leases, &ask(Kind::Request, &request)).unwrap();
    assert_eq!(ack.options[2], DhcpOption::LeaseTime(60));
    assert_eq!(ack.options[3].code(), 1, "no T1 and T2: {ack:?}");
    let all = DhcpOption::ParameterList(vec![51, 58, 59]);
    let inform = Dhcp4 {
        client: OTHER,
        ..ask(Kind::Inform, &[all])
    };
    let (ack, _) = said_of(&leases, &inform).unwrap();
    assert!(ack.options.iter().all(|o| !TIMES.contains(&o.code())));
}

#[test]
fn who_would_do_without_ipv4_is_let() {
    let leases = with_extra(&[(V6_ONLY, &[0, 0, 7, 8])]);
    let list = DhcpOption::ParameterList(vec![1, V6_ONLY]);
    let wait = other(V6_ONLY, &[0, 0, 7, 8]);
    let discover = ask(Kind::Discover, std::slice::from_ref(&list));
    let (offer, to) = said_of(&leases, &discover).unwrap();
    assert_eq!(offer.kind(), Some(Kind::Offer));
    assert_eq!(
        (offer.yours, to),
        (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
    );
    assert!(offer.options.contains(&wait));
    assert!(offer.options.iter().all(|o| !TIMES.contains(&o.code())));
    // A client that asks for its address by name, as one that restarts, gets it, and hears it too.
    let request = ask(
        Kind::Request,
        &[DhcpOption::RequestedAddress(OWN), list.clone()],
    );
    let (ack, _) = said_of(&leases, &request).unwrap();
    assert_eq!(ack.yours, OWN);
    assert!(ack.options.contains(&wait));
    // Neither a client that does not ask, nor a port that does not say it.
    let (offer, _) = said_of(&leases, &ask(Kind::Discover, &[])).unwrap();
    assert_eq!(offer.yours, OWN);
    assert!(!offer.options.contains(&wait));
    let (offer, _) = said(&discover).unwrap();
    assert_eq!(offer.yours, OWN);
}

#[test]
fn every_state_of_a_client_is_answered() {
    let wish = DhcpOption::RequestedAddress;
    let us = DhcpOption::ServerId(SERVICE);
    let selecting = |address| ask(Kind::Request, &[us.clone(), wish(address)]);
    assert_eq!(kind(&selecting(OWN)), Some(Kind::Ack));
    assert_eq!(kind(&selecting(OTHER)), Some(Kind::Nak));
    let them = DhcpOption::ServerId(OTHER);
    assert_eq!(kind(&ask(Kind::Request, &[them, wish(OWN)])), None);
    // Init-reboot.
    assert_eq!(kind(&ask(Kind::Request, &[wish(OWN)])), Some(Kind::Ack));
    assert_eq!(kind(&ask(Kind::Request, &[wish(OTHER)])), Some(Kind::Nak));
    // Renewing and rebinding: the same, but for the packet's destination.
    let has = |client| Dhcp4 {
        client,
        ..ask(Kind::Request, &[])
    };
    let (ack, to) = said(&has(OWN)).unwrap();
    assert_eq!(
        (ack.kind(), ack.client, ack.yours, to),
        (Some(Kind::Ack), OWN, OWN, OWN)
    );
    let (nak, to) = said(&has(OTHER)).unwrap();
    assert_eq!((nak.kind(), to), (Some(Kind::Nak), Ipv4Addr::BROADCAST));
    assert_eq!(
        (nak.yours, nak.client),
        (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
    );
    assert_eq!(nak.options.len(), 2, "no settings: {nak:?}");
    assert_eq!(kind(&ask(Kind::Request, &[])), None, "it names no address");
}

#[test]
fn an_inform_gets_settings_but_no_lease() {
    let inform = Dhcp4 {
        client: OTHER,
        ..ask(Kind::Inform, &[])
    };
    let (ack, to) = said(&inform).unwrap();
    assert_eq!(
        (ack.kind(), ack.yours, to),
        (Some(Kind::Ack), Ipv4Addr::UNSPECIFIED, OTHER)
    );
    let lease = |o: &DhcpOption| matches!(o, DhcpOption::LeaseTime(_));
    assert!(!ack.options.iter().any(lease));
    assert!(ack.options.contains(&DhcpOption::Mtu(1430)));
}

#[test]
fn a_client_may_ask_for_broadcasts() {
    let mut discover = ask(Kind::Discover, &[]);
    discover.broadcast = true;
    let (offer, to) = said(&discover).unwrap();
    assert!(offer.broadcast);
    assert_eq!(to, Ipv4Addr::BROADCAST);
}

#[test]
fn strangers_and_nonsense_get_silence() {
    let refused = |from: MacBytes, packet: &[u8]| {
        let mut counts = DhcpCounts::default();
        assert_eq!(answer(&leases(), from, packet, &mut counts), None);
        assert_eq!(counts.refused, 1);
    };
    let discover = ask(Kind::Discover, &[]);
    let stranger = [2, 0, 0, 0, 0, 1];
    refused(stranger, &packet(&discover));
    refused(
        stranger,
        &packet(&Dhcp4 {
            mac: stranger,
            ..discover.clone()
        }),
    );
    refused(
        MAC,
        &packet(&Dhcp4 {
            relay: OTHER,
            ..discover.clone()
        }),
    );
    refused(
        MAC,
        &packet(&Dhcp4 {
            op: Op::Reply,
            ..discover.clone()
        }),
    );
    refused(
        MAC,
        &packet(&Dhcp4 {
            options: Vec::new(),
            ..discover.clone()
        }),
    );
    refused(MAC, &packet(&ask(Kind::Ack, &[])));
    refused(MAC, &packet(&discover)[..200]);
    refused(MAC, &[]);
}

#[test]
fn what_needs_no_answer_is_counted() {
    let mut counts = DhcpCounts::default();
    for kind in [Kind::Release, Kind::Decline, Kind::Decline] {
        let asked = ask(kind, &[DhcpOption::ServerId(SERVICE)]);
        assert_eq!(answer(&leases(), MAC, &packet(&asked), &mut counts), None);
    }
    assert_eq!((counts.releases, counts.declines), (1, 2));
}
