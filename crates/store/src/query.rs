//! Lists: filters, order, marker and limit, turned into one statement.

use std::borrow::Cow;

use crate::field::{ColumnType, Value};
use crate::rows::Row;

/// What a list asks for. Column names come from [`Row::COLUMNS`], never from a client.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The column must equal one of the values; `Value::Null` means IS NULL.
    pub filters: Vec<(&'static str, Vec<Value>)>,
    /// At least one of these must hold, beside all `filters`: who may see the row.
    pub any: Vec<(&'static str, Value)>,
    /// Conditions in SQL with their arguments, each a `?`, that must hold beside `any`: who may see
    /// the row, again.
    pub seen: Vec<(&'static str, Vec<Value>)>,
    /// Further conditions of the same form: what the client looks for.
    pub extra: Vec<(Cow<'static, str>, Vec<Value>)>,
    pub order: Vec<(&'static str, Order)>,
    /// The key of the row after which the list goes on.
    pub marker: Option<Value>,
    pub limit: Option<u64>,
}

/// Which way a column is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl Query {
    /// Everything.
    pub fn all() -> Query {
        Query::default()
    }

    /// The rows in which a column has a value.
    pub fn equal(column: &'static str, value: Value) -> Query {
        Query::default().and(column, value)
    }

    /// One filter more.
    pub fn and(mut self, column: &'static str, value: Value) -> Query {
        self.filters.push((column, vec![value]));
        self
    }

    /// One filter more: any of the values.
    pub fn one_of(mut self, column: &'static str, values: Vec<Value>) -> Query {
        self.filters.push((column, values));
        self
    }

    /// Only rows in which a column has a value are there for this caller.
    pub fn seen_by(mut self, column: &'static str, value: Value) -> Query {
        self.any.push((column, value));
        self
    }

    /// Only rows for which a condition holds, in SQL, are there for this caller.
    pub fn seen_if(mut self, condition: &'static str, arguments: Vec<Value>) -> Query {
        self.seen.push((condition, arguments));
        self
    }

    /// The row with a key, if it is among those that the caller of this query may see.
    pub fn row(&self, column: &'static str, key: Value) -> Query {
        Query {
            any: self.any.clone(),
            seen: self.seen.clone(),
            ..Query::equal(column, key)
        }
    }

    /// One condition more, in SQL; each `?` takes an argument.
    pub fn matching(
        mut self,
        condition: impl Into<Cow<'static, str>>,
        arguments: Vec<Value>,
    ) -> Query {
        self.extra.push((condition.into(), arguments));
        self
    }
}

/// The statement and its arguments. The key is the last word of every order, so that it is total.
pub(crate) fn select<R: Row>(query: &Query) -> (String, Vec<Value>) {
    let columns: Vec<_> = R::COLUMNS
        .iter()
        .map(|(name, _)| format!("t.{name}"))
        .collect();
    let mut sql = format!("SELECT {} FROM \"{}\" t", columns.join(", "), R::TABLE);
    let mut arguments = Vec::new();
    let mut conditions = Vec::new();
    for (column, values) in &query.filters {
        conditions.push(equals_any(column, values, &mut arguments));
    }
    if !query.any.is_empty() {
        let any: Vec<_> = query
            .any
            .iter()
            .map(|(column, value)| equals_any(column, std::slice::from_ref(value), &mut arguments))
            .collect();
        conditions.push(format!("({})", any.join(" OR ")));
    }
    let seen = query.seen.iter().map(|(c, values)| (*c, values));
    let extra = query.extra.iter().map(|(c, values)| (c.as_ref(), values));
    for (condition, values) in seen.chain(extra) {
        conditions.push(format!("({condition})"));
        arguments.extend(values.iter().cloned());
    }
    let key = R::COLUMNS[0].0;
    let mut order = query.order.clone();
    if !order.iter().any(|(column, _)| *column == key) {
        order.push((key, order.last().map_or(Order::Ascending, |(_, way)| *way)));
    }
    if let Some(marker) = &query.marker {
        conditions.push(after_marker::<R>(&order, marker, &mut arguments));
    }
    if !conditions.is_empty() {
        sql.push_str(" WHERE ");
        sql.push_str(&conditions.join(" AND "));
    }
    let order: Vec<_> = order
        .iter()
        .map(|(column, way)| order_term(column, *way))
        .collect();
    sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    if let Some(limit) = query.limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
    (sql, arguments)
}

fn equals_any(column: &str, values: &[Value], arguments: &mut Vec<Value>) -> String {
    let with_value: Vec<_> = values
        .iter()
        .filter(|v| **v != Value::Null)
        .cloned()
        .collect();
    let null = values.len() > with_value.len();
    let marks = vec!["?"; with_value.len()].join(", ");
    let some = match with_value.len() {
        0 => "1 = 0".to_owned(),
        1 => format!("t.{column} = ?"),
        _ => format!("t.{column} IN ({marks})"),
    };
    arguments.extend(with_value);
    match null {
        true => format!("({some} OR t.{column} IS NULL)"),
        false => some,
    }
}

/// Text sorts by code point and absent values come first, in both engines.
fn order_term(column: &str, way: Order) -> String {
    let way = match way {
        Order::Ascending => "ASC NULLS FIRST",
        Order::Descending => "DESC NULLS LAST",
    };
    format!("t.{column} {way}")
}

/// The rows behind the marker's row in this order: the first column beyond the marker's, or the
/// same and the next beyond, and so on. The marker's own values are read by the database.
fn after_marker<R: Row>(
    order: &[(&'static str, Order)],
    marker: &Value,
    arguments: &mut Vec<Value>,
) -> String {
    let key = R::COLUMNS[0].0;
    let table = R::TABLE;
    let mut terms = Vec::new();
    for (place, (column, way)) in order.iter().enumerate() {
        let mut parts: Vec<String> = order[..place]
            .iter()
            .map(|(same, _)| {
                arguments.push(marker.clone());
                format!("t.{same} IS NOT DISTINCT FROM (SELECT m.{same} FROM \"{table}\" m WHERE m.{key} = ?)")
            })
            .collect();
        arguments.push(marker.clone());
        let theirs = format!("(SELECT m.{column} FROM \"{table}\" m WHERE m.{key} = ?)");
        parts.push(match way {
            Order::Ascending => {
                arguments.push(marker.clone());
                let again = &theirs;
                format!("(t.{column} > {theirs} OR ({again} IS NULL AND t.{column} IS NOT NULL))")
            }
            Order::Descending => {
                arguments.push(marker.clone());
                let again = &theirs;
                format!("(t.{column} < {theirs} OR ({again} IS NOT NULL AND t.{column} IS NULL))")
            }
        });
        terms.push(format!("({})", parts.join(" AND ")));
    }
    format!("({})", terms.join(" OR "))
}

/// A client's text as a value of the column; `None` when no row can match it.
pub fn value_of(kind: ColumnType, text: &str) -> Option<Value> {
    match kind {
        ColumnType::Text => Some(Value::Text(text.to_owned())),
        ColumnType::Int => text.parse().ok().map(Value::Integer),
        ColumnType::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "yes" | "on" => Some(Value::Integer(1)),
            "false" | "0" | "f" | "no" | "off" => Some(Value::Integer(0)),
            _ => None,
        },
        ColumnType::Json => None,
    }
}
