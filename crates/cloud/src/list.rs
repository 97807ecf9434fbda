//! Lists as clients ask for them: filters, order, marker, limit.

use model::{Caller, Error, Kind, Result, Scope};
use store::{ColumnType, Field, Order, Query, Row, Tx, Value, value_of};

use crate::now_ms;

/// The largest page, whatever a client asks for.
pub const MAX_PAGE: u64 = 1000;

/// Things in one request that makes several.
pub(crate) const MAX_BULK: usize = 200;

/// A request that makes more than [`MAX_BULK`].
pub(crate) fn too_many(what: &str) -> Error {
    Error::invalid(format!("at most {MAX_BULK} {what} can be made at once"))
}

/// Values of one request that each become a condition of its statement.
pub(crate) const MAX_CONDITIONS: usize = 32;

/// Places for values in a condition.
pub(crate) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// A list that is asked for more than [`MAX_CONDITIONS`].
pub(crate) fn too_many_conditions(what: &str) -> Error {
    Error::invalid(format!(
        "a list can be asked for at most {MAX_CONDITIONS} {what} at once"
    ))
}

/// One page of a list, in the client's words.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Columns with the values that may stand in them.
    pub filters: Vec<(String, Vec<String>)>,
    pub order: Vec<(String, Order)>,
    pub marker: Option<String>,
    pub limit: Option<u64>,
    pub tags: Vec<TagFilter>,
}

/// Which tags a thing must have, or must not.
#[derive(Clone, Debug)]
pub enum TagFilter {
    All(Vec<String>),
    Any(Vec<String>),
    NotAll(Vec<String>),
    NotAny(Vec<String>),
}

impl TagFilter {
    fn count(&self) -> usize {
        match self {
            TagFilter::All(tags)
            | TagFilter::Any(tags)
            | TagFilter::NotAll(tags)
            | TagFilter::NotAny(tags) => tags.len(),
        }
    }

    /// The condition in SQL, with its arguments. A tag stands in its column as a JSON string.
    /// Backslashes and quotes inside it are written as control characters, which no tag has, so the
    /// only quotes left are those around tags; and between two tags is a comma, which no tag that
    /// is looked for has.
    fn condition(&self) -> (String, Vec<Value>) {
        let (tags, word, not) = match self {
            TagFilter::All(tags) => (tags, " AND ", ""),
            TagFilter::Any(tags) => (tags, " OR ", ""),
            TagFilter::NotAll(tags) => (tags, " AND ", "NOT "),
            TagFilter::NotAny(tags) => (tags, " OR ", "NOT "),
        };
        let plain = "replace(replace(t.tags, '\\\\', '\u{1}'), '\\\"', '\u{2}')";
        let each = vec![format!("replace({plain}, ?, '') <> {plain}"); tags.len()];
        let quoted = tags
            .iter()
            .map(|tag| tag.replace('\\', "\u{1}").replace('"', "\u{2}"))
            .map(|tag| Value::Text(format!("\"{tag}\"")));
        (format!("{not}({})", each.join(word)), quoted.collect())
    }
}

impl Page {
    /// The query for a row type. Filters on columns it does not have are the caller's to drop first.
    ///
    /// # Errors
    /// `Invalid` for an order by what is no column, or too many tags.
    pub fn query<R: Row>(&self) -> Result<Query> {
        let mut query = Query::all();
        for (name, texts) in &self.filters {
            let Some((column, kind)) = column_of::<R>(name) else {
                continue;
            };
            let values: Vec<Value> = texts.iter().filter_map(|t| value_of(kind, t)).collect();
            query = query.one_of(column, values);
        }
        for (name, way) in &self.order {
            let (column, _) = column_of::<R>(name)
                .ok_or_else(|| Error::invalid(format!("'{name}' cannot be sorted by")))?;
            query.order.push((column, *way));
        }
        if self.tags.iter().map(TagFilter::count).sum::<usize>() > MAX_CONDITIONS {
            return Err(too_many_conditions("tags"));
        }
        if R::COLUMNS.iter().any(|(column, _)| *column == "tags") {
            for filter in &self.tags {
                let (condition, arguments) = filter.condition();
                query = query.matching(condition, arguments);
            }
        }
        query.limit = Some(self.limit.unwrap_or(MAX_PAGE).min(MAX_PAGE));
        query.marker = self.marker.clone().map(Value::Text);
        Ok(query)
    }

    /// Whether the client filters on a column.
    pub fn filters_on(&self, column: &str) -> bool {
        self.filters.iter().any(|(name, _)| name == column)
    }

    /// Takes a filter out of the list and gives its values.
    pub fn take(&mut self, column: &str) -> Option<Vec<String>> {
        let place = self.filters.iter().position(|(name, _)| name == column)?;
        Some(self.filters.remove(place).1)
    }
}

/// The project that a caller's list is of; `Null`, which no row has, without one.
pub(crate) fn project_of(caller: &Caller) -> Value {
    match &caller.scope {
        Scope::Project(project) => project.to_value(),
        _ => Value::Null,
    }
}

/// A list of what is the caller's project's, or of `all` where the caller may see all.
pub(crate) fn owned(query: Query, caller: &Caller, all: bool) -> Query {
    match all && caller.is_admin() {
        true => query,
        false => query.seen_by("project_id", project_of(caller)),
    }
}

/// Runs a list.
///
/// # Errors
/// `Invalid` when the marker is no row that the caller may see (the APIs answer 400 here, not
/// 404). It need not match the filters: it may have changed since its page was read.
pub(crate) fn run<R: Row>(tx: &Tx<'_>, query: &Query) -> Result<Vec<R>> {
    if let Some(Value::Text(marker)) = &query.marker
        && !tx.exists::<R>(query.row(R::COLUMNS[0].0, Value::Text(marker.clone())))?
    {
        return Err(Error::invalid(format!(
            "Marker {marker} could not be found."
        )));
    }
    tx.list(query)
}

/// What belongs to a row changed, so it is another revision.
pub(crate) fn revise<R: Row>(tx: &mut Tx<'_>, id: &impl ToString) -> Result<()> {
    tx.revise::<R>(id, now_ms())
}

fn column_of<R: Row>(name: &str) -> Option<(&'static str, ColumnType)> {
    R::COLUMNS
        .iter()
        .find(|(column, kind)| *column == name && *kind != ColumnType::Json)
        .copied()
}

/// A name as a client may give it.
///
/// # Errors
/// `Invalid` when it is longer than 255 characters or holds control characters.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.chars().count() > 255 {
        return Err(Error::invalid(format!(
            "{what} is too long: at most 255 characters are allowed"
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "{what} must not hold control characters"
        )));
    }
    Ok(())
}

/// As many as OpenStack's image API allows; its other APIs allow fewer.
const MAX_TAGS: usize = 128;

/// Tags as a client may give them.
///
/// # Errors
/// `Invalid` when one is empty, too long or holds control characters.
pub(crate) fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!(
            "at most {MAX_TAGS} tags are allowed"
        )));
    }
    tags.iter()
        .try_for_each(|tag| check_required_name("a tag", tag))
}

/// A name that must not be empty.
///
/// # Errors
/// `Invalid` as for [`check_name`], or when only white space is there.
pub(crate) fn check_required_name(what: &str, name: &str) -> Result<()> {
    check_name(what, name)?;
    match name.trim().is_empty() {
        true => Err(Error::invalid(format!("{what} must not be empty"))),
        false => Ok(()),
    }
}

/// The thing, or as if it were not there when the caller may not see it.
pub(crate) fn seen<T>(
    visible: bool,
    thing: T,
    kind: Kind,
    id: impl std::fmt::Display,
) -> Result<T> {
    match visible {
        true => Ok(thing),
        false => Err(Error::not_found(kind, id)),
    }
}
