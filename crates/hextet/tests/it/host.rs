//! A host for a cloud: a root of its own, a namespace with a bridge, and one outside.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program under test.
pub(crate) const HEXTET: &str = env!("CARGO_BIN_EXE_hextet");
/// The gateway of the external network: the outside namespace's address.
pub(crate) const OUTSIDE: &str = "2001:db8:ffff::1/64";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Everything a test makes on this machine; all of it goes with it.
pub(crate) struct Host {
    pub(crate) root: PathBuf,
    pub(crate) node: String,
    pub(crate) outside: String,
    up: Option<Child>,
    /// Where in the log the life of `up` begins, in octets.
    began: u64,
}

impl Host {
    /// Namespaces and an initialised root.
    pub(crate) fn new() -> Host {
        Host::with(|_| {})
    }

    /// The same with a file system of its own below the root, of a size as mount(8) takes it.
    pub(crate) fn on_disk_of(size: &str) -> Host {
        Host::with(|root| {
            fs::create_dir(root).unwrap();
            let options = format!("size={size},mode=700");
            let mount = ["-t", "tmpfs", "-o", &options, "hextet-test"];
            let mounted = Command::new("mount").args(mount).arg(root).status();
            assert!(mounted.unwrap().success());
        })
    }

    fn with(prepare: impl FnOnce(&Path)) -> Host {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make namespaces and users: run them as root"
        );
        let name = format!(
            "hxt{}x{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let host = Host {
            root: std::env::temp_dir().join(&name),
            node: format!("{name}n"),
            outside: format!("{name}o"),
            up: None,
            began: 0,
        };
        let (node, outside) = (&host.node, &host.outside);
        for namespace in [node, outside] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&["-n", node, "link", "add", "br-ext", "type", "bridge"]);
        ip(&["-n", node, "link", "set", "br-ext", "up"]);
        ip(&[
            "-n", node, "link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns",
            outside,
        ]);
        ip(&["-n", node, "link", "set", "out", "master", "br-ext", "up"]);
        ip(&["-n", outside, "link", "set", "eth0", "up"]);
        ip(&[
            "-n", outside, "addr", "add", OUTSIDE, "dev", "eth0", "nodad",
        ]);
        prepare(&host.root);
        let made = host.hextet(&[
            "init",
            "--listen",
            "[::1]:0",
            "--netns",
            node,
            "--physical-network",
            "public=br-ext",
        ]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        host
    }

    /// Runs a command of hextet on this root.
    pub(crate) fn hextet(&self, arguments: &[&str]) -> Output {
        Command::new(HEXTET)
            .arg("--root")
            .arg(&self.root)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Starts the cloud and waits for its one line.
    pub(crate) fn up(&mut self) {
        let line = self.start(&[]);
        assert!(
            line.starts_with("ready https://[::1]:"),
            "said '{line}', and in its log: {}",
            self.log()
        );
    }

    /// Starts the cloud with variables in its environment; the line it says, if it comes so far.
    pub(crate) fn start(&mut self, environment: &[(&str, &str)]) -> String {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.join("log"))
            .unwrap();
        self.began = log.metadata().unwrap().len();
        let mut up = Command::new(HEXTET);
        up.arg("--root")
            .arg(&self.root)
            .arg("up")
            // With the generations that the node reaches.
            .env("HEXTET_LOG", "info,cloud::node=debug")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut up = up.process_group(0).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.up = Some(up);
        line
    }

    /// Whether the cloud's process has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        let up = self.up.as_mut();
        up.is_none_or(|up| up.try_wait().unwrap().is_some())
    }

    /// Ends the cloud as a power failure would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    /// The end of what the cloud logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.root.join("log")).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.contains("\"DEBUG\""));
        let lines: Vec<&str> = lines.collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What the cloud logged since it was started last.
    pub(crate) fn said(&self) -> String {
        let mut log = fs::File::open(self.root.join("log")).unwrap();
        log.seek(SeekFrom::Start(self.began)).unwrap();
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    }

    /// The processes of this cloud's guests.
    pub(crate) fn guests(&self) -> Vec<u32> {
        let states = fs::read_dir(self.root.join("var/lib/hextet/guests"))
            .into_iter()
            .flatten();
        let ids: Vec<String> = states
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        let of_ours = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.starts_with("qemu-system") && ids.iter().any(|id| line.contains(id.as_str()))
        };
        let all = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
        let mut pids: Vec<u32> = all.filter(of_ours).collect();
        pids.sort_unstable();
        pids
    }

    /// Namespaces that this cloud's node made.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let id = fs::read_to_string(self.root.join("var/lib/hextet/node/id")).unwrap();
        let prefix = format!("hx{}-", &id[..4]);
        let names = fs::read_dir("/run/netns")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// What the invariant checker finds in this cloud.
    pub(crate) fn findings(&self) -> String {
        self.found_by(&["manage", "check", "--deep"])
    }

    /// The same without reading the data of images.
    pub(crate) fn quick_findings(&self) -> String {
        self.found_by(&["manage", "check"])
    }

    fn found_by(&self, check: &[&str]) -> String {
        let checked = self.hextet(check);
        let (found, said) = (checked.stdout, checked.stderr);
        assert!(
            matches!(checked.status.code(), Some(0 | 1)),
            "{}",
            String::from_utf8_lossy(&said)
        );
        assert_eq!(checked.status.success(), found.is_empty());
        String::from_utf8(found).unwrap()
    }

    /// Runs a stage of `servers.py`, which speaks through openstacksdk.
    pub(crate) fn python(&self, stage: &str) {
        self.script("servers.py", stage, &[("HOST_GUEST", &guest())]);
    }

    /// Runs a stage of a script beside this file; what it said.
    pub(crate) fn script(&self, file: &str, stage: &str, more: &[(&str, &str)]) -> String {
        let python = Path::new(&openstack()).with_file_name("python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it")
            .join(file);
        let ran = Command::new(python)
            .arg(script)
            .arg(stage)
            .env(
                "OS_CLIENT_CONFIG_FILE",
                self.root.join("etc/hextet/clouds.yaml"),
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HOST_ROOT", &self.root)
            .env("HOST_OUTSIDE", &self.outside)
            .env("OPENSTACK", openstack())
            .envs(more.iter().copied())
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        assert!(
            ran.status.success(),
            "{file} {stage}:\n{}\n{}\nlog:\n{}",
            text(&ran.stdout),
            text(&ran.stderr),
            self.log()
        );
        text(&ran.stdout)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let found = match std::thread::panicking() {
            true => String::new(),
            false => self.findings(),
        };
        self.kill();
        let purged = self.hextet(&["node", "purge"]);
        for namespace in [&self.node, &self.outside] {
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .status();
        }
        let _ = Command::new("umount")
            .arg("-q")
            .arg(&self.root)
            .stderr(Stdio::null())
            .status();
        let _ = fs::remove_dir_all(&self.root);
        if !std::thread::panicking() {
            assert!(found.is_empty(), "the checker found:\n{found}");
            assert!(
                purged.status.success(),
                "{}",
                String::from_utf8_lossy(&purged.stderr)
            );
        }
    }
}

/// The OpenStack client.
pub(crate) fn openstack() -> String {
    std::env::var("HEXTET_OPENSTACK")
        .expect("HEXTET_OPENSTACK must name the openstack client: `make test` sets it")
}

pub(crate) fn guest() -> String {
    std::env::var("HEXTET_GUEST")
        .expect("HEXTET_GUEST must name the directory of the test guest: `make test` sets it")
}

pub(crate) fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().unwrap();
    assert!(
        done.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
