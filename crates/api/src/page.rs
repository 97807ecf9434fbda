//! Lists: how each service spells filters, order, marker and limit.

use cloud::{MAX_PAGE, Page, TagFilter};
use model::{Error, Result};
use store::Order;

use crate::context::Context;

/// Names a client filters or sorts by, with the columns they stand for.
pub(crate) type Names = &'static [(&'static str, &'static str)];

impl Context {
    /// The page a client asks for. Names that are no filter of this list are passed over, as
    /// OpenStack does.
    ///
    /// # Errors
    /// `Invalid` for a limit that is no number, or an order by something unknown.
    pub(crate) fn page(&self, names: Names) -> Result<Page> {
        let column = |name: &str| {
            names
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, column)| (*column).to_owned())
        };
        let mut page = Page {
            limit: Some(self.limit()?),
            ..Page::default()
        };
        for (name, value) in &self.query {
            match name.as_str() {
                "limit" => {}
                "marker" => page.marker = Some(value.clone()),
                _ if self.path.starts_with("/network/") && tags(name, value).is_some() => {
                    page.tags.extend(tags(name, value));
                }
                _ => {
                    let Some(column) = column(name) else { continue };
                    match page.filters.iter_mut().find(|(c, _)| *c == column) {
                        Some((_, values)) => values.push(value.clone()),
                        None => page.filters.push((column, vec![value.clone()])),
                    }
                }
            }
        }
        page.order = self.order(&column)?;
        Ok(page)
    }

    /// How much a page holds at most.
    ///
    /// # Errors
    /// `Invalid` for a limit that is no number.
    pub(crate) fn limit(&self) -> Result<u64> {
        match self.query("limit") {
            Some(text) => Ok(limit(text)?.min(MAX_PAGE)),
            None => Ok(MAX_PAGE),
        }
    }

    fn order(&self, column: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, Order)>> {
        let all = |wanted: &str| {
            self.query
                .iter()
                .filter(move |(n, _)| n == wanted)
                .map(|(_, v)| v.clone())
                .collect::<Vec<_>>()
        };
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        for sort in all("sort") {
            for word in sort.split(',').filter(|w| !w.is_empty()) {
                let (key, way) = word.split_once(':').unwrap_or((word, "asc"));
                pairs.push((key.to_owned(), Some(way.to_owned())));
            }
        }
        let ways = all("sort_dir");
        for (place, key) in all("sort_key").into_iter().enumerate() {
            pairs.push((key, ways.get(place).or(ways.last()).cloned()));
        }
        let known = |(key, way): (String, Option<String>)| {
            let column = column(&key)
                .ok_or_else(|| Error::invalid(format!("'{key}' cannot be sorted by")))?;
            match way.as_deref() {
                None | Some("asc") => Ok((column, Order::Ascending)),
                Some("desc") => Ok((column, Order::Descending)),
                Some(other) => Err(Error::invalid(format!(
                    "sort_dir must be asc or desc, not '{other}'"
                ))),
            }
        };
        let mut order: Vec<(String, Order)> = Vec::new();
        for (column, way) in pairs.into_iter().map(known).collect::<Result<Vec<_>>>()? {
            // A column that was sorted by already decides nothing more.
            if order.iter().all(|(before, _)| *before != column) {
                order.push((column, way));
            }
        }
        Ok(order)
    }

    /// The address of the page after this one: the same query, with a new marker.
    pub(crate) fn next_page(&self, path: &str, marker: &str) -> String {
        let mut query: Vec<String> = self
            .query
            .iter()
            .filter(|(name, _)| name != "marker")
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        query.push(format!("marker={}", encode(marker)));
        format!("{path}?{}", query.join("&"))
    }
}

/// The network API's filter by tags.
fn tags(name: &str, value: &str) -> Option<TagFilter> {
    let kind = match name {
        "tags" => TagFilter::All,
        "tags-any" => TagFilter::Any,
        "not-tags" => TagFilter::NotAll,
        "not-tags-any" => TagFilter::NotAny,
        _ => return None,
    };
    Some(kind(value.split(',').map(str::to_owned).collect()))
}

/// 0 asks for as much as there is.
fn limit(text: &str) -> Result<u64> {
    match text.parse::<u64>() {
        Ok(0) => Ok(MAX_PAGE),
        Ok(n) => Ok(n),
        Err(_) => Err(Error::invalid(format!(
            "limit must be a whole number of at least 0, not '{text}'"
        ))),
    }
}

/// Percent-encoding of everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(octet.into())
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}
