//! Notifications: hextet, Debian's RabbitMQ and a consumer of oslo.messaging's, each of them killed.

mod broker;

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::host::{HEXTET, ip};
use crate::names::World;
use broker::Broker;

const NAME: &str = "mq.example";
const URL: &str = "https://[::1]:8443";
const TIMES: usize = 1200;

fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..TIMES {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within a minute: {what}");
}

/// A cloud of made-up nodes in the world's namespace.
struct Cloud<'a> {
    world: &'a World,
    root: PathBuf,
    up: Option<Child>,
    token: String,
}

impl Cloud<'_> {
    fn new(world: &World) -> Cloud<'_> {
        let root = world.dir.join("root");
        let made = Command::new(HEXTET)
            .arg("--root")
            .arg(&root)
            .args([
                "init",
                "--fake-nodes",
                "1",
                "--listen",
                "[::1]:8443",
                "--url",
                URL,
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let settings = root.join("etc/hextet/hextet.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let text = format!("{text}\n[dns]\nupstreams = ['[::1]:53']\n");
        fs::write(&settings, text).unwrap();
        Cloud {
            world,
            root,
            up: None,
            token: String::new(),
        }
    }

    /// Settings that are added, in the place of those that were.
    fn tell(&self, broker: &Broker, durable: bool) {
        let file = self.root.join("etc/hextet/hextet.toml");
        let text = fs::read_to_string(&file).unwrap();
        let before = text.split("[notifications]").next().unwrap();
        let (ca, certificate, key) = (
            broker.file("ca.pem"),
            broker.file("client.pem"),
            broker.file("client.key"),
        );
        let more = format!(
            "[notifications]\ntransport_url = 'rabbit://nova@none.example:5671,nova@{NAME}:5671/'\n\
             password_file = '{}'\nca = '{ca}'\ncertificate = '{certificate}'\nkey = '{key}'\n\
             amqp_durable_queues = {durable}\n",
            self.root.join("password").display()
        );
        fs::write(&file, format!("{before}{more}")).unwrap();
    }

    fn start(&mut self, environment: &[(&str, &str)]) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.root.join("log"))
            .unwrap();
        let mut up = self.world.within(HEXTET);
        let up = up
            .arg("--root")
            .arg(&self.root)
            .arg("up")
            .envs(environment.iter().copied());
        let mut up = up.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let said = up.stdout.take().unwrap().read(&mut [0; 16]).unwrap();
        self.up = Some(up);
        assert!(said > 0, "{}", self.log());
        if self.token.is_empty() {
            self.token = self.log_in();
        }
    }

    fn stop(&mut self, signal: Signal) {
        if let Some(mut up) = self.up.take() {
            kill(Pid::from_raw(up.id() as i32), signal).unwrap();
            up.wait().unwrap();
        }
    }

    /// Waits until it has ended by itself.
    fn ended(&mut self) {
        self.up.take().unwrap().wait().unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let mut curl = self.world.within("curl");
        let done = curl.arg("-sS").args(arguments).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    }

    fn log_in(&self) -> String {
        let secrets = fs::read_to_string(self.root.join("etc/hextet/clouds.yaml")).unwrap();
        let password = secrets
            .lines()
            .find_map(|l| l.trim().strip_prefix("password: "));
        let password = password.unwrap().trim_matches(['"', '\'']);
        let domain = json!({"id": "default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "admin", "domain": domain, "password": password}}},
            "scope": {"project": {"name": "admin", "domain": domain}},
        }});
        let path = "/identity/v3/auth/tokens";
        let said = self.ask(
            "POST",
            path,
            Some(body),
            &["-i", "-H", "content-type: application/json"],
        );
        let token = said
            .lines()
            .find_map(|l| l.strip_prefix("x-subject-token: "));
        token.unwrap_or_else(|| panic!("{said}")).trim().to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>, more: &[&str]) -> String {
        let ca = self.root.join("etc/hextet/ca.pem");
        let (ca, url, token) = (
            ca.to_str().unwrap(),
            format!("{URL}{path}"),
            format!("x-auth-token: {}", self.token),
        );
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        let mut all = vec![
            "--http1.1",
            "--cacert",
            ca,
            "-X",
            method,
            &url,
            "-H",
            &token,
            "-d",
            &body,
        ];
        match more {
            [] => all.extend(["-H", "content-type: application/json"]),
            more => all.extend(more),
        }
        self.curl(&all)
    }

    fn network(&self, name: &str) -> String {
        let body = json!({"network": {"name": name}});
        let made = self.ask("POST", "/network/v2.0/networks", Some(body), &[]);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["network"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"))
            .to_owned()
    }

    /// A server, the image that it boots from, and a subnet for it.
    fn server(&self, network: &str) {
        let subnet = json!({"subnet": {"network_id": network, "cidr": "2001:db8:a::/64"}});
        let made = self.ask("POST", "/network/v2.0/subnets", Some(subnet), &[]);
        assert!(made.contains("\"subnet\""), "{made}");
        let image = json!({"name": "disk", "disk_format": "raw", "container_format": "bare"});
        let image = self.ask("POST", "/image/v2/images", Some(image), &[]);
        let image: Value = serde_json::from_str(&image).unwrap();
        let image = image["id"].as_str().unwrap();
        let data = format!("/image/v2/images/{image}/file");
        let binary = ["-H", "content-type: application/octet-stream"];
        assert_eq!(self.ask("PUT", &data, Some(json!("a disk")), &binary), "");
        let body = json!({"server": {
            "name": "web", "flavorRef": "1", "imageRef": image, "networks": [{"uuid": network}],
        }});
        let made = self.ask("POST", "/compute/v2.1/servers", Some(body), &[]);
        assert!(made.contains("\"server\""), "{made}");
    }

    /// A counter without labels; `None` where there is none of this name.
    fn metric(&self, name: &str) -> Option<u64> {
        let text = self.curl(&["http://[::1]:8445/metrics"]);
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(&format!("hextet_{name} ")));
        line.map(|value| value.parse().unwrap())
    }
}

impl Drop for Cloud<'_> {
    fn drop(&mut self) {
        self.stop(Signal::SIGKILL);
    }
}

/// What the consumer has printed.
struct Consumer {
    child: Child,
    out: PathBuf,
}

impl Consumer {
    fn start(world: &World, broker: &Broker) -> Consumer {
        let client = std::env::var("HEXTET_OPENSTACK")
            .expect("HEXTET_OPENSTACK must name the openstack client: `make test` sets it");
        let python = Path::new(&client).with_file_name("python");
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notifications/consumer.py");
        let out = world.dir.join("told");
        let child = world
            .within(python.to_str().unwrap())
            .arg(script)
            .arg("rabbit://nova:se%3Acr%40t@[::1]:5671/")
            .args([
                broker.file("ca.pem"),
                broker.file("client.pem"),
                broker.file("client.key"),
            ])
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(world.dir.join("consumer.log")).unwrap())
            .spawn()
            .unwrap();
        Consumer { child, out }
    }

    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap();
        let whole = text.lines().filter(|line| line.ends_with('}'));
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The names of the networks it was told of, in their order.
    fn networks(&self) -> Vec<String> {
        let told = self.told();
        let new = told
            .iter()
            .filter(|t| t["event_type"] == "network.create.end");
        let names = new.map(|t| t["payload"]["network"]["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    fn knows(&self, network: &str) {
        until(network, || self.networks().iter().any(|n| n == network));
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_is_lost_whoever_dies() {
    let mut world = World::new("q");
    // Not even a loopback of IPv4 is left for anybody to use.
    ip(&[
        "-n",
        &world.namespace,
        "addr",
        "del",
        "127.0.0.1/8",
        "dev",
        "lo",
    ]);
    world.serve(&[&format!("{NAME},192.0.2.1,::1")]);
    let world = &world;
    let mut broker = Broker::new(&world.namespace, world.dir.join("mq"), NAME);
    let mut cloud = Cloud::new(world);
    fs::write(cloud.root.join("password"), "se:cr@t\n").unwrap();
    fs::set_permissions(cloud.root.join("password"), Permissions::from_mode(0o600)).unwrap();

    // Nobody is told unless somebody is named.
    cloud.start(&[]);
    cloud.network("untold");
    assert_eq!(cloud.metric("notifications_pending"), None);
    assert_eq!(cloud.metric("nodes_connected"), Some(1));
    cloud.stop(Signal::SIGTERM);

    // The broker is not there yet: requests do not notice.
    cloud.tell(&broker, true);
    cloud.start(&[]);
    cloud.network("before");
    assert_eq!(cloud.metric("notifications_pending"), Some(1));
    assert_eq!(cloud.metric("notifications_connected"), Some(0));
    until("the log says so", || {
        cloud.log().contains("notifications wait for their broker")
    });
    broker.start();
    until("it is delivered", || {
        cloud.metric("notifications_sent_total") == Some(1)
    });
    assert_eq!(cloud.metric("notifications_pending"), Some(0));
    assert_eq!(cloud.metric("notifications_connected"), Some(1));

    // What came before its consumer waits in the queue.
    let consumer = Consumer::start(world, &broker);
    consumer.knows("before");

    // The broker dies, then hextet with what waits; both come back, hextet first.
    broker.kill();
    let network = cloud.network("broken");
    cloud.server(&network);
    until("the server is there", || {
        cloud.metric("notifications_pending").is_some_and(|n| n > 5)
    });
    cloud.stop(Signal::SIGKILL);
    cloud.start(&[]);
    cloud.network("alone");
    broker.start();
    consumer.knows("alone");

    // hextet dies between the broker's word and its own: the message is sent again.
    cloud.stop(Signal::SIGTERM);
    cloud.start(&[("HEXTET_CRASH_AT", "outbox: a batch is confirmed#1")]);
    cloud.network("twice");
    cloud.ended();
    cloud.start(&[]);
    until("it is sent again", || {
        cloud.metric("notifications_sent_total") == Some(1)
    });
    cloud.network("after");
    consumer.knows("after");

    check_told(&consumer.told());
    assert_eq!(
        consumer.networks(),
        ["before", "broken", "alone", "twice", "after"]
    );
    until("nothing waits", || {
        cloud.metric("notifications_pending") == Some(0)
    });
    // oslo.messaging knew it again by its id.
    let told = consumer.told();
    let twice = told
        .iter()
        .find(|t| t["payload"]["network"]["name"] == "twice");
    let id = twice.unwrap()["id"].as_str().unwrap().replace('-', "");
    let dropped = format!("Found duplicate message({id})");
    let said = fs::read_to_string(world.dir.join("consumer.log")).unwrap();
    assert!(said.contains(&dropped), "{dropped}: {said}");

    // Queues that are otherwise: a sentence, and the messages wait.
    cloud.stop(Signal::SIGTERM);
    cloud.tell(&broker, false);
    cloud.start(&[]);
    until("the log says what to set", || {
        cloud
            .log()
            .contains("has 'keystone' with other arguments: set amqp_durable_queues")
    });
    assert!(!cloud.log().contains("se:cr@t"), "{}", cloud.log());
    let listens = Command::new("ip")
        .args(["netns", "exec", &world.namespace, "ss", "-ltnH4"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listens.stdout), "");
    assert!(
        broker
            .log()
            .contains("started TLS (SSL) listener on [::1]:5671")
    );
}

/// Each message once, and a server's in the order in which things happened.
fn check_told(told: &[Value]) {
    let ids: BTreeSet<_> = told.iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), told.len());
    let word = |t: &Value, key: &str| t[key].as_str().unwrap().to_owned();
    let events = |prefix: &str| -> Vec<String> {
        let all = told.iter().map(|t| word(t, "event_type"));
        all.filter(|e| e.starts_with(prefix)).collect()
    };
    let of_server = [
        "compute.instance.create.start",
        "compute.instance.create.end",
    ];
    assert_eq!(events("compute.instance.create"), of_server);
    let first = told
        .iter()
        .find(|t| t["event_type"] == "network.create.end")
        .unwrap();
    assert!(
        first["context"]["request_id"]
            .as_str()
            .unwrap()
            .starts_with("req-")
    );
    assert!(word(first, "publisher_id").starts_with("network."));
    let image = events("image.");
    assert_eq!(
        image,
        [
            "image.create",
            "image.prepare",
            "image.upload",
            "image.activate"
        ]
    );
}
