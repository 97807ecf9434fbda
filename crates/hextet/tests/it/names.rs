//! Names, with a real DNS server: what the start makes of the URL's, and what is remembered.

use std::fs;
use std::net::{IpAddr, SocketAddrV6, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use net::{Family, NameError, Reach, Resolver};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{HEXTET, ip};

const RECORDS: [&str; 6] = [
    "good.example,2001:db8::5",
    "orphan.example,192.0.2.1,2001:db8::5",
    "ula.example,192.0.2.1,fd00::5",
    "four.example,192.0.2.1",
    "stale.example,2001:db8::99",
    "twice.example,2001:db8::5",
];

/// A namespace with addresses and a DNS server, and a directory; all of it goes with it.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) dir: PathBuf,
    server: Option<Child>,
}

impl World {
    pub(crate) fn new(name: &str) -> World {
        let namespace = format!("hxd{}{name}", std::process::id());
        let dir = std::env::temp_dir().join(&namespace);
        fs::create_dir(&dir).unwrap();
        ip(&["netns", "add", &namespace]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&[
            "-n", &namespace, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1",
        ]);
        for link in ["eth0", "eth1"] {
            ip(&["-n", &namespace, "link", "set", link, "up"]);
        }
        for address in ["2001:db8::5/64", "fd00::5/64"] {
            ip(&[
                "-n", &namespace, "addr", "add", address, "dev", "eth0", "nodad",
            ]);
        }
        World {
            namespace,
            dir,
            server: None,
        }
    }

    pub(crate) fn within(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    pub(crate) fn serve(&mut self, records: &[&str]) {
        let mut server = dnsmasq(self.within("dnsmasq"), 53);
        for record in records {
            server.arg(format!("--host-record={record}"));
        }
        self.server = Some(server.spawn().unwrap());
    }

    /// What a start says and whether it came so far as to serve, for a cloud with this name.
    fn start(&self, name: &str, more: &str) -> (bool, String) {
        let root = self.dir.join(name);
        let url = format!("https://{name}:8443");
        let made = Command::new(HEXTET)
            .arg("--root")
            .arg(&root)
            .args(["init", "--fake-nodes", "1", "--listen", "[::1]:8443"])
            .args(["--url", &url])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let settings = root.join("etc/hextet/hextet.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let text = text
            .replace("[dns]\n", "")
            .replace("dns_domain", "# dns_domain");
        let text = format!("{text}\n[dns]\nupstreams = ['[::1]:53']\n{more}");
        fs::write(&settings, text).unwrap();
        let mut up = self.within(HEXTET);
        let up = up.arg("--root").arg(&root).arg("up");
        let mut up = up
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = up.stdout.take().unwrap();
        // One line when it serves, the end when it does not.
        let serves = std::io::Read::read(&mut out, &mut [0; 16]).unwrap() > 0;
        if serves {
            kill(Pid::from_raw(up.id() as i32), Signal::SIGTERM).unwrap();
        }
        let ended = up.wait_with_output().unwrap();
        assert_eq!(ended.status.success(), serves);
        (serves, String::from_utf8(ended.stderr).unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        stop(self.server.take());
        ip(&["netns", "del", &self.namespace]);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn dnsmasq(mut command: Command, port: u16) -> Command {
    command
        .args([
            "--conf-file=/dev/null",
            "--keep-in-foreground",
            "--no-resolv",
        ])
        .args(["--no-hosts", "--bind-interfaces", "--listen-address=::1"])
        .args(["--user=root", "--pid-file=", "--log-facility=-"])
        .arg("--local=/example/")
        .arg(format!("--port={port}"))
        .stderr(Stdio::null());
    command
}

fn stop(server: Option<Child>) {
    if let Some(mut server) = server {
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

#[test]
fn a_name_that_betrays_its_clients_stops_the_start() {
    let mut world = World::new("s");
    world.serve(&RECORDS);
    for (name, serves, words) in [
        ("good.example", true, &[][..]),
        (
            "orphan.example",
            true,
            &["A record (192.0.2.1) beside its AAAA"][..],
        ),
        ("ula.example", true, &["A record (192.0.2.1) beside"]),
        ("none.example", true, &["there is no name 'none.example'"]),
        (
            "four.example",
            false,
            &["A record (192.0.2.1) and no AAAA", "2001:db8::5 on eth0"],
        ),
        (
            "stale.example",
            false,
            &["leads to 2001:db8::99", "fd00::5 on eth0"],
        ),
    ] {
        let (served, said) = world.start(name, "");
        assert_eq!(served, serves, "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}, {word}: {said}");
        }
        let warned = said.contains("the url's host");
        assert_eq!(warned, !words.is_empty(), "{name}: {said}");
    }
    let root = world.dir.join("stale.example");
    fs::remove_dir_all(root).unwrap();
    let (served, said) = world.start("stale.example", "[edge]\nurl_elsewhere = true\n");
    assert!(served && !said.contains("the url's host"), "{said}");
}

/// A DNS server on a port of this machine's `[::1]`.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddrV6,
    hosts: PathBuf,
}

impl Server {
    pub(crate) fn start(hosts: &Path) -> Server {
        let free = TcpListener::bind("[::1]:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = dnsmasq(Command::new("dnsmasq"), port);
        command.arg("--local-ttl=1").arg("--addn-hosts").arg(hosts);
        Server {
            child: command.spawn().unwrap(),
            address: SocketAddrV6::new("::1".parse().unwrap(), port, 0, 0),
            hosts: hosts.into(),
        }
    }

    /// Other records, from now on.
    fn now(&self, records: &str) {
        fs::write(&self.hosts, records).unwrap();
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = fs::remove_file(&self.hosts);
    }
}

/// Asks until an answer has come that is as it should be.
async fn until(resolver: &Resolver, name: &str, good: impl Fn(&[IpAddr]) -> bool) -> Vec<IpAddr> {
    for _ in 0..600 {
        match resolver.lookup(name, Family::V6).await {
            Ok(found) if good(&found) => return found,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within half a minute");
}

#[tokio::test]
async fn an_address_is_forgotten_with_its_ttl_and_every_one_is_tried() {
    let hosts = std::env::temp_dir().join(format!("hxhosts{}", std::process::id()));
    fs::write(&hosts, "2001:db8::1 a.example\n192.0.2.1 a.example\n").unwrap();
    let server = Server::start(&hosts);
    let resolver = Resolver::with_hosts(vec![server.address], "/dev/null".into());
    let first: IpAddr = "2001:db8::1".parse().unwrap();
    let found = until(&resolver, "a.example", |_| true).await;
    assert_eq!(found, [first]);
    let four = resolver.lookup("A.example.", Family::V4).await.unwrap();
    assert_eq!(four, ["192.0.2.1".parse::<IpAddr>().unwrap()]);

    server.now("2001:db8::2 a.example\n");
    let second: IpAddr = "2001:db8::2".parse().unwrap();
    until(&resolver, "a.example", |f| f == [second]).await;

    server.now("192.0.2.1 a.example\n");
    until(&resolver, "a.example", <[_]>::is_empty).await;
    let error = resolver.connect("a.example", 1, Reach::V6).await;
    assert!(error.unwrap_err().to_string().contains("no AAAA record"));
    let unknown = resolver.lookup("b.example", Family::V6).await.unwrap_err();
    assert_eq!(unknown, NameError::NoSuchName("b.example".into()));

    // One address refuses, the other does not; and where both do, both are named.
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    server.now("::1 a.example\n100::1 a.example\n");
    until(&resolver, "a.example", |f| f.len() == 2).await;
    resolver
        .connect("a.example", port, Reach::V6)
        .await
        .unwrap();
    drop(listener);
    let error = resolver.connect("a.example", port, Reach::V6).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("::1: ") && error.contains("100::1: "),
        "{error}"
    );
}
