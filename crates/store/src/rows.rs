//! Rows: one declaration gives a struct, its columns and its statements.

use model::{Kind, Result};

use crate::db::Found;
use crate::field::{ColumnType, Value};

/// A struct that is a table's row. Its first column is the key.
pub trait Row: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Columns in the order of the struct's fields.
    const COLUMNS: &'static [(&'static str, ColumnType)];
    /// What a client calls it.
    const KIND: Kind;
    /// The values in the order of [`Row::COLUMNS`].
    fn values(&self) -> Vec<Value>;
    /// A row from columns in that order.
    ///
    /// # Errors
    /// `Internal` when a column holds what its field never writes.
    fn from_found(found: Found<'_>) -> Result<Self>;
}

/// Declares row structs: `Name in "table" as Kind { column: Type, .. }`.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident in $table:literal as $kind:ident { $($(#[$fdoc:meta])* $column:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$fdoc])* pub $column: $type,)* }

        impl $crate::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [(&'static str, $crate::ColumnType)] =
                &[$((stringify!($column), <$type as $crate::Field>::TYPE),)*];
            const KIND: model::Kind = model::Kind::$kind;

            fn values(&self) -> Vec<$crate::Value> {
                vec![$($crate::Field::to_value(&self.$column),)*]
            }

            fn from_found(found: $crate::Found<'_>) -> model::Result<Self> {
                let mut next = 0..;
                let mut column = || found.column(next.next().unwrap_or(usize::MAX));
                Ok($name { $($column: $crate::Field::from_column(column()?)?,)* })
            }
        }
    )*};
}
pub(crate) use rows;
