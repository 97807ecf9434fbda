//! Debian's RabbitMQ in a namespace that has no IPv4 address at all, with TLS and nothing else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::until;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Where the broker and all its files are. The node outlives its kills by its files.
pub(super) struct Broker {
    namespace: String,
    dir: PathBuf,
    /// Erlang's port mapper, which RabbitMQ would start as a daemon otherwise.
    mapper: Child,
    node: Option<Child>,
}

impl Broker {
    /// Files for a broker with this name, which it has certificates for.
    pub(super) fn new(namespace: &str, dir: PathBuf, name: &str) -> Broker {
        fs::create_dir(&dir).unwrap();
        let authority = net::Authority::new("the broker's authority").unwrap();
        let issued = authority
            .issue(&[name.to_owned(), "::1".to_owned()])
            .unwrap();
        let place = dir.display();
        for (file, text) in [
            ("ca.pem", authority.certificate()),
            ("ca.key", authority.key()),
            ("cert.pem", issued.certificate),
            ("key.pem", issued.key),
            ("enabled_plugins", "[].".into()),
            (
                "inetrc",
                "{host, {0,0,0,0,0,0,0,1}, [\"localhost\"]}.\n{lookup, [file]}.\n{inet6, true}.\n"
                    .into(),
            ),
            ("rabbitmq.conf", settings(&dir)),
        ] {
            fs::write(dir.join(file), text).unwrap();
        }
        let shown = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=hextet",
                "-addext",
                "extendedKeyUsage=clientAuth",
            ])
            .args(["-addext", "basicConstraints=CA:FALSE"])
            .args([
                "-CA",
                &format!("{place}/ca.pem"),
                "-CAkey",
                &format!("{place}/ca.key"),
            ])
            .args([
                "-out",
                &format!("{place}/client.pem"),
                "-keyout",
                &format!("{place}/client.key"),
            ])
            .output()
            .unwrap();
        assert!(shown.status.success(), "{shown:?}");
        let mapper = Command::new("ip")
            .args(["netns", "exec", namespace, "epmd"])
            .env("ERL_EPMD_ADDRESS", "::1")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Broker {
            namespace: namespace.into(),
            dir,
            mapper,
            node: None,
        }
    }

    /// Starts it, and waits until it listens.
    pub(super) fn start(&mut self) {
        let file = |name: &str| self.dir.join(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(file("log"))
            .unwrap();
        let node = Command::new("ip")
            .args(["netns", "exec", &self.namespace, SERVER])
            .env("HOME", &self.dir)
            .env("ERL_EPMD_ADDRESS", "::1")
            .env("ERL_INETRC", file("inetrc"))
            .env("RABBITMQ_NODENAME", "rabbit@localhost")
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_LOGS", "-")
            // Else the script stays, with the node as its child.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-proto_dist inet6_tcp -start_epmd false -kernel inet_dist_use_interface {0,0,0,0,0,0,0,1}",
            )
            // Where it leaves what it could not finish.
            .current_dir(&self.dir)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.node = Some(node);
        let ready = "Server startup complete";
        let before = self.log().matches(ready).count();
        until("the broker listens", || {
            self.log().matches(ready).count() > before
        });
    }

    /// Ends it as a power failure would.
    pub(super) fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            node.kill().unwrap();
            node.wait().unwrap();
        }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.mapper.kill();
        let _ = self.mapper.wait();
    }
}

/// Nobody is let in without a certificate.
fn settings(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "listeners.tcp = none\nlisteners.ssl.1 = ::1:5671\n\
         ssl_options.cacertfile = {dir}/ca.pem\nssl_options.certfile = {dir}/cert.pem\n\
         ssl_options.keyfile = {dir}/key.pem\nssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\n\
         default_user = nova\ndefault_pass = se:cr@t\nlog.console = true\nlog.file = false\n"
    )
}
