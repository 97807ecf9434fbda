//! The schema's versions. Migrations only go forward.

use model::{Error, Result};
use rusqlite::Connection;

const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
    include_str!("schema/0009.sql"),
    include_str!("schema/0010.sql"),
    include_str!("schema/0011.sql"),
    include_str!("schema/0012.sql"),
    include_str!("schema/0013.sql"),
    include_str!("schema/0014.sql"),
    include_str!("schema/0015.sql"),
    include_str!("schema/0016.sql"),
    include_str!("schema/0017.sql"),
    include_str!("schema/0018.sql"),
    include_str!("schema/0019.sql"),
    include_str!("schema/0020.sql"),
];

/// Brings the schema up to date.
///
/// # Errors
/// `Internal` when a newer hextet wrote the database.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    migrate_by(connection, MIGRATIONS)
}

/// Whether this hextet knows the schema as it is.
///
/// # Errors
/// `Internal` with both versions when it does not.
pub(crate) fn is_known(connection: &Connection) -> Result<()> {
    let sql = "SELECT max(version) FROM schema_version";
    let found: rusqlite::Result<i64> = connection.query_row(sql, [], |row| row.get(0));
    let found = found.map_err(|e| Error::internal("reading the version of the schema", e))?;
    let known = MIGRATIONS.len() as i64;
    match found == known {
        true => Ok(()),
        false => Err(Error::internal(
            "looking at the database",
            format!(
                "its schema is version {found}, this hextet's is {known}: look with the hextet that runs, or start this one"
            ),
        )),
    }
}

fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let failed = |e: rusqlite::Error| Error::internal("bringing the database schema up to date", e);
    let tx = connection.transaction().map_err(failed)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .map_err(failed)?;
    let found: i64 = tx
        .query_row(
            "SELECT coalesce(max(version), 0) FROM schema_version",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let known = migrations.len() as i64;
    if found > known {
        return Err(Error::internal(
            "opening the database",
            format!(
                "its schema is version {found}, this hextet knows {known}: start the newer hextet"
            ),
        ));
    }
    for (migration, version) in migrations.iter().zip(1..).skip(found as usize) {
        tx.execute_batch(migration).map_err(failed)?;
        tx.execute("INSERT INTO schema_version (version) VALUES (?)", [version])
            .map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_knows_its_own_schema_alone() {
        let mut old = Connection::open_in_memory().unwrap();
        assert!(is_known(&old).is_err(), "no database of ours");
        migrate_by(&mut old, &MIGRATIONS[..1]).unwrap();
        assert!(is_known(&old).is_err());
        migrate(&mut old).unwrap();
        is_known(&old).unwrap();
        let gone = std::env::temp_dir().join(format!("hxlook{}", std::process::id()));
        assert!(crate::Store::look(&gone).is_err());
        assert!(!gone.exists(), "a look makes nothing");
    }

    #[test]
    fn servers_of_the_first_schema_get_their_flavors_disk() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..1]).unwrap();
        // As hextet wrote it under that schema, but for what it leaves empty here.
        let insert = r#"INSERT INTO "server" VALUES ('s', 'p', 'u', 'web', NULL, 'n',
            '{"id":"1","name":"m1","vcpus":2,"ram_mib":512,"disk_gib":7,"extra_specs":{}}',
            512, 2, '1', NULL, '{}', NULL, '[]', 'null', 0, '{}', NULL, NULL, 'nova', '"running"',
            1, 0, '"soft"', 0, 0, 'null', NULL, 'ACTIVE', NULL, 1, 1, 0, '', NULL, 'r-1', 0)"#;
        old.execute(insert, []).unwrap();
        migrate(&mut old).unwrap();
        migrate(&mut old).unwrap();
        let read = |column: &str| -> i64 {
            let sql = format!("SELECT {column} FROM \"server\"");
            old.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((read("disk_gib"), read("ram_mib")), (7, 512));
    }

    #[test]
    fn nodes_keep_the_numbers_that_they_were_shown_by() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..2]).unwrap();
        for id in ["b", "a", "c"] {
            let insert = "INSERT INTO \"node\" VALUES (?1, ?1, '{}', 0, 0)";
            old.execute(insert, [id]).unwrap();
        }
        migrate(&mut old).unwrap();
        let mut statement = old
            .prepare("SELECT id FROM \"node\" ORDER BY number")
            .unwrap();
        let ids = statement.query_map([], |row| row.get(0)).unwrap();
        let ids: Vec<String> = ids.map(Result::unwrap).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[test]
    fn nodes_hear_of_the_names_of_ports_of_the_third_schema() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..3]).unwrap();
        old.execute_batch(
            r#"INSERT INTO "network" VALUES ('n', 'p', '', '', 1, 0, 0, 1500, 'local', NULL, 1, '[]', 1, 1, 1);
               INSERT INTO "port" VALUES ('a', 'n', 'p', '', '', 1, 'fa:16:3e:00:00:01', '', '', 0, 0,
                   NULL, 0, 'DOWN', 1, '[]', '[]', 1, 1, 1);
               UPDATE meta SET value = '41' WHERE name = 'generation';"#,
        )
        .unwrap();
        migrate_by(&mut old, &MIGRATIONS[..4]).unwrap();
        let read = |sql: &str| -> String { old.query_row(sql, [], |row| row.get(0)).unwrap() };
        let told = "SELECT kind || id || generation FROM change";
        assert_eq!(read(told), "port_namea42");
        assert_eq!(
            read("SELECT value FROM meta WHERE name = 'generation'"),
            "42"
        );
        assert_eq!(read(r#"SELECT dns_name || dns_domain FROM "port""#), "");
    }

    #[test]
    fn what_was_everybodys_in_the_ninth_schema_is_so_by_policies() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..9]).unwrap();
        for (id, shared, external) in [("a", 1, 1), ("b", 0, 1), ("c", 0, 0)] {
            let insert = "INSERT INTO \"network\" (id, project_id, name, description, enabled, shared, external, mtu,
                network_type, port_security, tags, revision, created_ms, updated_ms)
                VALUES (?1, 'p', '', '', 1, ?2, ?3, 1500, 'local', 1, '[]', 1, 1, 1)";
            old.execute(insert, rusqlite::params![id, shared, external])
                .unwrap();
        }
        old.execute_batch(
            "INSERT INTO \"subnet_pool\" VALUES
                ('s', 'p', '', '', 6, '[]', 64, 128, 64, NULL, 1, 0, '[]', 1, 1, 1);",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let sql = "SELECT object_type || ' ' || object_id || ' ' || action || ' ' || target || ' ' || project_id
            || ' ' || length(id) FROM \"rbac_policy\" ORDER BY 1";
        let mut statement = old.prepare(sql).unwrap();
        let policies = statement.query_map([], |row| row.get(0)).unwrap();
        let policies: Vec<String> = policies.map(Result::unwrap).collect();
        let expected = [
            "network a access_as_external * p 36",
            "network a access_as_shared * p 36",
            "network b access_as_external * p 36",
            "subnetpool s access_as_shared * p 36",
        ];
        assert_eq!(policies, expected);
    }

    #[test]
    fn nodes_hear_anew_of_ports_of_the_thirteenth_schema() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..13]).unwrap();
        old.execute_batch(
            "INSERT INTO change (kind, id, generation)
                 VALUES ('port_name', 'a', 3), ('address_group', 'b', 4), ('port', 'a', 5);
             UPDATE meta SET value = '5' WHERE name = 'generation';",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let read = |sql: &str| -> String { old.query_row(sql, [], |row| row.get(0)).unwrap() };
        let told =
            "SELECT group_concat(kind || generation) FROM (SELECT * FROM change ORDER BY kind)";
        assert_eq!(read(told), "address_group6,port5,port_name6");
        let newest = "SELECT value FROM meta WHERE name = 'generation'";
        assert_eq!(read(newest), "6");
    }

    #[test]
    fn nodes_hear_anew_of_ports_with_address_pairs_of_the_nineteenth_schema() {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_by(&mut old, &MIGRATIONS[..19]).unwrap();
        // The ports' network does not matter here.
        old.pragma_update(None, "foreign_keys", false).unwrap();
        for (id, pairs) in [("a", "[]"), ("b", r#"[{"ip_address":"2001:db8::1"}]"#)] {
            // As hextet wrote it under that schema, but for what it leaves empty here.
            let insert = r#"INSERT INTO "port" (id, network_id, project_id, name, description, enabled,
                mac, device_id, device_owner, device_index, server_made, detaching, status,
                port_security, allowed_address_pairs, tags, revision, created_ms, updated_ms)
                VALUES (?1, 'n', 'p', '', '', 1, ?1, '', '', 0, 0, 0, 'DOWN', 1, ?2, '[]', 1, 1, 1)"#;
            old.execute(insert, [id, pairs]).unwrap();
            let change = "INSERT INTO change (kind, id, generation) VALUES ('port_name', ?1, 3)";
            old.execute(change, [id]).unwrap();
        }
        let set = "UPDATE meta SET value = '5' WHERE name = 'generation'";
        old.execute(set, []).unwrap();
        migrate(&mut old).unwrap();
        let read = |sql: &str| -> String { old.query_row(sql, [], |row| row.get(0)).unwrap() };
        let told = "SELECT group_concat(id || generation) FROM (SELECT * FROM change ORDER BY id)";
        assert_eq!(read(told), "a3,b6");
        let newest = "SELECT value FROM meta WHERE name = 'generation'";
        assert_eq!(read(newest), "6");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut newer = Connection::open_in_memory().unwrap();
        let more = [MIGRATIONS, &["SELECT 1"]].concat();
        migrate_by(&mut newer, &more).unwrap();
        let refused = migrate(&mut newer).unwrap_err();
        assert!(chain(&refused).contains("start the newer hextet"));
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let source = error.source().map(chain).unwrap_or_default();
        format!("{error} {source}")
    }
}
