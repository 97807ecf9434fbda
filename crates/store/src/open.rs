//! Connections to the database file.

use std::path::Path;
use std::time::Duration;

use model::{Error, Result};
use rusqlite::{Connection, OptionalExtension};

use crate::db::broken;

/// A connection as all of them are.
pub(crate) fn connect(file: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(256);
        // Answered means durable: WAL with FULL syncs the log at each commit.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(connection)
    };
    open().map_err(|e| Error::internal("opening the database", e))
}

/// The generation that was reached last.
pub(crate) fn read_generation(connection: &Connection) -> Result<u64> {
    let sql = "SELECT value FROM meta WHERE name = 'generation'";
    let text: Option<String> = connection
        .query_row(sql, [], |row| row.get(0))
        .optional()
        .map_err(|e| broken(sql, e))?;
    Ok(text.and_then(|t| t.parse().ok()).unwrap_or(0))
}
