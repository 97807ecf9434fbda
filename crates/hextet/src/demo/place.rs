//! Where a demo lives: a directory with everything of its cloud, and two network namespaces.
//!
//! ```text
//!   hextet-demo-ID-node                  hextet-demo-ID-outside
//!   +--------------------------------+   +----------------------------+
//!   | br-ext: physical network public|   | eth0 2001:db8:ffff::1/64   |
//!   |   outside ---------------------+---+      198.51.100.1/24       |
//!   +--------------------------------+   +----------------------------+
//! ```
//! `DIR/demo.toml` says so, and stays locked while the demo runs: a record that nobody has locked
//! is what a killed demo left, or one that was to be kept.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv6Net};
use linux::netlink::{Netlink, Route, VethEnd};
use linux::netns::Netns;
use model::NodeId;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::config::Places;

/// How the names of a demo's directory and namespaces begin.
const PREFIX: &str = "hextet-demo-";
const RECORD: &str = "demo.toml";
/// The bridge that physical network `public` is on.
pub(super) const BRIDGE: &str = "br-ext";
/// The bridge's address: locally administered, and the same in every demo as nobody else sees it.
const BRIDGE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];

/// What must be known of a demo after it was killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: String,
    kept: bool,
}

/// A demo's directory and namespaces. Dropping this removes nothing.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    record: Record,
    /// Locked for as long as the demo runs.
    file: File,
}

impl Place {
    /// A new directory, with its record in it before anything else is made.
    pub(super) fn make() -> Result<Place, Failure> {
        let record = Record {
            id: NodeId::random().short()[..6].to_owned(),
            kept: false,
        };
        let parent = std::path::absolute(std::env::temp_dir())?;
        let root = parent.join(format!("{PREFIX}{}", record.id));
        let told = |e| format!("cannot make {}: {e}", root.display());
        DirBuilder::new().mode(0o700).create(&root).map_err(told)?;
        // Locked before it has its name: nobody may take it for one that was left.
        let fresh = root.join("demo.new");
        let file = File::create_new(&fresh)?;
        file.lock()?;
        let mut place = Place { root, record, file };
        place.write()?;
        fs::rename(&fresh, place.root.join(RECORD))?;
        Ok(place)
    }

    /// The demo that a root belongs to; `None` when it is no demo's.
    ///
    /// # Errors
    /// When that demo still runs.
    pub(crate) fn of(root: &Path) -> Result<Option<Place>, Failure> {
        let path = root.join(RECORD);
        let mut file = match File::options().read(true).write(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| format!("cannot open {}: {e}", path.display()))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "a demo runs on {}: end it with Ctrl-C where it runs",
                    root.display()
                )
                .into());
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let record: Record =
            toml::from_str(&text).map_err(|e| format!("{} is not valid: {e}", path.display()))?;
        if record.id.is_empty() || !record.id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{} holds no id of a demo", path.display()).into());
        }
        // As `make` wrote it, without a slash at its end: processes are found by it.
        let root = root.components().collect();
        Ok(Some(Place { root, record, file }))
    }

    /// Demos of the past whose end nobody saw, and that were not to be kept.
    pub(super) fn left() -> Vec<Place> {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
            return Vec::new();
        };
        let named = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            name.starts_with(PREFIX).then(|| entry.path())
        });
        // A directory that anyone could have made must not tell root what to remove.
        let trusted = named.filter(|path| {
            let mine = |m: fs::Metadata| m.is_dir() && m.uid() == 0 && m.mode() & 0o077 == 0;
            fs::symlink_metadata(path).is_ok_and(mine)
        });
        trusted
            .filter_map(|root| Place::of(&root).ok().flatten())
            .filter(|place| !place.record.kept)
            .collect()
    }

    /// The directory that `hextet --root` takes.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn places(&self) -> Result<Places, Failure> {
        Places::below(&self.root)
    }

    /// A file of the demo itself, beside those of its cloud.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The log of `hextet up`.
    pub(super) fn log(&self) -> PathBuf {
        self.file("hextet.log")
    }

    /// The namespace in which the node's bridges are.
    pub(super) fn node_name(&self) -> String {
        format!("{PREFIX}{}-node", self.record.id)
    }

    /// The namespace of a host on the external network.
    pub(super) fn outside_name(&self) -> String {
        format!("{PREFIX}{}-outside", self.record.id)
    }

    /// Makes both namespaces and what joins them. May be repeated.
    pub(super) fn lay_links(&self, gateways: &[IpNet]) -> io::Result<Netns> {
        let (node, outside) = (self.node()?, Netns::ensure(&self.outside_name())?);
        let [inner, outer] = [(&node, "outside"), (&outside, "eth0")].map(|(ns, name)| VethEnd {
            ns,
            name,
            mac: None,
        });
        Netlink::ensure_veth(inner, outer)?;
        let mut there = Netlink::open(&node)?;
        there.ensure_bridge(BRIDGE, BRIDGE_MAC)?;
        there.set_master("outside", Some(BRIDGE))?;
        there.set_up("outside")?;
        there.set_up(BRIDGE)?;
        // Volumes are served on [::1].
        there.set_up("lo")?;
        let mut here = Netlink::open(&outside)?;
        here.set_up("eth0")?;
        for gateway in gateways {
            here.ensure_address("eth0", *gateway)?;
        }
        Ok(outside)
    }

    /// Tells the outside by which router a prefix is reached.
    pub(super) fn route(
        &self,
        destination: Ipv6Net,
        nexthop: std::net::Ipv6Addr,
    ) -> io::Result<()> {
        let outside = Netns::open(&self.outside_name())?;
        let route = Route {
            destination: destination.into(),
            nexthop: Some(nexthop.into()),
            link: "eth0".to_owned(),
        };
        Ok(Netlink::open(&outside)?.ensure_route(&route)?)
    }

    /// The node's namespace, made if need be: purging a node looks into it.
    pub(crate) fn node(&self) -> io::Result<Netns> {
        Netns::ensure(&self.node_name())
    }

    /// Takes both namespaces away, and with them the links and addresses inside.
    pub(crate) fn remove_namespaces(&self) -> io::Result<()> {
        Netns::remove(&self.outside_name())?;
        Netns::remove(&self.node_name())
    }

    /// Lets the cloud stay when the demo ends.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        self.record.kept = true;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let text = toml::to_string(&self.record).map_err(io::Error::other)?;
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_demos_while_that_runs() {
        let mut place = Place::make().unwrap();
        let root = place.root().to_owned();
        let running = Place::of(&root).unwrap_err().to_string();
        assert!(running.contains("a demo runs on"), "{running}");
        place.keep().unwrap();
        drop(place);
        let kept = Place::of(&root.join("")).unwrap().unwrap();
        assert!(kept.record.kept);
        assert_eq!(kept.root().as_os_str(), root.as_os_str());
        assert!(Place::of(&root.join("..")).unwrap().is_none());
        fs::remove_dir_all(&root).unwrap();
    }
}
