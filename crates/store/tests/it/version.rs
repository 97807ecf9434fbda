//! The version tells whether anything changed.

use model::RoleId;
use store::row;

use crate::page::Scratch;

#[test]
fn only_what_changes_a_row_makes_a_version() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    let role = row::Role {
        id: RoleId::from("r"),
        name: "painter".to_owned(),
        description: String::new(),
    };
    let before = store.version();
    store.write(|tx| tx.insert(&role)).unwrap();
    assert_eq!(store.version(), before + 1);
    store.write(|tx| tx.get::<row::Role>(&"r")).unwrap();
    store
        .write(|tx| tx.delete::<row::Role>(&"missing"))
        .unwrap();
    store.write(|tx| tx.insert(&role)).unwrap_err();
    assert_eq!(store.version(), before + 1);
    store.write(|tx| tx.delete::<row::Role>(&"r")).unwrap();
    assert_eq!(store.version(), before + 2);
}
