//! What the kernel has learned of ports from what they sent, and that outlives a table: the
//! addresses that they were the first to use, and what is noted for an operator.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use linux::netns::Netns;
use linux::nft;

use super::printed::{self, Element};
use super::table::{NAME, Table};

/// Ports' sets of addresses that each was the first to use. All of them are in `seen` as well.
pub(super) const SEEN: &str = "seen_";
/// Names of what else is kept begin so.
const NOTED: [&str; 3] = ["used_", "used4_", "met"];

/// Elements by their set, each with the time that it has left.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Learned(BTreeMap<String, BTreeMap<String, String>>);

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

    fn parse(text: &str) -> Learned {
        let mut found = BTreeMap::<String, BTreeMap<String, String>>::new();
        let kept = |e: &Element<'_>| {
            e.set.starts_with(SEEN) || NOTED.iter().any(|noted| e.set.starts_with(noted))
        };
        for element in printed::elements(text).iter().filter(|e| kept(e)) {
            let key = element.words.iter().take_while(|word| **word != "expires");
            let key = key.map(|word| whole(word)).collect::<Vec<_>>().join(" ");
            let left = element.after("expires").unwrap_or_default().to_owned();
            let set = found.entry(element.set.to_owned()).or_default();
            set.insert(key, left);
        }
        Learned(found)
    }

    /// The addresses that ports were the first to use.
    fn seen(&self) -> impl Iterator<Item = &str> {
        let ports = self.0.iter().filter(|(set, _)| set.starts_with(SEEN));
        ports.flat_map(|(_, elements)| elements.keys().map(String::as_str))
    }

    /// All of them, as addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.seen().filter_map(address).map(IpAddr::V6)
    }

    /// Puts what was learned into a table that replaces the old one.
    pub(super) fn keep(self, table: &mut Table) {
        for (name, elements) in self.0 {
            if !table.sets.contains_key(&name) {
                continue;
            }
            let also = name.starts_with(SEEN).then_some("seen");
            for set in [Some(name.as_str()), also].into_iter().flatten() {
                if let Some(set) = table.sets.get_mut(set) {
                    let keys = elements.iter().map(|(key, left)| match left.as_str() {
                        "" => key.clone(),
                        left => format!("{key} expires {left}"),
                    });
                    set.elements.extend(keys.map(|key| (key, None)));
                }
            }
        }
    }

    /// Commands that free these addresses for others.
    pub(super) fn forget(&self) -> String {
        let addresses: Vec<_> = self.seen().collect();
        match addresses.is_empty() {
            true => String::new(),
            false => format!(
                "delete element bridge {NAME} seen {{ {} }}\n",
                addresses.join(", ")
            ),
        }
    }
}

/// An address in hex.
pub(super) fn address(text: &str) -> Option<Ipv6Addr> {
    let bits = u128::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    Some(Ipv6Addr::from_bits(bits))
}

/// A word as we write it: an address with all its zeroes.
fn whole(word: &str) -> String {
    match address(word) {
        Some(address) => format!("0x{:032x}", address.to_bits()),
        None => word.to_owned(),
    }
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
        \tset used_t1 {\n\t\telements = { 0xb expires 2m }\n\t}\n\
        \tset met {\n\t\telements = { \"t1\" . 0xc expires 3m }\n\t}\n\
        \tchain x {\n\t\t@nh,64,128 0x1 accept\n\t}\n}\n";

    #[test]
    fn only_ports_sets_count() {
        let learned = Learned::parse(PRINTED);
        let addresses: Vec<_> = learned.seen().collect();
        assert_eq!(
            addresses,
            [
                "0x0000000000000000000000000000000a",
                "0xfe800000000000000000000000000001"
            ]
        );
        assert_eq!(learned.0.len(), 3);
        assert_eq!(learned.addresses().count(), 2);
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
        table.set("met", "", []);
        Learned::parse(PRINTED).keep(&mut table);
        let met: Vec<_> = table.sets["met"].elements.keys().collect();
        assert_eq!(
            met,
            ["\"t1\" . 0x0000000000000000000000000000000c expires 3m"]
        );
    }
}
