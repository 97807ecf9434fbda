//! The bridge table: what a port may say, and which port said it.
//!
//! prerouting puts the sender's mark on each frame from a tap, and sends the frame through the
//! port's chain; forward adds the receiver's above it, for the inet table to find its rules
//! by. Addresses stand in hex, because nft compares a packet's source (`@nh,64,128`) and the target
//! inside Neighbour Discovery (`@th,64,128`) with one set only when both are plain bits.
//!
//! A port owns the addresses it was assigned, and any other of the network's that it is the first
//! to use (RFC 6620): learned from the source of what it sends, and from Duplicate Address
//! Detection. `seen` holds all of these, `seen_PORT` one port's, and both forget after an hour of
//! silence. The limit keeps one guest from owning a whole subnet.
//!
//! What asks our services on a socket that all ports of a link share (DHCP, Router Solicitations) is
//! limited for each port, by a token bucket in the kernel: one that floods would fill the socket's
//! queue, and whatever we did behind it, others would not be heard.
//!
//! For an operator to see (`noted`) is what a port uses of its own, `used_PORT` and of IPv4
//! `used4_PORT`: noted from Neighbour Discovery and ARP, so that other packets cost nothing more.
//! `probed` holds what was just asked for by Duplicate Address Detection, `met` what was then
//! answered: an answer to everyone, because who asks from `::` has no address. On a provider network
//! `routers` counts the Router Advertisements that come from outside, by who sent them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Port;

use super::owned::{hex, local, mac_text, own_ipv4, own_ipv6, reserved, services, services_ipv4};
use super::table::Table;
use super::{Scene, mark_text, receiver_text};
use crate::links::names;

/// Where every network's services answer; the same on every node.
pub const SERVICE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe);

/// Metadata once more, where guests that know Amazon's cloud ask for it: an address that needs no
/// zone in a URL.
pub const SERVICE_ULA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The same for IPv4: what clouds agree on.
pub const SERVICE_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

const ADDRESSES: &str = "typeof @nh,64,128";
const PREFIXES: &str = "typeof @nh,64,128; flags interval";
const SEEN: &str = "typeof @nh,64,128; size 65536; flags dynamic,timeout; timeout 1h";
const SEEN_BY_PORT: &str = "typeof @nh,64,128; size 32; flags dynamic,timeout; timeout 1h";
const ASKERS: &str = "type ifname; size 65536; flags dynamic,timeout; timeout 1m";
const USED: &str = "typeof @nh,64,128; size 64; flags dynamic,timeout; timeout 1h";
const USED_IPV4: &str = "type ipv4_addr; size 32; flags dynamic,timeout; timeout 1h";
/// A probe is given up on after a second (RFC 4862, section 5.4).
const PROBED: &str = "typeof iifname . @nh,64,128; size 4096; flags dynamic,timeout; timeout 3s";
const MET: &str = "typeof oifname . @nh,64,128; size 4096; flags dynamic,timeout; timeout 1h";
/// A router says so at least every half hour (RFC 4861, section 6.2.1).
const ROUTERS: &str = "typeof ether saddr . ip6 saddr; size 16; flags dynamic,timeout; timeout 1h";

const TARGET: &str = "@th,64,128";

/// A field of a packet that holds an address of its sender's.
struct Field {
    bits: &'static str,
    /// Counts what does not.
    counter: &'static str,
    /// For an address that is the sender's.
    verdict: &'static str,
    /// Of which packets it is noted that the sender uses an address of its own.
    noted: &'static str,
}

const SOURCE: Field = Field {
    bits: "@nh,64,128",
    counter: "spoofed_source",
    verdict: "accept",
    noted: "icmpv6 type nd-neighbor-solicit ",
};
const ADVERTISED: Field = Field {
    bits: TARGET,
    counter: "spoofed_target",
    verdict: "return",
    noted: "",
};

/// Renders the bridge table of a network.
pub(super) fn table(scene: &Scene<'_>) -> Table {
    let mut table = Table::new("bridge");
    table.counters = COUNTERS.into();
    table.map("mark_of", "type ifname : mark");
    table.map("guard", "type ifname : verdict");
    table.map("into", "type ifname : verdict");
    table.set("local", PREFIXES, local(scene));
    table.set("service", ADDRESSES, services(scene).iter().map(hex));
    table.set("seen", SEEN, []);
    table.set("askers", ASKERS, []);
    let taken = scene.ports.iter().flat_map(|(port, _)| reserved(port));
    table.set("taken", ADDRESSES, taken.map(|a| hex(&a)));
    table.set("probed", PROBED, []);
    table.set("met", MET, []);
    if scene.network.physical_network.is_some() {
        table.set("routers", ROUTERS, []);
    }
    table.base(
        "prerouting",
        "type filter hook prerouting priority -300; policy accept;",
        &prerouting(scene),
    );
    table.base(
        "forward",
        "type filter hook forward priority -1; policy accept;",
        FORWARD,
    );
    table.chain("ask", lines(ASK));
    table.base(
        "output",
        "type filter hook output priority 0; policy accept;",
        &[ANSWERED],
    );
    table.chain("rogue", lines(ROGUE));
    table.chain("fragment", lines(FRAGMENT));
    if is_marked(scene) {
        table.map("dscp", "type ifname : verdict");
    }
    for (port, mark) in &scene.ports {
        add_port(&mut table, scene, port, *mark);
    }
    table
}

const COUNTERS: [&str; 9] = [
    "fragment",
    "full",
    "limited",
    "not_ipv6",
    "rogue",
    "spoofed_mac",
    "spoofed_source",
    "spoofed_target",
    "unknown_tap",
];

/// A tap that no map knows says nothing: one whose port is on its way out, or not yet in.
fn prerouting(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = lines(&[
        "meta mark set iifname map @mark_of",
        "iifname \"t*\" udp dport { 67, 547 } jump ask",
        "iifname \"t*\" icmpv6 type nd-router-solicit jump ask",
        "iifname vmap @guard",
        "iifname \"t*\" counter name unknown_tap drop",
    ]);
    if is_marked(scene) {
        rules.insert(1, "iifname vmap @dscp".to_owned());
    }
    // A guest that knows no better way sends what is for the service to its gateway. It is meant
    // for us whatever Ethernet address it bears, and the kernel must not take it for another's.
    let mac = names::bridge_mac(scene.network.id);
    let mut turn = |to: String| {
        let to_us = format!("iifname \"t*\" {to} meta pkttype set host ether daddr set {mac}");
        rules.insert(1, to_us);
    };
    turn(format!("ip6 daddr {SERVICE_ULA}"));
    if scene.has_ipv4() {
        turn(format!("ip daddr {SERVICE_IPV4}"));
    }
    for address in &scene.network.resolver {
        turn(to(*address));
    }
    if scene.network.physical_network.is_some() {
        rules.push(format!(
            "iifname \"{}\" ip6 hoplimit 255 icmpv6 type nd-router-advert update @routers {{ ether saddr . ip6 saddr counter }}",
            names::UPLINK
        ));
    }
    rules
}

/// A packet's destination as nft's condition.
pub(super) fn to(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("ip daddr {address}"),
        IpAddr::V6(address) => format!("ip6 daddr {address}"),
    }
}

/// br_netfilter calls the inet hook at priority 0, so this comes before it.
const FORWARD: &[&str] = &[
    ANSWERED,
    "meta mark set meta mark & 0x0000ffff",
    "oifname vmap @into",
    "oifname \"t*\" meta mark & 0xffff0000 == 0 counter name unknown_tap drop",
];

/// More than a guest asks at any boot, whatever runs in it; and as much as a socket holds of several.
const ASK: &[&str] = &[
    "update @askers { iifname limit rate over 16/second burst 128 packets } counter name limited drop",
];
/// What goes to a port in answer to its probe: a neighbour's, and our own.
const ANSWERED: &str = "icmpv6 type nd-neighbor-advert ip6 daddr ff02::1 oifname . @th,64,128 @probed update @met { oifname . @th,64,128 }";

/// RFC 6105 and 7610: what only routers and servers say. nft walks the whole chain of extension
/// headers to find it (RFC 7113), but for what authentication holds: no Neighbour Discovery, and
/// no headers that would hide it.
const ROGUE: &[&str] = &[
    "exthdr frag exists jump fragment",
    "meta l4proto ah @th,0,8 { 0, 43, 44, 51, 58, 60 } counter name rogue drop",
    "icmpv6 type { nd-router-advert, nd-redirect } counter name rogue drop",
    "udp sport 547 counter name rogue drop",
    "udp dport 546 counter name rogue drop",
];

/// A later fragment is let through: without its first one it comes to nothing. A first one holds
/// its upper-layer header (RFC 7112), or loading from that header fails; Neighbour Discovery is
/// never fragmented (RFC 6980).
const FRAGMENT: &[&str] = &[
    "frag frag-off != 0 return",
    "icmpv6 type 133-137 counter name fragment drop",
    "@th,0,8 >= 0 return",
    "counter name fragment drop",
];

fn add_port(table: &mut Table, scene: &Scene<'_>, port: &Port, mark: u32) {
    let tap = names::tap(port.id);
    table.element("mark_of", format!("\"{tap}\""), mark_text(mark));
    table.element("into", format!("\"{tap}\""), format!("jump into_{tap}"));
    let add = format!("meta mark set meta mark | {}", receiver_text(mark));
    table.chain(&format!("into_{tap}"), vec![add]);
    if let Some(dscp) = port.qos.dscp {
        add_dscp(table, &tap, dscp);
    }
    if !port.port_security {
        table.element("guard", format!("\"{tap}\""), "accept".into());
        return;
    }
    table.element("guard", format!("\"{tap}\""), format!("jump guard_{tap}"));
    table.set(&format!("seen_{tap}"), SEEN_BY_PORT, []);
    table.set(&format!("used_{tap}"), USED, []);
    let own = own_ipv6(port);
    table.chain(&format!("guard_{tap}"), guard(port, &tap, &own));
    table.chain(&format!("target_{tap}"), ownership(&ADVERTISED, &tap, &own));
    table.chain(&format!("dad_{tap}"), dad(&tap, &own));
    let ipv4 = own_ipv4(port);
    if !ipv4.is_empty() {
        let services = services_ipv4(scene);
        table.set(&format!("used4_{tap}"), USED_IPV4, []);
        table.chain(&format!("arp_{tap}"), arp(port, &tap, &ipv4, &services));
        table.chain(&format!("ipv4_{tap}"), ipv4_source(&ipv4, &services));
    }
}

/// Whether what some port sends is to bear a code point.
fn is_marked(scene: &Scene<'_>) -> bool {
    scene.ports.iter().any(|(port, _)| port.qos.dscp.is_some())
}

/// What a port sends bears a code point, whatever it bore before. Ports of one code point share a chain.
fn add_dscp(table: &mut Table, tap: &str, dscp: u8) {
    let chain = format!("dscp_{dscp}");
    table.element("dscp", format!("\"{tap}\""), format!("jump {chain}"));
    let set = ["ip6", "ip"].map(|family| format!("{family} dscp set {dscp}"));
    table.chain(&chain, set.into());
}

/// What every frame of a port passes.
fn guard(port: &Port, tap: &str, own: &str) -> Vec<String> {
    let mut rules = vec![format!(
        "ether saddr != {} counter name spoofed_mac drop",
        mac_text(port)
    )];
    if !own_ipv4(port).is_empty() {
        rules.push(format!("ether type arp goto arp_{tap}"));
        rules.push(format!("ether type ip goto ipv4_{tap}"));
    }
    rules.extend([
        "ether type != ip6 counter name not_ipv6 drop".to_owned(),
        "jump rogue".to_owned(),
        format!("icmpv6 type nd-neighbor-advert jump target_{tap}"),
        format!("{} 0 goto dad_{tap}", SOURCE.bits),
    ]);
    rules.extend(ownership(&SOURCE, tap, own));
    rules
}

/// Whether the port owns the address in a field: `verdict` if it does, or may and now does.
fn ownership(field: &Field, tap: &str, own: &str) -> Vec<String> {
    let Field {
        bits,
        counter,
        verdict,
        noted,
    } = field;
    let learn = format!("@seen_{tap} {{ {bits} }}");
    vec![
        format!("{bits} @service counter name {counter} drop"),
        format!("{noted}{bits} {{ {own} }} update @used_{tap} {{ {bits} }} {verdict}"),
        // The same when there is no room to note it.
        format!("{bits} {{ {own} }} {verdict}"),
        format!("{bits} @taken counter name {counter} drop"),
        format!("{bits} != @local counter name {counter} drop"),
        format!("{bits} @seen_{tap} update {learn} update @seen {{ {bits} }} {verdict}"),
        format!("{bits} @seen counter name {counter} drop"),
        format!("add {learn} add @seen {{ {bits} }} {verdict}"),
        "counter name full drop".to_owned(),
    ]
}

/// What may come from `::`. A probe for another's address passes, so that its owner can say so.
fn dad(tap: &str, own: &str) -> Vec<String> {
    vec![
        "icmpv6 type { mld-listener-report, mld-listener-done, nd-router-solicit, mld2-listener-report } accept".to_owned(),
        "icmpv6 type != nd-neighbor-solicit counter name spoofed_source drop".to_owned(),
        format!("update @probed {{ iifname . {TARGET} }}"),
        format!("{TARGET} @service accept"),
        format!("{TARGET} {{ {own} }} update @used_{tap} {{ {TARGET} }} accept"),
        format!("{TARGET} {{ {own} }} accept"),
        format!("{TARGET} @taken accept"),
        format!("{TARGET} != @local accept"),
        format!(
            "{TARGET} @seen_{tap} update @seen_{tap} {{ {TARGET} }} update @seen {{ {TARGET} }} accept"
        ),
        format!("{TARGET} @seen accept"),
        format!("add @seen_{tap} {{ {TARGET} }} add @seen {{ {TARGET} }} accept"),
        "accept".to_owned(),
    ]
}

fn arp(port: &Port, tap: &str, own: &str, services: &str) -> Vec<String> {
    vec![
        format!(
            "arp saddr ether != {} counter name spoofed_mac drop",
            mac_text(port)
        ),
        // What a port may say beside its own, by allowed address pairs, may be a whole subnet.
        format!("arp saddr ip {{ {services} }} counter name spoofed_source drop"),
        format!("arp saddr ip {{ {own} }} update @used4_{tap} {{ arp saddr ip }} accept"),
        // 0.0.0.0 asks whether an address is free (RFC 5227).
        format!("arp saddr ip {{ 0.0.0.0, {own} }} accept"),
        "counter name spoofed_source drop".to_owned(),
    ]
}

fn ipv4_source(own: &str, services: &str) -> Vec<String> {
    vec![
        "udp sport 67 counter name rogue drop".to_owned(),
        "udp dport 68 counter name rogue drop".to_owned(),
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept".to_owned(),
        format!("ip saddr {{ {services} }} counter name spoofed_source drop"),
        format!("ip saddr {{ {own} }} accept"),
        "counter name spoofed_source drop".to_owned(),
    ]
}

fn lines(rules: &[&str]) -> Vec<String> {
    rules.iter().map(|&r| r.to_owned()).collect()
}
