//! `docs/findings` says what the table says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use doctor::{host_kinds, openstack_kinds, pages};

#[test]
fn pages_are_up_to_date() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/findings");
    let all = openstack_kinds().into_iter().chain(host_kinds());
    let mut wanted: BTreeMap<String, String> = all
        .map(|kind| (format!("{}.md", kind.id), pages::page(kind)))
        .collect();
    let index = pages::index(&openstack_kinds(), &host_kinds());
    wanted.insert("README.md".to_owned(), index);
    let there: BTreeMap<String, String> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::remove_file(dir.join(name)).unwrap();
        }
        for (name, text) in &wanted {
            fs::write(dir.join(name), text).unwrap();
        }
        return;
    }
    for (name, text) in &wanted {
        assert_eq!(
            there.get(name),
            Some(text),
            "docs/findings/{name}: refresh with UPDATE_GOLDEN=1"
        );
    }
    assert_eq!(
        there.len(),
        wanted.len(),
        "docs/findings has pages of no finding"
    );
}
