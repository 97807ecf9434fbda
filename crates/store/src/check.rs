//! What the database itself can say about its soundness.

use model::Result;

use crate::db::Tx;
use crate::field::Field;

impl Tx<'_> {
    /// Damage of the file, and rows whose parents are not there: a line for each.
    pub fn damage(&self) -> Result<Vec<String>> {
        let text =
            |found: crate::Found<'_>, place| Option::<String>::from_column(found.column(place)?);
        let mut lines: Vec<String> = self
            .select("PRAGMA quick_check", Vec::new(), |found| text(found, 0))?
            .into_iter()
            .flatten()
            .filter(|line| line != "ok")
            .collect();
        let orphans = self.select("PRAGMA foreign_key_check", Vec::new(), |found| {
            let (table, parent) = (text(found, 0)?, text(found, 2)?);
            Ok((table.unwrap_or_default(), parent.unwrap_or_default()))
        })?;
        lines.extend(orphans.into_iter().map(|(table, parent)| {
            format!("a row of table {table} names a row of table {parent} that is not there")
        }));
        Ok(lines)
    }
}
