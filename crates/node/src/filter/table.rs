//! An nftables table as a value, and the scripts that make the kernel hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::merged::merged;

/// A table's objects by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// `bridge`, `inet` or `ip`.
    pub family: &'static str,
    pub counters: BTreeSet<&'static str>,
    pub sets: BTreeMap<String, Set>,
    pub chains: BTreeMap<String, Chain>,
}

/// A set or a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    pub kind: SetKind,
    /// Type, flags, size: what cannot change while the set lives.
    pub head: &'static str,
    /// Keys, each with its value in a map.
    pub elements: BTreeMap<String, Option<String>>,
}

/// How nft calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Set,
    Map,
}

/// A chain's rules, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Hook, priority and policy of a base chain.
    pub hook: Option<&'static str>,
    pub rules: Vec<String>,
}

/// Every table of ours has this name.
pub(crate) const NAME: &str = "hextet";

impl Table {
    /// A table without objects.
    pub fn new(family: &'static str) -> Table {
        Table {
            family,
            ..Table::default()
        }
    }

    /// Adds a set of keys.
    pub fn set(&mut self, name: &str, head: &'static str, keys: impl IntoIterator<Item = String>) {
        let elements = keys.into_iter().map(|k| (k, None)).collect();
        self.sets.insert(
            name.to_owned(),
            Set {
                kind: SetKind::Set,
                head,
                elements,
            },
        );
    }

    /// Adds a map without elements.
    pub fn map(&mut self, name: &str, head: &'static str) {
        let set = Set {
            kind: SetKind::Map,
            head,
            elements: BTreeMap::new(),
        };
        self.sets.insert(name.to_owned(), set);
    }

    /// Adds an element to a map that is there.
    pub fn element(&mut self, map: &str, key: String, value: String) {
        if let Some(map) = self.sets.get_mut(map) {
            map.elements.insert(key, Some(value));
        }
    }

    /// Adds a chain that others jump to.
    pub fn chain(&mut self, name: &str, rules: Vec<String>) {
        self.chains
            .insert(name.to_owned(), Chain { hook: None, rules });
    }

    /// Adds a chain that the kernel calls.
    pub fn base(&mut self, name: &str, hook: &'static str, rules: &[impl ToString]) {
        let rules = rules.iter().map(ToString::to_string).collect();
        self.chains.insert(
            name.to_owned(),
            Chain {
                hook: Some(hook),
                rules,
            },
        );
    }

    /// The whole table as text. Applied, it replaces whatever has its name.
    pub fn render(&self) -> String {
        let (family, mut text) = (self.family, String::new());
        let _ = writeln!(text, "table {family} {NAME}\ndelete table {family} {NAME}");
        let _ = writeln!(text, "table {family} {NAME} {{");
        for counter in &self.counters {
            let _ = writeln!(text, "\tcounter {counter} {{ }}");
        }
        for (name, set) in &self.sets {
            let _ = write!(text, "\t{} {name} {{ {}; ", set.kind.word(), set.head);
            if !set.elements.is_empty() {
                let _ = write!(text, "elements = {{ {} }}; ", elements(&set.elements));
            }
            text.push_str("}\n");
        }
        for (name, chain) in &self.chains {
            let _ = writeln!(text, "\tchain {name} {{");
            let hook = chain.hook.iter().map(|&hook| hook.to_owned());
            for line in hook.chain(merged(&chain.rules)) {
                let _ = writeln!(text, "\t\t{line}");
            }
            text.push_str("\t}\n");
        }
        text.push_str("}\n");
        text
    }

    /// What turns this table into `new`, as commands; `None` when only replacing it will do.
    pub fn changes(&self, new: &Table) -> Option<String> {
        let fixed = self.family == new.family
            && self.counters == new.counters
            && self.hooks() == new.hooks()
            && self
                .sets
                .iter()
                .all(|(name, set)| match new.sets.get(name) {
                    Some(other) => other.head == set.head && other.kind == set.kind,
                    None => true,
                });
        fixed.then(|| {
            Changes {
                old: self,
                new,
                text: String::new(),
            }
            .render()
        })
    }

    fn hooks(&self) -> BTreeMap<&str, &str> {
        self.chains
            .iter()
            .filter_map(|(name, c)| Some((name.as_str(), c.hook?)))
            .collect()
    }
}

impl SetKind {
    fn word(self) -> &'static str {
        match self {
            SetKind::Set => "set",
            SetKind::Map => "map",
        }
    }
}

/// Writes the commands in an order in which each finds what it names: new objects first, then
/// the rules and elements, then the objects that nothing names any more.
struct Changes<'a> {
    old: &'a Table,
    new: &'a Table,
    text: String,
}

impl Changes<'_> {
    fn render(mut self) -> String {
        self.add_objects();
        self.fill_chains();
        self.change_elements();
        self.delete_objects();
        self.text
    }

    fn command(&mut self, verb: &str, object: &str, rest: std::fmt::Arguments<'_>) {
        let _ = writeln!(
            self.text,
            "{verb} {object} {} {NAME} {rest}",
            self.new.family
        );
    }

    fn add_objects(&mut self) {
        for (name, set) in &self.new.sets {
            if !self.old.sets.contains_key(name) {
                self.command(
                    "add",
                    set.kind.word(),
                    format_args!("{name} {{ {}; }}", set.head),
                );
            }
        }
        for name in self.new.chains.keys() {
            if !self.old.chains.contains_key(name) {
                self.command("add", "chain", format_args!("{name}"));
            }
        }
    }

    fn fill_chains(&mut self) {
        for (name, chain) in &self.old.chains {
            if self.new.chains.get(name) != Some(chain) {
                self.command("flush", "chain", format_args!("{name}"));
            }
        }
        for (name, chain) in &self.new.chains {
            if self.old.chains.get(name) != Some(chain) {
                for rule in merged(&chain.rules) {
                    self.command("add", "rule", format_args!("{name} {rule}"));
                }
            }
        }
    }

    fn change_elements(&mut self) {
        let none = BTreeMap::new();
        for (name, set) in &self.old.sets {
            let Some(new) = self.new.sets.get(name) else {
                continue;
            };
            let gone = minus(&set.elements, &new.elements);
            let gone: Vec<_> = gone.into_keys().collect();
            if !gone.is_empty() {
                let keys = gone.join(", ");
                self.command("delete", "element", format_args!("{name} {{ {keys} }}"));
            }
        }
        for (name, set) in &self.new.sets {
            let old = self.old.sets.get(name).map_or(&none, |s| &s.elements);
            let added = minus(&set.elements, old);
            if !added.is_empty() {
                let added = elements(&added);
                self.command("add", "element", format_args!("{name} {{ {added} }}"));
            }
        }
    }

    fn delete_objects(&mut self) {
        // A map may name a chain that goes, and a chain a set that goes; both are empty by now,
        // save for the maps that go themselves.
        for (name, set) in &self.old.sets {
            if !self.new.sets.contains_key(name) {
                self.command("delete", set.kind.word(), format_args!("{name}"));
            }
        }
        for name in self.old.chains.keys() {
            if !self.new.chains.contains_key(name) {
                self.command("delete", "chain", format_args!("{name}"));
            }
        }
    }
}

/// The elements of `a` that `b` lacks or has with another value.
fn minus(
    a: &BTreeMap<String, Option<String>>,
    b: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, Option<String>> {
    a.iter()
        .filter(|(k, v)| b.get(*k) != Some(*v))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn elements(elements: &BTreeMap<String, Option<String>>) -> String {
    let texts: Vec<_> = elements
        .iter()
        .map(|(key, value)| match value {
            Some(value) => format!("{key} : {value}"),
            None => key.clone(),
        })
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("bridge");
        table.counters.insert("lost");
        table.map("guard", "type ifname : verdict");
        table.element("guard", "\"t1\"".into(), "jump guard_t1".into());
        table.set("local", "type ipv6_addr", ["::1".to_owned()]);
        table.chain("guard_t1", vec!["drop".into()]);
        table.base(
            "prerouting",
            "type filter hook prerouting priority -300;",
            &["iifname vmap @guard"],
        );
        table
    }

    #[test]
    fn the_same_table_needs_nothing() {
        assert_eq!(sample().changes(&sample()).as_deref(), Some(""));
    }

    #[test]
    fn only_what_changed_is_said() {
        let mut new = sample();
        new.chains.remove("guard_t1");
        new.chain("guard_t2", vec!["accept".into()]);
        new.map("guard", "type ifname : verdict");
        new.element("guard", "\"t2\"".into(), "jump guard_t2".into());
        let expected = "\
            add chain bridge hextet guard_t2\n\
            flush chain bridge hextet guard_t1\n\
            add rule bridge hextet guard_t2 accept\n\
            delete element bridge hextet guard { \"t1\" }\n\
            add element bridge hextet guard { \"t2\" : jump guard_t2 }\n\
            delete chain bridge hextet guard_t1\n";
        assert_eq!(sample().changes(&new).as_deref(), Some(expected));
    }

    #[test]
    fn a_hook_or_a_type_is_never_altered() {
        let mut new = sample();
        new.set("local", "type ipv6_addr; flags interval", []);
        assert_eq!(sample().changes(&new), None);
        let mut new = sample();
        new.base(
            "prerouting",
            "type filter hook prerouting priority -200;",
            &["accept"],
        );
        assert_eq!(sample().changes(&new), None);
    }
}
