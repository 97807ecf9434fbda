//! Settings and where everything is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::path::{Path, PathBuf};

use cloud::Resource;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::acme::AcmeConfig;
use crate::dns::DnsConfig;
use crate::edge::EdgeConfig;
use crate::metadata::MetadataConfig;
use crate::notifications::NotificationsConfig;

/// `hextet.toml`. What is left out has the default that `init` writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// What the catalog says; its host must be in the certificate.
    pub(crate) url: String,
    /// What the APIs listen on.
    pub(crate) listen: SocketAddrV6,
    /// Where counters and health are told, on this host alone; nowhere when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<SocketAddrV6>,
    #[serde(default = "region")]
    pub(crate) region: String,
    /// Octets of an IP packet on a tenant network.
    #[serde(default = "mtu")]
    pub(crate) mtu: u32,
    /// Hours a token is valid.
    #[serde(default = "token_lifetime_hours")]
    pub(crate) token_lifetime_hours: u32,
    /// The largest image taken, in GiB.
    #[serde(default = "max_image_gib")]
    pub(crate) max_image_gib: u64,
    #[serde(default, skip_serializing_if = "EdgeConfig::is_default")]
    pub(crate) edge: EdgeConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acme: Option<AcmeConfig>,
    #[serde(default)]
    pub(crate) node: NodeConfig,
    #[serde(default, skip_serializing_if = "DnsConfig::is_default")]
    pub(crate) dns: DnsConfig,
    #[serde(default, skip_serializing_if = "MetadataConfig::is_default")]
    pub(crate) metadata: MetadataConfig,
    #[serde(default, skip_serializing_if = "NotificationsConfig::is_default")]
    pub(crate) notifications: NotificationsConfig,
    /// Limits of projects for which none were set: see `openstack quota show --default`. -1 is no
    /// limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) quota: BTreeMap<Resource, i64>,
}

impl Config {
    /// What this host is called.
    ///
    /// # Errors
    /// When neither the settings nor the system have a name for it.
    pub(crate) fn node_name(&self) -> Result<String, Failure> {
        let hostname =
            || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        match &self.node.name {
            Some(name) => Ok(name.clone()),
            None => {
                Ok(hostname()
                    .map_err(|e| format!("this host has no name ({e}): give [node] name"))?)
            }
        }
    }
}

/// `[node]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeConfig {
    /// The host's name when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The network namespace with the bridges of physical networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) netns: Option<String>,
    /// What runs guests.
    #[serde(skip_serializing_if = "Hypervisor::is_qemu")]
    pub(crate) hypervisor: Hypervisor,
    /// How many nodes there are when guests are made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fake_nodes: Option<u16>,
    /// GiB that the image cache may take of the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_cache_gib: Option<u64>,
    /// This node's address in the cloud's own network: what `$my_ip` stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) my_ip: Option<String>,
    /// Physical networks and their bridges.
    pub(crate) physical_networks: BTreeMap<String, String>,
    /// Bridges that the node makes, each with the interface in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) bridges: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "VolumesConfig::is_default")]
    pub(crate) volumes: VolumesConfig,
}

/// `[node.volumes]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VolumesConfig {
    /// What volumes are served on, with brackets and port or without.
    pub(crate) portals: Vec<String>,
    /// Where they are kept; for them alone. `DIR/var/lib/hextet/volumes` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<PathBuf>,
}

impl Default for VolumesConfig {
    /// Guests of the same host reach them; clouds side by side do not meet.
    fn default() -> VolumesConfig {
        VolumesConfig {
            portals: vec!["[::1]:0".into()],
            directory: None,
        }
    }
}

impl VolumesConfig {
    fn is_default(&self) -> bool {
        *self == VolumesConfig::default()
    }
}

impl NodeConfig {
    /// What volumes are served on.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be, and why.
    pub(crate) fn portals(&self) -> Result<Vec<SocketAddrV6>, String> {
        let my_ip = self.my_ip.as_deref().map(own_address).transpose()?;
        let portals = self.volumes.portals.iter();
        portals
            .map(|text| volume::portal::parse(text, my_ip))
            .map(|portal| portal.map_err(|why| format!("[node.volumes]: {why}")))
            .collect()
    }
}

fn own_address(text: &str) -> Result<Ipv6Addr, String> {
    let address = match model::parse_ip(text) {
        Some(IpAddr::V6(address)) => address,
        Some(IpAddr::V4(_)) => {
            return Err(format!(
                "[node] my_ip '{text}' is an IPv4 address: nodes are reached over IPv6 only"
            ));
        }
        None => return Err(format!("[node] my_ip '{text}' is no IPv6 address")),
    };
    volume::portal::usable(address).map_err(|why| format!("[node] my_ip: {why}"))?;
    Ok(address)
}

/// What runs guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hypervisor {
    #[default]
    Qemu,
    /// Nothing does: they are made up, by nodes that need no right, no kernel and no QEMU.
    Fake,
}

impl Hypervisor {
    fn is_qemu(&self) -> bool {
        *self == Hypervisor::Qemu
    }
}

impl NodeConfig {
    /// How many made-up nodes there are; `None`: this host is the one node.
    ///
    /// # Errors
    /// A sentence about a number that cannot be.
    pub(crate) fn fakes(&self) -> Result<Option<u16>, Failure> {
        match (self.hypervisor, self.fake_nodes) {
            (Hypervisor::Qemu, None) => Ok(None),
            (Hypervisor::Qemu, Some(_)) => {
                Err("[node] fake_nodes means nothing without hypervisor = \"fake\"".into())
            }
            (Hypervisor::Fake, count @ (None | Some(1..=1000))) => Ok(Some(count.unwrap_or(1))),
            (Hypervisor::Fake, Some(count)) => {
                Err(format!("[node] fake_nodes {count} is not between 1 and 1000").into())
            }
        }
    }
}

fn region() -> String {
    "RegionOne".into()
}

fn mtu() -> u32 {
    1500
}

fn token_lifetime_hours() -> u32 {
    12
}

fn max_image_gib() -> u64 {
    1024
}

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    /// `DIR/etc/hextet`
    pub(crate) etc: PathBuf,
    /// `DIR/var/lib/hextet`
    pub(crate) state: PathBuf,
    /// `DIR/run/hextet`
    pub(crate) run: PathBuf,
}

impl Places {
    /// # Errors
    /// When the working directory is gone, so that a relative path means nothing.
    pub(crate) fn below(root: &Path) -> Result<Places, Failure> {
        let root = std::path::absolute(root)?;
        Ok(Places {
            etc: root.join("etc/hextet"),
            state: root.join("var/lib/hextet"),
            run: root.join("run/hextet"),
            root,
        })
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.etc.join("hextet.toml")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.etc.join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.etc.join("key.pem")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.etc.join("ca.pem")
    }

    /// What ACME issued: the key, the certificate, its chain.
    pub(crate) fn acme_certificate(&self) -> PathBuf {
        self.state.join("acme.pem")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.state.join("hextet.db")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    pub(crate) fn token_key(&self) -> PathBuf {
        self.state.join("token.key")
    }

    /// Where a made-up node keeps its journal.
    pub(crate) fn fake_node(&self, number: u16) -> PathBuf {
        self.state.join(format!("node/fake-{number}"))
    }

    pub(crate) fn node_id(&self) -> PathBuf {
        self.state.join("node/id")
    }
}

/// Reads the settings.
///
/// # Errors
/// A sentence that says what to do: run `init`, or mend the file.
pub(crate) fn load(places: &Places) -> Result<Config, Failure> {
    let path = places.config();
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let root = places.root.display();
            format!(
                "{} is not there: run `hextet --root {root} init` first",
                path.display()
            )
        }
        _ => format!("cannot read {}: {e}", path.display()),
    })?;
    let config: Config = toml::from_str(&text).map_err(|e| {
        let before = &text[..e.span().map_or(0, |span| span.start)];
        let line = before.matches('\n').count() + 1;
        format!("{}, line {line}: {}", path.display(), e.message())
    })?;
    host_of(&config.url)?;
    let wrong = |why: String| format!("{}, {why}", path.display());
    config.edge.check().map_err(wrong)?;
    if let Some(acme) = &config.acme {
        let settings = acme.settings(places, &config.url);
        settings.map_err(|e| wrong(e.to_string()))?;
    }
    config.node.portals().map_err(wrong)?;
    config.dns.named().map_err(wrong)?;
    config.notifications.url(&path).map_err(wrong)?;
    if !(1280..=65_535).contains(&config.mtu) {
        return Err(wrong(format!(
            "mtu {} is not between 1280, the least an IPv6 link may have, and 65535",
            config.mtu
        ))
        .into());
    }
    config.node.fakes().map_err(|e| wrong(e.to_string()))?;
    Ok(config)
}

/// The host in the cloud's URL, without brackets.
///
/// # Errors
/// When it is no `https` URL of a host, with nothing behind it.
pub(crate) fn host_of(url: &str) -> Result<String, Failure> {
    let wrong = || {
        format!(
            "url '{url}' must be https://NAME or https://[ADDRESS], with a port or without, and nothing behind it"
        )
    };
    let rest = url.strip_prefix("https://").ok_or_else(wrong)?;
    if rest.contains(['/', '?', '#', '@']) {
        return Err(wrong().into());
    }
    let (host, _) = model::parse_host_port(rest).ok_or_else(wrong)?;
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(format!(
            "url '{url}' names an IPv4 address: this cloud is reached over IPv6 only"
        )
        .into());
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portals_stand_in_the_nodes_section() {
        let portals = |text: &str| toml::from_str::<NodeConfig>(text).unwrap().portals();
        let shown = |text: &str| -> Vec<_> {
            let portals = portals(text).unwrap();
            portals.iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown(""), ["[::1]:0"]);
        for my_ip in ["2001:db8::5", "[2001:db8::5]"] {
            let text = format!(
                "my_ip = '{my_ip}'\n[volumes]\nportals = ['[$my_ip]:3260', '${{my_ip}}', '::1']"
            );
            assert_eq!(
                shown(&text),
                ["[2001:db8::5]:3260", "[2001:db8::5]:3260", "[::1]:3260"]
            );
        }
        for (text, reason) in [
            ("my_ip = '192.0.2.1'", "my_ip '192.0.2.1' is an IPv4"),
            ("my_ip = 'fe80::1'", "link-local"),
            ("my_ip = 'host'", "no IPv6 address"),
            ("[volumes]\nportals = ['$my_ip']", "needs my_ip"),
            (
                "[volumes]\nportals = ['192.0.2.1:3260']",
                "[node.volumes]: portal",
            ),
        ] {
            let error = portals(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let default = toml::to_string(&NodeConfig::default()).unwrap();
        assert!(!default.contains("volumes"), "{default}");
    }

    #[test]
    fn a_url_names_a_host_and_nothing_else() {
        assert_eq!(host_of("https://[::1]:8443").unwrap(), "::1");
        assert_eq!(host_of("https://cloud.example").unwrap(), "cloud.example");
        for bad in [
            "http://[::1]",
            "https://",
            "https://[::1]/x",
            "https://a@b",
            "https://192.0.2.1:8443",
            "[::1]:8443",
        ] {
            assert!(host_of(bad).is_err(), "{bad}");
        }
    }
}
