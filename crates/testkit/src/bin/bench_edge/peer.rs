//! The two that are measured: a hextet with made-up nodes, and a haproxy in front of it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::TempDir;

use crate::Failure;

/// Where clients come in, and whose processor time and memory that costs.
pub(crate) struct Peer {
    pub(crate) port: u16,
    pid: u32,
}

/// A cloud, a haproxy, and their files.
pub(crate) struct Cloud {
    pub(crate) ca: PathBuf,
    ports: [u16; 2],
    hextet: Child,
    haproxy: Child,
    _dir: TempDir,
}

impl Cloud {
    /// Starts both, and waits until they answer; they take `idle` connections and some more.
    pub(crate) async fn start(hextet: &Path, idle: usize) -> Result<Cloud, Failure> {
        let dir = TempDir::new();
        let root = dir.path().join("cloud");
        let [own, front, plain] = free_ports()?;
        let command = || {
            let mut command = Command::new(hextet);
            command.arg("--root").arg(&root);
            command
        };
        let listen = format!("[::1]:{own}");
        let made = command()
            .args(["init", "--fake-nodes", "1", "--listen", &listen])
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let etc = root.join("etc/hextet");
        let settings = etc.join("hextet.toml");
        let text = fs::read_to_string(&settings)?;
        let many = idle + 1000;
        let edge = format!(
            "{text}\n[edge]\nbalancer = '[::1]:{plain}'\nconnections = {many}\nconnections_per_client = {many}\n"
        );
        fs::write(settings, edge)?;
        let pem = dir.path().join("cloud.pem");
        let both = [
            fs::read(etc.join("certificate.pem"))?,
            fs::read(etc.join("key.pem"))?,
        ];
        fs::write(&pem, both.concat())?;
        let config = dir.path().join("haproxy.cfg");
        fs::write(&config, haproxy_config(front, plain, &pem, idle))?;
        let mut up = command();
        up.arg("up").stdout(Stdio::null());
        let hextet = up
            .stderr(fs::File::create(dir.path().join("log"))?)
            .spawn()?;
        let haproxy = Command::new("haproxy")
            .args(["-q", "-db", "-f"])
            .arg(&config)
            .spawn();
        let haproxy = haproxy.map_err(|e| format!("haproxy: {e}; install Debian's haproxy"))?;
        let cloud = Cloud {
            ca: etc.join("ca.pem"),
            ports: [own, front],
            hextet,
            haproxy,
            _dir: dir,
        };
        cloud.wait().await?;
        Ok(cloud)
    }

    /// hextet's own edge.
    pub(crate) fn hextet(&self) -> Peer {
        Peer {
            port: self.ports[0],
            pid: self.hextet.id(),
        }
    }

    /// haproxy; what it passes on is not in its figures.
    pub(crate) fn haproxy(&self) -> Peer {
        Peer {
            port: self.ports[1],
            pid: self.haproxy.id(),
        }
    }

    async fn wait(&self) -> Result<(), Failure> {
        let began = Instant::now();
        for port in self.ports {
            let client = crate::Client::new(port, &self.ca)?;
            while client.flood(Duration::ZERO).await.is_err() {
                if began.elapsed() > Duration::from_secs(20) {
                    return Err(format!("nobody answers at port {port}").into());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        for child in [&mut self.haproxy, &mut self.hextet] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// haproxy counts two files for each connection and would not start for want of them; idle ones have one.
fn haproxy_config(front: u16, plain: u16, pem: &Path, idle: usize) -> String {
    format!(
        "global\n  maxconn {}\n  no strict-limits\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 2m\n  timeout server 2m\n\
         frontend cloud\n  bind [::1]:{front} v6only ssl crt {} alpn h2,http/1.1\n  \
         http-request set-header X-Forwarded-Proto https\n  default_backend hextet\n\
         backend hextet\n  server local [::1]:{plain} send-proxy-v2\n",
        idle + 100,
        pem.display()
    )
}

fn free_ports() -> Result<[u16; 3], Failure> {
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpListener::bind("[::1]:0")?);
    }
    let port = |at: usize| Ok::<_, Failure>(held[at].local_addr()?.port());
    Ok([port(0)?, port(1)?, port(2)?])
}

impl Peer {
    /// Seconds of processor time used so far (proc_pid_stat(5), fields 14 and 15).
    pub(crate) fn edge_seconds(&self) -> Result<f64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let (_, fields) = text.rsplit_once(") ").ok_or("stat has no name")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        // Linux tells all programs of 100 ticks, whatever it counts itself.
        Ok(ticks / 100.0)
    }

    /// The proportional set size, in KiB (proc_pid_smaps(5)).
    pub(crate) fn edge_kib(&self) -> Result<f64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
        let number = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse().ok());
        Ok(number.ok_or("smaps_rollup has no Pss")?)
    }
}
