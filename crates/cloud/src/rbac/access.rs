//! Who sees what policies share.
//!
//! A row that can be shared is there for its project, for administrators, and for the targets of its policies. All lists
//! and all uses ask by the conditions in this file; in them the row is `t`.

use std::fmt::Display;

use model::{Caller, Error, Result};
use store::{ColumnType, Field, Query, Row, Tx, Value, row, value_of};

use super::{EVERYBODY, SHARED};
use crate::list::{self, Page};

/// Whether a policy of the thing in column `$of` has a project, the one argument, as its target.
macro_rules! policy {
    ($of:literal, $more:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM rbac_policy r WHERE r.object_id = t.",
            $of,
            " AND r.target IN (?, '*')",
            $more,
            ")"
        )
    };
}

/// What rows belong to, as far as it can be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// They can be shared themselves.
    Itself,
    Network,
    SecurityGroup,
}

impl Of {
    /// What is the project's or what a policy lets it see; the project is given twice.
    fn seen(self) -> &'static str {
        match self {
            Of::Itself => concat!("t.project_id = ? OR ", policy!("id", "")),
            Of::Network => concat!("t.project_id = ? OR ", policy!("network_id", "")),
            Of::SecurityGroup => concat!("t.project_id = ? OR ", policy!("security_group_id", "")),
        }
    }

    fn shared(self) -> &'static str {
        match self {
            Of::Itself => policy!("id", " AND r.action = 'access_as_shared'"),
            Of::Network => policy!("network_id", " AND r.action = 'access_as_shared'"),
            Of::SecurityGroup => policy!("security_group_id", " AND r.action = 'access_as_shared'"),
        }
    }
}

/// Of the rows of a query those that are there for the caller.
pub(crate) fn seen_by(query: Query, caller: &Caller, of: Of) -> Query {
    if caller.is_admin() {
        return query;
    }
    let project = list::project_of(caller);
    query.seen_if(of.seen(), vec![project.clone(), project])
}

/// The row with an id, if it is there for the caller.
///
/// # Errors
/// `NotFound`.
pub(crate) fn visible<R: Row>(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &(impl Field + Display),
    of: Of,
) -> Result<R> {
    let query = Query::equal(R::COLUMNS[0].0, id.to_value());
    let found = tx.list(&seen_by(query, caller, of))?.pop();
    found.ok_or_else(|| Error::not_found(R::KIND, id))
}

/// The query of a page that may filter by `shared`, which is no column.
pub(crate) fn page_query<R: Row>(page: &Page, caller: &Caller, of: Of) -> Result<Query> {
    let mut query = seen_by(page.query::<R>()?, caller, of);
    let wanted = page.filters.iter().filter(|(name, _)| name == "shared");
    for text in wanted.flat_map(|(_, texts)| texts) {
        query = match value_of(ColumnType::Bool, text) {
            Some(Value::Integer(1)) => query.matching(of.shared(), vec![list::project_of(caller)]),
            Some(_) => query.matching(
                format!("NOT {}", of.shared()),
                vec![list::project_of(caller)],
            ),
            None => query.matching("1 = 0", Vec::new()),
        };
    }
    Ok(query)
}

/// Whether a policy shares a thing with the caller's project.
pub(crate) fn is_shared(tx: &Tx<'_>, caller: &Caller, id: &impl Field) -> Result<bool> {
    Ok(!shared(tx, caller, vec![id.to_value()])?.is_empty())
}

/// Whether a policy with this target is the caller's project's.
pub(crate) fn is_target(caller: &Caller, target: &str) -> bool {
    target == EVERYBODY || list::project_of(caller) == Value::Text(target.to_owned())
}

/// A row, and whether a policy shares it with who looks.
#[derive(Clone, Debug)]
pub struct Shown<R> {
    pub row: R,
    pub shared: bool,
}

/// These rows with that, in one statement however many there are.
pub(crate) fn shown<R: Row>(tx: &Tx<'_>, caller: &Caller, rows: Vec<R>) -> Result<Vec<Shown<R>>> {
    let key = |row: &R| row.values().swap_remove(0);
    let shared = shared(tx, caller, rows.iter().map(key).collect())?;
    let join = |row: R| Shown {
        shared: shared.contains(&key(&row)),
        row,
    };
    Ok(rows.into_iter().map(join).collect())
}

/// As [`shown`], for one.
pub(crate) fn shown_one<R: Row>(tx: &Tx<'_>, caller: &Caller, row: R) -> Result<Shown<R>> {
    let shared = !shared(tx, caller, vec![row.values().swap_remove(0)])?.is_empty();
    Ok(Shown { row, shared })
}

/// Of these things those that policies share with the caller's project, once for each policy.
fn shared(tx: &Tx<'_>, caller: &Caller, ids: Vec<Value>) -> Result<Vec<Value>> {
    let targets = vec![list::project_of(caller), EVERYBODY.to_owned().to_value()];
    let query = Query::equal("action", SHARED.to_owned().to_value());
    let query = query.one_of("object_id", ids).one_of("target", targets);
    let policies: Vec<row::RbacPolicy> = tx.list(&query)?;
    Ok(policies.iter().map(|p| p.object_id.to_value()).collect())
}
