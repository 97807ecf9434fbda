//! The edge of a running cloud: certificates that change, restarts that nobody notices, a balancer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Target;
use crate::host::{HEXTET, openstack};

/// A cloud of made-up nodes with its root, and what was started for it.
pub(crate) struct Cloud {
    pub(crate) root: PathBuf,
    pub(crate) up: Option<Child>,
}

impl Cloud {
    pub(crate) fn new(arguments: &[&str]) -> Cloud {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("hxe{}x{number}", std::process::id()));
        let cloud = Cloud { root, up: None };
        let mut init = cloud.hextet();
        init.args(["init", "--fake-nodes", "1"]).args(arguments);
        let made = init.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        cloud
    }

    pub(crate) fn hextet(&self) -> Command {
        let mut command = Command::new(HEXTET);
        command.arg("--root").arg(&self.root);
        command
    }

    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.root.join("etc/hextet").join(name)
    }

    /// Adds to the settings.
    pub(crate) fn set(&self, text: &str) {
        let settings = self.etc("hextet.toml");
        let before = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, format!("{before}\n{text}\n")).unwrap();
    }

    /// Starts it, and gives back its URL.
    pub(crate) fn up(&mut self, mut command: Command) -> String {
        let log = fs::File::create(self.root.join("log")).unwrap();
        let mut up = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = up.stdout.take().unwrap();
        self.up = Some(up);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("ready ");
        url.unwrap_or_else(|| panic!("{line}{}", self.log()))
            .to_owned()
    }

    pub(crate) fn start(&mut self) -> String {
        let mut command = self.hextet();
        command.arg("up");
        self.up(command)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.up.as_ref().unwrap().id();
        kill(Pid::from_raw(pid as i32), signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.up.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Waits until the log holds words.
    pub(crate) fn logged(&self, words: &str) {
        until(&format!("'{words}' in the log"), || {
            self.log().contains(words)
        });
    }

    /// Its counters.
    pub(crate) fn metrics(&self) -> String {
        let text = fs::read_to_string(self.etc("hextet.toml")).unwrap();
        let address = text.lines().find_map(|l| l.strip_prefix("metrics = \""));
        let url = format!("http://{}/metrics", address.unwrap().trim_end_matches('"'));
        let told = Command::new("curl").args(["-sS", &url]).output().unwrap();
        String::from_utf8(told.stdout).unwrap()
    }

    fn openstack(&self, arguments: &[&str]) -> String {
        let ran = Command::new(openstack())
            .env("OS_CLIENT_CONFIG_FILE", self.etc("clouds.yaml"))
            .args(["--os-cloud", "hextet"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            let _ = up.kill();
            let _ = up.wait();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Waits, within reason, for what is to come.
pub(crate) fn until(what: &str, come: impl Fn() -> bool) {
    for _ in 0..1200 {
        if come() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within a minute");
}

/// Writes a file that nobody else may read, as a careful program does.
pub(crate) fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}

/// What curl says of a name that leads to this port of `[::1]`.
pub(crate) fn reaches(cloud: &Cloud, name: &str, port: u16) -> bool {
    let url = format!("https://{name}:{port}/");
    let connect = format!("{name}:{port}:[::1]:{port}");
    let curl = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "--connect-to", &connect])
        .arg("--cacert")
        .arg(cloud.etc("ca.pem"))
        .arg(url)
        .output()
        .unwrap();
    curl.status.success()
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_taken_up_and_no_connection_notices() {
    let authority = net::Authority::new("company").unwrap();
    let dir = std::env::temp_dir().join(format!("hxpki{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let first = authority.issue(&["::1".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        write(&dir.join(name), text);
        dir.join(name).to_str().unwrap().to_owned()
    };
    let (ca, certificate, key) = (
        file("ca.pem", &authority.certificate()),
        file("c.pem", &first.certificate),
        file("k.pem", &first.key),
    );
    let files = ["--ca", &ca, "--certificate", &certificate, "--key", &key];
    let mut cloud = Cloud::new(&[&["--listen", "[::1]:0"][..], &files].concat());
    fs::remove_dir_all(&dir).unwrap();
    let url = cloud.start();
    let port = port_of(&url);
    let target = Target::new(&url, &cloud.etc("ca.pem")).unwrap();
    let mut open = target.connect().await.unwrap();
    open.get("/identity/v3").await.unwrap();
    assert!(reaches(&cloud, "[::1]", port) && !reaches(&cloud, "cloud.example", port));

    // A signal is not waited for when files change, nor a change when there is a signal.
    let hosts = ["::1".to_owned(), "cloud.example".to_owned()];
    let second = authority.issue(&hosts).unwrap();
    write(&cloud.etc("key.pem"), &second.key);
    write(&cloud.etc("certificate.pem"), &second.certificate);
    cloud.signal(Signal::SIGHUP);
    until("the new certificate", || {
        reaches(&cloud, "cloud.example", port)
    });
    open.get("/identity/v3").await.unwrap();
    // One that cannot be used is told of, and the one before stays.
    let foreign = net::Authority::new("foreign").unwrap();
    let third = foreign.issue(&hosts).unwrap();
    write(&cloud.etc("key.pem"), &third.key);
    write(&cloud.etc("certificate.pem"), &third.certificate);
    cloud
        .logged("the new certificates are not used, those of before still are: the certificate in");
    cloud.logged("does not lead to an authority");
    assert!(reaches(&cloud, "cloud.example", port));
    let told = cloud.metrics();
    assert!(told.contains("hextet_certificates_refused 1\n"), "{told}");
    let left = told.lines().find(|l| l.contains("_days_left{file="));
    let left: u64 = left.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((800..=825).contains(&left), "{told}");
    cloud.stop();
}

/// Connects, asks and hangs up, over and over; each failure is one too many.
pub(crate) async fn knock(target: Target, over: Arc<AtomicBool>) -> (u32, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let asked = async { target.connect().await?.get("/identity/v3").await };
        match asked.await {
            Ok(_) => answered += 1,
            Err(e) => failed.push(format!("{e:?}")),
        }
    }
    (answered, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_refuses_nobody_where_the_listener_is_passed_on() {
    let mut cloud = Cloud::new(&["--listen", "[::1]:0"]);
    let text = fs::read_to_string(cloud.etc("hextet.toml")).unwrap();
    let listen = text.lines().find_map(|l| l.strip_prefix("listen = \""));
    let address: SocketAddr = listen.unwrap().trim_end_matches('"').parse().unwrap();
    // This test is the supervisor: the socket is its own, and each life of hextet gets it.
    let socket = net::listen(match address {
        SocketAddr::V6(address) => address,
        SocketAddr::V4(_) => panic!("{address}"),
    });
    let socket = socket.unwrap().into_std().unwrap();
    let command = |cloud: &Cloud, socket: &TcpListener| {
        let mut command = Command::new("sh");
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        command.args(["-c", script, "sh", HEXTET, "--root"]);
        command.arg(&cloud.root).arg("up");
        command.stdin(OwnedFd::from(socket.try_clone().unwrap()));
        command
    };
    let url = cloud.up(command(&cloud, &socket));
    let target = Target::new(&url, &cloud.etc("ca.pem")).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| tokio::spawn(knock(target.clone(), over.clone())))
        .collect();
    for _ in 0..3 {
        cloud.stop();
        cloud.up(command(&cloud, &socket));
        // Until it has answered somebody again.
        let mut client = target.connect().await.unwrap();
        client.get("/identity/v3").await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let (answered, failed) = client.await.unwrap();
        assert_eq!(failed, Vec::<String>::new());
        assert_ne!(answered, 0);
    }
    cloud.stop();
}

#[test]
fn a_listener_that_takes_ipv4_or_that_nobody_wants_is_not_taken_over() {
    let cloud = Cloud::new(&["--listen", "[::1]:0"]);
    for (socket, words) in [
        (TcpListener::bind("127.0.0.1:0").unwrap(), "is of IPv4"),
        (TcpListener::bind("[::]:0").unwrap(), "takes IPv4 too"),
        (
            net_listener("[::1]:0"),
            "which neither listen nor [edge] nor metrics names",
        ),
    ] {
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let ran = Command::new("sh")
            .args(["-c", script, "sh", HEXTET, "--root"])
            .arg(&cloud.root)
            .arg("up")
            .stdin(OwnedFd::from(socket))
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && said.contains(words), "{said}");
    }
    // Promised, and not passed on: the number may be that of a file of hextet's own.
    let script = "exec 3<&-; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut up = Command::new("sh");
    up.args(["-c", script, "sh", HEXTET, "--root"]);
    let ran = up.arg(&cloud.root).arg("up").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("hextet: descriptor 3, which the service manager passed, is no"),
        "{said}"
    );
}

/// A listener of IPv6 alone.
fn net_listener(address: &str) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = net::listen(address.parse().unwrap()).unwrap();
        listener.into_std().unwrap()
    })
}

/// Ports of `[::1]` that are free now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("[::1]:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn haproxy_in_front_serves_a_real_client() {
    let [https, http, plain] = free_ports();
    let url = format!("https://[::1]:{https}");
    let mut cloud = Cloud::new(&["--listen", "[::1]:0", "--url", &url]);
    cloud.set(&format!("[edge]\nbalancer = '[::1]:{plain}'"));
    cloud.start();

    let pem = cloud.root.join("cloud.pem");
    let parts = ["certificate.pem", "key.pem"].map(|name| fs::read(cloud.etc(name)).unwrap());
    fs::write(&pem, parts.concat()).unwrap();
    let reference = include_str!("../../../../docs/haproxy.cfg");
    let config = reference
        .replace("[2001:db8::10]:443", &format!("[::1]:{https}"))
        .replace("[2001:db8::10]:80", &format!("[::1]:{http}"))
        .replace(
            "server local [::1]:8080",
            &format!("server local [::1]:{plain}"),
        )
        .replace("/etc/haproxy/cloud.pem", pem.to_str().unwrap());
    let file = cloud.root.join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let haproxy = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .spawn();
    let _haproxy = HaProxy(haproxy.expect("Debian's haproxy"));
    until("HAProxy", || reaches(&cloud, "[::1]", https));

    cloud.openstack(&["network", "create", "through-haproxy"]);
    let listed = cloud.openstack(&["network", "list", "-f", "value", "-c", "Name"]);
    assert_eq!(listed, "through-haproxy\n");
    // In plain there is a redirection and nothing else.
    let curl = Command::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{redirect_url}",
        ])
        .arg(format!("http://[::1]:{http}/identity/v3"))
        .output()
        .unwrap();
    let said = String::from_utf8(curl.stdout).unwrap();
    assert!(said.starts_with("308 https://[::1]"), "{said}");
    cloud.stop();
}
