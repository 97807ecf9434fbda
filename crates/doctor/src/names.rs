//! What names mean: the small part of a resolver that a doctor needs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::parse;

/// Looks names up.
pub trait Names {
    /// All addresses of a name, or nothing when it is not known here. Who cannot ask says nothing,
    /// and nothing is then said about the name.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;
}

/// The names of an `/etc/hosts`, and no others: what is used where no resolver is.
#[derive(Clone, Debug, Default)]
pub struct HostsFile(BTreeMap<String, Vec<IpAddr>>);

impl HostsFile {
    /// Reads hosts(5).
    pub fn parse(text: &str) -> HostsFile {
        let mut out: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for line in parse::hosts(text) {
            let address = line.key.split('%').next().and_then(|a| a.parse().ok());
            for name in line.words() {
                out.entry(name.to_lowercase())
                    .or_default()
                    .extend::<Option<IpAddr>>(address);
            }
        }
        HostsFile(out)
    }
}

impl Names for HostsFile {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.0.get(&name.to_lowercase()).cloned()
    }
}
