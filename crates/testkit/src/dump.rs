//! Everything a database holds, as text: two of them tell whether a request changed anything.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Rows as text, by table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump(pub BTreeMap<String, Vec<String>>);

impl Dump {
    /// What is committed now.
    pub(crate) fn of(file: &Path) -> Dump {
        let db = Connection::open(file).unwrap();
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        let mut tables = db.prepare(sql).unwrap();
        let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let names = names.map(Result::unwrap).collect::<Vec<_>>();
        Dump(
            names
                .into_iter()
                .map(|name| (name.clone(), rows(&db, &name)))
                .collect(),
        )
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> usize {
        self.0.get(table).map_or(0, Vec::len)
    }
}

/// Fails with the rows that came or went, if any did.
#[track_caller]
pub fn assert_same(before: &Dump, after: &Dump, what: &str) {
    let mut lines = Vec::new();
    for (table, rows) in &after.0 {
        let old = before.0.get(table).map(Vec::as_slice).unwrap_or_default();
        lines.extend(
            old.iter()
                .filter(|r| !rows.contains(r))
                .map(|r| format!("- {table}: {r}")),
        );
        lines.extend(
            rows.iter()
                .filter(|r| !old.contains(r))
                .map(|r| format!("+ {table}: {r}")),
        );
    }
    assert!(lines.is_empty(), "{what} changed:\n{}", lines.join("\n"));
}

fn rows(db: &Connection, table: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let cells = (0..columns).map(|i| match row.get_ref(i) {
            Ok(ValueRef::Integer(n)) => n.to_string(),
            Ok(ValueRef::Text(t)) => String::from_utf8_lossy(t).into_owned(),
            Ok(ValueRef::Null) => "NULL".to_owned(),
            other => format!("{other:?}"),
        });
        Ok(cells.collect::<Vec<_>>().join(" | "))
    };
    let mut rows: Vec<String> = statement
        .query_map([], text)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    rows.sort();
    rows
}
