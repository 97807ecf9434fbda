//! What is used: sums and counts, several of them in one statement.

use std::collections::HashMap;
use std::hash::Hash;

use model::Result;

use crate::db::Tx;
use crate::field::{Field, Value};
use crate::rows::Row;

/// Something to add up: rows, or a column of them.
#[derive(Clone, Debug)]
pub struct Amount {
    sql: String,
    value: Value,
}

impl Amount {
    /// How many rows have a value in a column.
    pub fn count<R: Row>(filter: &'static str, value: Value) -> Amount {
        Amount::of::<R>("count(*)", filter, value)
    }

    /// A column's sum over the rows in which another has a value.
    pub fn sum<R: Row>(column: &'static str, filter: &'static str, value: Value) -> Amount {
        Amount::of::<R>(&format!("coalesce(sum({column}), 0)"), filter, value)
    }

    fn of<R: Row>(what: &str, filter: &'static str, value: Value) -> Amount {
        let sql = format!("(SELECT {what} FROM \"{}\" WHERE {filter} = ?)", R::TABLE);
        Amount { sql, value }
    }
}

impl Tx<'_> {
    /// These amounts, in their order, by one statement.
    pub fn amounts(&self, asked: Vec<Amount>) -> Result<Vec<u64>> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let count = asked.len();
        let (each, values): (Vec<_>, Vec<_>) = asked.into_iter().map(|a| (a.sql, a.value)).unzip();
        let sql = format!("SELECT {}", each.join(", "));
        let found = self.select(&sql, values, |found| {
            (0..count)
                .map(|place| u64::from_column(found.column(place)?))
                .collect()
        })?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// One amount.
    pub fn amount(&self, asked: Amount) -> Result<u64> {
        Ok(self.amounts(vec![asked])?.pop().unwrap_or(0))
    }

    /// For each value of a column how many rows have it, and the sums of others over those.
    pub fn sums_by<R: Row, K: Field + Eq + Hash, const N: usize>(
        &self,
        by: &'static str,
        columns: [&'static str; N],
    ) -> Result<HashMap<K, (u64, [u64; N])>> {
        let sums = columns.map(|column| format!(", sum({column})")).concat();
        let table = R::TABLE;
        let sql = format!(
            "SELECT {by}, count(*){sums} FROM \"{table}\" WHERE {by} IS NOT NULL GROUP BY {by}"
        );
        let read = |found: crate::Found<'_>| {
            let mut each = [0; N];
            for (place, sum) in each.iter_mut().enumerate() {
                *sum = u64::from_column(found.column(place + 2)?)?;
            }
            let count = u64::from_column(found.column(1)?)?;
            Ok((K::from_column(found.column(0)?)?, (count, each)))
        };
        Ok(self.select(&sql, Vec::new(), read)?.into_iter().collect())
    }
}
