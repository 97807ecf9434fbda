//! What a transaction did to rows, for those who tell others of it.

use std::any::Any;

use model::{Error, Result};

use crate::db::Tx;
use crate::field::Value;
use crate::query::Query;
use crate::rows::Row;

/// Is told of every transaction that changes rows of the tables it asks for.
pub trait Watcher: Send + Sync {
    /// The tables.
    fn tables(&self) -> &[Watched];

    /// Hears of a transaction before its commit, and may write in it.
    ///
    /// # Errors
    /// Those of the database; the transaction does not happen then.
    fn changed(&self, tx: &mut Tx<'_>, rows: &[Touched]) -> Result<()>;
}

type Read = fn(&Tx<'_>, Value) -> Result<Option<Box<dyn Any>>>;

/// A table that is watched.
pub struct Watched {
    table: &'static str,
    read: Read,
}

impl Watched {
    /// The table of these rows.
    pub fn of<R: Row + 'static>() -> Watched {
        Watched {
            table: R::TABLE,
            read: |tx, key| {
                let row: Option<R> = tx.find(key)?;
                Ok(row.map(|row| Box::new(row) as Box<dyn Any>))
            },
        }
    }
}

/// A row that a transaction changed.
pub struct Touched {
    table: &'static str,
    key: Value,
    read: Read,
    before: Option<Box<dyn Any>>,
    after: Option<Box<dyn Any>>,
}

impl Touched {
    /// The row as it was and as it is, if it is one of these.
    pub fn row<R: Row + 'static>(&self) -> Option<(Option<&R>, Option<&R>)> {
        fn cast<R: 'static>(row: &Option<Box<dyn Any>>) -> Option<&R> {
            row.as_ref()?.downcast_ref()
        }
        (self.table == R::TABLE).then(|| (cast(&self.before), cast(&self.after)))
    }
}

/// What is watched in one transaction, and what it has touched so far.
pub(crate) struct Watching<'a> {
    watcher: &'a dyn Watcher,
    touched: Vec<Touched>,
}

impl<'a> Watching<'a> {
    pub(crate) fn new(watcher: &'a dyn Watcher) -> Watching<'a> {
        let touched = Vec::new();
        Watching { watcher, touched }
    }
}

impl Tx<'_> {
    /// A row is about to change: how it was is read at the first time.
    pub(crate) fn note<R: Row>(&mut self, key: &Value) -> Result<()> {
        let Some(watching) = &self.watching else {
            return Ok(());
        };
        let watched = watching.watcher.tables().iter();
        let Some(watched) = watched.into_iter().find(|w| w.table == R::TABLE) else {
            return Ok(());
        };
        let known = |t: &Touched| t.table == watched.table && t.key == *key;
        if watching.touched.iter().any(known) {
            return Ok(());
        }
        let touched = Touched {
            table: watched.table,
            key: key.clone(),
            read: watched.read,
            before: (watched.read)(self, key.clone())?,
            after: None,
        };
        if let Some(watching) = &mut self.watching {
            watching.touched.push(touched);
        }
        Ok(())
    }

    /// Rows that are found by a column are about to change.
    pub(crate) fn note_where<R: Row>(&mut self, column: &'static str, value: &Value) -> Result<()> {
        if self.watching.is_none() {
            return Ok(());
        }
        let rows: Vec<R> = self.list(&Query::equal(column, value.clone()))?;
        let mut keys = rows.iter().map(|row| row.values().swap_remove(0));
        keys.try_for_each(|key| self.note::<R>(&key))
    }

    /// Tells the watcher what this transaction has done.
    pub(crate) fn tell(&mut self) -> Result<()> {
        let Some(mut watching) = self.watching.take() else {
            return Ok(());
        };
        for touched in &mut watching.touched {
            touched.after = (touched.read)(self, touched.key.clone())?;
        }
        match watching.touched.is_empty() {
            true => Ok(()),
            false => watching.watcher.changed(self, &watching.touched),
        }
    }
}

/// Two watchers would each write what they tell into the one outbox.
pub(crate) fn watched_already() -> Error {
    Error::internal("watching the database", "somebody does already")
}
