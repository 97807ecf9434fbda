//! Doctors: they look at what is there and say what breaks, why, and what to do.
//!
//! [`host`] judges what was seen of a hextet host. [`openstack`] reads the configuration files of
//! an OpenStack below a directory. It runs nothing, connects to nobody and changes nothing. Kinds of
//! findings are rows of one table (`table`), from which the output and the pages in `docs/findings`
//! are made; files become [`parse::Setting`]s with their lines (`parse`), a daemon's files its
//! effective configuration (`oslo`), and `check` has one file for each program. [`Finding`],
//! [`render`] and [`pages`] are for every doctor.

mod address;
mod check;
mod daemon;
mod exam;
mod finding;
pub mod host;
mod names;
mod options;
mod oslo;
pub mod pages;
pub mod parse;
mod patch;
mod release;
pub mod render;
mod show;
mod table;
mod tree;

use std::path::Path;

pub use finding::{Edit, Finding, Kind, Place, Severity};
pub use names::{HostsFile, Names};
pub use oslo::Config;
pub use release::Release;
pub use show::shown;
pub use table::{host_kinds, openstack_kinds};

use exam::Exam;
use release::{Packages, Releases};
use tree::Tree;

/// What a look found.
#[derive(Debug)]
pub struct Report {
    /// By file and line.
    pub findings: Vec<Finding>,
    /// The safe changes, for `patch -p1` in the directory that stands for `/etc`.
    pub diff: String,
    /// What was assumed, for people.
    pub notes: Vec<String>,
    /// What was there and could not be read, with the reason: the look is then not whole.
    pub unread: Vec<String>,
}

/// Looks at the OpenStack that is configured below `etc`. What its files call `/usr` and `/var` is
/// looked for beside `etc`, if that is its name.
///
/// `release` counts instead of what the installed packages say; `names` answers for names that
/// /etc/hosts does not know; `now_s` is the time in seconds since 1970.
///
/// # Errors
/// When `etc` is no directory that can be read.
pub fn openstack(
    etc: &Path,
    release: Option<Release>,
    names: &dyn Names,
    now_s: i64,
) -> std::io::Result<Report> {
    std::fs::read_dir(etc)?;
    let tree = Tree::new(etc);
    let status = tree
        .file("/var/lib/dpkg/status")
        .map(|file| file.text)
        .unwrap_or_default();
    let releases = Releases::new(release, Packages::parse(&status));
    let mut exam = Exam::new(&tree, &releases, names, now_s);
    check::all(&mut exam);
    let findings = exam.finished();
    Ok(Report {
        diff: patch::diff(&tree, &findings),
        findings,
        notes: assumed(&tree, &releases),
        unread: tree.unread(),
    })
}

/// Which projects are configured here and of no release that could be found out.
fn assumed(tree: &Tree, releases: &Releases) -> Vec<String> {
    let projects = [
        "nova",
        "neutron",
        "cinder",
        "glance",
        "keystone",
        "placement",
        "heat",
    ];
    let unknown: Vec<&str> = projects
        .into_iter()
        .filter(|p| tree.exists(&format!("/etc/{p}/{p}.conf")) && releases.assumed(p))
        .collect();
    match unknown.as_slice() {
        [] => Vec::new(),
        names => vec![format!(
            "assuming {} for {}: no installed package says which release it is (--release does)",
            Release::NEWEST,
            names.join(", ")
        )],
    }
}
