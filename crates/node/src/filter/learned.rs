//! The addresses that ports were the first to use, as the kernel has learned them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use linux::netns::Netns;
use linux::nft;

use super::table::{NAME, Table};

const PREFIX: &str = "seen_";

/// Addresses in hex by the set of the port that owns them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Learned(BTreeMap<String, BTreeSet<String>>);

impl Learned {
    /// Reads the sets of the bridge table.
    pub(super) fn read(ns: &Netns) -> io::Result<Learned> {
        nft::ask(ns, &["list", "table", "bridge", NAME]).map(|text| Learned::parse(&text))
    }

    /// Reads only some sets, which costs less than reading them all.
    pub(super) fn of<'a>(
        ns: &Netns,
        sets: impl Iterator<Item = &'a String>,
    ) -> io::Result<Learned> {
        let mut text = String::new();
        for set in sets {
            text += &nft::ask(ns, &["list", "set", "bridge", NAME, set])?;
        }
        Ok(Learned::parse(&text))
    }

    /// What nft prints: `set NAME {`, later `elements = { 0x.. expires 59m, ... }` over many lines.
    fn parse(text: &str) -> Learned {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        let mut set = None;
        for line in text.lines().map(str::trim) {
            if let Some((kind, name)) = line.strip_suffix(" {").and_then(|l| l.split_once(' ')) {
                set = (kind == "set" && name.starts_with(PREFIX)).then_some(name);
            }
            let Some(set) = set else { continue };
            let words = line.split([' ', ',', '{', '}']);
            let addresses = words.filter_map(address).collect::<Vec<_>>();
            found.entry(set.to_owned()).or_default().extend(addresses);
        }
        found.retain(|_, addresses| !addresses.is_empty());
        Learned(found)
    }

    /// All of them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.0.values().flatten();
        let bits = all.filter_map(|text| u128::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    }

    /// Puts what was learned into a table that replaces the old one.
    pub(super) fn keep(self, table: &mut Table) {
        for (name, addresses) in self.0 {
            if !table.sets.contains_key(&name) {
                continue;
            }
            for set in [name.as_str(), "seen"] {
                if let Some(set) = table.sets.get_mut(set) {
                    set.elements
                        .extend(addresses.iter().map(|a| (a.clone(), None)));
                }
            }
        }
    }

    /// Commands that free these addresses for others.
    pub(super) fn forget(&self) -> String {
        let addresses: Vec<_> = self.0.values().flatten().map(String::as_str).collect();
        match addresses.is_empty() {
            true => String::new(),
            false => format!(
                "delete element bridge {NAME} seen {{ {} }}\n",
                addresses.join(", ")
            ),
        }
    }
}

/// An address as we write it, with all its zeroes.
fn address(word: &str) -> Option<String> {
    let digits = word.strip_prefix("0x")?;
    u128::from_str_radix(digits, 16)
        .ok()
        .map(|bits| format!("0x{bits:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "table bridge hextet {\n\
        \tset seen {\n\t\telements = { 0xfe80 expires 1m }\n\t}\n\
        \tset seen_t1 {\n\t\ttypeof @nh,64,128\n\t\tsize 32\n\
        \t\telements = { 0xfe800000000000000000000000000001 expires 59m59s992ms,\n\
        \t\t\t     0xa expires 1s }\n\t}\n\
        \tset seen_t2 {\n\t\tsize 32\n\t}\n\
        \tchain x {\n\t\t@nh,64,128 0x1 accept\n\t}\n}\n";

    #[test]
    fn only_ports_sets_count() {
        let learned = Learned::parse(PRINTED);
        let addresses: Vec<_> = learned.0["seen_t1"].iter().map(String::as_str).collect();
        assert_eq!(
            addresses,
            [
                "0x0000000000000000000000000000000a",
                "0xfe800000000000000000000000000001"
            ]
        );
        assert_eq!(learned.0.len(), 1);
    }

    #[test]
    fn a_port_that_went_frees_its_addresses() {
        let forget = Learned::parse(PRINTED).forget();
        assert!(forget.contains("000a, 0xfe80"), "{forget}");
        assert_eq!(Learned::default().forget(), "");
    }

    #[test]
    fn what_was_learned_moves_to_the_new_table() {
        let mut table = Table::new("bridge");
        table.set("seen", "", []);
        Learned::parse(PRINTED).keep(&mut table);
        assert!(table.sets["seen"].elements.is_empty());
        table.set("seen_t1", "", []);
        Learned::parse(PRINTED).keep(&mut table);
        assert_eq!(table.sets["seen"].elements.len(), 2);
        assert_eq!(table.sets["seen_t1"].elements.len(), 2);
    }
}
