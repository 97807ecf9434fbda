use wire::dhcp6::{Addresses, Prefixes, Status};

use super::*;

const MAC: MacBytes = [0xfa, 0x16, 0x3e, 0, 0, 5];
const CLIENT: &str = "fe80::f816:3eff:fe00:5";
const OWN: &str = "2001:db8:1::5";
const OTHER: &str = "2001:db8:1::6";

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn network() -> NetworkId {
    NetworkId("5b2a0b4e-5b1c-4b3f-9d3b-3f1f2a7c9e11".parse().unwrap())
}

fn duid() -> Vec<u8> {
    Server::new(network(), Arc::default(), Arc::default()).duid
}

fn server() -> Server {
    let binding = Binding {
        addresses: vec![Lease {
            value: address(OWN),
            preferred_s: 14_400,
            valid_s: 86_400,
        }],
        prefixes: vec![Lease {
            value: "2001:db8:8::/56".parse().unwrap(),
            preferred_s: 600,
            valid_s: 1200,
        }],
        dns: vec![address("2001:db8::53")],
        domains: vec!["cloud.example".into()],
        ntp: vec![address("2001:db8::123")],
        bootfile_url: Some("tftp://[2001:db8::1]/boot".into()),
        extra: vec![(39, vec![1, 2])],
    };
    let bindings = Bindings {
        on_link: vec!["2001:db8:1::/64".parse().unwrap()],
        ports: [(Mac(MAC), binding)].into(),
    };
    Server::new(network(), Arc::new(bindings), Arc::default())
}

fn ask(kind: Kind, options: Vec<Dhcp6Option>) -> Dhcp6 {
    let transaction = [1, 2, 3];
    let id = Dhcp6Option::ClientId(vec![0, 3, 0, 1, 9]);
    Dhcp6 {
        kind,
        transaction,
        options: [vec![id], options].concat(),
    }
}

fn to_us() -> Dhcp6Option {
    Dhcp6Option::ServerId(duid())
}

fn names(id: u32, addresses: &[&str]) -> Dhcp6Option {
    let lease = |text: &&str| Lease {
        value: address(text),
        preferred_s: 0,
        valid_s: 0,
    };
    Dhcp6Option::Addresses(Addresses {
        id,
        leases: addresses.iter().map(lease).collect(),
        ..Addresses::default()
    })
}

fn packet(from: &str, to: &str, message: &Dhcp6) -> Vec<u8> {
    let (mut payload, mut packet) = (Vec::new(), Vec::new());
    message.emit(&mut payload);
    Udp6 {
        source: SocketAddrV6::new(address(from), CLIENT_PORT, 0, 0),
        destination: SocketAddrV6::new(address(to), SERVER_PORT, 0, 0),
        payload: &payload,
    }
    .emit(&mut packet);
    packet
}

/// The answer to a message from a client's link-local address.
fn said(server: &mut Server, message: &Dhcp6) -> Option<Dhcp6> {
    let packet = packet(CLIENT, "ff02::1:2", message);
    let frames = server.on_packet(Instant::now(), MAC, &packet);
    let [frame] = frames.as_slice() else {
        assert!(frames.is_empty());
        return None;
    };
    assert_eq!(frame.to, MAC);
    let udp = Udp6::parse(&frame.packet).unwrap();
    assert_eq!(udp.source, "[fe80::a9fe:a9fe]:547".parse().unwrap());
    assert_eq!(udp.destination, format!("[{CLIENT}]:546").parse().unwrap());
    let answer = Dhcp6::parse(udp.payload).unwrap();
    assert_eq!(answer.transaction, [1, 2, 3]);
    Some(answer)
}

/// Addresses with their valid lifetimes, and the status, of the first association.
fn leased(answer: &Dhcp6) -> (Vec<(String, u32)>, Option<u16>) {
    let found = answer.options.iter().find_map(|option| match option {
        Dhcp6Option::Addresses(addresses) => Some(addresses),
        _ => None,
    });
    let found = found.unwrap();
    let lease = |l: &Lease<Ipv6Addr>| (l.value.to_string(), l.valid_s);
    let status = found.status.as_ref().map(|s| s.code);
    (found.leases.iter().map(lease).collect(), status)
}

fn status(answer: &Dhcp6) -> Option<u16> {
    answer.options.iter().find_map(|option| match option {
        Dhcp6Option::Status(status) => Some(status.code),
        _ => None,
    })
}

#[test]
fn an_advertise_says_everything_and_that_nobody_else_will() {
    let wish = Dhcp6Option::OptionRequest(vec![23, 24, 39, 56, 59, 148]);
    let solicit = ask(Kind::Solicit, vec![names(7, &[]), wish]);
    let answer = said(&mut server(), &solicit).unwrap();
    assert_eq!(answer.kind, Kind::Advertise);
    let lease = Lease {
        value: address(OWN),
        preferred_s: 14_400,
        valid_s: 86_400,
    };
    let expected = [
        Dhcp6Option::ServerId(duid()),
        Dhcp6Option::ClientId(vec![0, 3, 0, 1, 9]),
        Dhcp6Option::Addresses(Addresses {
            id: 7,
            renew_s: 7200,
            rebind_s: 11_520,
            leases: vec![lease],
            status: None,
        }),
        Dhcp6Option::DnsServers(vec![address("2001:db8::53")]),
        Dhcp6Option::DomainSearch(vec!["cloud.example".parse().unwrap()]),
        Dhcp6Option::NtpServers(vec![address("2001:db8::123")]),
        Dhcp6Option::BootfileUrl(b"tftp://[2001:db8::1]/boot".to_vec()),
        Dhcp6Option::Other {
            code: 39,
            value: vec![1, 2],
        },
        Dhcp6Option::AddressRegistration,
        Dhcp6Option::Preference(255),
    ];
    assert_eq!(answer.options, expected);
}

#[test]
fn rapid_commit_saves_two_messages() {
    let solicit = ask(Kind::Solicit, vec![names(7, &[]), Dhcp6Option::RapidCommit]);
    let answer = said(&mut server(), &solicit).unwrap();
    assert_eq!(answer.kind, Kind::Reply);
    assert!(answer.options.contains(&Dhcp6Option::RapidCommit));
    assert_eq!(leased(&answer), (vec![(OWN.into(), 86_400)], None));
}

#[test]
fn what_is_not_the_ports_ends() {
    let mut server = server();
    let own = (OWN.to_owned(), 86_400);
    let request = ask(Kind::Request, vec![to_us(), names(7, &[OTHER])]);
    let answer = said(&mut server, &request).unwrap();
    assert_eq!(leased(&answer), (vec![own.clone()], None));
    for (kind, server_id) in [(Kind::Renew, vec![to_us()]), (Kind::Rebind, vec![])] {
        let wish = [server_id, vec![names(7, &[OTHER, OWN])]].concat();
        let answer = said(&mut server, &ask(kind, wish)).unwrap();
        let expected = (vec![own.clone(), (OTHER.to_owned(), 0)], None);
        assert_eq!(leased(&answer), expected, "{kind:?}");
    }
}

#[test]
fn an_address_is_in_one_association_only() {
    let request = ask(Kind::Request, vec![to_us(), names(7, &[]), names(8, &[])]);
    let answer = said(&mut server(), &request).unwrap();
    let second = answer.options.iter().rev().find_map(|option| match option {
        Dhcp6Option::Addresses(a) => Some((a.id, a.leases.len(), a.status.clone())),
        _ => None,
    });
    let none = Some(Status::of(Status::NO_ADDRS_AVAIL));
    assert_eq!(second, Some((8, 0, none)));
}

#[test]
fn a_port_without_addresses_is_told_so() {
    let mut server = server();
    let mut bindings = Bindings::clone(&server.bindings);
    bindings.ports.get_mut(&Mac(MAC)).unwrap().addresses.clear();
    server.change(Arc::new(bindings));
    let answer = said(&mut server, &ask(Kind::Solicit, vec![names(7, &[])])).unwrap();
    assert_eq!(leased(&answer), (vec![], Some(Status::NO_ADDRS_AVAIL)));
    let renew = ask(Kind::Renew, vec![to_us(), names(7, &[])]);
    let answer = said(&mut server, &renew).unwrap();
    assert_eq!(leased(&answer), (vec![], Some(Status::NO_BINDING)));
}

#[test]
fn a_prefix_is_delegated() {
    let wish = Dhcp6Option::Prefixes(Prefixes {
        id: 3,
        leases: vec![Lease {
            value: "2001:db8:9::/56".parse().unwrap(),
            preferred_s: 0,
            valid_s: 0,
        }],
        ..Prefixes::default()
    });
    let answer = said(&mut server(), &ask(Kind::Rebind, vec![wish])).unwrap();
    let given = answer.options.iter().find_map(|option| match option {
        Dhcp6Option::Prefixes(p) => Some(p.clone()),
        _ => None,
    });
    let given = given.unwrap();
    assert_eq!((given.id, given.renew_s, given.rebind_s), (3, 300, 480));
    let leases: Vec<_> = given
        .leases
        .iter()
        .map(|l| (l.value.to_string(), l.valid_s))
        .collect();
    let expected = [
        ("2001:db8:8::/56".into(), 1200),
        ("2001:db8:9::/56".into(), 0),
    ];
    assert_eq!(leases, expected);
}

#[tokio::test]
async fn a_guest_with_prefixes_says_once_where_it_is() {
    let mut server = server();
    let solicit = ask(Kind::Solicit, vec![names(7, &[])]);
    let placed = server.placed.clone();
    said(&mut server, &solicit).unwrap();
    placed.notified().await;
    said(&mut server, &solicit).unwrap();
    let again = tokio::time::timeout(Duration::ZERO, placed.notified());
    assert!(again.await.is_err(), "it has said so before");
}

#[test]
fn confirm_says_whether_an_address_is_still_the_ports() {
    let check = |addresses: &[&str]| {
        let answer = said(
            &mut server(),
            &ask(Kind::Confirm, vec![names(7, addresses)]),
        )?;
        status(&answer)
    };
    assert_eq!(check(&[OWN]), Some(Status::SUCCESS));
    assert_eq!(check(&[OWN, OTHER]), Some(Status::NOT_ON_LINK));
    assert_eq!(check(&["2001:db8:99::1"]), Some(Status::NOT_ON_LINK));
    assert_eq!(check(&[]), None);
}

#[test]
fn information_needs_no_identity() {
    let mut message = ask(Kind::InformationRequest, vec![]);
    message.options.clear();
    let answer = said(&mut server(), &message).unwrap();
    assert!(answer.options.contains(&Dhcp6Option::RefreshTime(86_400)));
    let dns = Dhcp6Option::DnsServers(vec![address("2001:db8::53")]);
    assert!(answer.options.contains(&dns));
    message.options = vec![names(1, &[])];
    assert_eq!(said(&mut server(), &message), None);
}

#[test]
fn who_declines_or_releases_is_heard_and_keeps_its_address() {
    let mut server = server();
    for kind in [Kind::Decline, Kind::Release] {
        let answer = said(&mut server, &ask(kind, vec![to_us(), names(7, &[OWN])])).unwrap();
        assert_eq!(status(&answer), Some(Status::SUCCESS));
    }
    let heard = server.heard(Mac(MAC)).unwrap();
    assert_eq!(heard.declined, [address(OWN)]);
    assert_eq!(heard.link_local, Some(address(CLIENT)));
    assert_eq!((server.counts.declines, server.counts.releases), (1, 1));
    let answer = said(&mut server, &ask(Kind::Solicit, vec![names(7, &[])])).unwrap();
    assert_eq!(leased(&answer).0.len(), 1);
}

#[test]
fn hosts_tell_addresses_they_made() {
    let made = address("2001:db8:1::abcd");
    let tell = |valid_s| {
        let lease = Lease {
            value: made,
            preferred_s: valid_s,
            valid_s,
        };
        ask(Kind::AddressInform, vec![Dhcp6Option::Address(lease)])
    };
    let mut server = server();
    let mut from = |source: &str, message: &Dhcp6| {
        let packet = packet(source, "ff02::1:2", message);
        let frames = server.on_packet(Instant::now(), MAC, &packet);
        let heard = server.heard(Mac(MAC)).unwrap_or_default().registered;
        let kind = frames.first().map(|frame| {
            let udp = Udp6::parse(&frame.packet).unwrap();
            assert_eq!(udp.destination.ip().to_string(), source);
            Dhcp6::parse(udp.payload).unwrap().kind
        });
        (kind, heard)
    };
    assert_eq!(from("2001:db8:1::1", &tell(60)), (None, vec![]));
    let told = from("2001:db8:1::abcd", &tell(60));
    assert_eq!(told, (Some(Kind::AddressReply), vec![made]));
    let told = from("2001:db8:1::abcd", &tell(0));
    assert_eq!(told, (Some(Kind::AddressReply), vec![]));
    let far = "2001:db8:77::1";
    let mut message = tell(60);
    message.options[1] = Dhcp6Option::Address(Lease {
        value: address(far),
        preferred_s: 1,
        valid_s: 1,
    });
    assert_eq!(from(far, &message).0, None);
}

#[test]
fn what_breaks_the_rules_is_met_with_silence() {
    let mut server = server();
    let solicit = ask(Kind::Solicit, vec![names(7, &[])]);
    let now = Instant::now();
    let stranger = [2, 0, 0, 0, 0, 1];
    let sound = packet(CLIENT, "ff02::1:2", &solicit);
    assert!(server.on_packet(now, stranger, &sound).is_empty());
    for (from, to) in [("2001:db8:1::5", "ff02::1:2"), (CLIENT, "fe80::a9fe:a9fe")] {
        let packet = packet(from, to, &solicit);
        assert!(
            server.on_packet(now, MAC, &packet).is_empty(),
            "{from} {to}"
        );
    }
    assert!(server.on_packet(now, MAC, &sound[..50]).is_empty());
    let wrong = [
        ask(Kind::Solicit, vec![to_us(), names(7, &[])]),
        ask(Kind::Request, vec![names(7, &[])]),
        ask(Kind::Renew, vec![Dhcp6Option::ServerId(vec![9; 9])]),
        ask(Kind::Reply, vec![to_us()]),
        ask(Kind::Advertise, vec![to_us()]),
        ask(Kind::Reconfigure, vec![to_us()]),
        Dhcp6 {
            options: vec![names(7, &[])],
            ..solicit.clone()
        },
        Dhcp6 {
            options: vec![Dhcp6Option::ClientId(vec![0; 131])],
            ..solicit
        },
    ];
    for message in &wrong {
        assert_eq!(said(&mut server, message), None, "{message:?}");
    }
    assert_eq!(server.counts.refused, 4 + wrong.len() as u64);
    assert_eq!(server.counts.replies + server.counts.advertises, 0);
}
