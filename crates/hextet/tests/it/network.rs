//! `hextet manage network create`: what nova-manage did, in one line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use http::Method;
use serde_json::Value;

use crate::api::Api;
use crate::host::{Host, ip};

const LINE: [&str; 9] = [
    "manage",
    "network",
    "create",
    "lab",
    "--fixed_range_v6=2001:db8:300::/64",
    "--bridge=br300",
    "--bridge_interface=lab0",
    "--dns1=2001:db8::53",
    "--multi_host=T",
];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bridge that an interface is in.
fn bridge_of(host: &Host, interface: &str) -> String {
    let arguments = ["-n", &host.node, "-j", "link", "show", interface];
    let output = Command::new("ip").args(arguments).output().unwrap();
    let links: Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["master"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_physical_network_is_made_in_one_line() {
    let mut host = Host::new();
    let node = host.node.clone();
    ip(&[
        "-n", &node, "link", "add", "lab0", "type", "veth", "peer", "name", "lab1",
    ]);
    ip(&["-n", &node, "addr", "add", "192.0.2.9/24", "dev", "lab0"]);
    let refused = host.hextet(&LINE);
    assert!(
        said(&refused).contains("lab0 has the address 192.0.2.9"),
        "{}",
        said(&refused)
    );
    ip(&["-n", &node, "addr", "flush", "dev", "lab0"]);

    let nothing = host.hextet(&["manage", "network", "create", "lab", "--bridge=br-ext"]);
    assert!(
        said(&nothing).contains("--fixed_range_v6"),
        "{}",
        said(&nothing)
    );
    let made = host.hextet(&LINE);
    assert!(made.status.success(), "{}", said(&made));
    let id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert_eq!(bridge_of(&host, "lab0"), "br300");
    let again = host.hextet(&LINE);
    assert!(
        said(&again).contains("carries a flat network already"),
        "{}",
        said(&again)
    );

    let vlan = [
        "manage",
        "network",
        "create",
        "tagged",
        "--fixed_range_v6=2001:db8:301::/64",
        "--bridge=br-ext",
        "--vlan=301",
    ];
    let tagged = host.hextet(&vlan);
    assert!(tagged.status.success(), "{}", said(&tagged));
    let tagged = String::from_utf8(tagged.stdout).unwrap().trim().to_owned();

    // As after a reboot: the node makes the bridge that its settings name.
    ip(&["-n", &node, "link", "del", "br300"]);
    host.up();
    assert_eq!(bridge_of(&host, "lab0"), "br300");
    let running = host.hextet(&LINE);
    assert!(
        said(&running).contains("Stop `hextet up`"),
        "{}",
        said(&running)
    );

    let mut api = Api::new(&host);
    let mut get = |path: String| {
        let (status, answer) = api.ask(Method::GET, &path, None).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let network = get(format!("/network/v2.0/networks/{id}"));
    let network = &network["network"];
    assert_eq!(network["provider:physical_network"], "lab");
    assert_eq!(
        (&network["shared"], &network["router:external"]),
        (&true.into(), &true.into())
    );
    let tagged = get(format!("/network/v2.0/networks/{tagged}"));
    let tagged = &tagged["network"];
    assert_eq!(
        (
            &tagged["provider:network_type"],
            &tagged["provider:segmentation_id"]
        ),
        (&"vlan".into(), &301.into())
    );
    let subnets = get(format!("/network/v2.0/subnets?network_id={id}"));
    let [subnet] = &subnets["subnets"].as_array().unwrap()[..] else {
        panic!("IPv6 only: {subnets}")
    };
    assert_eq!(subnet["cidr"], "2001:db8:300::/64");
    assert_eq!(
        (&subnet["ipv6_ra_mode"], &subnet["ipv6_address_mode"]),
        (&Value::Null, &"slaac".into())
    );
    assert_eq!(subnet["dns_nameservers"][0], "2001:db8::53");
}

/// What the cloud's own listener for monitoring says.
fn told(host: &Host, path: &str) -> (u16, String) {
    let settings = std::fs::read_to_string(host.root.join("etc/hextet/hextet.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    let address = settings["metrics"].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[test]
fn counters_and_health_are_told_to_this_host() {
    let mut host = Host::new();
    host.up();
    let (status, counters) = told(&host, "/metrics");
    assert_eq!(status, 200);
    let line = "# TYPE hextet_nodes_connected gauge\nhextet_nodes_connected 1\n";
    assert!(counters.contains(line), "{counters}");
    assert_eq!(told(&host, "/healthz"), (200, "ok\n".into()));
    assert_eq!(told(&host, "/").0, 404);
}
