//! A node's counters: what its services said, and what its filters dropped.

use std::io;

use lan::{Lan, Sample};
use linux::netns::Netns;
use linux::nft;

use crate::filter;
use crate::foreign::Foreign;
use crate::links::names::{Space, networks_prefix};

/// Reads them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) lan: Lan,
    pub(crate) short: String,
    /// Filled by the [`crate::Observer`] that has a clone of this.
    pub(crate) foreign: Foreign,
}

impl Metrics {
    /// All counters. Blocks: it asks the kernel for each network's own.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.lan.samples();
        samples.extend(self.foreign.samples());
        for name in Netns::list(&networks_prefix(&self.short)).unwrap_or_default() {
            let Some(Space::Network(network)) = Space::parse(&self.short, &name) else {
                continue;
            };
            // A network that goes just now has nothing to tell any more.
            for (reason, value) in dropped(&name).unwrap_or_default() {
                let labels = vec![("network", network.to_string()), ("reason", reason)];
                samples.push(Sample {
                    name: "dropped_packets",
                    labels,
                    value,
                });
            }
        }
        samples
    }
}

fn dropped(namespace: &str) -> io::Result<Vec<(String, u64)>> {
    let table = ["list", "counters", "table", "bridge", filter::TABLE];
    nft::ask(&Netns::open(namespace)?, &table).map(|text| parse(&text))
}

/// What nft prints: `counter NAME {` and on the next line `packets N bytes N`.
fn parse(text: &str) -> Vec<(String, u64)> {
    let (mut found, mut name) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["counter", counter, "{"] => name = Some(counter.to_owned()),
            ["packets", packets, ..] => {
                let value = packets.parse().ok();
                found.extend(name.take().zip(value));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_their_names() {
        let printed = "table bridge hextet {\n\tcounter full {\n\t\tpackets 3 bytes 200\n\t}\n\
            \tcounter rogue {\n\t\tpackets 0 bytes 0\n\t}\n}\n";
        let expected = [("full".to_owned(), 3), ("rogue".to_owned(), 0)];
        assert_eq!(parse(printed), expected);
        assert_eq!(parse(""), []);
    }
}
