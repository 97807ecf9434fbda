//! Pages of any rows in any order by any limit make up the whole list.

use std::sync::atomic::{AtomicU32, Ordering};

use model::{ImageId, ProjectId};
use proptest::prelude::*;
use store::{Json, Order, Query, Row, Store, Value, row};

/// A database file that goes with its owner.
pub(crate) struct Scratch {
    file: std::path::PathBuf,
    pub(crate) store: Store,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hextet-store-{}-{n}.db", std::process::id());
        let file = std::env::temp_dir().join(name);
        let store = Store::open(&file).unwrap();
        Scratch { file, store }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let mut name = self.file.clone().into_os_string();
            name.push(end);
            let _ = std::fs::remove_file(name);
        }
    }
}

/// Few values, so that rows often agree in a column, and absent ones among them.
fn image() -> impl Strategy<Value = row::Image> {
    let name = proptest::option::of(prop::sample::select(vec![
        "", "a", "A", "ab", "b", "ü", "z",
    ]));
    let size = proptest::option::of(0_u64..3);
    let rest = (0_i64..3, any::<bool>(), any::<u128>());
    (name, size, rest).prop_map(|(name, size, (created, protected, id))| row::Image {
        id: ImageId(uuid::Uuid::from_u128(id)),
        owner: ProjectId::from("p"),
        name: name.map(str::to_owned),
        status: "queued".to_owned(),
        visibility: "private".to_owned(),
        disk_format: None,
        container_format: None,
        size_bytes: size,
        virtual_size_bytes: None,
        checksum: None,
        sha512: None,
        min_disk: 0,
        min_ram: 0,
        protected,
        hidden: false,
        properties: Json::default(),
        tags: Json::default(),
        created_ms: created,
        updated_ms: 0,
    })
}

fn order() -> impl Strategy<Value = Vec<(&'static str, Order)>> {
    let column = prop::sample::select(vec!["name", "size_bytes", "created_ms", "protected", "id"]);
    let way = prop::sample::select(vec![Order::Ascending, Order::Descending]);
    proptest::collection::vec((column, way), 0..4)
}

/// The order that a query promises, told again in plain code: absent values first, text by code
/// point, the id last of all in the direction of the last column.
fn compare(a: &row::Image, b: &row::Image, order: &[(&'static str, Order)]) -> std::cmp::Ordering {
    let last = order.last().map_or(Order::Ascending, |(_, way)| *way);
    let all = order.iter().copied().chain([("id", last)]);
    all.map(|(column, way)| {
        let ordering = match column {
            "name" => a.name.cmp(&b.name),
            "size_bytes" => a.size_bytes.cmp(&b.size_bytes),
            "created_ms" => a.created_ms.cmp(&b.created_ms),
            "protected" => a.protected.cmp(&b.protected),
            _ => a.id.to_string().cmp(&b.id.to_string()),
        };
        match way {
            Order::Ascending => ordering,
            Order::Descending => ordering.reverse(),
        }
    })
    .find(|o| o.is_ne())
    .unwrap_or(std::cmp::Ordering::Equal)
}

fn read(store: &Store, query: &Query) -> Vec<row::Image> {
    store.read(|tx| tx.list::<row::Image>(query)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_make_up_the_list(
        rows in proptest::collection::vec(image(), 0..25),
        order in order(),
        limit in 1_u64..8,
        only in proptest::option::of(any::<bool>()),
    ) {
        let scratch = Scratch::new();
        scratch.store.write(|tx| rows.iter().try_for_each(|r| tx.insert(r))).unwrap();
        let mut query = Query { order: order.clone(), ..Query::all() };
        let mut expected = rows;
        if let Some(protected) = only {
            query = query.and("protected", Value::Integer(i64::from(protected)));
            expected.retain(|r| r.protected == protected);
        }
        expected.sort_by(|a, b| compare(a, b, &order));
        prop_assert_eq!(&read(&scratch.store, &query), &expected);

        query.limit = Some(limit);
        let mut paged: Vec<row::Image> = Vec::new();
        loop {
            let page = read(&scratch.store, &query);
            prop_assert!(page.len() as u64 <= limit);
            let Some(last) = page.last() else { break };
            query.marker = Some(Value::Text(last.id.to_string()));
            paged.extend(page);
            prop_assert!(paged.len() <= expected.len(), "the pages have no end");
        }
        prop_assert_eq!(&paged, &expected);
    }

    #[test]
    fn a_row_comes_out_as_it_went_in(row in image()) {
        let scratch = Scratch::new();
        scratch.store.write(|tx| tx.insert(&row)).unwrap();
        let found: row::Image = scratch.store.read(|tx| tx.get(&row.id)).unwrap();
        prop_assert_eq!(found, row);
    }
}

/// A statement is made of a row's columns: each table has them under these names.
#[test]
fn every_row_type_fits_its_table() {
    fn check<R: Row>(store: &Store) {
        let found: Vec<R> = store.read(|tx| tx.list(&Query::all())).unwrap();
        assert!(found.is_empty(), "{}", R::TABLE);
        for (column, _) in R::COLUMNS {
            let order = vec![(*column, Order::Descending)];
            let marker = Some(Value::Text("nothing".to_owned()));
            let query = Query {
                order,
                marker,
                limit: Some(1),
                ..Query::all()
            };
            store.read(|tx| tx.list::<R>(&query)).unwrap();
        }
    }
    let scratch = Scratch::new();
    let store = &scratch.store;
    check::<row::Domain>(store);
    check::<row::Project>(store);
    check::<row::User>(store);
    check::<row::Role>(store);
    check::<row::Assignment>(store);
    check::<row::Image>(store);
    check::<row::Flavor>(store);
    check::<row::Keypair>(store);
    check::<row::Network>(store);
    check::<row::Subnet>(store);
    check::<row::Port>(store);
    check::<row::Allocation>(store);
    check::<row::Membership>(store);
    check::<row::Router>(store);
    check::<row::SecurityGroup>(store);
    check::<row::Rule>(store);
    check::<row::Server>(store);
    check::<row::Node>(store);
}

#[test]
fn a_failed_write_leaves_nothing_and_wakes_nobody() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    let mut generation = store.generation();
    generation.mark_unchanged();
    let role = |id: &str| row::Role {
        id: id.into(),
        name: "same".to_owned(),
        description: String::new(),
    };
    let network = model::NetworkId::random();
    let failed = store.write(|tx| {
        tx.insert(&role("a"))?;
        tx.touch(model::Key::Network(network))?;
        tx.insert(&role("b"))
    });
    assert!(
        matches!(failed, Err(model::Error::Conflict(_))),
        "{failed:?}"
    );
    assert!(!generation.has_changed().unwrap());
    let left: Vec<row::Role> = store.read(|tx| tx.list(&Query::all())).unwrap();
    assert!(left.is_empty());
    let changes = store.read(|tx| tx.changes_since(0)).unwrap();
    assert!(changes.is_empty());
    store
        .write(|tx| tx.touch(model::Key::Network(network)))
        .unwrap();
    assert!(generation.has_changed().unwrap());
    assert_eq!(*generation.borrow_and_update(), 1);
}

#[test]
fn the_change_feed_tells_each_thing_once_and_in_order() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    let keys: Vec<_> = (0..4)
        .map(|_| model::Key::Network(model::NetworkId::random()))
        .collect();
    for place in [0, 1, 2, 3, 1, 0] {
        store.write(|tx| tx.touch(keys[place])).unwrap();
    }
    let since = |g| store.read(|tx| tx.changes_since(g)).unwrap();
    assert_eq!(
        since(0),
        [(keys[2], 3), (keys[3], 4), (keys[1], 5), (keys[0], 6)]
    );
    assert_eq!(since(4), [(keys[1], 5), (keys[0], 6)]);
    assert_eq!(since(6), []);
    assert_eq!(store.read(|tx| tx.newest_generation()).unwrap(), 6);
}

/// What a database holds outlives the process, and its generation goes on.
#[test]
fn a_store_that_is_opened_again_goes_on() {
    let scratch = Scratch::new();
    let key = model::Key::Network(model::NetworkId::random());
    scratch.store.write(|tx| tx.touch(key)).unwrap();
    let again = Store::open(&scratch.file).unwrap();
    assert_eq!(*again.generation().borrow(), 1);
    again.write(|tx| tx.touch(key)).unwrap();
    assert_eq!(*again.generation().borrow(), 2);
}
