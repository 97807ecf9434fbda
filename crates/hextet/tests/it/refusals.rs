//! What hextet refuses, and in which words.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::host::HEXTET;

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("hxr{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Root(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(HEXTET)
            .arg("--root")
            .arg(&self.0)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn init(&self) {
        let made = self.run(&["init", "--listen", "[::1]:0"]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    /// The command fails with status 1 and one sentence that holds the words.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        self.refused(self.run(arguments), words);
    }

    /// The same where programs are only in one directory.
    fn refuses_with(&self, path: &Path, arguments: &[&str], words: &[&str]) {
        let mut command = Command::new(HEXTET);
        command.arg("--root").arg(&self.0).args(arguments);
        self.refused(command.env("PATH", path).output().unwrap(), words);
    }

    fn refused(&self, ran: Output, words: &[&str]) {
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(ran.stdout.is_empty());
        assert!(
            said.starts_with("hextet: ") && said.trim_end().lines().count() == 1,
            "{said}"
        );
        for word in words {
            assert!(said.contains(word), "'{word}' is not in: {said}");
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_second_init_refuses_and_changes_nothing() {
    let root = Root::new("again");
    root.init();
    let before = fs::read(root.0.join("etc/hextet/clouds.yaml")).unwrap();
    root.refuses(&["init"], &["hextet.toml is there already"]);
    assert_eq!(
        fs::read(root.0.join("etc/hextet/clouds.yaml")).unwrap(),
        before
    );
}

#[test]
fn up_without_init_says_what_to_do() {
    Root::new("empty").refuses(
        &["up"],
        &["hextet.toml is not there", "hextet --root", "init` first"],
    );
}

#[test]
fn secrets_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let root = Root::new("modes");
    root.init();
    let mode = |path: &str| {
        fs::metadata(root.0.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    for secret in [
        "etc/hextet/clouds.yaml",
        "etc/hextet/openrc",
        "etc/hextet/key.pem",
        "etc/hextet/ca.key",
        "var/lib/hextet/token.key",
    ] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    assert_eq!(mode("var/lib/hextet"), 0o700);
    assert_eq!(mode("etc/hextet/ca.pem"), 0o644);
}

#[test]
fn a_url_must_be_reachable_over_ipv6() {
    let root = Root::new("url");
    root.refuses(&["init", "--url", "https://192.0.2.1:8443"], &["IPv4"]);
    root.refuses(&["init", "--url", "http://[::1]"], &["https://"]);
    root.refuses(&["init", "--listen", "[::]:8443"], &["--url"]);
    let wrong = root.run(&["init", "--listen", "127.0.0.1:8443"]);
    assert_eq!(wrong.status.code(), Some(2), "a misuse of the command line");
}

#[test]
fn an_operators_certificate_is_checked_before_anything_is_written() {
    let root = Root::new("pki");
    fs::create_dir_all(&root.0).unwrap();
    let pki = |name: &str, text: &str| {
        let path = root.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authority = net::Authority::new("company").unwrap();
    let issued = authority.issue(&["cloud.example".to_owned()]).unwrap();
    let (certificate, key) = (pki("c.pem", &issued.certificate), pki("k.pem", &issued.key));
    let ca = pki("ca.pem", &authority.certificate());
    let files = ["--certificate", &certificate, "--key", &key, "--ca", &ca];
    let with = |url| [&["init", "--url", url][..], &files].concat();
    root.refuses(
        &with("https://other.example:8443"),
        &["does not carry 'other.example'"],
    );
    assert!(!root.0.join("etc/hextet/hextet.toml").exists());
    let made = root.run(&with("https://cloud.example:8443"));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    assert_eq!(
        fs::read_to_string(root.0.join("etc/hextet/ca.pem")).unwrap(),
        authority.certificate()
    );
}

#[test]
fn what_up_needs_is_named_when_it_is_missing() {
    let root = Root::new("needs");
    root.init();
    let bin = root.0.join("bin");
    fs::create_dir(&bin).unwrap();
    root.refuses_with(
        &bin,
        &["up"],
        &[
            "qemu-system-x86_64 is not on",
            "install the package qemu-system-x86",
        ],
    );
    for there in ["qemu-system-x86_64", "qemu-img"] {
        fs::write(bin.join(there), "").unwrap();
    }
    root.refuses_with(
        &bin,
        &["up"],
        &["nft is not on", "install the package nftables"],
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let root = Root::new("certificate");
    root.init();
    let certificate = root.0.join("etc/hextet/certificate.pem");
    fs::write(&certificate, "no certificate").unwrap();
    root.refuses(&["up"], &["certificate.pem"]);
    fs::remove_file(&certificate).unwrap();
    root.refuses(&["up"], &["certificate.pem", "No such file"]);
}

#[test]
fn a_certificate_that_clients_would_refuse_stops_the_start() {
    let root = Root::new("judged");
    root.init();
    let etc = root.0.join("etc/hextet");
    let key = etc.join("key.pem");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    root.refuses(&["up"], &["can be read by everybody", "chmod 600"]);
    fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();

    let other = net::Authority::new("another").unwrap();
    let ours = fs::read(etc.join("ca.pem")).unwrap();
    fs::write(etc.join("ca.pem"), other.certificate()).unwrap();
    root.refuses(&["up"], &["does not lead to an authority", "ca.pem"]);
    fs::write(etc.join("ca.pem"), ours).unwrap();

    let issued = other.issue(&["::1".to_owned()]).unwrap();
    fs::write(etc.join("certificate.pem"), issued.certificate).unwrap();
    root.refuses(&["up"], &["cannot be used together"]);
    fs::write(etc.join("certificate.pem"), other.certificate()).unwrap();
    fs::write(&key, other.key()).unwrap();
    root.refuses(&["up"], &["signed by itself", "your authority"]);
}

#[test]
fn the_edge_has_settings_that_cannot_be() {
    let root = Root::new("edge");
    root.init();
    let settings = root.0.join("etc/hextet/hextet.toml");
    let text = fs::read_to_string(&settings).unwrap();
    for (more, words) in [
        ("balancer = '[2001:db8::1]:80'", "[edge] balancer"),
        ("requests = 0", "nobody could come in"),
        (
            "[[edge.certificates]]\ncertificate = 'extra.pem'\nkey = 'extra.key'",
            "extra.pem",
        ),
    ] {
        fs::write(&settings, format!("{text}\n[edge]\n{more}\n")).unwrap();
        root.refuses(&["up"], &[words]);
    }
}

#[test]
fn acme_has_settings_that_cannot_be() {
    let root = Root::new("acme");
    root.init();
    let settings = root.0.join("etc/hextet/hextet.toml");
    let key = root.0.join("etc/hextet/external.key");
    fs::write(&key, "c2hvcnQ").unwrap();
    let text = fs::read_to_string(&settings).unwrap();
    let external =
        "challenge = 'tls-alpn-01'\n[acme.external_account]\nkey_id = 'a'\nkey = 'external.key'";
    let refuses = |directory: &str, more: &str, words: &[&str]| {
        let acme = format!("[acme]\ndirectory = '{directory}://ca.example/dir'\n{more}");
        fs::write(&settings, format!("{text}\n{acme}\n")).unwrap();
        root.refuses(&["up"], words);
    };
    refuses(
        "http",
        "challenge = 'tls-alpn-01'",
        &["[acme] directory 'http://", "over TLS only"],
    );
    refuses("https", "challenge = 'dns-01'", &["dns-01", "tls-alpn-01"]);
    refuses(
        "https",
        "challenge = 'http-01'",
        &["needs an address to listen on"],
    );
    let names = "challenge = 'tls-alpn-01'\nnames = ['other.example']";
    refuses("https", names, &["[acme] names lacks '::1'"]);
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    refuses("https", external, &["read by everybody", "chmod 600"]);
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    refuses("https", external, &["no key of at least 16 octets"]);
}

#[test]
fn a_port_in_use_and_a_wrong_setting_are_named() {
    let root = Root::new("port");
    root.init();
    let settings = root.0.join("etc/hextet/hextet.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let port = text
        .lines()
        .find_map(|l| l.strip_prefix("listen = \"[::1]:"))
        .unwrap()
        .trim_end_matches('"')
        .to_owned();
    let taken = TcpListener::bind(format!("[::1]:{port}")).unwrap();
    root.refuses(&["up"], &["cannot listen on", &port]);
    drop(taken);
    fs::write(&settings, format!("colour = 1\n{text}")).unwrap();
    root.refuses(&["up"], &["hextet.toml, line 1:", "colour"]);
    for (setting, why) in [
        (
            "upstreams = ['192.0.2.53']",
            "[dns] upstreams: '192.0.2.53' is an IPv4 address",
        ),
        ("dns_domain = 'a..example'", "[dns]: "),
    ] {
        fs::write(&settings, format!("{text}\n[dns]\n{setting}\n")).unwrap();
        root.refuses(&["up"], &["hextet.toml", why]);
    }
}
