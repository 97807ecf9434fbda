//! A client for clouds that die while they are asked.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::client::{Account, Client, Content, Target};
use crate::host::Host;

/// Longer than any answer takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A connection to a cloud.
pub(crate) struct Api {
    runtime: Runtime,
    client: Option<Client>,
    log: PathBuf,
}

impl Api {
    /// Connects and logs in; one whose cloud dies meanwhile answers nothing.
    pub(crate) fn new(host: &Host) -> Api {
        let openrc = fs::read_to_string(host.root.join("etc/hextet/openrc")).unwrap();
        let value = |name: &str| {
            let start = format!("export {name}='");
            let mut lines = openrc.lines();
            lines
                .find_map(|l| l.strip_prefix(&start)?.strip_suffix('\''))
                .unwrap()
                .to_owned()
        };
        let account = Account {
            user: value("OS_USERNAME"),
            password: value("OS_PASSWORD"),
            project: value("OS_PROJECT_NAME"),
        };
        let url = value("OS_AUTH_URL");
        let url = url.trim_end_matches("/identity/v3");
        let target = Target::new(url, &host.root.join("etc/hextet/ca.pem")).unwrap();
        // Its own thread drives the connection.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let mut client = target.connect().await.ok()?;
            client.log_in(&account).await.ok()?;
            Some(client)
        });
        Api {
            runtime,
            client,
            log: host.root.join("log"),
        }
    }

    /// What the cloud complained of.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines = log.lines();
        lines
            .filter(|line| !line.contains("\"INFO\"") && !line.contains("\"DEBUG\""))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// The status and the JSON of an answer; `None` when nobody answers.
    pub(crate) fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let client = self.client.as_mut()?;
        let asked = client.ask(method, path, body.map(Content::from));
        let answer = self
            .runtime
            .block_on(async { timeout(ANSWER_WITHIN, asked).await });
        match answer {
            Ok(Ok((status, octets))) => Some((
                status.as_u16(),
                serde_json::from_slice(&octets).unwrap_or_default(),
            )),
            Ok(Err(_)) => {
                self.client = None;
                None
            }
            Err(_) => panic!("{path}: no answer within {ANSWER_WITHIN:?}"),
        }
    }

    /// The one thing of a name in a list; `Some(None)` when there is none.
    pub(crate) fn find(&mut self, list: &str, name: &str) -> Option<Option<Value>> {
        let (status, found) = self.ask(Method::GET, &format!("{list}?name={name}"), None)?;
        assert_eq!(status, 200, "{list}: {found}");
        let all = found
            .as_object()
            .unwrap()
            .values()
            .find_map(Value::as_array)
            .unwrap();
        let mut named = all.iter().filter(|one| one["name"] == name);
        let found = named.next().cloned();
        assert!(named.next().is_none(), "{name} is there twice in {list}");
        Some(found)
    }

    /// The id of a thing that is there.
    pub(crate) fn id(&mut self, list: &str, name: &str) -> Option<String> {
        let found = self.find(list, name)?;
        Some(
            found
                .map(|one| one["id"].as_str().unwrap().to_owned())
                .unwrap_or_default(),
        )
    }

    /// An image without a system, and a network: what servers need.
    pub(crate) fn prepare(&mut self) {
        self.upload("blank", &[0; 1 << 20]);
        let network = self.made(
            "/network/v2.0/networks",
            json!({"network": {"name": "private"}}),
        );
        let subnet = json!({"network_id": network["network"]["id"], "ip_version": 6, "cidr": "2001:db8:1::/64",
                            "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac", "name": "private6"});
        self.made("/network/v2.0/subnets", json!({"subnet": subnet}));
    }

    /// An image with this data.
    pub(crate) fn upload(&mut self, name: &str, data: &[u8]) {
        let (status, said) = self.try_upload(name, data);
        assert_eq!(status, 204, "{said}");
    }

    /// What is answered to the data of a new image.
    pub(crate) fn try_upload(&mut self, name: &str, data: &[u8]) -> (u16, String) {
        let image = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        let image = self.made("/image/v2/images", image);
        let data = Content {
            media_type: "application/octet-stream",
            octets: data.to_vec().into(),
        };
        let client = self.client.as_mut().unwrap();
        let path = format!("/image/v2/images/{}/file", image["id"].as_str().unwrap());
        let put = client.ask(Method::PUT, &path, Some(data));
        let (status, said) = self.runtime.block_on(put).unwrap();
        (status.as_u16(), String::from_utf8_lossy(&said).into_owned())
    }

    fn made(&mut self, path: &str, body: Value) -> Value {
        let (status, made) = self.ask(Method::POST, path, Some(body)).unwrap();
        assert!(status < 300, "{path}: {status} {made}");
        made
    }
}
