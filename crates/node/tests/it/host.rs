//! What a node sets of its host's kernel; a namespace stands for the host.

use linux::netns::Netns;
use linux::sysctl;
use serde_json::Value;

use crate::world::{World, eventually};

struct Host(Netns);

impl Host {
    fn new() -> Host {
        let name = format!("hxthost-{}", model::NetworkId::random().short());
        Host(Netns::ensure(&name).expect("these tests make network namespaces: run them as root"))
    }

    fn run(&self, script: &str) -> String {
        let words = ["netns", "exec", self.0.name(), "sh", "-ec", script];
        let output = std::process::Command::new("ip")
            .args(words)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn accept_ra(&self, link: &str) -> String {
        sysctl::get(&self.0, &format!("net/ipv6/conf/{link}/accept_ra")).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Netns::remove(self.0.name());
    }
}

#[test]
fn a_link_that_forwards_goes_on_hearing_advertisements() {
    let host = Host::new();
    host.run(
        "for n in deaf never own quiet; do ip link add $n type bridge; ip link set $n up; done; \
         cd /proc/sys/net/ipv6/conf; \
         for n in deaf never own; do echo 1 >$n/forwarding; done; \
         echo 1 >deaf/accept_ra; echo 0 >never/accept_ra; echo 2 >own/accept_ra; \
         echo 0 >quiet/forwarding; echo 1 >quiet/accept_ra",
    );
    for _ in 0..2 {
        node::host::prepare(&host.0).unwrap();
        let now = ["deaf", "never", "own", "quiet"].map(|link| host.accept_ra(link));
        assert_eq!(now, ["2", "0", "2", "1"]);
    }
    let forwards = sysctl::get(&host.0, "net/ipv6/conf/all/forwarding").unwrap();
    assert_eq!(forwards, "0", "nothing forwards that did not");
}

#[test]
fn the_neighbour_tables_are_large_enough() {
    let host = Host::new();
    node::host::prepare(&host.0).unwrap();
    let ns = Netns::current().unwrap();
    for family in ["ipv4", "ipv6"] {
        let value = |n: u8| {
            let knob = format!("net/{family}/neigh/default/gc_thresh{n}");
            sysctl::get(&ns, &knob).unwrap().parse::<u32>().unwrap()
        };
        assert!(value(1) >= 8192, "{family}");
        assert!(value(1) <= value(2) && value(2) <= value(3), "{family}");
        assert!(value(3) >= 65_536, "{family}");
    }
}

/// What an interface of a namespace says of IPv6: its addresses, by `ip`.
fn addresses(ns: &Netns) -> Vec<(String, Vec<String>)> {
    let words = ["netns", "exec", ns.name(), "ip", "-j", "-6", "address"];
    let output = std::process::Command::new("ip")
        .args(words)
        .output()
        .unwrap();
    let links: Value = serde_json::from_slice(&output.stdout).unwrap();
    let links = links
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l["ifname"] != Value::Null);
    let own = |link: &Value| {
        let all = link["addr_info"].as_array().unwrap().iter();
        all.map(|a| a["local"].as_str().unwrap().to_owned())
            .collect()
    };
    links
        .map(|link| (link["ifname"].as_str().unwrap().to_owned(), own(link)))
        .collect()
}

#[test]
fn links_of_ours_hear_no_advertisements_and_have_no_addresses_of_their_own() {
    let mut world = World::new();
    world.wanted = crate::links::sample();
    world.pass();
    let port = world.wanted.ports.values().next().unwrap();
    let (inner, port) = (port.network, port.id);
    let guest = world.guest(port);
    eventually("the guest's link to be up", || {
        guest.shell("ip link show dev eth0").contains("LOWER_UP")
    });
    let router = *world.wanted.routers.keys().next().unwrap();
    let external = world
        .wanted
        .networks
        .keys()
        .find(|id| **id != inner)
        .unwrap();
    for (ns, ours) in [
        (world.netns(inner), "br"),
        (world.netns(*external), "br"),
        (world.router_netns(router), "n"),
    ] {
        let found = addresses(&ns);
        for (link, addresses) in found.iter().filter(|(link, _)| link != "lo") {
            // Only the bridge, or a router's leg, has addresses: those that we gave it.
            assert!(link.starts_with(ours), "{link} has {addresses:?}");
        }
        let links = ns.run(|| {
            let all = std::fs::read_dir("/proc/sys/net/ipv6/conf")?.flatten();
            let names = all.map(|e| e.file_name().into_string().unwrap());
            Ok(names.filter(|n| n != "lo").collect::<Vec<_>>())
        });
        let links = links.unwrap();
        assert!(links.len() >= 4, "{links:?}");
        for link in links {
            let knob = format!("net/ipv6/conf/{link}/accept_ra");
            assert_eq!(sysctl::get(&ns, &knob).unwrap(), "0", "{link}");
        }
    }
    // In the host's own namespace there is one link of ours for each provider network.
    let ours = format!("hx{}p", world.short);
    let base = addresses(&world.base);
    assert!(
        base.iter().all(|(link, _)| !link.starts_with(&ours)),
        "{base:?}"
    );
}
