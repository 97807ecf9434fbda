//! Ports of floating addresses that stand for ports of guests, of both families.

use model::Forwarding;

use crate::nat::{Scene, flows, forwarding, scene};
use crate::world::{Guest, eventually};

/// Of one family: a floating address, the two guests', the outside's and the router's own.
struct Addresses {
    floating: &'static str,
    guests: [&'static str; 2],
    outside: &'static str,
    own: &'static str,
}

const FAMILIES: [Addresses; 2] = [
    Addresses {
        floating: "198.51.100.10",
        guests: ["192.0.2.10", "192.0.2.11"],
        outside: "198.51.100.1",
        own: "198.51.100.2",
    },
    Addresses {
        floating: "2001:db8:ffff::10",
        guests: ["2001:db8:1::a", "2001:db8:1::b"],
        outside: "2001:db8:ffff::1",
        own: "2001:db8:ffff::2",
    },
];

/// Answers on a port with its own name and the address it sees, until nobody asks for a while.
fn serve(guest: &Guest, name: &str, port: u16) {
    let script = format!(
        "import socket\n\
         s = socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True)\n\
         s.settimeout(20)\n\
         while True:\n \
           c, peer = s.accept()\n \
           c.sendall(('{name} ' + peer[0]).encode())\n \
           c.close()\n"
    );
    let file = format!("/tmp/{}-{port}.py", guest.ns.name());
    std::fs::write(&file, script).unwrap();
    guest.shell(&format!("python3 {file} >/dev/null 2>&1 & sleep 0"));
    let listens = || guest.shell(&format!("ss -Hltn 'sport = :{port}'"));
    eventually("a server", || !listens().is_empty());
    std::fs::remove_file(file).unwrap();
}

/// What a port of an address answers; empty when nobody does.
fn ask(from: &Guest, address: &str, port: u16) -> String {
    let script = format!(
        "python3 -c \"import socket; \
         print(socket.create_connection(('{address}', {port}), 2).recv(99).decode())\" 2>/dev/null"
    );
    let said = String::from_utf8(from.run(&script).stdout).unwrap();
    said.trim().trim_start_matches("::ffff:").to_owned()
}

fn set(scene: &mut Scene, all: Vec<Forwarding>) {
    scene.change(|router| router.forwardings = all);
}

#[test]
fn a_port_of_a_floating_address_stands_for_a_guests() {
    let mut scene = scene();
    serve(&scene.guests[0], "first", 8080);
    serve(&scene.guests[1], "second", 8080);
    serve(&scene.guests[1], "other", 8081);
    for Addresses {
        floating,
        guests,
        outside,
        own,
    } in FAMILIES
    {
        let seen = |name: &str, address: &str| match address.contains(':') {
            true => format!("{name} {address}"),
            false => format!("{name} ::ffff:{address}"),
        };
        let pair = [floating, guests[0], guests[1]];
        assert_eq!(ask(&scene.outside, floating, 80), "");
        let one = forwarding(floating, (80, 80), guests[0], (8080, 8080));
        set(&mut scene, vec![one.clone()]);
        let told = ask(&scene.outside, floating, 80);
        assert_eq!(told, seen("first", outside), "from outside");
        let told = ask(&scene.guests[1], floating, 80);
        assert_eq!(told, seen("first", own), "from inside, by the router");
        let told = ask(&scene.guests[0], floating, 80);
        assert_eq!(told, seen("first", own), "from the guest itself");
        assert_eq!(ask(&scene.outside, floating, 8080), "", "no other port");
        assert!(flows(&scene, pair) > 0);

        // Another guest has it now: what went to the first has ended.
        let moved = forwarding(floating, (80, 80), guests[1], (8081, 8081));
        let ranges = [
            forwarding(floating, (8080, 8081), guests[1], (8080, 8081)),
            forwarding(floating, (90, 91), guests[1], (8080, 8081)),
            forwarding(floating, (100, 110), guests[0], (8080, 8080)),
        ];
        set(&mut scene, [vec![moved], ranges.to_vec()].concat());
        assert_eq!(flows(&scene, pair), 0);
        for (port, name) in [
            (80, "other"),
            (8080, "second"),
            (8081, "other"),
            (90, "second"),
            (91, "other"),
            (100, "first"),
            (110, "first"),
        ] {
            let told = ask(&scene.outside, floating, port);
            assert_eq!(told, seen(name, outside), "{port}");
        }
        set(&mut scene, Vec::new());
        assert_eq!(ask(&scene.outside, floating, 80), "");
        assert_eq!(flows(&scene, pair), 0);
    }
}
