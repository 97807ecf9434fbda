//! What `hextet doctor openstack` can find. Output and pages are made of these rows.

/// Declares kinds, and the list of them.
macro_rules! kinds {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $why:literal, $fix:literal,
        [$($source:literal),+ $(,)?];)+) => {
        $(
            #[doc = $title]
            pub(crate) static $name: Kind = Kind {
                id: $id,
                severity: Severity::$severity,
                title: $title,
                why: $why,
                fix: $fix,
                sources: &[$($source),+],
            };
        )+
        /// All kinds of this part of the table.
        pub(crate) static ALL: &[&Kind] = &[$(&$name),+];
    };
}

mod listen;
mod names;
mod options;
mod servers;

pub(crate) use listen::*;
pub(crate) use names::*;
pub(crate) use options::*;
pub(crate) use servers::*;

use crate::finding::Kind;

/// All kinds, in the order of their ids.
pub fn kinds() -> Vec<&'static Kind> {
    let parts = [listen::ALL, names::ALL, options::ALL, servers::ALL];
    let mut all: Vec<&Kind> = parts.into_iter().flatten().copied().collect();
    all.sort_by_key(|kind| kind.id);
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_names_of_files_and_occur_once() {
        let kinds = super::kinds();
        for pair in kinds.windows(2) {
            assert!(pair[0].id < pair[1].id, "{}", pair[1].id);
        }
        for kind in kinds {
            assert!(
                kind.id
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            );
            assert!(!kind.why.is_empty() && !kind.fix.is_empty() && !kind.sources.is_empty());
        }
    }
}
