//! What doctors can find. Output and pages are made of these rows.

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

mod host;
mod listen;
mod names;
mod node;
mod options;
mod servers;

pub(crate) use host::*;
pub(crate) use listen::*;
pub(crate) use names::*;
pub(crate) use node::*;
pub(crate) use options::*;
pub(crate) use servers::*;

use crate::finding::Kind;

/// What both doctors can find.
static SHARED: &[&Kind] = &[
    &NAME_WITHOUT_AAAA,
    &CERTIFICATE_EXPIRED,
    &SYSCTL_ACCEPT_RA,
    &SYSCTL_DISABLE_IPV6,
];

/// All kinds of `hextet doctor openstack`, in the order of their ids.
pub fn openstack_kinds() -> Vec<&'static Kind> {
    sorted(&[listen::ALL, names::ALL, options::ALL, servers::ALL])
}

/// All kinds of `hextet doctor`, in the order of their ids.
pub fn host_kinds() -> Vec<&'static Kind> {
    sorted(&[host::ALL, node::ALL, SHARED])
}

fn sorted(parts: &[&[&'static Kind]]) -> Vec<&'static Kind> {
    let mut all: Vec<&Kind> = parts.iter().copied().flatten().copied().collect();
    all.sort_by_key(|kind| kind.id);
    all
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn ids_are_names_of_files_and_occur_once() {
        let of_a_host = super::host_kinds();
        let shared = |kind: &&&Kind| super::SHARED.iter().any(|other| other.id == kind.id);
        let mut kinds = super::openstack_kinds();
        kinds.extend(of_a_host.iter().filter(|kind| !shared(kind)));
        kinds.sort_by_key(|kind| kind.id);
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
