//! The schema's versions. Migrations only go forward.

use model::{Error, Result};
use rusqlite::Connection;

const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql")];

/// Brings the schema up to date.
///
/// # Errors
/// `Internal` when a newer hextet wrote the database.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
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
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::internal(
            "opening the database",
            format!(
                "its schema is version {found}, this hextet knows {known}: start the newer hextet"
            ),
        ));
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found as usize) {
        tx.execute_batch(migration).map_err(failed)?;
        tx.execute("INSERT INTO schema_version (version) VALUES (?)", [version])
            .map_err(failed)?;
    }
    tx.commit().map_err(failed)
}
