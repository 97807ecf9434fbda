//! Quality of service from end to end: the openstack client, the real agent, and a guest's tap.

use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::host::Host;

const DETAILS: &str = "/compute/v2.1/servers/detail?name=one";

/// A server that runs nothing, whose port is there.
fn server(api: &mut Api) {
    api.prepare();
    let image = api.id("/image/v2/images", "blank").unwrap();
    let network = api.id("/network/v2.0/networks", "private").unwrap();
    let flavor = api.id("/compute/v2.1/flavors", "m1.nano").unwrap();
    let body = json!({"server": {
        "name": "one", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}],
    }});
    let asked = api.ask(Method::POST, "/compute/v2.1/servers", Some(body));
    assert_eq!(asked.unwrap().0, 202);
    until("the server runs", || {
        let (_, found): (_, Value) = api.ask(Method::GET, DETAILS, None).unwrap();
        found["servers"][0]["status"] == "ACTIVE"
    });
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What tc and nft say in the network's namespace.
fn kernel(host: &Host) -> String {
    let namespaces = host.namespaces();
    let network = namespaces.iter().find(|name| name.contains("-n-")).unwrap();
    let script = "tc qdisc; nft list table bridge hextet";
    let inside = ["netns", "exec", network, "sh", "-c", script];
    let output = Command::new("ip").args(inside).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn policies_hold_for_guests_that_run() {
    let mut host = Host::new();
    host.up();
    server(&mut Api::new(&host));
    let guests = host.guests();
    host.script("qos.py", "make", &[]);
    until("the port is limited and marked", || {
        let seen = kernel(&host);
        let all = ["rate 4Mbit burst 20000b", "rate 8Mbit", "ip6 dscp set af31"];
        all.iter().all(|part| seen.contains(part))
    });
    host.script("qos.py", "change", &[]);
    until("the port is limited otherwise", || {
        let seen = kernel(&host);
        seen.contains("rate 6Mbit") && seen.contains("rate 8Mbit") && !seen.contains("dscp set")
    });
    let findings = host.quick_findings();
    assert_eq!(findings, "", "the limits are as they should be");
    host.kill();
    host.up();
    host.script("qos.py", "remove", &[]);
    until("the port is free", || !kernel(&host).contains("tbf"));
    assert_eq!(host.guests(), guests, "the guest went on");
}
