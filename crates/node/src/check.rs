//! The node's part of the invariant checker: what the documents want beside what there is.
//!
//! It only looks. It may run beside the agent, whose work in progress it cannot tell from a leak:
//! who asks looks again, and believes what stays.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use model::{Change, Finding, ServerId, VolumeId};

use crate::links::LinkSettings;
use crate::{NodeSettings, Wanted, guest, image, links, volumes};

/// What to do about something that nothing wants.
pub(crate) const LEAK: &str = "`hextet up` removes it while it runs; if it stays, report it, and `hextet node purge` clears the host";
/// What to do about something that is missing.
pub(crate) const MISSING: &str = "`hextet up` makes it while it runs, or its log says why not: data that is gone comes back only with its disk";

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Names and sizes.
    Quick,
    /// The content of every image too.
    Deep,
}

/// What the controller's records say of this node.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub documents: Vec<Change>,
    /// Guests that ran when the node last spoke.
    pub running: BTreeSet<ServerId>,
    /// Volumes whose data has been whole once.
    pub made: BTreeSet<VolumeId>,
}

/// Compares the kernel and the disk of this host with what it should hold.
pub fn check(settings: &NodeSettings, expected: Expected, depth: Depth) -> Vec<Finding> {
    let mut wanted = Wanted::default();
    expected
        .documents
        .into_iter()
        .for_each(|change| wanted.apply(change));
    let link_settings = LinkSettings {
        short: settings.short(),
        base: settings.base.clone(),
        physical: settings.physical.clone(),
        filters: settings.run.join("filters"),
    };
    let mut found = Vec::new();
    let parts = [
        links::check(&link_settings, &wanted),
        guest::check(&settings.guests(), &wanted, &expected.running),
        image::check(&settings.state.join("cache"), depth),
        volumes::check(settings.volumes(), &wanted, &expected.made),
    ];
    for part in parts {
        match part {
            Ok(findings) => found.extend(findings),
            Err(e) => found.push(Finding::new(
                format!("a part of this host cannot be looked at: {e}"),
                "what is wrong there stays hidden",
                "run this as root, on the host and with the settings of the cloud",
            )),
        }
    }
    found
}

/// The names in a directory; none when it is not there.
pub(crate) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Whether a file's content has this SHA-512.
///
/// # Errors
/// Those of reading it.
pub fn has_sha512(path: &Path, sha512: &str) -> io::Result<bool> {
    Ok(image::sha512(&File::open(path)?)? == sha512)
}
