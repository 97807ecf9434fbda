//! A server's tags.
//!
//! They stand in one column as `,a,b,`, which no tag can break because none holds a comma: a list
//! of servers has them without a statement more, and can look for one whole.

use model::{Caller, Error, Kind, Result, ServerId};
use store::{Query, Value};

use super::{unlocked, visible};
use crate::{Cloud, list, now_ms};

/// As in the compute API.
const MAX_TAGS: usize = 50;
const MAX_TAG: usize = 60;

/// Whether the column has a tag.
const HAS: &str = "replace(t.tags, ?, '') <> t.tags";

/// What becomes of a server's tags.
#[derive(Clone, Debug)]
pub enum ServerTagChange {
    Add(String),
    Remove(String),
    Replace(Vec<String>),
}

/// Servers by their tags; a list that is empty asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct ServerTagFilter {
    pub all: Vec<String>,
    pub any: Vec<String>,
    /// Not all of these.
    pub not_all: Vec<String>,
    /// None of these.
    pub none: Vec<String>,
}

impl Cloud {
    /// A server's tags, in the order of the alphabet.
    pub fn server_tags(&self, caller: &Caller, id: &ServerId) -> Result<Vec<String>> {
        let server = self.store().read(|tx| visible(tx, caller, id))?;
        Ok(split_tags(&server.tags))
    }

    /// Changes a server's tags; those it has now, and whether they are others than before.
    ///
    /// # Errors
    /// `Invalid` for a tag that can be none, or one too many; `NotFound` for one to remove that is
    /// not there.
    pub fn change_server_tags(
        &self,
        caller: &Caller,
        id: &ServerId,
        change: &ServerTagChange,
    ) -> Result<(Vec<String>, bool)> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = unlocked(tx, caller, id)?;
            let before = server.tags.clone();
            let mut tags = split_tags(&before);
            match change {
                ServerTagChange::Add(tag) => tags.push(tag.clone()),
                ServerTagChange::Replace(others) => tags.clone_from(others),
                ServerTagChange::Remove(tag) if tags.contains(tag) => tags.retain(|t| t != tag),
                ServerTagChange::Remove(tag) => return Err(Error::not_found(Kind::Path, tag)),
            }
            tags.sort();
            tags.dedup();
            check(&tags)?;
            server.tags = join(&tags);
            let changed = server.tags != before;
            if changed {
                server.updated_ms = now_ms();
                tx.update(&server)?;
            }
            Ok((tags, changed))
        })
    }
}

/// The tags in a server's column.
pub fn split_tags(column: &str) -> Vec<String> {
    let each = column.split(',').filter(|tag| !tag.is_empty());
    each.map(str::to_owned).collect()
}

fn join(tags: &[String]) -> String {
    match tags.is_empty() {
        true => String::new(),
        // Two commas between tags, so that taking one out leaves its neighbours' whole.
        false => format!(",{},", tags.join(",,")),
    }
}

fn check(tags: &[String]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!(
            "The number of tags exceeded the per-server limit {MAX_TAGS}"
        )));
    }
    tags.iter().try_for_each(|tag| {
        list::check_required_name("a tag", tag)?;
        if tag.chars().count() > MAX_TAG || tag.contains([',', '/']) {
            return Err(Error::invalid(format!(
                "Tag '{tag}' is not valid: it has at most {MAX_TAG} characters, and no comma or slash"
            )));
        }
        Ok(())
    })
}

impl ServerTagFilter {
    pub(super) fn narrow(&self, mut query: Query) -> Query {
        let whole = |tags: &[String]| -> Vec<Value> {
            let whole = tags.iter().map(|tag| Value::Text(format!(",{tag},")));
            whole.collect()
        };
        for tag in whole(&self.all) {
            query = query.matching(HAS, vec![tag]);
        }
        let joined = |tags: &[String], word: &str| vec![HAS; tags.len()].join(word);
        for (tags, word, not) in [
            (&self.any, " OR ", ""),
            (&self.none, " OR ", "NOT "),
            (&self.not_all, " AND ", "NOT "),
        ] {
            if !tags.is_empty() {
                let condition = format!("{not}({})", joined(tags, word));
                query = query.matching(condition, whole(tags));
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_in_one_column() {
        let tags = ["a".to_owned(), "b c".to_owned()];
        assert_eq!(join(&tags), ",a,,b c,");
        assert_eq!(split_tags(&join(&tags)), tags);
        assert_eq!(join(&[]), "");
        assert!(split_tags("").is_empty());
        for bad in ["", " ", "a,b", "a/b", "nul\u{0}", &"x".repeat(61)] {
            assert!(check(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
