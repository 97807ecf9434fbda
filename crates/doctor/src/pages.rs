//! The pages of `docs/findings`, made of the same table as the output.

use std::fmt::Write;

use crate::finding::Kind;

/// The page of one kind.
pub fn page(kind: &Kind) -> String {
    let mut out = format!(
        "# {}\n\n{} ({})\n\n**Why it matters.** {}\n\n**What to do.** {}\n\nSources:\n\n",
        kind.id,
        kind.title,
        kind.severity.name(),
        kind.why,
        kind.fix
    );
    for source in kind.sources {
        let _ = writeln!(out, "- {source}");
    }
    out + "\nThis page is made from the table in `crates/doctor/src/table`: change it there.\n"
}

/// The list of all pages: what each doctor finds.
pub fn index(openstack: &[&Kind], host: &[&Kind]) -> String {
    let mut out = "# What doctors find\n\n\
        Each finding has a page with its reason, its fix and its sources. They are made from \
        the table in `crates/doctor/src/table` (`UPDATE_GOLDEN=1 cargo test -p doctor`).\n"
        .to_owned();
    for (doctor, kinds) in [
        ("`hextet doctor`, on a hextet host", host),
        ("`hextet doctor openstack`, on an OpenStack's", openstack),
    ] {
        let _ = write!(
            out,
            "\n## {doctor}\n\n| id | severity | what is wrong |\n|---|---|---|\n"
        );
        for kind in kinds {
            let (id, severity) = (kind.id, kind.severity.name());
            let _ = writeln!(out, "| [{id}]({id}.md) | {severity} | {} |", kind.title);
        }
    }
    out
}
