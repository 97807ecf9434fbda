//! Certificates by ACME from a real server: Debian's pebble, which looks at challenges over IPv6
//! and refuses good nonces now and then, and its own DNS server.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client::Target;
use crate::edge::{Cloud, free_ports, knock, reaches, until, write};
use crate::host::HEXTET;

/// The key of the one account that may be bound.
const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// Where an attempt can break off, in order.
const POINTS: [&str; 9] = [
    "acme account key",
    "acme account made",
    "acme account known",
    "acme order",
    "acme challenge",
    "acme asked",
    "acme issued",
    "acme certificate written",
    "acme certificate in force",
];

/// An ACME server and its DNS server, in which all names lead to `::1`.
struct Pebble {
    dir: PathBuf,
    config: Value,
    acme: u16,
    management: u16,
    names: u16,
    server: Child,
    resolver: Child,
}

impl Pebble {
    /// Starts one that looks for http-01 and tls-alpn-01 at these ports.
    fn new(http: u16, tls: u16, more: Value) -> Pebble {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("hxacme{}x{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let authority = net::Authority::new("company").unwrap();
        let hosts = ["ca.example".to_owned(), "::1".to_owned()];
        let own = authority.issue(&hosts).unwrap();
        write(&dir.join("pki.pem"), &authority.certificate());
        write(&dir.join("own.pem"), &own.certificate);
        write(&dir.join("own.key"), &own.key);
        let [acme, management, names, unused] = free_ports();
        let mut config = json!({
            "listenAddress": format!("[::1]:{acme}"),
            "managementListenAddress": format!("[::1]:{management}"),
            "certificate": dir.join("own.pem"),
            "privateKey": dir.join("own.key"),
            "httpPort": http,
            "tlsPort": tls,
        });
        let members = config.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let resolver = Command::new("pebble-challtestsrv")
            .args(["-dns01", &format!("[::1]:{names}")])
            .args(["-defaultIPv6", "::1", "-defaultIPv4", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-management", &format!("[::1]:{unused}")])
            .stdout(Stdio::null())
            .spawn()
            .expect("Debian's package pebble");
        let server = serve(&dir, &config, names);
        let pebble = Pebble {
            dir,
            config,
            acme,
            management,
            names,
            server,
            resolver,
        };
        pebble.ready();
        pebble
    }

    fn ready(&self) {
        for port in [self.acme, self.management] {
            until("pebble", || TcpStream::connect(("::1", port)).is_ok());
        }
    }

    fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it anew, with nothing that it knew and another root.
    fn start(&mut self, more: Value) {
        let members = self.config.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        self.server = serve(&self.dir, &self.config, self.names);
        self.ready();
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// The root that what it issues leads to.
    fn root(&self) -> String {
        let url = format!("https://[::1]:{}/roots/0", self.management);
        let curl = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(self.dir.join("pki.pem"))
            .arg(url)
            .output()
            .unwrap();
        assert!(curl.status.success(), "{curl:?}");
        String::from_utf8(curl.stdout).unwrap()
    }

    /// A cloud whose operator's authority this is.
    fn cloud(&self, url: &str, listen: u16, acme: &str) -> Cloud {
        let listen = format!("[::1]:{listen}");
        let cloud = Cloud::new(&["--listen", &listen, "--url", url]);
        write(&cloud.etc("ca.pem"), &self.root());
        fs::copy(self.dir.join("pki.pem"), cloud.etc("pki.pem")).unwrap();
        write(&cloud.etc("external.key"), KEY);
        let settings = cloud.etc("hextet.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let [metrics] = free_ports();
        let text = text.replace("[::1]:8445", &format!("[::1]:{metrics}"));
        fs::write(&settings, text).unwrap();
        cloud.set(&format!("[dns]\nupstreams = ['[::1]:{}']", self.names));
        cloud.set(&format!(
            "[acme]\ndirectory = 'https://ca.example:{}/dir'\nca = 'pki.pem'\n{acme}",
            self.acme
        ));
        cloud
    }
}

fn serve(dir: &std::path::Path, config: &Value, names: u16) -> Child {
    let file = dir.join("pebble.json");
    fs::write(&file, json!({"pebble": config}).to_string()).unwrap();
    Command::new("pebble")
        .arg("-strict")
        .arg("-config")
        .arg(file)
        .args(["-dnsserver", &format!("[::1]:{names}")])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", "0")
        .env("PEBBLE_WFE_NONCEREJECT", "20")
        .stdout(fs::File::create(dir.join("log")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("Debian's package pebble")
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.resolver] {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The certificate that is in force, as it lies on the disk.
fn kept(cloud: &Cloud) -> Option<String> {
    fs::read_to_string(cloud.root.join("var/lib/hextet/acme.pem")).ok()
}

/// Runs until it kills itself at a point.
fn killed_at(cloud: &mut Cloud, point: &str) {
    let log = fs::File::create(cloud.root.join("log")).unwrap();
    let mut up = Command::new(HEXTET);
    up.arg("--root").arg(&cloud.root).arg("up");
    up.env("HEXTET_CRASH_AT", format!("{point}#1"));
    let up = up.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let up = cloud.up.insert(up);
    let mut ended = None;
    for _ in 0..1200 {
        ended = up.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let signal = ended.and_then(|status| status.signal());
    assert_eq!(
        signal,
        Some(Signal::SIGKILL as i32),
        "{point}: {}",
        cloud.log()
    );
}

#[test]
fn a_certificate_is_issued_whatever_breaks_off_and_a_refusal_is_a_sentence() {
    let [port] = free_ports();
    let external = json!({
        "externalAccountBindingRequired": true,
        "externalAccountMACKeys": {"kid-1": KEY},
        "domainBlocklist": ["blocked.example"],
    });
    let pebble = Pebble::new(1, port, external);
    let url = format!("https://cloud.example:{port}");
    let acme = "challenge = 'tls-alpn-01'\nnames = ['cloud.example', '::1']\n\
        contact = ['mailto:pki@cloud.example']\n\
        [acme.external_account]\nkey_id = 'kid-1'\nkey = 'external.key'\n";
    let mut cloud = pebble.cloud(&url, port, acme);
    for point in POINTS {
        assert_eq!(kept(&cloud), None, "before {point}");
        killed_at(&mut cloud, point);
    }
    let first = kept(&cloud).expect("a certificate that came before the kill");
    assert_eq!(cloud.start(), url);
    assert!(reaches(&cloud, "cloud.example", port) && reaches(&cloud, "[::1]", port));
    assert!(!reaches(&cloud, "other.example", port));
    cloud.stop();
    assert_eq!(kept(&cloud).as_ref(), Some(&first), "asked for no other");
    let said = pebble.said();
    assert!(
        said.contains("now 1 accounts") && !said.contains("now 2 accounts"),
        "{said}"
    );

    // The names become others: what is in force stays until there is a better one.
    let settings = cloud.etc("hextet.toml");
    let names = |of: &str| {
        let text = fs::read_to_string(&settings).unwrap();
        let line = text.lines().find(|l| l.starts_with("names = ")).unwrap();
        fs::write(&settings, text.replace(line, of)).unwrap();
    };
    names("names = ['cloud.example', 'blocked.example']");
    cloud.start();
    cloud.logged(
        "no certificate was issued: the ACME server refused an order: rejectedIdentifier: ",
    );
    cloud.logged("have the authority allow the name");
    cloud.logged("the one in force is good for another");
    let told = cloud.metrics();
    assert!(told.contains("hextet_acme_failures_total 1\n"), "{told}");
    assert!(reaches(&cloud, "cloud.example", port));
    cloud.stop();
    names("names = ['cloud.example', 'two.example']");
    killed_at(&mut cloud, "acme certificate written");
    assert_eq!(kept(&cloud), Some(first));
    cloud.start();
    until("the other name", || reaches(&cloud, "two.example", port));
    assert!(reaches(&cloud, "cloud.example", port));
    cloud.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_is_not_noticed_and_one_that_fails_is_told_of() {
    let [port, http] = free_ports();
    // Renewed when eight seconds of the twelve are over.
    let mut pebble = Pebble::new(http, 1, json!({"certificateValidityPeriod": 12}));
    let url = format!("https://[::1]:{port}");
    let acme = format!("challenge = 'http-01'\nhttp = '[::1]:{http}'");
    let mut cloud = pebble.cloud(&url, port, &acme);
    cloud.start();
    let target = Target::new(&url, &cloud.etc("ca.pem")).unwrap();
    let mut open = target.connect().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let client = tokio::spawn(knock(target, over.clone()));
    let first = kept(&cloud);
    until("a renewal", || kept(&cloud) != first);
    let second = kept(&cloud);
    pebble.stop();
    cloud.logged("no certificate was issued: the ACME server cannot be asked for its directory");
    cloud.logged("the one in force is good for another");
    over.store(true, Ordering::Relaxed);
    let (answered, failed) = client.await.unwrap();
    assert_eq!(failed, Vec::<String>::new());
    assert_ne!(answered, 0);
    assert_eq!(kept(&cloud), second);
    let told = cloud.metrics();
    assert!(told.contains("hextet_acme_issues_total 2\n"), "{told}");

    // The server is there again, and has forgotten us.
    pebble.start(json!({"certificateValidityPeriod": 86_400}));
    write(&cloud.etc("ca.pem"), &pebble.root());
    cloud.signal(Signal::SIGHUP);
    until("a renewal after the failure", || kept(&cloud) != second);
    until("the new certificate", || reaches(&cloud, "[::1]", port));
    open.get("/identity/v3").await.unwrap();
    assert!(
        TcpListener::bind(("::1", http)).is_ok(),
        "http-01 listens while it is asked and no longer"
    );
    cloud.stop();
}
