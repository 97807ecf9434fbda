//! The arrows between crates: ARCHITECTURE.md's table, held against the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Which of our crates each may use. `testkit` stands for itself: only tests may use it.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "hextet",
        &[
            "acme", "api", "cloud", "doctor", "edge", "lan", "link", "linux", "model", "net",
            "node", "outbox", "store", "volume",
        ],
    ),
    ("acme", &["crash", "model", "net"]),
    ("edge", &["api", "model", "net"]),
    ("api", &["cloud", "model", "store"]),
    ("cloud", &["disk", "link", "model", "store"]),
    ("store", &["crash", "model"]),
    ("net", &["model", "wire"]),
    ("outbox", &["crash", "model", "net", "store", "wire"]),
    ("link", &["model"]),
    (
        "node",
        &[
            "crash", "disk", "lan", "link", "linux", "model", "qemu", "volume",
        ],
    ),
    ("lan", &["linux", "model", "wire"]),
    ("qemu", &["linux", "model"]),
    ("volume", &["crash", "linux", "model"]),
    ("doctor", &["linux", "model", "net"]),
    ("disk", &[]),
    ("crash", &[]),
    ("linux", &[]),
    ("wire", &[]),
    ("model", &[]),
];

#[test]
fn crates_use_only_what_the_table_allows() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ours: BTreeSet<String> = std::fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let table: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for name in &ours {
        let text = std::fs::read_to_string(crates.join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let used = |section: &str| -> BTreeSet<String> {
            let names = manifest
                .get(section)
                .and_then(|s| s.as_table())
                .into_iter()
                .flatten();
            names
                .map(|(name, _)| name.clone())
                .filter(|name| ours.contains(name))
                .collect()
        };
        if name == "testkit" {
            continue;
        }
        let allowed = table
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no line in the table"));
        for other in used("dependencies") {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} must not use {other}"
            );
        }
    }
    for name in table.keys() {
        assert!(
            ours.contains(*name),
            "the table has a line for {name}, which is not there"
        );
    }
}
