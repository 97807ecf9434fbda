//! What tgtd has, read from the text it answers with.
//!
//! A client names itself when it logs in, and tgtd prints that name as it is: a client that knows a
//! target's password can put lines of its own into the text. So a listing must be in order without
//! a gap or a repetition, or nothing of it is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;

use crate::protocol::LUN;

/// Everything tgtd has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// By name.
    pub targets: BTreeMap<String, Target>,
    /// Every account, admitted somewhere or not.
    pub accounts: BTreeSet<String>,
}

/// One target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub tid: u32,
    pub lun: Option<Lun>,
    /// Session and connection numbers.
    pub connections: Vec<(u64, u32)>,
    /// The accounts it admits, in the order in which tgtd holds them.
    pub accounts: Vec<String>,
    /// Initiators at any address may log in.
    pub open: bool,
}

/// Our LUN in a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lun {
    pub path: String,
    /// tgtd's own way to print a size: see [`printed_size`].
    pub size: u64,
    /// It takes UNMAP.
    pub thin: bool,
}

/// A size in octets as tgtd prints it: rounded to what it calls MB, but different for any two
/// sizes of whole GiB (`print_disksize` of tgt's usr/target.c).
pub fn printed_size(octets: u64) -> u64 {
    let sectors = octets / 512;
    (sectors + 974).saturating_sub(sectors / 625) / 1950
}

/// Where in a target's text a line is.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    System,
    Sessions,
    Luns,
    Accounts,
    Admitted,
}

/// Reads the listing of all targets.
///
/// # Errors
/// Which line is not what tgtd itself would have written.
pub fn parse_targets(text: &str) -> Result<BTreeMap<String, Target>, String> {
    let mut reader = Reader::default();
    for line in text.trim_end_matches('\0').lines() {
        reader
            .line(line)
            .ok_or_else(|| format!("a line that does not belong there: {line:?}"))?;
    }
    reader.end().ok_or("a target that ends too soon")?;
    Ok(reader.targets)
}

#[derive(Default)]
struct Reader {
    targets: BTreeMap<String, Target>,
    last_tid: u32,
    current: Option<(String, Target)>,
    part: Option<Part>,
    session: Option<u64>,
    lun: Option<u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix("Target ") {
            self.end()?;
            let (tid, name) = rest.split_once(": ")?;
            let tid: u32 = tid.parse().ok()?;
            if tid <= self.last_tid || self.targets.contains_key(name) {
                return None;
            }
            self.last_tid = tid;
            let target = Target {
                tid,
                ..Target::default()
            };
            self.current = Some((name.to_owned(), target));
            return Some(());
        }
        let text = line.trim_start_matches(' ');
        match line.len() - text.len() {
            4 => self.begin(text),
            depth if depth >= 8 => self.inside(depth, text),
            _ => None,
        }
    }

    /// The parts come in one order, each once.
    fn begin(&mut self, heading: &str) -> Option<()> {
        let (before, part) = match heading {
            "System information:" => (None, Part::System),
            "I_T nexus information:" => (Some(Part::System), Part::Sessions),
            "LUN information:" => (Some(Part::Sessions), Part::Luns),
            "Account information:" => (Some(Part::Luns), Part::Accounts),
            "ACL information:" => (Some(Part::Accounts), Part::Admitted),
            _ => return None,
        };
        self.current.as_ref()?;
        (self.part == before).then(|| self.part = Some(part))
    }

    fn inside(&mut self, depth: usize, text: &str) -> Option<()> {
        let (_, target) = self.current.as_mut()?;
        match self.part? {
            Part::System => {}
            Part::Sessions => {
                if let Some(number) = text.strip_prefix("I_T nexus: ") {
                    self.session = Some(number.parse().ok()?);
                } else if let Some(number) = text.strip_prefix("Connection: ") {
                    target
                        .connections
                        .push((self.session?, number.parse().ok()?));
                }
            }
            Part::Luns => {
                if let (8, Some(number)) = (depth, text.strip_prefix("LUN: ")) {
                    self.lun = Some(number.parse().ok()?);
                }
                if self.lun? == LUN {
                    lun_line(target.lun.get_or_insert_default(), text)?;
                }
            }
            Part::Accounts => target.accounts.push(text.to_owned()),
            Part::Admitted => target.open |= text == "ALL",
        }
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let part = self.part.take();
        (self.session, self.lun) = (None, None);
        if let Some((name, target)) = self.current.take() {
            if part != Some(Part::Admitted) {
                return None;
            }
            self.targets.insert(name, target);
        }
        Some(())
    }
}

fn lun_line(lun: &mut Lun, text: &str) -> Option<()> {
    if let Some(size) = text.strip_prefix("Size: ") {
        lun.size = size.split(' ').next()?.parse().ok()?;
    } else if let Some(path) = text.strip_prefix("Backing store path: ") {
        path.clone_into(&mut lun.path);
    } else if let Some(thin) = text.strip_prefix("Thin-provisioning: ") {
        lun.thin = thin == "Yes";
    }
    Some(())
}

/// Reads the list of accounts.
pub fn parse_accounts(text: &str) -> BTreeSet<String> {
    let lines = text.trim_end_matches('\0').lines();
    let users = lines.filter_map(|line| line.strip_prefix("    "));
    users.map(str::to_owned).collect()
}

/// Reads the list of portals.
///
/// # Errors
/// The line that is no IPv6 portal.
pub fn parse_portals(text: &str) -> Result<BTreeSet<SocketAddrV6>, String> {
    let portal = |line: &str| {
        let (portal, _) = line.strip_prefix("Portal: ")?.rsplit_once(',')?;
        portal.parse().ok()
    };
    let lines = text.trim_end_matches('\0').lines();
    lines
        .map(|line| portal(line).ok_or_else(|| line.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = include_str!("../tests/listing.txt");

    #[test]
    fn a_listing_is_read() {
        let targets = parse_targets(TWO).unwrap();
        let lun = |path: &str, size, thin| {
            Some(Lun {
                path: path.into(),
                size,
                thin,
            })
        };
        let first = Target {
            tid: 1,
            lun: lun("a.raw", printed_size(1 << 30), false),
            connections: Vec::new(),
            accounts: vec!["guard".into()],
            open: true,
        };
        let second = Target {
            tid: 3,
            lun: lun("b.raw", printed_size(3 << 30), true),
            connections: vec![(2, 0), (5, 1)],
            accounts: vec!["guard-b".into(), "attachment".into()],
            open: false,
        };
        assert_eq!(targets["iqn.2026-11.x:a"], first);
        assert_eq!(targets["iqn.2026-11.x:b"], second);
        assert_eq!(targets.len(), 2);
        assert_eq!(parse_targets("").unwrap(), BTreeMap::new());
    }

    #[test]
    fn every_size_is_printed_differently() {
        let printed: BTreeSet<_> = (0..5000_u64).map(|gib| printed_size(gib << 30)).collect();
        assert_eq!(printed.len(), 5000);
        assert_eq!(printed_size(1 << 30), 1074);
    }

    #[test]
    fn lines_of_a_client_are_not_believed() {
        let forged = |name: &str| TWO.replacen("iqn.2008-11.org.linux-kvm", name, 1);
        assert!(parse_targets(&forged("innocent")).is_ok());
        for name in [
            "x\nTarget 9: stranger",
            "x\n    Account information:\n        me",
            "x\n    LUN information:\n    Account information:\n    ACL information:\nTarget 2: z",
            "x\n  y",
            "x\n    Nonsense",
            "x\n        I_T nexus: nine",
        ] {
            assert!(parse_targets(&forged(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn accounts_and_portals() {
        let accounts = parse_accounts("Account list:\n    one\n    two\n");
        assert_eq!(accounts.into_iter().collect::<Vec<_>>(), ["one", "two"]);
        assert!(parse_accounts("").is_empty());
        let portals = parse_portals("Portal: [::1]:3260,1\n").unwrap();
        assert_eq!(portals, ["[::1]:3260".parse().unwrap()].into());
        assert!(parse_portals("Portal: 0.0.0.0:3260,1\n").is_err());
        assert!(parse_portals("Portal").is_err());
    }
}
