//! Those who take turns on the link.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lan::{
    Advert, AdvertKey, Binding, Bindings, Given, Interval, Lan, MetadataSettings, Preference,
    Prefix, Upstreams,
};
use linux::inet4::Inet4;
use linux::netns::Netns;
use model::{Mac, NetworkId, RouterId};

use crate::Failure;
use crate::site::{CLIENT_MAC, PREFIX, SERVER, SERVER_MAC, Site};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Hextet,
    Radvd,
    Kea,
    Dnsmasq,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Which::Hextet => "hextet",
            Which::Radvd => "radvd",
            Which::Kea => "kea",
            Which::Dnsmasq => "dnsmasq",
        })
    }
}

/// One that serves; it ends when it is dropped.
pub(crate) enum Server {
    Own(Lan),
    Other(Child, PathBuf),
}

impl Server {
    /// Ours.
    pub(crate) fn lan(&self) -> Option<&Lan> {
        match self {
            Server::Own(lan) => Some(lan),
            Server::Other(..) => None,
        }
    }

    /// Another's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Server::Own(_) => None,
            Server::Other(child, _) => Some(child.id()),
        }
    }

    /// Advertises the prefix.
    pub(crate) fn adverts(which: Which, site: &Site) -> Result<Server, Failure> {
        if which == Which::Hextet {
            let lan = own(&site.server)?;
            let key = AdvertKey {
                network: NetworkId::random(),
                router: Some(RouterId::random()),
            };
            lan.advertise(key, &site.server, SERVER, advert()?)?;
            return Ok(Server::Own(lan));
        }
        let config = format!(
            "interface {SERVER} {{ AdvSendAdvert on; UnicastOnly on; prefix {PREFIX} {{ AdvValidLifetime 86400; AdvPreferredLifetime 14400; }}; }};\n"
        );
        start(site, "radvd.conf", &config, |config, dir| {
            let pid = dir.join("radvd.pid").display().to_string();
            let words = ["radvd", "-n", "-m", "none", "-C", config, "-p", &pid];
            words.map(str::to_owned).into()
        })
    }

    /// Gives addresses of the prefix.
    pub(crate) fn leases(which: Which, site: &Site) -> Result<Server, Failure> {
        match which {
            Which::Kea => {
                let config = format!(
                    r#"{{"Dhcp6": {{"server-id": {{"type": "LL", "persist": false}}, "interfaces-config": {{"interfaces": ["{SERVER}"]}}, "lease-database": {{"type": "memfile", "persist": false}},
                    "valid-lifetime": 86400, "preferred-lifetime": 14400, "loggers": [{{"name": "kea-dhcp6", "severity": "ERROR"}}],
                    "subnet6": [{{"id": 1, "subnet": "{PREFIX}", "interface": "{SERVER}", "pools": [{{"pool": "2001:db8:1::1:0/112"}}]}}]}}}}"#
                );
                start(site, "kea.conf", &config, |config, _| {
                    ["kea-dhcp6", "-c", config].map(str::to_owned).into()
                })
            }
            Which::Dnsmasq => {
                let config = format!(
                    "port=0\ninterface={SERVER}\nbind-interfaces\ndhcp-authoritative\ndhcp-lease-max=100000\n\
                     dhcp-range=2001:db8:1::1:0,2001:db8:1::1:ffff,64,24h\nlog-facility=/dev/null\n"
                );
                start(site, "dnsmasq.conf", &config, |config, dir| {
                    let dir = dir.display();
                    [
                        "dnsmasq".to_owned(),
                        "--keep-in-foreground".to_owned(),
                        "--user=root".to_owned(),
                        format!("--conf-file={config}"),
                        format!("--pid-file={dir}/pid"),
                        format!("--dhcp-leasefile={dir}/leases"),
                    ]
                    .into()
                })
            }
            _ => {
                let lan = own(&site.server)?;
                let bindings = Bindings {
                    on_link: vec![PREFIX.parse()?],
                    ports: [(Mac(CLIENT_MAC), binding()?)].into(),
                };
                lan.serve_dhcp6(
                    NetworkId::random(),
                    &site.server,
                    SERVER,
                    Arc::new(bindings),
                )?;
                Ok(Server::Own(lan))
            }
        }
    }
}

/// Serves networks whose names begin as this one's.
pub(crate) fn own(ns: &Netns) -> Result<Lan, Failure> {
    let outside = Netns::current()?;
    let prefix = ns.name().trim_end_matches(|c: char| c.is_ascii_digit());
    let inet4 = Inet4::start(prefix, std::slice::from_ref(&outside))?;
    let upstreams = Upstreams {
        ns: outside,
        servers: Vec::new(),
    };
    Ok(Lan::start(inet4, upstreams, MetadataSettings::default())?)
}

/// What the client is given.
pub(crate) fn binding() -> Result<Binding, Failure> {
    Ok(Binding {
        addresses: vec![Given {
            value: "2001:db8:1::2".parse()?,
            preferred_s: 14_400,
            valid_s: 86_400,
        }],
        ..Binding::default()
    })
}

/// A router's, of the prefix.
pub(crate) fn advert() -> Result<Advert, Failure> {
    let mac = Mac(SERVER_MAC);
    Ok(Advert {
        source: mac.link_local(),
        mac,
        mtu: 1500,
        router_lifetime_s: 1800,
        preference: Preference::Medium,
        managed: false,
        other: false,
        prefixes: vec![Prefix {
            prefix: PREFIX.parse()?,
            autonomous: true,
            on_link: true,
            valid_s: 86_400,
            preferred_s: 14_400,
            ends_ms: None,
        }],
        rdnss: Vec::new(),
        dnssl: Vec::new(),
        routes: Vec::new(),
        pref64: Vec::new(),
        interval: Interval::default(),
    })
}

/// Starts a program in the servers' namespace, with a directory of its own for its files.
pub(crate) fn start(
    site: &Site,
    name: &str,
    config: &str,
    words: impl FnOnce(&str, &PathBuf) -> Vec<String>,
) -> Result<Server, Failure> {
    let dir = std::env::temp_dir().join(format!("{}-{name}", site.server.name()));
    fs::create_dir_all(&dir)?;
    let path = dir.join(name);
    fs::write(&path, config)?;
    let words = words(&path.display().to_string(), &dir);
    let child = Command::new("ip")
        .args(["netns", "exec", site.server.name()])
        .args(&words)
        .env("KEA_PIDFILE_DIR", &dir)
        .env("KEA_LOCKFILE_DIR", &dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| format!("{}: {e}", words[0]))?;
    Ok(Server::Other(child, dir))
}

impl Drop for Server {
    fn drop(&mut self) {
        match self {
            Server::Own(lan) => lan.stop(),
            Server::Other(child, dir) => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = fs::remove_dir_all(dir);
            }
        }
    }
}
