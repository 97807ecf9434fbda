//! Clients of DHCP as distributions ship them, each run in a guest as if it were newly installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{Guest, eventually};

/// A client that runs until it is dropped. Nothing of it stays.
pub(crate) struct Client {
    child: Child,
    dir: PathBuf,
}

/// What clients do with what they are told: addresses come and go, the rest is written down.
const SCRIPT: &str = r#"#!/bin/sh
env | sort > DIR/last.new && mv DIR/last.new DIR/last
env | grep -E '^(new_|reason)' >> DIR/told
case "$reason" in
BOUND6|RENEW6|REBIND6)
    [ -n "$new_ip6_address" ] || exit 0
    ip -6 address replace "$new_ip6_address/$new_ip6_prefixlen" dev "$interface" \
        valid_lft "$new_max_life" preferred_lft "$new_preferred_life"
    while ip -6 -o address show dev "$interface" to "$new_ip6_address" tentative -dadfailed | grep -q .; do
        sleep 0.1
    done
    # It was somebody else's: dhclient declines it then.
    ip -6 -o address show dev "$interface" to "$new_ip6_address" -dadfailed | grep -q . || exit 3 ;;
EXPIRE6|RELEASE6|STOP6)
    [ -z "$old_ip6_address" ] || ip -6 address delete "$old_ip6_address/$old_ip6_prefixlen" dev "$interface" ;;
BOUND) ip address replace "$new_ip_address/24" dev "$interface" ;;
esac
exit 0
"#;

impl Client {
    /// ISC's, with options of its command line, what its configuration says, and its lease file.
    pub(crate) fn dhclient(guest: &Guest, options: &str, config: &str, leases: &str) -> Client {
        Client::start(guest, |dir| {
            fs::write(dir.join("config"), config).unwrap();
            fs::write(dir.join("leases"), leases).unwrap();
            let dir = dir.display();
            format!(
                "exec dhclient {options} -d -cf {dir}/config -lf {dir}/leases -pf {dir}/pid -sf {dir}/script eth0"
            )
        })
    }

    /// dhcpcd, with what its configuration says of the interface.
    pub(crate) fn dhcpcd(guest: &Guest, interface: &str) -> Client {
        Client::start(guest, |dir| {
            let config = format!(
                "duid\noption dhcp6_name_servers\noption dhcp6_rapid_commit\n\
                 noipv4ll\ninterface eth0\n{interface}\n"
            );
            fs::write(dir.join("config"), config).unwrap();
            let dir = dir.display();
            format!(
                "mount -t tmpfs none /var/lib/dhcpcd; mount -t tmpfs none /run\n\
                 exec dhcpcd -B -f {dir}/config -c {dir}/script eth0"
            )
        })
    }

    /// systemd-networkd: without systemd's bus, and with what udev would have written of links.
    pub(crate) fn networkd(guest: &Guest, network: &str) -> Client {
        Client::start(guest, |dir| {
            fs::write(dir.join("eth0.network"), network).unwrap();
            let dir = dir.display();
            format!(
                "mount -t tmpfs none /run; run=/run/systemd/netif\n\
                 mkdir -p /run/systemd/network $run/links $run/leases $run/lldp /run/udev/data\n\
                 for link in /sys/class/net/*; do echo I:1 >/run/udev/data/n$(cat $link/ifindex); done\n\
                 cp {dir}/eth0.network /run/systemd/network; chown -R systemd-network $run\n\
                 mkdir {dir}/state; mount --bind {dir}/state $run/links; chown systemd-network $run/links\n\
                 exec /lib/systemd/systemd-networkd"
            )
        })
    }

    fn start(guest: &Guest, script: impl FnOnce(&Path) -> String) -> Client {
        // Without one they give up at once.
        let listed = "ip -6 -o address show dev eth0 scope link -tentative";
        eventually("a link-local address", || !guest.shell(listed).is_empty());
        let name = format!("{}-{}", guest.ns.name(), uuid::Uuid::new_v4());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let text = SCRIPT.replace("DIR", &dir.display().to_string());
        fs::write(dir.join("script"), text).unwrap();
        let script = format!("chmod 755 {}/script\n{}", dir.display(), script(&dir));
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", guest.ns.name(), "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Client { child, dir }
    }

    /// Everything that the client has been told, and has logged.
    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        for file in ["told", "log"] {
            text += &fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        }
        for file in fs::read_dir(self.dir.join("state")).into_iter().flatten() {
            text += &fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        }
        text
    }

    /// Waits until it has been told something.
    pub(crate) fn hears(&self, what: &str) {
        let heard = || self.told().contains(what);
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if heard() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what} is not told: {}", self.told());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // They end their own children when they are asked to end.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Addresses of a guest's card that are not its link-local one, as `ADDRESS/LENGTH`.
pub(crate) fn addresses(guest: &Guest) -> Vec<String> {
    let listed = guest.shell("ip -6 -o address show dev eth0 scope global -tentative");
    let mut found: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3).map(str::to_owned))
        .collect();
    found.sort();
    found
}

/// Waits until the guest has these addresses and no others.
pub(crate) fn has(guest: &Guest, client: &Client, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if addresses(guest) == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!(
        "{:?}, not {expected:?}: {}",
        addresses(guest),
        client.told()
    );
}

/// Waits until the router that advertised itself is the guest's way out.
pub(crate) fn has_default_route(guest: &Guest, router: &str) {
    eventually("a default route", || {
        let routes = guest.shell("ip -6 route show default");
        routes.contains(&format!("via {router} "))
    });
}
