//! DHCPv4 with a client that many guests have: busybox's.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use lan::{DhcpCounts, Lan, Lease, Leases};
use model::{Mac, NetworkId};

use crate::testlan::{Guest, TestLan, wait};

fn lease(last: u8) -> Lease {
    Lease {
        address: Ipv4Addr::new(192, 0, 2, last),
        prefix: "192.0.2.0/24".parse().unwrap(),
        gateway: Some(Ipv4Addr::new(192, 0, 2, 1)),
        dns: vec![Ipv4Addr::new(192, 0, 2, 53)],
        routes: vec![(
            "198.51.100.0/24".parse().unwrap(),
            Ipv4Addr::new(192, 0, 2, 9),
        )],
        mtu: 1400,
        hostname: Some("web".into()),
        domain: "alpha.example.".into(),
        extra: Vec::new(),
    }
}

fn leases(of: &[(Mac, u8)]) -> Arc<Leases> {
    Arc::new(of.iter().map(|(mac, last)| (*mac, lease(*last))).collect())
}

/// A client's files: its script, which sets what it was told and writes it down, and its pid.
struct Client {
    dir: std::path::PathBuf,
}

impl Client {
    fn new(guest: &Guest) -> Client {
        let dir = std::env::temp_dir().join(format!("{}-udhcpc", guest.ns.name()));
        fs::create_dir_all(&dir).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$1 $ip/$mask $router $dns $mtu $hostname $staticroutes\" >>{0}/told\n\
             [ \"$1\" = bound ] || exit 0\n\
             ip address add $ip/$mask dev eth0\n\
             ip route add 169.254.169.254 dev eth0\n",
            dir.display()
        );
        let path = dir.join("script");
        fs::write(&path, script).unwrap();
        let made = Command::new("chmod")
            .arg("755")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        Client { dir }
    }

    /// A command line of the client in the foreground.
    fn command(&self, more: &str) -> String {
        let dir = self.dir.display();
        format!(
            "busybox udhcpc -i eth0 -s {dir}/script -p {dir}/pid -O mtu -O hostname -O staticroutes \
             {more} >{dir}/log 2>&1"
        )
    }

    fn told(&self) -> String {
        fs::read_to_string(self.dir.join("told")).unwrap_or_default()
    }

    /// Whether it was there to hear it.
    fn signal(&self, signal: &str) -> bool {
        let Ok(pid) = fs::read_to_string(self.dir.join("pid")) else {
            return false;
        };
        let mut kill = Command::new("kill");
        kill.args([signal, pid.trim()]).status().unwrap().success()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.signal("-KILL");
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn counts(lan: &Lan, network: NetworkId) -> DhcpCounts {
    lan.dhcp4_counts(&network).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_its_lease_renews_it_and_gives_it_back() {
    let mut test = TestLan::new();
    test.sh("ip address add 169.254.169.254/32 dev br0; ip route add 192.0.2.0/24 dev br0");
    let guest = test.guest();
    guest.up_quietly();
    let (lan, network) = (test.lan(), NetworkId::random());
    let leases = leases(&[(guest.mac, 5)]);
    lan.serve_dhcp4(network, &test.ns, "br0", leases.clone())
        .unwrap();
    lan.serve_dhcp4(network, &test.ns, "br0", leases).unwrap();
    assert_eq!(lan.serving_dhcp4(), [network]);
    let client = Client::new(&guest);
    guest.sh(&(client.command("-f -t 5 -T 1") + " &"));
    wait("a lease", || client.told().contains("bound"));
    let told = client.told();
    let expected = "bound 192.0.2.5/24 192.0.2.1 192.0.2.53 1400 web \
                    169.254.169.254/32 0.0.0.0 198.51.100.0/24 192.0.2.9 0.0.0.0/0 192.0.2.1";
    assert!(told.contains(expected), "{told}");
    let first = counts(&lan, network);
    assert_eq!((first.acks, first.naks, first.refused), (1, 0, 0));
    // Unicast to the server's own address.
    assert!(client.signal("-USR1"));
    wait("a renewal", || counts(&lan, network).acks == first.acks + 1);
    wait("the client to know", || {
        client.told().contains("renew 192.0.2.5")
    });
    // An address that is another's now is refused, and the right one taken.
    lan.serve_dhcp4(network, &test.ns, "br0", self::leases(&[(guest.mac, 6)]))
        .unwrap();
    assert!(client.signal("-USR1"));
    wait("a refusal", || counts(&lan, network).naks == 1);
    wait("another lease", || {
        client.told().contains("bound 192.0.2.6")
    });
    assert!(client.signal("-USR2"));
    wait("a release", || counts(&lan, network).releases == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_hears_nothing() {
    let mut test = TestLan::new();
    let (guest, stranger) = (test.guest(), test.guest());
    for guest in [&guest, &stranger] {
        guest.up_quietly();
    }
    let (lan, network) = (test.lan(), NetworkId::random());
    lan.serve_dhcp4(network, &test.ns, "br0", leases(&[(guest.mac, 5)]))
        .unwrap();
    let client = Client::new(&stranger);
    stranger.sh(&client.command("-f -q -n -t 2 -T 1 || true"));
    assert!(!client.told().contains("bound"), "{}", client.told());
    assert!(counts(&lan, network).refused >= 2);
    // Nor does a neighbour hear what another is told.
    let client = Client::new(&guest);
    let heard = stranger.capture(1, "udp src port 67", || {
        guest.sh(&client.command("-f -q -n -t 3 -T 1"));
    });
    assert!(
        client.told().contains("bound 192.0.2.5"),
        "{}",
        client.told()
    );
    assert!(!heard.contains("169.254.169.254"), "{heard}");
    lan.end_dhcp4(&network);
    assert_eq!(lan.serving_dhcp4(), []);
}
