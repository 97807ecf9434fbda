//! A cloud that tells, and what a test asks of it.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::NAME;
use super::broker::Broker;
use crate::host::HEXTET;
use crate::names::World;

const URL: &str = "https://[::1]:8443";

/// A cloud of made-up nodes in the world's namespace.
pub(super) struct Cloud<'a> {
    world: &'a World,
    pub(super) root: PathBuf,
    up: Option<Child>,
    token: String,
}

impl Cloud<'_> {
    pub(super) fn new(world: &World) -> Cloud<'_> {
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
    pub(super) fn tell(&self, broker: &Broker, durable: bool) {
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

    pub(super) fn start(&mut self, environment: &[(&str, &str)]) {
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

    pub(super) fn stop(&mut self, signal: Signal) {
        if let Some(mut up) = self.up.take() {
            kill(Pid::from_raw(up.id() as i32), signal).unwrap();
            up.wait().unwrap();
        }
    }

    /// Waits until it has ended by itself.
    pub(super) fn ended(&mut self) {
        self.up.take().unwrap().wait().unwrap();
    }

    pub(super) fn log(&self) -> String {
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

    pub(super) fn network(&self, name: &str) -> String {
        let body = json!({"network": {"name": name}});
        let made = self.ask("POST", "/network/v2.0/networks", Some(body), &[]);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["network"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"))
            .to_owned()
    }

    /// A server, the image that it boots from, and a subnet for it.
    pub(super) fn server(&self, network: &str) {
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

    pub(super) fn servers_are_active(&self) -> bool {
        let list = self.ask("GET", "/compute/v2.1/servers?status=ACTIVE", None, &[]);
        list.contains("\"id\"")
    }

    /// A counter without labels; `None` where there is none of this name.
    pub(super) fn metric(&self, name: &str) -> Option<u64> {
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
