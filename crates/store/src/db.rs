//! The database: one writer, many readers, transactions as closures.

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use model::{Error, Key, Result};
use rusqlite::{Connection, params_from_iter};
use tokio::sync::{Notify, watch};

use crate::field::{Column, Value};
use crate::open::{connect, read_generation};
use crate::query::{self, Query};
use crate::rows::Row;
use crate::schema;
use crate::watch::{self as watching, Watcher, Watching};

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    file: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    generation: watch::Sender<u64>,
    /// Commits in this life of the process that changed a row.
    version: AtomicU64,
    /// Statements that looked for rows, in this life of the process.
    looks: AtomicU64,
    watcher: OnceLock<Box<dyn Watcher>>,
    /// Something was put in the outbox.
    posted: Notify,
}

impl Store {
    /// Opens the database file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// `Internal` when the file cannot be read or written, or was written by a newer hextet.
    pub fn open(file: &Path) -> Result<Store> {
        let mut writer = connect(file)?;
        schema::migrate(&mut writer)?;
        Store::of(file, writer)
    }

    /// Opens a database to look at it: one of another hextet's schema stays as it is.
    ///
    /// # Errors
    /// `Internal` when the file is not there, cannot be read, or has another schema.
    pub fn look(file: &Path) -> Result<Store> {
        if let Err(e) = std::fs::metadata(file) {
            return Err(Error::internal("looking at the database", e));
        }
        let connection = connect(file)?;
        schema::is_known(&connection)?;
        Store::of(file, connection)
    }

    fn of(file: &Path, writer: Connection) -> Result<Store> {
        let generation = read_generation(&writer)?;
        Ok(Store {
            inner: Arc::new(Inner {
                file: file.to_owned(),
                writer: Mutex::new(writer),
                readers: Mutex::default(),
                generation: watch::Sender::new(generation),
                version: AtomicU64::new(0),
                looks: AtomicU64::new(0),
                watcher: OnceLock::new(),
                posted: Notify::new(),
            }),
        })
    }

    /// Has somebody told of what transactions do from now on.
    ///
    /// # Errors
    /// `Internal` when somebody is already.
    pub fn watch(&self, watcher: Box<dyn Watcher>) -> Result<()> {
        let set = self.inner.watcher.set(watcher);
        set.map_err(|_| watching::watched_already())
    }

    /// Waits until something has been put in the outbox since this was last waited for.
    pub async fn posted(&self) {
        self.inner.posted.notified().await;
    }

    /// Runs `work` in one transaction: all of it is durable when this returns, or none of it.
    /// The closure may run twice, so it must have no effect but its statements.
    #[track_caller]
    pub fn write<T>(&self, mut work: impl FnMut(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let place = Location::caller();
        blocking(|| {
            let writer = lock(&self.inner.writer);
            let before = *self.inner.generation.borrow();
            let mut tx = Tx {
                connection: &writer,
                looks: &self.inner.looks,
                generation: before,
                watching: self.inner.watcher.get().map(|w| Watching::new(&**w)),
                posted: false,
            };
            // A closure that panicked has left its transaction open.
            if !writer.is_autocommit() {
                execute(&writer, "ROLLBACK")?;
            }
            execute(&writer, "BEGIN IMMEDIATE")?;
            let rows = writer.total_changes();
            let done = work(&mut tx).and_then(|result| {
                tx.tell()?;
                let generation = tx.generation;
                tx.save_generation(before)?;
                crash::point_of(|| format!("store: before the commit of {place}"));
                execute(&writer, "COMMIT")?;
                crash::point_of(|| format!("store: after the commit of {place}"));
                Ok((result, generation))
            });
            match done {
                Ok((result, generation)) => {
                    if writer.total_changes() != rows {
                        self.inner.version.fetch_add(1, Ordering::SeqCst);
                    }
                    if generation != before {
                        self.inner.generation.send_replace(generation);
                    }
                    if tx.posted {
                        self.inner.posted.notify_one();
                    }
                    Ok(result)
                }
                Err(e) => {
                    // A failed COMMIT may have ended the transaction already.
                    let _ = execute(&writer, "ROLLBACK");
                    Err(e)
                }
            }
        })
    }

    /// Runs `work` on one unchanging picture of the database.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let pooled = lock(&self.inner.readers).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => connect(&self.inner.file)?,
        };
        execute(&reader, "BEGIN")?;
        let result = work(&Tx {
            connection: &reader,
            looks: &self.inner.looks,
            generation: 0,
            watching: None,
            posted: false,
        });
        execute(&reader, "COMMIT")?;
        lock(&self.inner.readers).push(reader);
        result
    }

    /// Grows with each commit that changed a row, before the writer hears of it: what was read from the database under
    /// a version holds as long as this gives the same.
    pub fn version(&self) -> u64 {
        self.inner.version.load(Ordering::SeqCst)
    }

    /// How many statements have looked for rows in this life of the process, so that a test can tell what a list costs.
    pub fn looks(&self) -> u64 {
        self.inner.looks.load(Ordering::Relaxed)
    }

    /// Follows the generation number: it grows with each commit that changed a document.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }
}

/// One row that a statement found.
#[derive(Clone, Copy)]
pub struct Found<'a>(&'a rusqlite::Row<'a>);

impl<'a> Found<'a> {
    /// A column by its place.
    ///
    /// # Errors
    /// `Internal` when the statement has fewer.
    pub fn column(&self, place: usize) -> Result<Column<'a>> {
        let read = |e| Error::internal("reading a row of the database", e);
        self.0.get_ref(place).map_err(read)
    }
}

/// An open transaction.
pub struct Tx<'a> {
    connection: &'a Connection,
    looks: &'a AtomicU64,
    generation: u64,
    pub(crate) watching: Option<Watching<'a>>,
    /// It put something in the outbox.
    pub(crate) posted: bool,
}

impl Tx<'_> {
    /// The row with this key.
    pub fn find<R: Row>(&self, key: impl Into<Value>) -> Result<Option<R>> {
        let query = Query::equal(R::COLUMNS[0].0, key.into());
        Ok(self.list::<R>(&query)?.pop())
    }

    /// The row with this key.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn get<R: Row>(&self, key: &impl ToString) -> Result<R> {
        let text = key.to_string();
        self.find(Value::Text(text.clone()))?
            .ok_or_else(|| Error::not_found(R::KIND, text))
    }

    /// The rows a query asks for, in its order.
    pub fn list<R: Row>(&self, query: &Query) -> Result<Vec<R>> {
        let (sql, arguments) = query::select::<R>(query);
        self.select(&sql, arguments, R::from_found)
    }

    /// Whether a row matches.
    pub fn exists<R: Row>(&self, query: Query) -> Result<bool> {
        let one = Query {
            limit: Some(1),
            ..query
        };
        Ok(!self.list::<R>(&one)?.is_empty())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `Conflict` when a uniqueness rule of the schema forbids it.
    pub fn insert<R: Row>(&mut self, row: &R) -> Result<()> {
        let names: Vec<_> = R::COLUMNS.iter().map(|(name, _)| *name).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!(
            "INSERT INTO \"{}\" ({}) VALUES ({marks})",
            R::TABLE,
            names.join(", ")
        );
        let values = row.values();
        self.note::<R>(&values[0])?;
        self.run_for::<R>(&sql, values).map(drop)
    }

    /// Writes a row's columns over those of the row with its key.
    ///
    /// # Errors
    /// `NotFound` when the key is gone, `Conflict` as for [`Tx::insert`].
    pub fn update<R: Row>(&mut self, row: &R) -> Result<()> {
        let sets: Vec<_> = R::COLUMNS[1..]
            .iter()
            .map(|(name, _)| format!("{name} = ?"))
            .collect();
        let key = R::COLUMNS[0].0;
        let sql = format!(
            "UPDATE \"{}\" SET {} WHERE {key} = ?",
            R::TABLE,
            sets.join(", ")
        );
        let mut values = row.values();
        self.note::<R>(&values[0])?;
        values.rotate_left(1);
        let id = values.last().cloned();
        match self.run_for::<R>(&sql, values)? {
            0 => Err(Error::not_found(R::KIND, id.map(show).unwrap_or_default())),
            _ => Ok(()),
        }
    }

    /// Counts the row with this key as changed now, because something that belongs to it did: no
    /// watcher hears of it. Its table has `revision` and `updated_ms`.
    pub fn revise<R: Row>(&mut self, key: &impl ToString, now_ms: i64) -> Result<()> {
        let sql = format!(
            "UPDATE \"{}\" SET revision = revision + 1, updated_ms = ? WHERE {} = ?",
            R::TABLE,
            R::COLUMNS[0].0
        );
        let arguments = vec![Value::Integer(now_ms), Value::Text(key.to_string())];
        self.run(&sql, arguments).map(drop)
    }

    /// Removes the row with this key; whether there was one.
    pub fn delete<R: Row>(&mut self, key: &impl ToString) -> Result<bool> {
        let sql = format!("DELETE FROM \"{}\" WHERE {} = ?", R::TABLE, R::COLUMNS[0].0);
        let key = Value::Text(key.to_string());
        self.note::<R>(&key)?;
        Ok(self.run(&sql, vec![key])? > 0)
    }

    /// Removes the rows in which a column has a value.
    pub fn delete_where<R: Row>(
        &mut self,
        column: &'static str,
        key: &impl ToString,
    ) -> Result<usize> {
        let sql = format!("DELETE FROM \"{}\" WHERE {column} = ?", R::TABLE);
        let key = Value::Text(key.to_string());
        self.note_where::<R>(column, &key)?;
        self.run(&sql, vec![key])
    }

    /// A document that nodes hear of changed or went: they will be told once this commits.
    pub fn touch(&mut self, key: Key) -> Result<()> {
        self.generation += 1;
        self.record_change(key, self.generation)
    }

    pub(crate) fn select<T>(
        &self,
        sql: &str,
        arguments: Vec<Value>,
        read: impl Fn(Found<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|e| broken(sql, e))?;
        let mut rows = statement
            .query(params_from_iter(arguments))
            .map_err(|e| broken(sql, e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| broken(sql, e))? {
            found.push(read(Found(row))?);
        }
        Ok(found)
    }

    pub(crate) fn run(&mut self, sql: &str, arguments: Vec<Value>) -> Result<usize> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|e| broken(sql, e))?;
        statement
            .execute(params_from_iter(arguments))
            .map_err(|e| broken(sql, e))
    }

    fn run_for<R: Row>(&mut self, sql: &str, arguments: Vec<Value>) -> Result<usize> {
        self.run(sql, arguments).map_err(|e| match e {
            Error::Conflict(_) => Error::Conflict(format!("There is already such a {}.", R::KIND)),
            e => e,
        })
    }

    fn save_generation(&mut self, before: u64) -> Result<()> {
        if self.generation == before {
            return Ok(());
        }
        let sql = "UPDATE meta SET value = ? WHERE name = 'generation'";
        self.run(sql, vec![Value::Text(self.generation.to_string())])
            .map(drop)
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| broken(sql, e))?;
    statement.execute([]).map(drop).map_err(|e| broken(sql, e))
}

/// A broken rule of the schema is the client's to hear of; all else is ours.
pub(crate) fn broken(sql: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::ConstraintViolation;
    match &error {
        rusqlite::Error::SqliteFailure(f, text) if f.code == ConstraintViolation => {
            // The database's own words name tables, which mean nothing to a client.
            tracing::debug!(?text, sql, "a rule of the schema was broken");
            Error::Conflict("It is taken already, or something else still needs it.".into())
        }
        _ => Error::internal("running a statement", format!("{error}, in: {sql}")),
    }
}

fn show(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a multi-threaded runtime that this thread will wait for the disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
