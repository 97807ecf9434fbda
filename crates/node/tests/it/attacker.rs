//! A guest that wants to be its neighbours' router or server, or to wear out what protects them.

use model::{Direction, RaMode};

use crate::client::{Client, addresses, has, has_default_route};
use crate::world::{Guest, World, allow, eventually, leg};

const ATTACKER: &str = "fe80::f816:3eff:fe00:1";
const ROUTER: &str = "fe80::f816:3eff:fe01:1";
const OWN: &str = "fa:16:3e:00:00:01";

/// Extension headers, each with what follows it, as Python writes them.
const HEADERS: &str = r#"
def hop(next, data): return bytes([next, 0, 1, 4, 0, 0, 0, 0]) + data
def options(next, data): return bytes([next, 1, 1, 12]) + bytes(12) + data
def routing(next, data): return bytes([next, 2, 4, 0]) + bytes(20) + data
def auth(next, data): return bytes([next, 4]) + bytes(22) + data
def atomic(next, data): return bytes([next, 0, 0, 0, 0, 0, 0, 9]) + data
KINDS = {hop: 0, options: 60, routing: 43, auth: 51, atomic: 44}
def behind(source, to, chain, next, data):
    for header in reversed(chain): next, data = KINDS[header], header(next, data)
    return ip6(source, to, next, data)
"#;

/// A network whose first port is the attacker's; the second is its victim's.
struct Scene {
    world: World,
    network: model::NetworkId,
    attacker: Guest,
    victim: Guest,
}

fn scene(mode: RaMode, victim: &str) -> Scene {
    let mut world = World::new();
    let network = world.network("2001:db8:1::/64");
    let subnet = &mut world.wanted.networks.get_mut(&network).unwrap().subnets[0];
    (subnet.ra_mode, subnet.address_mode) = (Some(mode), Some(mode));
    let ports = [
        world.port(network, "2001:db8:1::a"),
        world.port(network, victim),
    ];
    world.rule(ports[1], allow(Direction::Ingress));
    world.router(vec![leg(network, 1, "2001:db8:1::1/64", false)]);
    world.pass();
    let (attacker, victim) = (world.guest(ports[0]), world.bare(ports[1]));
    Scene {
        world,
        network,
        attacker,
        victim,
    }
}

impl Scene {
    fn dropped(&self, counter: &str) -> u64 {
        self.world.counter(self.network, "bridge", counter)
    }

    /// Sends a list of frames, as Python writes it, and waits until all have been judged.
    fn send(&self, setup: &str, frames: &str) {
        let before = self.dropped("spoofed_mac");
        let setup = format!("{HEADERS}\n{setup}");
        let last = "[ether('fa:16:3e:ff:ff:ff', 0x86dd, icmp6('fe80::9', 'ff02::1', 128, b''))]";
        self.attacker
            .send_with(&setup, &format!("{frames} + {last}"));
        eventually("the last frame's end", || {
            self.dropped("spoofed_mac") == before + 1
        });
    }

    /// What the victim knows of its way out, and of addresses.
    fn knows(&self) -> (Vec<String>, String) {
        let routes = "ip -6 route show | sed 's/expires [0-9]*sec//' | sort";
        (addresses(&self.victim), self.victim.shell(routes))
    }
}

#[test]
fn what_only_routers_and_servers_say_is_found_behind_headers() {
    let scene = scene(RaMode::Slaac, "2001:db8:1:0:f816:3eff:fe00:2");
    has_default_route(&scene.victim, ROUTER);
    eventually("an answer", || scene.victim.pings("2001:db8:1::1"));
    let before = scene.knows();
    let setup = format!(
        "me, all = '{ATTACKER}', 'ff02::1'\n\
         prefix = bytes([3,4,64,192]) + struct.pack('>III', 9999, 9999, 0) + ip('2001:db8:66::')\n\
         advert = icmp6(me, all, 134, bytes([64,8,7,8]) + bytes(8) + prefix)[40:]\n\
         redirect = icmp6(me, all, 137, bytes(4) + ip(me) + ip('2001:db8:9::1'))[40:]\n\
         answer = udp(me, all, 547, 546)[40:]\n\
         other = udp(me, all, 1547, 546)[40:]\n\
         chains = [[hop], [options], [routing], [hop, options], [hop, routing, options], [auth, options]]\n\
         said = [(58, advert), (58, redirect), (17, answer), (17, other)]\n\
         frame = lambda packet: ether('{OWN}', 0x86dd, packet)"
    );
    let hidden = "[frame(behind(me, all, chain, *what)) for chain in chains for what in said]";
    let rogue = scene.dropped("rogue");
    scene.send(&setup, hidden);
    assert_eq!(scene.dropped("rogue"), rogue + 6 * 4);
    // What is said with authentication reaches none that knows no key; Neighbour Discovery is not.
    let signed = "[frame(behind(me, all, [*chain, auth], *what)) \
                   for chain in [[], [options]] for what in said[:2]]";
    scene.send(&setup, signed);
    assert_eq!(scene.dropped("rogue"), rogue + 6 * 4 + 2 * 2);

    // As one fragment that is the whole, plain and behind options (RFC 6946 and 6980).
    let (rogue, fragment) = (scene.dropped("rogue"), scene.dropped("fragment"));
    let atomic = "[frame(behind(me, all, chain, *what)) \
                   for chain in [[atomic], [hop, atomic, options]] for what in said]";
    scene.send(&setup, atomic);
    let dropped = scene.dropped("rogue") + scene.dropped("fragment");
    assert_eq!(dropped, rogue + fragment + 2 * 4);

    // Cut after the options that precede it: the first part shows nothing of what it is.
    let fragment = scene.dropped("fragment");
    let cut = "[frame(ip6(me, all, 44, bytes([60,0]) + struct.pack('>HI', at | more, 5) + part)) \
                for what in said for whole in [options(*what)] \
                for at, more, part in [(0, 1, whole[:16]), (16, 0, whole[16:])]]";
    scene.send(&setup, cut);
    assert_eq!(scene.dropped("fragment"), fragment + 4);
    assert_eq!(scene.knows(), before, "the victim has heard nothing");
    assert!(scene.victim.pings("2001:db8:1::1"));
}

#[test]
fn floods_of_neighbour_discovery_harm_nobody_else() {
    let scene = scene(RaMode::Slaac, "2001:db8:1:0:f816:3eff:fe00:2");
    has_default_route(&scene.victim, ROUTER);
    eventually("an answer", || scene.victim.pings("2001:db8:1::1"));
    let before = scene.knows();
    let frame = |packet: &str| format!("ether('{OWN}', 0x86dd, {packet})");
    let target = "ip(f'2001:db8:1::2:{i:x}')";
    let floods = [
        // Addresses to own, by use, by a probe and by an advertisement; questions; packets for
        // neighbours of the router that are not there.
        (
            "full",
            frame("icmp6(f'2001:db8:1::1:{i:x}', 'ff02::1', 128, bytes(4))"),
        ),
        (
            "",
            frame(&format!(
                "icmp6('::', 'ff02::1:ff00:1', 135, bytes(4) + {target})"
            )),
        ),
        (
            "full",
            frame(&format!(
                "icmp6('{ATTACKER}', 'ff02::1', 136, bytes(4) + {target})"
            )),
        ),
        (
            "",
            frame(&format!(
                "icmp6('{ATTACKER}', 'ff02::1:ff00:1', 135, bytes(4) + {target} + bytes([1,1]) + mac('{OWN}'))"
            )),
        ),
        (
            "",
            frame("icmp6('2001:db8:1::a', f'2001:db8:1::3:{i:x}', 128, bytes(4))")
                .replace("bytes(4)))", "bytes(4)), 'fa:16:3e:01:00:01')"),
        ),
    ];
    for (counter, frame) in floods {
        let full = scene.dropped("full");
        scene.send("", &format!("[{frame} for i in range(800)]"));
        match counter {
            "full" => assert!(scene.dropped("full") >= full + 800 - 32, "{frame}"),
            _ => assert_eq!(scene.dropped("full"), full, "{frame}"),
        }
    }
    // The victim has what it had, and may still take an address that it has not used yet.
    assert_eq!(scene.knows(), before);
    scene.victim.address("2001:db8:1::77");
    assert!(scene.victim.pings("-I 2001:db8:1::77 2001:db8:1::1"));
    // Its kernel's own choice would be an address that it has no place for any more.
    let own = "-I 2001:db8:1::a 2001:db8:1::1";
    assert!(scene.attacker.pings(own), "what is its own stays");
}

#[test]
fn the_server_of_dhcpv6_hears_no_nonsense_and_no_relays() {
    let scene = scene(RaMode::Dhcpv6Stateful, "2001:db8:1::b");
    let refused = || {
        scene
            .world
            .lan
            .dhcp6_counts(&scene.network)
            .unwrap()
            .refused
    };
    let setup = format!(
        "import random; random.seed(7)\n\
         def ask(body, source='{ATTACKER}', to='ff02::1:2', sport=546):\n\
         \x20   packet = udp(source, to, sport, 547, body)\n\
         \x20   sum = checksum(source, to, 17, packet[40:])\n\
         \x20   return ether('{OWN}', 0x86dd, packet[:46] + struct.pack('>H', sum) + packet[48:], '33:33:00:01:00:02')\n\
         duid = bytes([0,1,0,4,0,3,0,1])\n\
         solicit = bytes([1,1,2,3]) + duid + bytes([0,3,0,12,0,0,0,7]) + bytes(8)\n\
         relay = lambda kind: bytes([kind,0]) + ip('2001:db8:1::b') + ip('fe80::b') + struct.pack('>HH', 9, len(solicit)) + solicit"
    );
    // Sound, so that what follows is refused for what it is.
    scene.send(&setup, "[ask(solicit)]");
    eventually("an advertise", || {
        scene
            .world
            .lan
            .dhcp6_counts(&scene.network)
            .unwrap()
            .advertises
            == 1
    });
    let wrong = [
        ("[ask(relay(12)), ask(relay(13))]", 2),
        (
            "[ask(bytes([kind,1,2,3]) + duid) for kind in [0, 2, 7, 10, 14, 37, 200, 255]]",
            8,
        ),
        (
            "[ask(solicit[:n]) for n in range(len(solicit)) if n not in (4, 12)]",
            26,
        ),
        (
            "[ask(bytes([254]) + random.randbytes(n)) for n in range(0, 300, 5)]",
            60,
        ),
        (
            "[ask(solicit, to='fe80::a9fe:a9fe'), ask(solicit, source='2001:db8:1::a')]",
            1,
        ),
    ];
    for (frames, count) in wrong {
        let before = refused();
        scene.send(&setup, frames);
        eventually(&format!("{count} refusals of {frames}"), || {
            refused() >= before + count
        });
    }
    // A relay speaks from the port of servers; an answer to another guest goes to that of clients.
    let rogue = scene.dropped("rogue");
    scene.send(
        &setup,
        "[ask(relay(12), sport=547), ask(relay(13), sport=547)]",
    );
    assert_eq!(scene.dropped("rogue"), rogue + 2);
    let spoofed = scene.dropped("spoofed_source");
    scene.send(&setup, "[ask(solicit, source='fe80::f816:3eff:fe00:2')]");
    assert_eq!(scene.dropped("spoofed_source"), spoofed + 1);
    assert_eq!(
        scene
            .world
            .lan
            .dhcp6_counts(&scene.network)
            .unwrap()
            .advertises,
        1
    );
    let client = Client::dhclient(&scene.victim, "-6 -1", "", "");
    has(&scene.victim, &client, &["2001:db8:1::b/128"]);
}

/// Questions of each kind, from the guest whose MAC is `own`, and what tells their answers.
const QUESTIONS: &str = r#"
def questions(own, me, i):
    duid = bytes([0, 1, 0, 4, 0, 3, 0, 1])
    solicit = bytes([1]) + struct.pack('>I', i)[1:] + duid + bytes([0, 3, 0, 12, 0, 0, 0, 7]) + bytes(8)
    discover = bytes([1, 1, 6, 0]) + struct.pack('>I', i) + bytes(20) + mac(own) + bytes(202) + bytes([99, 130, 83, 99, 53, 1, 1, 255])
    router = bytes(4) + bytes([1, 1]) + mac(own)
    mine = lambda heard: heard[:6] == mac(own)
    return [
        (ether(own, 0x86dd, udp(me, 'ff02::1:2', 546, 547, solicit), '33:33:00:01:00:02'),
            lambda heard: mine(heard) and heard[20] == 17 and heard[62:66] == bytes([2]) + solicit[1:4]),
        (ether(own, 0x800, udp4('0.0.0.0', '255.255.255.255', 68, 67, discover), 'ff:ff:ff:ff:ff:ff'),
            lambda heard: mine(heard) and heard[23] == 17 and heard[46:50] == struct.pack('>I', i)),
        (ether(own, 0x86dd, icmp6(me, 'ff02::2', 133, router), '33:33:00:00:00:02'),
            lambda heard: mine(heard) and heard[20] == 58 and heard[54] == 134)]
def bound(timeout=None):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind(('eth0', 3))
    s.settimeout(timeout)
    return s
"#;

#[test]
fn who_floods_the_services_of_a_link_harms_nobody_else() {
    let mut scene = scene(RaMode::Dhcpv6Stateful, "2001:db8:1::b");
    scene.world.subnet4(scene.network, "192.0.2.0/24");
    let mut ports: Vec<_> = scene.world.wanted.ports.values().collect();
    ports.sort_by_key(|port| port.mac);
    let ports: Vec<_> = ports.iter().map(|port| port.id).collect();
    for (port, address) in ports.iter().zip(["192.0.2.10", "192.0.2.11"]) {
        scene.world.address4(*port, address);
    }
    scene.world.pass();
    let flood = format!(
        "{QUESTIONS}\nframes = [frame for frame, _ in questions('{OWN}', '{ATTACKER}', 7)]\n\
         s = bound()\nwhile True: [s.send(frame) for frame in frames]"
    );
    let flood = scene.attacker.python(&flood);
    eventually("a flood", || scene.dropped("limited") > 10_000);
    let asks = format!(
        "{QUESTIONS}\ns, answers = bound(2), [0, 0, 0]\n\
         def answered(sent, is_answer):\n\
         \x20   s.send(sent)\n\
         \x20   try:\n\
         \x20       while not is_answer(s.recv(2000)): pass\n\
         \x20       return 1\n\
         \x20   except TimeoutError: return 0\n\
         for i in range(30):\n\
         \x20   for kind, question in enumerate(questions('fa:16:3e:00:00:02', 'fe80::f816:3eff:fe00:2', i)):\n\
         \x20       answers[kind] += answered(*question)\n\
         print(*answers)"
    );
    let before = scene.dropped("limited");
    let answers = scene.victim.python(&asks).said();
    assert_eq!(answers.trim(), "30 30 30");
    assert!(scene.dropped("limited") > before, "the flood went on");
    drop(flood);
    // Next to nothing of it came as far as the services.
    let (lan, network) = (&scene.world.lan, &scene.network);
    let adverts = lan.advertising().into_iter();
    let heard: u64 = adverts
        .map(|key| lan.counts(&key).unwrap().solicitations)
        .sum();
    let heard = heard
        + lan.dhcp4_counts(network).unwrap().offers
        + lan.dhcp6_counts(network).unwrap().advertises;
    assert!(heard < scene.dropped("limited") / 4, "{heard}");
}
