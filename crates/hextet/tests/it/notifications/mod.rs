//! Notifications: hextet, Debian's RabbitMQ and a consumer of oslo.messaging's, each of them killed.

mod broker;
mod cloud;

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::host::ip;
use crate::names::World;
use broker::Broker;
use cloud::Cloud;

const NAME: &str = "mq.example";
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

    /// oslo.messaging had the message of a network again, and knew it by its id.
    fn dropped(&self, network: &str, world: &World) {
        let told = self.told();
        let of = |t: &&Value| t["payload"]["network"]["name"] == network;
        let id = told.iter().find(of).unwrap()["id"].as_str().unwrap();
        let dropped = format!("Found duplicate message({})", id.replace('-', ""));
        let said = fs::read_to_string(world.dir.join("consumer.log")).unwrap();
        assert!(said.contains(&dropped), "{dropped}: {said}");
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
    let loopback = ["addr", "del", "127.0.0.1/8", "dev", "lo"];
    ip(&[&["-n", &world.namespace], &loopback[..]].concat());
    world.serve(&[&format!("{NAME},192.0.2.1,::1")]);
    let mut broker = Broker::new(&world.namespace, world.dir.join("mq"), NAME);
    let mut cloud = Cloud::new(&world);
    let password = cloud.root.join("password");
    fs::write(&password, "se:cr@t\n").unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();

    nobody_is_told_unless_somebody_is_named(&mut cloud);
    cloud.tell(&broker, true);
    the_broker_is_not_there_yet(&mut cloud, &mut broker);
    // What came before its consumer waits in the queue.
    let consumer = Consumer::start(&world, &broker);
    consumer.knows("before");
    the_broker_dies_and_then_hextet(&mut cloud, &mut broker);
    consumer.knows("alone");
    hextet_dies_between_the_brokers_word_and_its_own(&mut cloud);
    consumer.knows("after");

    check_told(&consumer.told());
    let names = ["before", "broken", "alone", "twice", "after"];
    assert_eq!(consumer.networks(), names);
    consumer.dropped("twice", &world);
    cloud.tell(&broker, false);
    the_queues_are_otherwise(&mut cloud);
    assert!(!cloud.log().contains("se:cr@t"), "{}", cloud.log());
    let listener = "started TLS (SSL) listener on [::1]:5671";
    assert!(broker.log().contains(listener), "{}", broker.log());
}

fn nobody_is_told_unless_somebody_is_named(cloud: &mut Cloud<'_>) {
    cloud.start(&[]);
    cloud.network("untold");
    assert_eq!(cloud.metric("notifications_pending"), None);
    assert_eq!(cloud.metric("nodes_connected"), Some(1));
    cloud.stop(Signal::SIGTERM);
}

/// Requests do not notice.
fn the_broker_is_not_there_yet(cloud: &mut Cloud<'_>, broker: &mut Broker) {
    cloud.start(&[]);
    cloud.network("before");
    assert_eq!(cloud.metric("notifications_pending"), Some(1));
    assert_eq!(cloud.metric("notifications_connected"), Some(0));
    let waits = "notifications wait for their broker";
    until("the log says so", || cloud.log().contains(waits));
    broker.start();
    until("it is delivered", || {
        cloud.metric("notifications_sent_total") == Some(1)
    });
    assert_eq!(cloud.metric("notifications_pending"), Some(0));
    assert_eq!(cloud.metric("notifications_connected"), Some(1));
}

/// hextet with what waits; it comes back first.
fn the_broker_dies_and_then_hextet(cloud: &mut Cloud<'_>, broker: &mut Broker) {
    broker.kill();
    let network = cloud.network("broken");
    cloud.server(&network);
    until("the server is there", || cloud.servers_are_active());
    cloud.stop(Signal::SIGKILL);
    cloud.start(&[]);
    cloud.network("alone");
    broker.start();
}

/// The message is sent again.
fn hextet_dies_between_the_brokers_word_and_its_own(cloud: &mut Cloud<'_>) {
    cloud.stop(Signal::SIGTERM);
    cloud.start(&[("HEXTET_CRASH_AT", "outbox: a batch is confirmed#1")]);
    cloud.network("twice");
    cloud.ended();
    cloud.start(&[]);
    until("it is sent again", || {
        cloud.metric("notifications_sent_total") == Some(1)
    });
    cloud.network("after");
    until("nothing waits", || {
        cloud.metric("notifications_pending") == Some(0)
    });
}

/// A sentence says what to set, and messages wait.
fn the_queues_are_otherwise(cloud: &mut Cloud<'_>) {
    cloud.stop(Signal::SIGTERM);
    cloud.start(&[]);
    cloud.network("later");
    let what = "has 'keystone' with other arguments: set amqp_durable_queues";
    until("the log says what to set", || cloud.log().contains(what));
    assert_eq!(cloud.metric("notifications_pending"), Some(1));
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
